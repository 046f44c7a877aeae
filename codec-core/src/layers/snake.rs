//! The periodic activation of audio networks (Ziyin et al. 2020, arXiv 2006.08195).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::backend::CodecBackend;
use crate::weights::Loader;

/// Keeps the division of a frequency of 0 finite.
const EPSILON: f64 = 1e-9;

/// `x + sin(alpha x)^2 / (alpha + 1e-9)` with one alpha a channel.
#[derive(Module, Debug)]
pub struct Snake<B: Backend> {
    /// Frequencies, `[1, c, 1]`.
    pub alpha: Param<Tensor<B, 3>>,
}

impl<B: CodecBackend> Snake<B> {
    /// The activation of a checkpoint: tensor `alpha`.
    pub fn load(channels: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            alpha: loader.param("alpha", [1, channels, 1]),
        }
    }

    /// `[n, c, t]` to the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let channels = x.dims()[1];
        B::snake(x, self.alpha.val().reshape([channels]), EPSILON)
    }
}

/// `x + sin(e^alpha x)^2 / (e^beta + 1e-9)` with one alpha and one beta a channel, as the networks of Stable Audio's
/// autoencoder have it.
#[derive(Module, Debug)]
pub struct SnakeBeta<B: Backend> {
    /// Logarithms of frequencies, `[1, c, 1]`.
    pub alpha: Param<Tensor<B, 3>>,
    /// Logarithms of the divisors, `[1, c, 1]`.
    pub beta: Param<Tensor<B, 3>>,
}

impl<B: CodecBackend> SnakeBeta<B> {
    /// The activation of a checkpoint: tensors `alpha` and `beta`.
    pub fn load(channels: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            alpha: loader.param("alpha", [1, channels, 1]),
            beta: loader.param("beta", [1, channels, 1]),
        }
    }

    /// `[n, c, t]` to the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let wave = (x.clone() * self.alpha.val().exp()).sin();
        let divisor = self.beta.val().exp().add_scalar(EPSILON);
        x + wave.clone() * wave / divisor
    }
}
