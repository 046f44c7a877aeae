//! Distance of log-mel spectrograms.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{MelBank, MelConfig, MelNorm, MelScale, Stft, StftConfig};
use crate::losses::LossError;

/// Configuration of [`MelLoss`]. The defaults are those of DAC (Kumar et al., "High-fidelity audio compression with
/// improved RVQGAN", 2023): seven scales, Slaney filters, decimal logarithm of magnitudes, sum over scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelLossConfig {
    /// Samples per second.
    pub sample_rate: u32,
    /// Window of each scale in samples.
    #[serde(default = "default_windows")]
    pub windows: Vec<usize>,
    /// Mel bands of each scale.
    #[serde(default = "default_bands")]
    pub bands: Vec<usize>,
    /// Lower end of the first band, in hertz.
    #[serde(default)]
    pub low: f64,
    /// Upper end of the last band, in hertz; half the rate if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// How frequency turns into mel.
    #[serde(default)]
    pub scale: MelScale,
    /// Height of the triangles.
    #[serde(default)]
    pub norm: MelNorm,
    /// Values below are raised to this before the logarithm.
    #[serde(default = "default_floor")]
    pub floor: f64,
    /// Base of the logarithm.
    #[serde(default = "default_base")]
    pub log_base: f64,
    /// Weight of the distance of logarithms.
    #[serde(default = "default_log_weight")]
    pub log_weight: f64,
    /// Weight of the distance of magnitudes.
    #[serde(default)]
    pub magnitude_weight: f64,
}

fn default_windows() -> Vec<usize> {
    (5..=11).map(|i| 1 << i).collect()
}

fn default_bands() -> Vec<usize> {
    (0..7).map(|i| 5 << i).collect()
}

fn default_floor() -> f64 {
    1e-5
}

fn default_base() -> f64 {
    10.0
}

fn default_log_weight() -> f64 {
    1.0
}

impl MelLossConfig {
    /// The loss of DAC.
    pub fn dac(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            windows: default_windows(),
            bands: default_bands(),
            low: 0.0,
            high: None,
            scale: MelScale::Slaney,
            norm: MelNorm::Slaney,
            floor: default_floor(),
            log_base: default_base(),
            log_weight: default_log_weight(),
            magnitude_weight: 0.0,
        }
    }

    /// One scale as vocoders use it (Vocos, WavTokenizer): window 1024, 100 HTK bands of height 1, natural logarithm.
    pub fn vocoder(sample_rate: u32) -> Self {
        Self {
            windows: vec![1024],
            bands: vec![100],
            scale: MelScale::Htk,
            norm: MelNorm::None,
            floor: 1e-7,
            log_base: std::f64::consts::E,
            ..Self::dac(sample_rate)
        }
    }

    /// The loss on a device.
    ///
    /// # Errors
    /// [`LossError::Parameter`].
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MelLoss<B>, LossError> {
        let bad = |reason: String| LossError::Parameter {
            term: "mel".into(),
            reason,
        };
        if self.windows.is_empty() || self.windows.len() != self.bands.len() {
            return Err(bad(format!(
                "{} windows and {} numbers of bands (expected equally many, at least one)",
                self.windows.len(),
                self.bands.len()
            )));
        }
        if !(1e-30..=1e30).contains(&self.floor) {
            return Err(bad(format!("floor {} is not in 1e-30..=1e30", self.floor)));
        }
        if !(self.log_base > 1.0 && self.log_base.is_finite()) {
            return Err(bad(format!("log_base {} is not above 1", self.log_base)));
        }
        if !(self.log_weight.is_finite() && self.magnitude_weight.is_finite()) {
            return Err(bad("weights must be finite numbers".into()));
        }
        let scales = self
            .windows
            .iter()
            .zip(&self.bands)
            .map(|(&size, &bands)| {
                let stft = StftConfig::hann(size).init(device)?;
                let bank = MelConfig {
                    sample_rate: self.sample_rate,
                    size,
                    bands,
                    low: self.low,
                    high: self.high,
                    scale: self.scale,
                    norm: self.norm,
                };
                Ok((stft, bank.init(device).map_err(|e| bad(e.to_string()))?))
            })
            .collect::<Result<_, LossError>>()?;
        Ok(MelLoss {
            scales,
            floor: self.floor,
            log_factor: self.log_weight / self.log_base.ln(),
            magnitude_weight: self.magnitude_weight,
        })
    }
}

