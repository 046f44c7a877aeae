//! Multi-period discriminator for sound (Kong et al., "HiFi-GAN", 2020, section 2.3).

use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;
use serde::{Deserialize, Serialize};

use super::{Judgement, NormedConv, NormedConvConfig};
use crate::losses::LossError;

/// Slope of the activations below 0.
const SLOPE: f64 = 0.1;

/// Configuration of [`MultiPeriod`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiPeriodConfig {
    /// Periods, one part of the discriminator each.
    pub periods: Vec<usize>,
    /// Channels of the first layer; the next three each have four times as many.
    pub channels: usize,
    /// Most channels of a layer.
    pub most: usize,
}

impl Default for MultiPeriodConfig {
    fn default() -> Self {
        Self {
            periods: vec![2, 3, 5, 7, 11],
            channels: 32,
            most: 1024,
        }
    }
}

impl Config for MultiPeriodConfig {}

impl MultiPeriodConfig {
    /// A discriminator with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> MultiPeriod<B> {
        let conv = |input: usize, output: usize, kernel: usize, stride: usize| {
            NormedConvConfig::new([input, output], [kernel, 1])
                .with_stride([stride, 1])
                .init(device)
        };
        let widths: Vec<usize> = (0..5)
            .map(|i| (self.channels << (2 * i)).min(self.most))
            .collect();
        let parts = self.periods.iter().map(|&period| {
            let mut input = 1;
            let mut layers = Vec::with_capacity(widths.len());
            for (i, &output) in widths.iter().enumerate() {
                let stride = if i + 1 == widths.len() { 1 } else { 3 };
                layers.push(conv(input, output, 5, stride));
                input = output;
            }
            Period {
                layers,
                last: conv(input, 1, 3, 1),
                period,
            }
        });
        MultiPeriod {
            parts: parts.collect(),
        }
    }
}

/// One period: the signal is folded into rows of that length, and columns are looked at.
#[derive(Module, Debug)]
pub struct Period<B: Backend> {
    layers: Vec<NormedConv<B>>,
    last: NormedConv<B>,
    period: usize,
}

/// A discriminator for each period. The features are the activations of each layer and the logits.
#[derive(Module, Debug)]
pub struct MultiPeriod<B: Backend> {
    parts: Vec<Period<B>>,
}

impl<B: Backend> MultiPeriod<B> {
    /// # Shapes
    /// `[n, c, t]`; channels are judged one by one.
    ///
    /// # Errors
    /// [`LossError::TooSmall`] for signals shorter than a period.
    pub fn forward(&self, signal: Tensor<B, 3>) -> Result<Vec<Judgement<B>>, LossError> {
        let [n, c, t] = signal.dims();
        let signal = signal.reshape([n * c, 1, t]);
        self.parts
            .iter()
            .map(|part| part.forward(signal.clone()))
            .collect()
    }
}

impl<B: Backend> Period<B> {
    fn forward(&self, signal: Tensor<B, 3>) -> Result<Judgement<B>, LossError> {
        let [n, _, t] = signal.dims();
        let period = self.period.max(1);
        if t < period {
            return Err(LossError::TooSmall {
                term: "multi-period discriminator".into(),
                what: "number of samples",
                found: t,
                smallest: period,
            });
        }
        let extra = (period - t % period) % period;
        let signal = signal.pad([(0, 0), (0, 0), (0, extra)], PadMode::Reflect);
        let mut x = signal.reshape([n, 1, (t + extra) / period, period]);
        let mut features = Vec::with_capacity(self.layers.len() + 1);
        for layer in &self.layers {
            x = leaky_relu(layer.forward(x), SLOPE);
            features.push(x.clone());
        }
        let logits = self.last.forward(x);
        features.push(logits.clone());
        Ok(Judgement { logits, features })
    }
}
