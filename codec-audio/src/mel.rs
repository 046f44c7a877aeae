//! Mel filter banks.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use serde::{Deserialize, Serialize};

/// Most bands of a bank.
const MOST_BANDS: usize = 4096;

/// How frequency turns into mel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (Slaney, "Auditory toolbox", 1998); what librosa does by default.
    #[default]
    Slaney,
    /// `2595 log10(1 + f / 700)`, as in HTK.
    Htk,
}

impl MelScale {
    fn to_mel(self, hertz: f64) -> f64 {
        match self {
            Self::Slaney if hertz < 1000.0 => hertz * 3.0 / 200.0,
            Self::Slaney => 15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4f64.ln(),
            Self::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
        }
    }

    fn to_hertz(self, mel: f64) -> f64 {
        match self {
            Self::Slaney if mel < 15.0 => mel * 200.0 / 3.0,
            Self::Slaney => 1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp(),
            Self::Htk => 700.0 * (10f64.powf(mel / 2595.0) - 1.0),
        }
    }
}

/// Height of the triangles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MelNorm {
    /// Area one over hertz: `2 / (high - low)`.
    #[default]
    Slaney,
    /// One.
    None,
}

/// Configuration of [`MelBank`].
#[derive(Debug, Clone, PartialEq)]
pub struct MelConfig {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples of a frame of the transform below.
    pub size: usize,
    /// Number of triangles, 1 to 4096.
    pub bands: usize,
    /// Lower end of the first triangle, in hertz.
    pub low: f64,
    /// Upper end of the last one, in hertz; half the rate if not given.
    pub high: Option<f64>,
    /// How frequency turns into mel.
    pub scale: MelScale,
    /// Height of the triangles.
    pub norm: MelNorm,
}

impl MelConfig {
    /// Weights of all bands over `size / 2 + 1` frequencies, band after band.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for frequencies, sizes and counts out of range.
    pub fn weights(&self) -> Result<Vec<f32>, Error> {
        let nyquist = f64::from(self.sample_rate) / 2.0;
        let high = self.high.unwrap_or(nyquist);
        // `high` may lie above half the rate, where there is nothing to weigh; below `low` it may not.
        let ordered = self.low >= 0.0 && self.low < high && high.is_finite();
        if self.sample_rate == 0 || self.size < 2 || !ordered {
            return Err(bad(format!(
                "{} to {high} Hz at {} samples per second and frames of {}",
                self.low, self.sample_rate, self.size
            )));
        }
        if !(1..=MOST_BANDS).contains(&self.bands) {
            return Err(bad(format!(
                "{} bands (expected 1..={MOST_BANDS})",
                self.bands
            )));
        }
        let (first, last) = (self.scale.to_mel(self.low), self.scale.to_mel(high));
        let step = (last - first) / (self.bands + 1) as f64;
        let edge = |i: usize| self.scale.to_hertz(first + step * i as f64);
        let bins = self.size / 2 + 1;
        let mut weights = Vec::with_capacity(self.bands * bins);
        for band in 0..self.bands {
            let (left, center, right) = (edge(band), edge(band + 1), edge(band + 2));
            let height = match self.norm {
                MelNorm::Slaney => 2.0 / (right - left),
                MelNorm::None => 1.0,
            };
            weights.extend((0..bins).map(|k| {
                let hertz = k as f64 * f64::from(self.sample_rate) / self.size as f64;
                let rise = (hertz - left) / (center - left);
                let fall = (right - hertz) / (right - center);
                (rise.min(fall).max(0.0) * height) as f32
            }));
        }
        Ok(weights)
    }

    /// The bank on a device.
    ///
    /// # Errors
    /// As [`MelConfig::weights`].
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MelBank<B>, Error> {
        let weights = TensorData::new(self.weights()?, [self.bands, self.size / 2 + 1]);
        Ok(MelBank {
            weights: Tensor::<B, 2>::from_data(weights, device).transpose(),
        })
    }
}

fn bad(reason: String) -> Error {
    Error::bad_parameter(format!("mel bands: {reason}"))
}

/// Triangular filters, evenly spaced in mel.
#[derive(Debug, Clone)]
pub struct MelBank<B: Backend> {
    /// `[bins, bands]`.
    weights: Tensor<B, 2>,
}

impl<B: Backend> MelBank<B> {
    /// Weighted sums of magnitudes (or powers).
    ///
    /// # Shapes
    /// `[n, frames, bins]` to `[n, frames, bands]`.
    ///
    /// # Panics
    /// If the number of bins is not that of the bank.
    pub fn forward(&self, spectrum: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, frames, bins] = spectrum.dims();
        let [_, bands] = self.weights.dims();
        spectrum
            .reshape([n * frames, bins])
            .matmul(self.weights.clone())
            .reshape([n, frames, bands])
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn scales_are_inverted() {
        for scale in [MelScale::Slaney, MelScale::Htk] {
            for hertz in [0.0, 60.0, 999.0, 1000.0, 4321.0, 20_000.0] {
                let back = scale.to_hertz(scale.to_mel(hertz));
                assert!((back - hertz).abs() < 1e-9 * hertz.max(1.0), "{back}");
            }
        }
    }

    #[test]
    fn typed_errors() {
        let good = MelConfig {
            sample_rate: 24_000,
            size: 512,
            bands: 20,
            low: 40.0,
            high: Some(11_000.0),
            scale: MelScale::Htk,
            norm: MelNorm::None,
        };
        let wrong = [
            MelConfig {
                bands: 0,
                ..good.clone()
            },
            MelConfig {
                bands: 5000,
                ..good.clone()
            },
            MelConfig {
                low: 12_000.0,
                ..good.clone()
            },
            MelConfig {
                low: f64::NAN,
                ..good.clone()
            },
            MelConfig {
                sample_rate: 0,
                ..good
            },
        ];
        for config in wrong {
            assert!(config.init::<Flex>(&Default::default()).is_err());
        }
    }
}
