//! Distance of loudness, as a listener's ear would weigh it.

use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{Stft, StftConfig};
use crate::losses::LossError;

/// Window in seconds, half of which is the hop.
const WINDOW: f64 = 0.032;
/// Exponent of Zwicker's law.
const EXPONENT: f64 = 0.23;
/// Share of the smaller loudness by which a difference is masked.
const MASKED: f64 = 0.25;
/// What is added counts more than what is missing: power (of 0 dB) on both sides of the ratio, its exponent, and the range
/// of the factor, below which it is 0.
const ASYMMETRY: [f64; 4] = [50.0, 1.2, 3.0, 12.0];
/// Points of opinion for each unit of disturbance.
const POINTS: [f64; 2] = [0.1, 0.0309];
/// Below this the square root of a mean square has no slope.
const SMALLEST: f64 = 1e-6;
/// Most bands.
const MOST_BANDS: usize = 512;

/// Configuration of [`LoudnessLoss`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoudnessLossConfig {
    /// Samples per second.
    pub sample_rate: u32,
    /// Bands, evenly wide on the Bark scale.
    #[serde(default = "default_bands")]
    pub bands: usize,
    /// Upper end of the last band, in hertz; at most half the rate.
    #[serde(default = "default_high")]
    pub high: f64,
    /// Sound pressure of a signal of mean square 1, in dB; speech at -26 dB of full scale is then 80 dB loud.
    #[serde(default = "default_level")]
    pub level: f64,
    /// Factor of the part that counts what was added.
    #[serde(default = "default_asymmetry")]
    pub asymmetry: f64,
}

fn default_bands() -> usize {
    49
}

fn default_high() -> f64 {
    8000.0
}

fn default_level() -> f64 {
    106.0
}

fn default_asymmetry() -> f64 {
    1.0
}

/// Bark of a frequency in hertz (Schroeder, Atal and Hall 1979).
fn bark(hertz: f64) -> f64 {
    7.0 * (hertz / 650.0).asinh()
}

fn hertz(bark: f64) -> f64 {
    650.0 * (bark / 7.0).sinh()
}

/// Threshold of hearing in dB (Terhardt 1979).
fn threshold(hertz: f64) -> f64 {
    let kilo = hertz / 1000.0;
    3.64 * kilo.powf(-0.8) - 6.5 * (-0.6 * (kilo - 3.3).powi(2)).exp() + 1e-3 * kilo.powi(4)
}

/// Loudness a Bark of a power under Zwicker's law, before its scale.
fn zwicker(power: f64, threshold: f64) -> f64 {
    (2.0 * threshold).powf(EXPONENT) * ((0.5 + 0.5 * power / threshold).powf(EXPONENT) - 1.0)
}

