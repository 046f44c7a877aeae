//! Convolution with one kernel a channel.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::backend::{Activation, CodecBackend};
use crate::weights::Loader;

/// Depthwise convolution that keeps the size, zeros outside.
#[derive(Module, Debug)]
pub struct DepthwiseConv<B: Backend> {
    /// Kernels, `[c, 1, k, k]`, odd k.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias, `[c]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: CodecBackend> DepthwiseConv<B> {
    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load(channels: usize, kernel: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            weight: loader.param("weight", [channels, 1, kernel, kernel]),
            bias: loader.param("bias", [channels]),
        }
    }

    /// Convolution followed by `activation`, `[n, c, h, w]` to the same.
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        B::depthwise_conv2d_same(x, self.weight.val(), self.bias.val(), activation)
    }
}
