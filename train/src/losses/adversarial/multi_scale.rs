//! Multi-scale discriminator for sound (Kumar et al., "MelGAN", 2019; sizes of HiFi-GAN, 2020).

use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use burn::tensor::module::avg_pool2d;
use serde::{Deserialize, Serialize};

use super::{Judgement, NormedConv, NormedConvConfig};

/// Slope of the activations below 0.
const SLOPE: f64 = 0.1;
/// Kernel, stride and groups of each layer, and its channels as a power of two times those of the first.
const LAYERS: [(usize, usize, usize, u32); 7] = [
    (15, 1, 1, 0),
    (41, 2, 4, 0),
    (41, 2, 16, 1),
    (41, 4, 16, 2),
    (41, 4, 16, 3),
    (41, 1, 16, 3),
    (5, 1, 1, 3),
];

/// Configuration of [`MultiScale`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiScaleConfig {
    /// Scales, one part of the discriminator each.
    pub scales: usize,
    /// Channels of the first layer, a multiple of 16; the last ones have eight times as many.
    pub channels: usize,
}

impl Default for MultiScaleConfig {
    fn default() -> Self {
        Self {
            scales: 3,
            channels: 128,
        }
    }
}

impl Config for MultiScaleConfig {}

impl MultiScaleConfig {
    /// A discriminator with random weights.
    ///
    /// HiFi-GAN normalizes the weights of the first scale by their spectral norm; here all are weight-normalized.
    ///
    /// # Panics
    /// If `channels` is not a multiple of 16.
    pub fn init<B: Backend>(&self, device: &B::Device) -> MultiScale<B> {
        let conv = |input, output, kernel, stride, groups| {
            NormedConvConfig::new([input, output], [1, kernel])
                .with_stride([1, stride])
                .with_groups(groups)
                .init(device)
        };
        assert!(
            self.channels.is_multiple_of(16),
            "{} channels are not a multiple of 16",
            self.channels
        );
        let parts = (0..self.scales).map(|_| {
            let mut input = 1;
            let mut layers = Vec::with_capacity(LAYERS.len());
            for (kernel, stride, groups, power) in LAYERS {
                let output = self.channels << power;
                layers.push(conv(input, output, kernel, stride, groups));
                input = output;
            }
            Scale {
                layers,
                last: conv(input, 1, 3, 1, 1),
            }
        });
        MultiScale {
            parts: parts.collect(),
        }
    }
}

/// Layers of one scale.
#[derive(Module, Debug)]
pub struct Scale<B: Backend> {
    layers: Vec<NormedConv<B>>,
    last: NormedConv<B>,
}

/// A discriminator for the signal and for each of its halvings by average pooling. The features are the activations of
/// each layer and the logits.
#[derive(Module, Debug)]
pub struct MultiScale<B: Backend> {
    parts: Vec<Scale<B>>,
}

impl<B: Backend> MultiScale<B> {
    /// # Shapes
    /// `[n, c, t]`; channels are judged one by one.
    pub fn forward(&self, signal: Tensor<B, 3>) -> Vec<Judgement<B>> {
        let [n, c, t] = signal.dims();
        let mut signal = signal.reshape([n * c, 1, 1, t]);
        let mut judgements = Vec::with_capacity(self.parts.len());
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                signal = avg_pool2d(signal, [1, 4], [1, 2], [0, 2], true, false);
            }
            let mut x = signal.clone();
            let mut features = Vec::with_capacity(part.layers.len() + 1);
            for layer in &part.layers {
                x = leaky_relu(layer.forward(x), SLOPE);
                features.push(x.clone());
            }
            let logits = part.last.forward(x);
            features.push(logits.clone());
            judgements.push(Judgement { logits, features });
        }
        judgements
    }
}