/// Sum over scales of the mean absolute difference of (log) mel magnitudes.
#[derive(Debug, Clone)]
pub struct MelLoss<B: Backend> {
    scales: Vec<(Stft<B>, MelBank<B>)>,
    floor: f64,
    log_factor: f64,
    magnitude_weight: f64,
}

impl<B: Backend> MelLoss<B> {
    /// The loss, `[1]`.
    ///
    /// # Shapes
    /// Both `[n, c, t]`; channels are looked at one by one.
    ///
    /// # Errors
    /// [`LossError::TooSmall`] for signals of at most half the longest window.
    pub fn forward(
        &self,
        output: Tensor<B, 3>,
        target: Tensor<B, 3>,
    ) -> Result<Tensor<B, 1>, LossError> {
        let [n, c, t] = target.dims();
        let (output, target) = (output.reshape([n * c, t]), target.reshape([n * c, t]));
        let mut total = Tensor::zeros([1], &target.device());
        for (stft, bank) in &self.scales {
            let mel = |x: Tensor<B, 2>| stft.magnitude(x).map(|m| bank.forward(m));
            let (a, b) = (mel(output.clone())?, mel(target.clone())?);
            if self.magnitude_weight != 0.0 {
                let distance = (a.clone() - b.clone()).abs().mean();
                total = total + distance.mul_scalar(self.magnitude_weight);
            }
            if self.log_factor != 0.0 {
                let log = |x: Tensor<B, 3>| x.clamp_min(self.floor).log();
                total = total + (log(a) - log(b)).abs().mean().mul_scalar(self.log_factor);
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, scalar, tensor};
    use crate::losses::reference::reference;

    fn pair() -> (Tensor<Back, 3>, Tensor<Back, 3>) {
        (
            tensor([2, 1, 3000], &noise(6000, 11, -0.5, 0.5)),
            tensor([2, 1, 3000], &noise(6000, 12, -0.2, 0.2)),
        )
    }

    /// Moments of the matrix, which every weight enters with a factor of its own.
    fn moment(weights: &[f32]) -> f64 {
        let weights = weights.iter().enumerate();
        weights
            .map(|(i, w)| f64::from(*w) * (1.0 + (i % 97) as f64))
            .sum()
    }

    #[test]
    fn banks_equal_librosa() {
        let banks = [
            ("slaney_slaney", MelScale::Slaney, MelNorm::Slaney),
            ("htk_none", MelScale::Htk, MelNorm::None),
            ("htk_slaney", MelScale::Htk, MelNorm::Slaney),
        ];
        for (name, scale, norm) in banks {
            let bank = MelConfig {
                sample_rate: 24_000,
                size: 512,
                bands: 20,
                low: 40.0,
                high: Some(11_000.0),
                scale,
                norm,
            };
            let weights = bank.weights().unwrap();
            close(moment(&weights), reference(&["mel_bank", name]), 1e-6);
        }
    }

    #[test]
    fn equals_librosa() {
        for (name, config) in [
            ("dac", MelLossConfig::dac(16_000)),
            ("vocoder", MelLossConfig::vocoder(24_000)),
        ] {
            let loss = config.init(&Default::default()).unwrap();
            let (a, b) = pair();
            close(
                scalar(loss.forward(a, b).unwrap()),
                reference(&["mel_loss", name]),
                1e-4,
            );
        }
    }

    #[test]
    fn gradients() {
        let config = MelLossConfig {
            windows: vec![16, 32],
            bands: vec![3, 5],
            magnitude_weight: 0.5,
            ..MelLossConfig::dac(8000)
        };
        let loss = config.init(&Default::default()).unwrap();
        let target = noise(64, 21, -0.2, 0.2);
        let error = gradient_error([1, 1, 64], &noise(64, 22, -0.9, 0.9), |x| {
            loss.forward(x, tensor([1, 1, 64], &target)).unwrap()
        });
        assert!(error < 2e-2, "{error}");
    }

    #[test]
    fn typed_errors() {
        let base = MelLossConfig::dac(16_000);
        let wrong = [
            MelLossConfig {
                bands: vec![5],
                ..base.clone()
            },
            MelLossConfig {
                floor: 0.0,
                ..base.clone()
            },
            MelLossConfig {
                log_base: 1.0,
                ..base.clone()
            },
            MelLossConfig {
                log_weight: f64::NAN,
                ..base
            },
        ];
        for config in wrong {
            assert!(config.init::<Back>(&Default::default()).is_err());
        }
    }
}
