//! Discriminator on complex spectrograms at several resolutions (Defossez et al., "High fidelity neural audio
//! compression", 2022, section 3.4; bands of Kumar et al., "High-fidelity audio compression with improved RVQGAN", 2023).

use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{Judgement, NormedConv, NormedConvConfig};
use crate::losses::LossError;
use crate::losses::spectral::{Stft, StftConfig};

/// Configuration of [`MultiResolution`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiResolutionConfig {
    /// Window of each resolution in samples, Hann, with a quarter as hop; one part of the discriminator each.
    pub windows: Vec<usize>,
    /// Channels of all layers.
    pub channels: usize,
    /// Borders of the frequency bands, ascending from 0 to 1 (half the rate); each band has layers of its own.
    pub borders: Vec<f64>,
    /// Dilation over time of each of the layers that halve the frequencies.
    pub dilations: Vec<usize>,
    /// Slope of the activations below 0.
    pub slope: f64,
    /// Whether the transform is divided by the norm of its window.
    pub normalized: bool,
}

impl Default for MultiResolutionConfig {
    fn default() -> Self {
        Self {
            windows: vec![2048, 1024, 512],
            channels: 32,
            borders: vec![0.0, 0.1, 0.25, 0.5, 0.75, 1.0],
            dilations: vec![1; 3],
            slope: 0.1,
            normalized: false,
        }
    }
}

impl Config for MultiResolutionConfig {}

impl MultiResolutionConfig {
    /// The complex STFT part of DAC's discriminator: five bands, three windows.
    pub fn dac() -> Self {
        Self::default()
    }

    /// EnCodec's: one band, five windows, dilated over time, normalized transform.
    pub fn encodec() -> Self {
        Self {
            windows: vec![2048, 1024, 512, 256, 128],
            borders: vec![0.0, 1.0],
            dilations: vec![1, 2, 4],
            slope: 0.2,
            normalized: true,
            ..Self::default()
        }
    }

    /// A discriminator with random weights.
    ///
    /// # Errors
    /// [`LossError::Parameter`] for windows out of range and borders that are not ascending from 0 to 1 or give an empty
    /// band.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MultiResolution<B>, LossError> {
        let conv = |input: usize, kernel: [usize; 2], stride: usize, dilation: usize| {
            NormedConvConfig::new([input, self.channels], kernel)
                .with_stride([1, stride])
                .with_dilation([dilation, 1])
                .init(device)
        };
        let part = |&size: &usize| {
            let stft = StftConfig {
                normalized: self.normalized,
                ..StftConfig::hann(size)
            };
            let bins = stft.bins();
            let stft = stft.init(device)?;
            let edges: Vec<usize> = self
                .borders
                .iter()
                .map(|border| (border * bins as f64) as usize)
                .collect();
            let whole = edges.first() == Some(&0) && edges.last() == Some(&bins);
            if !whole || !edges.is_sorted_by(|a, b| a < b) {
                return Err(LossError::Parameter {
                    term: "multi-resolution discriminator".into(),
                    reason: format!(
                        "borders {:?} do not split the {bins} frequencies of window {size} from 0 to 1",
                        self.borders
                    ),
                });
            }
            let bands = edges
                .windows(2)
                .map(|_| {
                    let mut layers = vec![conv(2, [3, 9], 1, 1)];
                    let halving = self.dilations.iter();
                    layers.extend(halving.map(|&d| conv(self.channels, [3, 9], 2, d)));
                    layers.push(conv(self.channels, [3, 3], 1, 1));
                    Band { layers }
                })
                .collect();
            Ok(Resolution {
                stft,
                bands,
                last: NormedConvConfig::new([self.channels, 1], [3, 3]).init(device),
                edges,
                slope: self.slope,
            })
        };
        Ok(MultiResolution {
            parts: self.windows.iter().map(part).collect::<Result<_, _>>()?,
        })
    }
}

/// Layers of one frequency band.
#[derive(Module, Debug)]
pub struct Band<B: Backend> {
    layers: Vec<NormedConv<B>>,
}

/// One resolution.
#[derive(Module, Debug)]
pub struct Resolution<B: Backend> {
    stft: Stft<B>,
    bands: Vec<Band<B>>,
    last: NormedConv<B>,
    edges: Vec<usize>,
    slope: f64,
}

/// A discriminator for each resolution, on real and imaginary part as two channels over time and frequency. The
/// features are the activations of each layer of each band, and the logits.
#[derive(Module, Debug)]
pub struct MultiResolution<B: Backend> {
    parts: Vec<Resolution<B>>,
}

impl<B: Backend> MultiResolution<B> {
    /// # Shapes
    /// `[n, c, t]`; channels are judged one by one.
    ///
    /// # Errors
    /// [`LossError::TooSmall`] for signals of at most half the longest window.
    pub fn forward(&self, signal: Tensor<B, 3>) -> Result<Vec<Judgement<B>>, LossError> {
        let [n, c, t] = signal.dims();
        let signal = signal.reshape([n * c, t]);
        self.parts
            .iter()
            .map(|part| part.forward(signal.clone()))
            .collect()
    }
}

impl<B: Backend> Resolution<B> {
    fn forward(&self, signal: Tensor<B, 2>) -> Result<Judgement<B>, LossError> {
        let (real, imaginary) = self.stft.forward(signal)?;
        let spectrum = Tensor::stack::<4>(vec![real, imaginary], 1);
        let mut features = Vec::new();
        let mut outputs = Vec::with_capacity(self.bands.len());
        for (band, edge) in self.bands.iter().zip(self.edges.windows(2)) {
            let &[low, high] = edge else { continue };
            let mut x = spectrum.clone().narrow(3, low, high - low);
            for layer in &band.layers {
                x = leaky_relu(layer.forward(x), self.slope);
                features.push(x.clone());
            }
            outputs.push(x);
        }
        let logits = self.last.forward(Tensor::cat(outputs, 3));
        features.push(logits.clone());
        Ok(Judgement { logits, features })
    }
}
