//! Linear map of rows.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::weights::Loader;

/// `x w^T + b`.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// Weights, `[out, in]`.
    pub weight: Param<Tensor<B, 2>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Linear<B> {
    /// The layer of a checkpoint, tensors `weight` and `bias`. The weights may have trailing dimensions of 1, as those of
    /// a convolution with one tap.
    pub fn load([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        let shape = [output, input];
        let weight = match loader.shape("weight").map_or(2, <[usize]>::len) {
            3 => loader.reshaped("weight", [output, input, 1], shape),
            4 => loader.reshaped("weight", [output, input, 1, 1], shape),
            _ => loader.param("weight", shape),
        };
        Self {
            weight,
            bias: loader.param("bias", [output]),
        }
    }

    /// `[n, in]` to `[n, out]`.
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [output, _] = self.weight.dims();
        x.matmul(self.weight.val().transpose()) + self.bias.val().reshape([1, output])
    }
}
