//! Normalizations of published networks.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::backend::CodecBackend;
use crate::weights::Loader;

/// Group normalization with scale and offset.
#[derive(Module, Debug)]
pub struct GroupNorm<B: Backend> {
    /// Scale, `[c]`.
    pub scale: Param<Tensor<B, 1>>,
    /// Offset, `[c]`.
    pub offset: Param<Tensor<B, 1>>,
    groups: usize,
    epsilon: f64,
}

impl<B: CodecBackend> GroupNorm<B> {
    /// A layer with scale 1 and offset 0. `groups` divides `channels`.
    pub fn init(channels: usize, groups: usize, epsilon: f64, device: &B::Device) -> Self {
        Self {
            scale: Param::from_tensor(Tensor::ones([channels], device)),
            offset: Param::from_tensor(Tensor::zeros([channels], device)),
            groups,
            epsilon,
        }
    }

    /// The layer of a checkpoint: tensors `weight` and `bias`. `groups` divides `channels`.
    pub fn load(channels: usize, groups: usize, epsilon: f64, loader: &Loader<'_, B>) -> Self {
        Self {
            scale: loader.param("weight", [channels]),
            offset: loader.param("bias", [channels]),
            groups,
            epsilon,
        }
    }

    /// `[n, c, h, w]` to the same.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        B::group_normalize(
            x,
            self.scale.val(),
            self.offset.val(),
            self.groups,
            self.epsilon,
        )
    }
}

/// Layer normalization over the last dimension, with scale and offset.
#[derive(Module, Debug)]
pub struct LayerNorm<B: Backend> {
    /// Scale, `[c]`.
    pub scale: Param<Tensor<B, 1>>,
    /// Offset, `[c]`.
    pub offset: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: CodecBackend> LayerNorm<B> {
    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load(channels: usize, epsilon: f64, loader: &Loader<'_, B>) -> Self {
        Self {
            scale: loader.param("weight", [channels]),
            offset: loader.param("bias", [channels]),
            epsilon,
        }
    }

    /// `[n, positions, c]` to the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        B::layer_normalize(x, self.scale.val(), self.offset.val(), self.epsilon)
    }
}
