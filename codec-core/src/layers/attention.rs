//! Self-attention over all positions of a plane, one head.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::conv::{Conv, ConvConfig, PYTORCH_GAIN};
use super::norm::GroupNorm;
use crate::backend::{Activation, CodecBackend};
use crate::weights::Loader;

/// Groups of the normalization.
const GROUPS: usize = 32;
/// Added to variances.
const EPSILON: f64 = 1e-6;

/// What a checkpoint calls the parts of [`SelfAttention`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionKeys {
    /// Normalization.
    pub norm: &'static str,
    /// Queries, keys, values, output projection.
    pub projections: [&'static str; 4],
    /// Whether projections are linear layers `[c, c]` rather than 1x1 convolutions `[c, c, 1, 1]`.
    pub linear: bool,
}

impl AttentionKeys {
    /// Names in taming-transformers.
    pub const TAMING: Self = Self {
        norm: "norm",
        projections: ["q", "k", "v", "proj_out"],
        linear: false,
    };
    /// Names in diffusers.
    pub const DIFFUSERS: Self = Self {
        norm: "group_norm",
        projections: ["to_q", "to_k", "to_v", "to_out.0"],
        linear: true,
    };
}

/// `x + out(softmax(q k^T / sqrt(c)) v)` of the normalized input.
#[derive(Module, Debug)]
pub struct SelfAttention<B: Backend> {
    norm: GroupNorm<B>,
    q: Conv<B>,
    k: Conv<B>,
    v: Conv<B>,
    out: Conv<B>,
}

impl<B: CodecBackend> SelfAttention<B> {
    /// A block with new weights, of the spread that PyTorch starts with.
    pub fn init(channels: usize, device: &B::Device) -> Self {
        let projection = || {
            ConvConfig::new([channels, channels], 1)
                .with_gain(PYTORCH_GAIN)
                .init(device)
        };
        Self {
            norm: GroupNorm::init(channels, GROUPS, EPSILON, device),
            q: projection(),
            k: projection(),
            v: projection(),
            out: projection(),
        }
    }

    /// The block of a checkpoint.
    pub fn load(channels: usize, keys: AttentionKeys, loader: &Loader<'_, B>) -> Self {
        let [q, k, v, out] = keys.projections.map(|name| {
            let loader = loader.at(name);
            // Networks over time have convolutions of one dimension.
            let over_time = loader.shape("weight").is_some_and(|shape| shape.len() == 3);
            if !keys.linear && !over_time {
                return ConvConfig::new([channels, channels], 1).load(&loader);
            }
            let square = [channels, channels, 1, 1];
            let weight = if keys.linear {
                loader.reshaped("weight", [channels; 2], square)
            } else {
                loader.reshaped("weight", [channels, channels, 1], square)
            };
            Conv {
                weight,
                bias: loader.param("bias", [channels]),
                stride: 1,
                before: 0,
            }
        });
        Self {
            norm: GroupNorm::load(channels, GROUPS, EPSILON, &loader.at(keys.norm)),
            q,
            k,
            v,
            out,
        }
    }

    /// `[n, c, h, w]` to the same.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, c, h, w] = x.dims();
        let normed = self.norm.forward(x.clone());
        let project = |layer: &Conv<B>| {
            let projected = layer.forward(normed.clone(), Activation::None);
            projected.reshape([n, c, h * w]).swap_dims(1, 2)
        };
        let scale = 1.0 / (c as f64).sqrt();
        let seen = B::attend(project(&self.q), project(&self.k), project(&self.v), scale);
        let seen = seen.swap_dims(1, 2).reshape([n, c, h, w]);
        x + self.out.forward(seen, Activation::None)
    }
}
