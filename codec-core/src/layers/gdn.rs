//! Generalized divisive normalization with CompressAI's parametrization (Balle et al. 2016, arXiv 1511.06281).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::backend::CodecBackend;
use crate::weights::Loader;

/// Offset below the square roots that are stored, `2^-36`.
const PEDESTAL: f64 = 1.0 / (1u64 << 36) as f64;
/// Smallest effective offset.
const BETA_MIN: f64 = 1e-6;

/// GDN or its approximate inverse.
#[derive(Module, Debug)]
pub struct Gdn<B: Backend> {
    /// Square roots of the offsets, `[c]`.
    pub beta: Param<Tensor<B, 1>>,
    /// Square roots of the weights, `[c, c]`, one row an output.
    pub gamma: Param<Tensor<B, 2>>,
    inverse: bool,
}

impl<B: CodecBackend> Gdn<B> {
    /// The layer of a checkpoint: tensors `beta` and `gamma`; the buffers of the bounds are known to it.
    pub fn load(channels: usize, inverse: bool, loader: &Loader<'_, B>) -> Self {
        for buffer in ["pedestal", "lower_bound.bound"] {
            loader.known(&format!("beta_reparam.{buffer}"));
            loader.known(&format!("gamma_reparam.{buffer}"));
        }
        Self {
            beta: loader.param("beta", [channels]),
            gamma: loader.param("gamma", [channels, channels]),
            inverse,
        }
    }

    /// `[n, c, h, w]` to the same.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let beta = self.beta.val().clamp_min((BETA_MIN + PEDESTAL).sqrt());
        let gamma = self.gamma.val().clamp_min(PEDESTAL.sqrt());
        let beta = (beta.clone() * beta).sub_scalar(PEDESTAL);
        let gamma = (gamma.clone() * gamma).sub_scalar(PEDESTAL);
        B::gdn(x, beta, gamma, self.inverse)
    }
}
