//! What published float networks are made of besides convolutions: activations, normalizations, attention.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::plain_on_gpu;

/// Bytes of attention weights that exist at a time.
const ATTENTION_BYTES: usize = 64 << 20;

/// Operators of float networks. All have gradients.
pub trait NetworkOps: Backend {
    /// Gaussian error linear unit, the exact form with the error function.
    fn gelu_exact<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        gelu(x)
    }

    /// `x * sigmoid(x)`, also called swish.
    fn silu<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        x.clone() * sigmoid(x)
    }

    /// Softmax over the last dimension.
    fn softmax_last<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        softmax(x, D - 1)
    }

    /// Group normalization with a scale and an offset for each channel (Wu and He 2018).
    ///
    /// # Shapes
    /// `[n, c, h, w]`, scale and offset `[c]`, to `[n, c, h, w]`; `groups` divides `c`.
    fn group_normalize(
        x: Tensor<Self, 4>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        groups: usize,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        let [n, c, h, w] = x.dims();
        let grouped = x.reshape([n, groups, c / groups * h * w]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        let normed = centred / variance.add_scalar(epsilon).sqrt();
        normed.reshape([n, c, h, w]) * scale.reshape([1, c, 1, 1]) + offset.reshape([1, c, 1, 1])
    }

    /// Layer normalization over the last dimension.
    ///
    /// # Shapes
    /// `[n, positions, c]`, scale and offset `[c]`, to the same.
    fn layer_normalize(
        x: Tensor<Self, 3>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        let c = x.dims()[2];
        let centred = x.clone() - x.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        let normed = centred / variance.add_scalar(epsilon).sqrt();
        normed * scale.reshape([1, 1, c]) + offset.reshape([1, 1, c])
    }

    /// Generalized divisive normalization (Balle et al. 2016): `x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)`, or times that
    /// root if `inverse`.
    ///
    /// # Shapes
    /// `[n, c, h, w]`, beta `[c]`, gamma `[c, c]`, to `[n, c, h, w]`.
    fn gdn(
        x: Tensor<Self, 4>,
        beta: Tensor<Self, 1>,
        gamma: Tensor<Self, 2>,
        inverse: bool,
    ) -> Tensor<Self, 4> {
        let [n, c, h, w] = x.dims();
        let flat = x.clone().reshape([n, c, h * w]);
        let energy = gamma.unsqueeze_dim::<3>(0).matmul(flat.clone() * flat);
        let root = (energy + beta.reshape([1, c, 1]))
            .sqrt()
            .reshape([n, c, h, w]);
        if inverse { x * root } else { x / root }
    }

    /// `softmax(q k^T * scale) v`, in blocks of queries, so that memory grows with the number of positions and not its
    /// square.
    ///
    /// # Shapes
    /// q `[n, queries, c]`, k `[n, keys, c]`, v `[n, keys, d]`, to `[n, queries, d]`.
    fn attend(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        scale: f64,
    ) -> Tensor<Self, 3> {
        let [n, queries, _] = q.dims();
        let keys = k.dims()[1];
        let block = (ATTENTION_BYTES / (4 * n * keys).max(1)).clamp(1, queries.max(1));
        let k = k.swap_dims(1, 2);
        let parts = (0..queries).step_by(block).map(|start| {
            let q = q.clone().narrow(1, start, block.min(queries - start));
            let weights = Self::softmax_last(q.matmul(k.clone()).mul_scalar(scale));
            weights.matmul(v.clone())
        });
        Tensor::cat(parts.collect(), 1)
    }
}

impl NetworkOps for Flex {}
impl<C: CheckpointStrategy> NetworkOps for Autodiff<Flex, C> {}
plain_on_gpu!(NetworkOps);