impl LoudnessLossConfig {
    /// The loss for a rate with all defaults.
    pub fn new(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            bands: default_bands(),
            high: default_high(),
            level: default_level(),
            asymmetry: default_asymmetry(),
        }
    }

    /// The loss on a device.
    ///
    /// # Errors
    /// [`LossError::Parameter`].
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<LoudnessLoss<B>, LossError> {
        let bad = |reason: String| LossError::Parameter {
            term: "loudness".into(),
            reason,
        };
        let rate = f64::from(self.sample_rate);
        if !(1..=MOST_BANDS).contains(&self.bands) {
            return Err(bad(format!(
                "{} bands (expected 1..={MOST_BANDS})",
                self.bands
            )));
        }
        if !(1000.0..=rate / 2.0).contains(&self.high) {
            return Err(bad(format!(
                "high {} is not in 1000..={}",
                self.high,
                rate / 2.0
            )));
        }
        if !(0.0..=200.0).contains(&self.level) || !(0.0..=1e6).contains(&self.asymmetry) {
            return Err(bad(format!(
                "level {} or asymmetry {} is out of range",
                self.level, self.asymmetry
            )));
        }
        let size = 2 * (rate * WINDOW / 2.0).round() as usize;
        let config = StftConfig {
            hop: size / 2,
            ..StftConfig::hann(size)
        };
        let stft = config.init(device)?;
        let (bins, width) = (config.bins(), bark(self.high) / self.bands as f64);
        // The squared window has a mean of 3/8; frequencies but the outermost stand for two.
        let scale = 10f64.powf(self.level / 10.0) * 2.0 / (0.375 * (size * size) as f64);
        let mut bank = vec![0.0f32; bins * self.bands];
        let step = rate / size as f64;
        for (bin, row) in bank.chunks_mut(self.bands).enumerate() {
            // A bin reaches half a step to both sides, and the first one begins at 0.
            let edge = |side: f64| bark(((bin as f64 + side) * step).max(0.0)) / width;
            let (low, high) = (edge(-0.5), edge(0.5));
            for (band, value) in row.iter_mut().enumerate() {
                let inside = high.min(band as f64 + 1.0) - low.max(band as f64);
                *value = (scale / width * (inside / (high - low)).max(0.0)) as f32;
            }
        }
        let middle = |band: usize| hertz((band as f64 + 0.5) * width);
        let thresholds = (0..self.bands).map(|band| 10f64.powf(threshold(middle(band)) / 10.0));
        // A tone of 1 kHz and 40 dB has a loudness of one sone.
        let sone = zwicker(1e4 / width, 10f64.powf(threshold(1000.0) / 10.0)) * width;
        let factors = thresholds
            .clone()
            .map(|threshold| ((2.0 * threshold).powf(EXPONENT) / sone) as f32);
        let row = |values: Vec<f32>| {
            Tensor::<B, 3>::from_data(TensorData::new(values, [1, 1, self.bands]), device)
        };
        Ok(LoudnessLoss {
            factors: row(factors.collect()),
            halves: row(thresholds.map(|t| (0.5 / t) as f32).collect()),
            bank: Tensor::from_data(TensorData::new(bank, [bins, self.bands]), device),
            stft,
            width,
            asymmetry: self.asymmetry,
        })
    }
}

/// Mean over time of the disturbance between the loudness of two signals, in points of opinion, after ITU-T P.862 (PESQ) and
/// PMSQE (Martín-Doñas et al., "A deep learning loss function based on the perceptual evaluation of the speech quality", 2018).
///
/// Power in Bark bands becomes loudness by Zwicker's law above the threshold of hearing. A difference counts as far as it is
/// more than a quarter of the smaller loudness, once by its mean square over bands, and once by its mean where something is
/// added. Levels are not aligned, nor are gains and colours: the decoder has to get them right.
#[derive(Debug, Clone)]
pub struct LoudnessLoss<B: Backend> {
    stft: Stft<B>,
    /// Powers of bins to density over Bark, `[bins, bands]`.
    bank: Tensor<B, 2>,
    /// Of Zwicker's law, `[1, 1, bands]`.
    factors: Tensor<B, 3>,
    /// Half of the inverse of thresholds, `[1, 1, bands]`.
    halves: Tensor<B, 3>,
    /// Of a band in Bark.
    width: f64,
    asymmetry: f64,
}

