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

/// Values of [`StepCurves`]' parameter that give a table, with their shape.
///
/// Between two knots the logarithm of a step is a straight line, so two stored levels on it tell it all.
pub(super) fn knots_of(config: &WpmrConfig, table: &StepTable) -> (Vec<usize>, Vec<f32>) {
    let levels = QUALITY_LEVELS - 1;
    let mut knots = Vec::with_capacity(KNOTS * STEPS);
    for knot in 0..KNOTS {
        // The first two levels after a knot, or the last two before the last one.
        let at = (knot * levels) as f32 / (KNOTS - 1) as f32;
        let first = (at.ceil() as usize).min(levels - 1);
        let position = (at - first as f32).clamp(-1.0, 1.0);
        let row = |level: usize| {
            let t = level as f32 / levels as f32;
            let base = base_step(config, t).ln();
            let values = table.values().iter().skip(level * STEPS).take(STEPS);
            values.map(move |v| f64::from(*v).ln() - base)
        };
        for (a, b) in row(first).zip(row(first + 1)) {
            let value = a + (b - a) * f64::from(position);
            knots.push((value / f64::from(STEP_RATE)) as f32);
        }
    }
    (vec![KNOTS, STEPS], knots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn knots_come_back_from_the_table() {
        let config = WpmrConfig::new();
        let device = Default::default();
        let values: Vec<f32> = (0..KNOTS * STEPS)
            .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
            .collect();
        let curves = StepCurves::<Flex> {
            knots: Param::from_tensor(Tensor::from_data(
                TensorData::new(values.clone(), [KNOTS, STEPS]),
                &device,
            )),
        };
        let steps = curves.forward(&config, &level_positions());
        let table = StepTable::new(steps.into_data().into_vec().unwrap()).unwrap();
        let (shape, knots) = knots_of(&config, &table);
        assert_eq!(shape, [KNOTS, STEPS]);
        for (i, (a, b)) in knots.iter().zip(&values).enumerate() {
            assert!(
                (a - b).abs() < 1e-3,
                "knot {} of {}: {a} {b}",
                i / STEPS,
                i % STEPS
            );
        }
    }
}
