//! Learned factorized prior (Balle et al. 2018, appendix 6.1): one monotone cumulative per channel.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::activation::{sigmoid, softplus};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor, TensorData};

use crate::Error;
use crate::weights::Loader;

/// Widths of the five layers that map a value to a logit.
const FILTERS: [usize; 6] = [1, 3, 3, 3, 3, 1];
/// Lower bound of a likelihood, at most 29.9 bits a value.
const LIKELIHOOD_MIN: f32 = 1e-9;

/// Configuration of [`FactorizedPrior`].
#[derive(Config, Debug)]
pub struct FactorizedPriorConfig {
    /// Channels, each with a distribution of its own.
    pub channels: usize,
    /// Initial spread of the distributions, in symbols.
    #[config(default = "6.0")]
    pub scale: f64,
}

impl FactorizedPriorConfig {
    /// A prior of the configured spread.
    pub fn init<B: Backend>(&self, device: &B::Device) -> FactorizedPrior<B> {
        let layers = FILTERS.len() - 1;
        let scale = self.scale.powf(1.0 / layers as f64);
        let mut matrices = Vec::with_capacity(layers);
        let mut biases = Vec::with_capacity(layers);
        let mut factors = Vec::with_capacity(layers - 1);
        for (i, pair) in FILTERS.windows(2).enumerate() {
            let &[input, output] = pair else { continue };
            let value = (1.0 / scale / output as f64).exp_m1().ln();
            matrices.push(Param::from_tensor(Tensor::full(
                [self.channels, output, input],
                value,
                device,
            )));
            biases.push(Param::from_tensor(Tensor::random(
                [self.channels, output, 1],
                Distribution::Uniform(-0.5, 0.5),
                device,
            )));
            if i + 1 < layers {
                factors.push(Param::from_tensor(Tensor::zeros(
                    [self.channels, output, 1],
                    device,
                )));
            }
        }
        FactorizedPrior {
            matrices,
            biases,
            factors,
        }
    }
}

/// One learned distribution a channel, for latents without side information.
#[derive(Module, Debug)]
pub struct FactorizedPrior<B: Backend> {
    matrices: Vec<Param<Tensor<B, 3>>>,
    biases: Vec<Param<Tensor<B, 3>>>,
    factors: Vec<Param<Tensor<B, 3>>>,
}

impl<B: Backend> FactorizedPrior<B> {
    /// The prior of a checkpoint: tensors `_matrix0` to `_matrix4`, `_bias0` to `_bias4`, `_factor0` to `_factor3`.
    pub fn load(channels: usize, loader: &Loader<'_, B>) -> Self {
        let mut prior = Self {
            matrices: Vec::new(),
            biases: Vec::new(),
            factors: Vec::new(),
        };
        for (i, pair) in FILTERS.windows(2).enumerate() {
            let &[input, output] = pair else { continue };
            let shape = [channels, output, input];
            prior
                .matrices
                .push(loader.param(&format!("_matrix{i}"), shape));
            let column = [channels, output, 1];
            prior
                .biases
                .push(loader.param(&format!("_bias{i}"), column));
            if i + 2 < FILTERS.len() {
                prior
                    .factors
                    .push(loader.param(&format!("_factor{i}"), column));
            }
        }
        prior
    }

    /// Logits of the cumulative distribution, `[channels, 1, values]` to the same shape.
    fn logits(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let mut h = x;
        for (i, (matrix, bias)) in self.matrices.iter().zip(&self.biases).enumerate() {
            h = softplus(matrix.val(), 1.0).matmul(h) + bias.val();
            if let Some(factor) = self.factors.get(i) {
                h = h.clone() + factor.val().tanh() * h.tanh();
            }
        }
        h
    }

    fn likelihood(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let lower = self.logits(x.clone().sub_scalar(0.5));
        let upper = self.logits(x.add_scalar(0.5));
        // Both logits on the negative side, where the sigmoid keeps its relative precision.
        let sign = (lower.clone() + upper.clone()).detach().sign().neg();
        (sigmoid(upper * sign.clone()) - sigmoid(lower * sign)).abs()
    }

    /// Bits of each value.
    ///
    /// # Shapes
    /// `[n, channels, h, w]` to the same shape.
    pub fn bits(&self, z: Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, c, h, w] = z.dims();
        let flat = z.swap_dims(0, 1).reshape([c, 1, n * h * w]);
        let likelihood = self.likelihood(flat).clamp_min(LIKELIHOOD_MIN);
        let bits = likelihood.log().mul_scalar(-std::f32::consts::LOG2_E);
        bits.reshape([c, n, h, w]).swap_dims(0, 1)
    }

    /// Probability of each integer in `-limit..=limit`, one row a channel, for building tables.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when the parameters are not finite.
    pub fn masses(&self, limit: i32) -> Result<Vec<Vec<f64>>, Error> {
        let Some(matrix) = self.matrices.first() else {
            return Ok(Vec::new());
        };
        let channels = matrix.dims()[0];
        let grid: Vec<f32> = (-limit..=limit).map(|v| v as f32).collect();
        let count = grid.len();
        let device = matrix.val().device();
        let x = Tensor::<B, 1>::from_data(TensorData::new(grid, [count]), &device)
            .reshape([1, 1, count])
            .repeat_dim(0, channels);
        let values: Vec<f32> = self
            .likelihood(x)
            .into_data()
            .convert::<f32>()
            .into_vec()
            .map_err(|e| Error::BadParameter(format!("unreadable prior: {e:?}")))?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::BadParameter(
                "the factorized prior is not finite".into(),
            ));
        }
        Ok(values
            .chunks(count)
            .map(|row| row.iter().map(|&v| f64::from(v)).collect())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn masses_are_a_distribution() {
        let device = Default::default();
        let prior = FactorizedPriorConfig::new(3).init::<Flex>(&device);
        for row in prior.masses(300).expect("masses") {
            let total: f64 = row.iter().sum();
            assert!((total - 1.0).abs() < 1e-3, "total {total}");
        }
    }
}
