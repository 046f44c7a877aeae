//! The quality axis: Lagrangian and quantization steps.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::config::{QUALITY_LEVELS, WpmrConfig};
use super::layout::STEPS;

/// Knots of the learned part of the step curves.
const KNOTS: usize = 9;
/// Learned log-steps move slower than other parameters by this factor.
const STEP_RATE: f32 = 0.5;

/// Lagrangian at `t` in `0..=1`, in bits per pixel per unit of squared error on the 0..255 scale: geometric between the
/// configured ends.
pub fn lambda(config: &WpmrConfig, t: f32) -> f64 {
    config.lambda_min * (config.lambda_max / config.lambda_min).powf(f64::from(t))
}

/// Quantization step at `t` before learning, on the 0..255 scale.
///
/// A uniform quantizer at high rate has error `step^2 / 12` and gains 6.02 dB a bit, so that at the optimum of
/// `R + lambda D` over three samples a pixel the step is `sqrt(26 / lambda)`; somewhat less at low rates.
pub fn base_step(config: &WpmrConfig, t: f32) -> f64 {
    0.85 * (26.0 / lambda(config, t)).sqrt()
}

/// Learned quantization steps: for every latent channel a curve over quality, relative to [`base_step`].
#[derive(Module, Debug)]
pub struct StepCurves<B: Backend> {
    /// Natural logarithms relative to the base step, over [`STEP_RATE`], `[KNOTS, STEPS]`.
    knots: Param<Tensor<B, 2>>,
}

impl<B: Backend> StepCurves<B> {
    /// Curves that equal the base step.
    pub fn new(device: &B::Device) -> Self {
        Self {
            knots: Param::from_tensor(Tensor::zeros([KNOTS, STEPS], device)),
        }
    }

    /// Steps at each `t`, on the 0..255 scale.
    ///
    /// # Shapes
    /// `[t.len(), STEPS]`.
    pub fn forward(&self, config: &WpmrConfig, t: &[f32]) -> Tensor<B, 2> {
        let device = self.knots.val().device();
        let mut hats = vec![0f32; t.len() * KNOTS];
        for (row, &t) in hats.chunks_mut(KNOTS).zip(t) {
            let position = t.clamp(0.0, 1.0) * (KNOTS - 1) as f32;
            for (knot, weight) in row.iter_mut().enumerate() {
                *weight = (1.0 - (position - knot as f32).abs()).max(0.0);
            }
        }
        let base: Vec<f32> = t
            .iter()
            .map(|&t| base_step(config, t).ln() as f32)
            .collect();
        let hats = Tensor::<B, 2>::from_data(TensorData::new(hats, [t.len(), KNOTS]), &device);
        let base = Tensor::<B, 2>::from_data(TensorData::new(base, [t.len(), 1]), &device);
        (hats.matmul(self.knots.val()).mul_scalar(STEP_RATE) + base).exp()
    }
}

/// Steps of all stored quality levels, `[QUALITY_LEVELS][STEPS]`, as a decoder uses them.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTable {
    values: Vec<f32>,
}

impl StepTable {
    /// Table from stored values; `None` if there are too few or one is not a positive number.
    pub fn new(values: Vec<f32>) -> Option<Self> {
        let valid = values.len() == QUALITY_LEVELS * STEPS
            && values.iter().all(|v| v.is_finite() && *v > 1e-6);
        valid.then_some(Self { values })
    }

    /// All values, level by level.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Steps at `t` in `0..=1`: geometric interpolation between the two nearest levels.
    pub fn at(&self, t: f32) -> Vec<f32> {
        let position = t.clamp(0.0, 1.0) * (QUALITY_LEVELS - 1) as f32;
        let level = (position.floor() as usize).min(QUALITY_LEVELS - 2);
        let fraction = position - level as f32;
        let row = |level: usize| self.values.iter().skip(level * STEPS).take(STEPS);
        row(level)
            .zip(row(level + 1))
            .map(|(&a, &b)| a * (b / a).powf(fraction))
            .collect()
    }
}

/// Where the stored levels lie on the quality axis.
pub fn level_positions() -> Vec<f32> {
    (0..QUALITY_LEVELS)
        .map(|level| level as f32 / (QUALITY_LEVELS - 1) as f32)
        .collect()
}

/// Quality as the integer networks see it: `-64..=64` (over 16) for `t` in `0..=1`.
pub fn quality_plane(t: f32) -> i32 {
    (t.clamp(0.0, 1.0) * 128.0 + 0.5).floor() as i32 - 64
}
