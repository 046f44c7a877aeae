//! Spectral convergence and log magnitude at several resolutions.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{Stft, StftConfig};
use crate::losses::LossError;

/// Root mean square magnitude that the target is taken to have at least: relative errors of silence mean nothing.
const SILENCE: f64 = 1e-3;

/// Configuration of [`MultiScaleStft`]. The default windows are those of Parallel WaveGAN (Yamamoto et al., ICASSP
/// 2020), with a quarter as hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiScaleStftConfig {
    /// Window of each resolution in samples, Hann.
    pub windows: Vec<usize>,
    /// Magnitudes below are raised to this before the logarithm.
    pub floor: f64,
    /// Weight of the spectral convergence.
    pub convergence_weight: f64,
    /// Weight of the distance of log magnitudes.
    pub log_weight: f64,
}

impl Default for MultiScaleStftConfig {
    fn default() -> Self {
        Self {
            windows: vec![2048, 1024, 512],
            floor: 1e-5,
            convergence_weight: 1.0,
            log_weight: 1.0,
        }
    }
}

impl MultiScaleStftConfig {
    /// The loss on a device.
    ///
    /// # Errors
    /// [`LossError::Parameter`].
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MultiScaleStft<B>, LossError> {
        let bad = |reason: String| LossError::Parameter {
            term: "multi-scale-stft".into(),
            reason,
        };
        if self.windows.is_empty() {
            return Err(bad("no windows (expected at least one)".into()));
        }
        if !(1e-30..=1e30).contains(&self.floor) {
            return Err(bad(format!("floor {} is not in 1e-30..=1e30", self.floor)));
        }
        if !(self.convergence_weight.is_finite() && self.log_weight.is_finite()) {
            return Err(bad("weights must be finite numbers".into()));
        }
        let scales = self
            .windows
            .iter()
            .map(|&size| StftConfig::hann(size).init(device))
            .collect::<Result<_, LossError>>()?;
        Ok(MultiScaleStft {
            scales,
            config: self.clone(),
        })
    }
}

/// Mean over resolutions of `|S - S'|_F / |S|_F` (spectral convergence) and of the mean absolute difference of natural
/// logarithms of magnitudes.
///
/// The convergence is taken for each channel of each item and then averaged, so that a batch split over devices gives
/// the same gradients as the whole.
#[derive(Debug, Clone)]
pub struct MultiScaleStft<B: Backend> {
    scales: Vec<Stft<B>>,
    config: MultiScaleStftConfig,
}

impl<B: Backend> MultiScaleStft<B> {
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
        for stft in &self.scales {
            let (a, b) = (
                stft.magnitude(output.clone())?,
                stft.magnitude(target.clone())?,
            );
            let [_, frames, bins] = b.dims();
            let norm = |x: Tensor<B, 3>, smallest: f64| {
                x.square()
                    .reshape([n * c, frames * bins])
                    .sum_dim(1)
                    .clamp_min(smallest * smallest)
                    .sqrt()
            };
            // The lower bound of the numerator is far below anything heard; it keeps the slope finite at a perfect match.
            let silence = SILENCE * ((frames * bins) as f64).sqrt();
            let convergence = norm(a.clone() - b.clone(), 1e-7) / norm(b.clone(), silence);
            let log = |x: Tensor<B, 3>| x.clamp_min(self.config.floor).log();
            let distance = (log(a) - log(b)).abs().mean();
            total = total
                + convergence
                    .mean()
                    .mul_scalar(self.config.convergence_weight)
                + distance.mul_scalar(self.config.log_weight);
        }
        Ok(total.div_scalar(self.scales.len() as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, scalar, tensor};
    use crate::losses::reference::reference;

    #[test]
    fn equals_torch() {
        let loss = MultiScaleStftConfig::default()
            .init(&Default::default())
            .unwrap();
        let a = tensor([2, 1, 3000], &noise(6000, 11, -0.5, 0.5));
        let b = tensor([2, 1, 3000], &noise(6000, 12, -0.2, 0.2));
        close(
            scalar(loss.forward(a, b).unwrap()),
            reference(&["multi_scale_stft"]),
            1e-4,
        );
    }

    #[test]
    fn gradients() {
        let config = MultiScaleStftConfig {
            windows: vec![8, 16],
            ..Default::default()
        };
        let loss = config.init(&Default::default()).unwrap();
        let target = noise(48, 31, -0.2, 0.2);
        let error = gradient_error([1, 2, 24], &noise(48, 32, -0.9, 0.9), |x| {
            loss.forward(x, tensor([1, 2, 24], &target)).unwrap()
        });
        assert!(error < 3e-2, "{error}");
    }

    /// A perfect match and silence: no NaN.
    #[test]
    fn equal_signals_have_finite_gradients() {
        let loss = MultiScaleStftConfig {
            windows: vec![8],
            ..Default::default()
        }
        .init(&Default::default())
        .unwrap();
        for values in [noise(24, 1, -1.0, 1.0), vec![0.0; 24]] {
            let x = tensor([1, 1, 24], &values).require_grad();
            let value = loss
                .forward(x.clone(), tensor([1, 1, 24], &values))
                .unwrap();
            assert!(scalar(value.clone()) < 1e-4);
            let gradient: Vec<f32> = x
                .grad(&value.backward())
                .unwrap()
                .into_data()
                .into_vec()
                .unwrap();
            assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        }
    }

    #[test]
    fn typed_errors() {
        let wrong = MultiScaleStftConfig {
            windows: vec![],
            ..Default::default()
        };
        assert!(matches!(
            wrong.init::<Back>(&Default::default()),
            Err(LossError::Parameter { .. })
        ));
    }
}