impl<B: Backend> LoudnessLoss<B> {
    /// The loss, `[1]`.
    ///
    /// # Shapes
    /// Both `[n, c, t]`; channels are looked at one by one.
    ///
    /// # Errors
    /// [`LossError::TooSmall`] for signals of at most 16 ms.
    pub fn forward(
        &self,
        output: Tensor<B, 3>,
        target: Tensor<B, 3>,
    ) -> Result<Tensor<B, 1>, LossError> {
        let [n, c, t] = target.dims();
        let power = |x: Tensor<B, 3>| -> Result<Tensor<B, 3>, LossError> {
            let (real, imaginary) = self.stft.forward(x.reshape([n * c, t]))?;
            let square = real.square() + imaginary.square();
            let [n, frames, bins] = square.dims();
            let bands = square.reshape([n * frames, bins]).matmul(self.bank.clone());
            Ok(bands.reshape([n as i32, frames as i32, -1]))
        };
        let (output, target) = (power(output)?, power(target)?);
        let loudness = |power: Tensor<B, 3>| {
            let above = power * self.halves.clone() + 0.5;
            let above = above.powf_scalar(EXPONENT) - 1.0;
            above.clamp_min(0.0) * self.factors.clone()
        };
        let (a, b) = (loudness(output.clone()), loudness(target.clone()));
        let difference = a.clone() - b.clone();
        let masked = a.min_pair(b).mul_scalar(MASKED);
        let added = relu(difference.clone() - masked.clone());
        let missing = relu(difference.neg() - masked);
        let [_, _, bands] = added.dims();
        let total = self.width * bands as f64;
        let square = (added.clone() + missing).square();
        let symmetric = (square.mean_dim(2) + SMALLEST)
            .sqrt()
            .mean()
            .mul_scalar(POINTS[0] * total * self.width.sqrt());
        if self.asymmetry == 0.0 {
            return Ok(symmetric);
        }
        let [offset, exponent, least, most] = ASYMMETRY;
        let ratio = (output + offset) / (target + offset);
        let factor = ratio.powf_scalar(exponent).clamp_max(most);
        let counts = factor.clone().greater_equal_elem(least).float();
        let asymmetric = (added * factor * counts).mean();
        let scale = self.asymmetry * POINTS[1] * total;
        Ok(symmetric + asymmetric.mul_scalar(scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, scalar, tensor};
    use crate::losses::reference::reference;

    const RATE: u32 = 16_000;

    fn loss() -> LoudnessLoss<Back> {
        LoudnessLossConfig::new(RATE)
            .init(&Default::default())
            .unwrap()
    }

    fn distance(output: &[f32], target: &[f32]) -> f64 {
        let shape = [1, 1, target.len()];
        scalar(
            loss()
                .forward(tensor(shape, output), tensor(shape, target))
                .unwrap(),
        )
    }

    fn tone(hertz: f32, amplitude: f32) -> Vec<f32> {
        let turn = std::f32::consts::TAU * hertz / RATE as f32;
        (0..4000)
            .map(|i| amplitude * (turn * i as f32).sin())
            .collect()
    }

    #[test]
    fn equals_numpy() {
        let (a, b) = (noise(3000, 11, -0.5, 0.5), noise(3000, 12, -0.1, 0.1));
        close(distance(&a, &b), reference(&["loudness", "louder"]), 1e-4);
        close(distance(&b, &a), reference(&["loudness", "softer"]), 1e-4);
    }

    #[test]
    fn the_ear_decides() {
        let target = tone(1000.0, 0.1);
        let with = |hertz, amplitude| -> Vec<f32> {
            let other = tone(hertz, amplitude);
            target.iter().zip(other).map(|(a, b)| a + b).collect()
        };
        let nothing = distance(&target, &target);
        // The same tone is heard at 3 kHz and not at 30 Hz, and a sound that is added disturbs more than one that is missing.
        assert!(distance(&with(3000.0, 2e-4), &target) > 2.0 * nothing);
        assert!(distance(&with(30.0, 2e-4), &target) < 1.1 * nothing);
        let loud = with(3000.0, 0.01);
        assert!(distance(&loud, &target) > 1.2 * distance(&target, &loud));
    }

    #[test]
    fn gradients() {
        let target = noise(600, 21, -0.2, 0.2);
        let loss = loss();
        let error = gradient_error([1, 1, 600], &noise(600, 22, -0.9, 0.9), |x| {
            loss.forward(x, tensor([1, 1, 600], &target)).unwrap()
        });
        assert!(error < 2e-2, "{error}");
    }

    /// Neither silence nor equality may give a gradient that is not finite.
    #[test]
    fn silence() {
        for target in [vec![0.0; 600], tone(500.0, 0.5)[..600].to_vec()] {
            let x = tensor([1, 1, 600], &target).require_grad();
            let value = loss()
                .forward(x.clone(), tensor([1, 1, 600], &target))
                .unwrap();
            let gradient = x.grad(&value.backward()).unwrap().into_data();
            assert!(gradient.iter::<f32>().all(f32::is_finite));
        }
    }

    #[test]
    fn typed_errors() {
        let base = LoudnessLossConfig::new(RATE);
        let wrong = [
            LoudnessLossConfig {
                bands: 0,
                ..base.clone()
            },
            LoudnessLossConfig {
                high: 8001.0,
                ..base.clone()
            },
            LoudnessLossConfig {
                level: f64::NAN,
                ..base.clone()
            },
            LoudnessLossConfig {
                asymmetry: -1.0,
                ..base
            },
        ];
        for config in wrong {
            assert!(config.init::<Back>(&Default::default()).is_err());
        }
    }
}
