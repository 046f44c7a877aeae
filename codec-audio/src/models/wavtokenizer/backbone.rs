//! The decoder at the frame rate: residual blocks around attention, then ConvNeXt blocks.

use burn::module::Param;
use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::{Activation, Border, CodecBackend, Walk};
use codec_core::layers::{
    AttentionKeys, Conv1d, Conv1dConfig, DepthwiseConv1d, GroupNorm, LayerNorm, Linear,
    SelfAttention,
};
use codec_core::weights::Loader;

use super::BackboneConfig;
use super::config::GROUPS;

/// Added to variances.
const EPSILON: f64 = 1e-6;
/// Taps at the input and of a block's depthwise convolution.
const TAPS: usize = 7;
/// Taps of a residual block.
const RESIDUAL_TAPS: usize = 3;
/// Where the attention is among the first parts, and where the normalization after them.
const ATTENTION: usize = 2;
const LAST: usize = 5;

/// Called with the name of every part and what it gave.
pub(super) trait Watch<B: CodecBackend>:
    FnMut(String, &Tensor<B, 3>) -> Result<(), Error>
{
}
impl<B: CodecBackend, F: FnMut(String, &Tensor<B, 3>) -> Result<(), Error>> Watch<B> for F {}

/// `[n, input, l]` to `[n, l, dim]`.
#[derive(Debug)]
pub(super) struct Backbone<B: CodecBackend> {
    embed: Conv1d<B>,
    before: [Residual<B>; 2],
    attention: SelfAttention<B>,
    after: [Residual<B>; 2],
    group: GroupNorm<B>,
    norm: ConditionNorm<B>,
    blocks: Vec<Block<B>>,
    last: LayerNorm<B>,
}

fn centred<B: CodecBackend>(conv: &Conv1d<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    let side = conv.span() / 2;
    conv.forward(x, [side; 2], Border::Zeros, Activation::None)
}

/// A linear map of the channels, `[n, in, l]` to `[n, out, l]`: over time it needs no other order of the values.
fn pointwise<B: CodecBackend>(map: &Linear<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    let (weight, bias) = (map.weight.val().unsqueeze_dim(2), map.bias.val());
    let (walk, border) = (Walk::PLAIN, Border::Zeros);
    B::signal_conv(x, weight, bias, walk, border, Activation::None)
}

/// What works on pictures, on a row of them.
fn as_row<B: CodecBackend>(
    x: Tensor<B, 3>,
    work: impl FnOnce(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 3> {
    let [n, c, l] = x.dims();
    work(x.reshape([n, c, 1, l])).reshape([n, c, l])
}

impl<B: CodecBackend> Backbone<B> {
    pub fn load(config: &BackboneConfig, loader: &Loader<'_, B>) -> Self {
        let dim = config.dim;
        let first = loader.at("pos_net");
        let residual = |number: usize| Residual::load(dim, &first.at(number));
        let conditions = config.adanorm_num_embeddings;
        let blocks = (0..config.num_layers).map(|number| {
            let loader = loader.at("convnext").at(number);
            Block {
                depthwise: DepthwiseConv1d::load(dim, TAPS, &loader.at("dwconv")),
                norm: ConditionNorm::load(dim, conditions, &loader.at("norm")),
                widen: Linear::load([dim, config.intermediate_dim], &loader.at("pwconv1")),
                narrow: Linear::load([config.intermediate_dim, dim], &loader.at("pwconv2")),
                scale: loader.param("gamma", [dim]),
            }
        });
        Self {
            embed: Conv1dConfig::new([config.input_channels, dim], TAPS).load(&loader.at("embed")),
            before: [residual(0), residual(1)],
            attention: SelfAttention::load(dim, AttentionKeys::TAMING, &first.at(ATTENTION)),
            after: [residual(3), residual(4)],
            group: GroupNorm::load(dim, GROUPS, EPSILON, &first.at(LAST)),
            norm: ConditionNorm::load(dim, conditions, &loader.at("norm")),
            blocks: blocks.collect(),
            last: LayerNorm::load(dim, EPSILON, &loader.at("final_layer_norm")),
        }
    }

    /// # Errors
    /// Those of `watch`.
    pub fn forward(
        &self,
        x: Tensor<B, 3>,
        condition: usize,
        mut watch: impl Watch<B>,
    ) -> Result<Tensor<B, 3>, Error> {
        let mut x = centred(&self.embed, x);
        watch("embed".into(), &x)?;
        for (number, block) in self.before.iter().enumerate() {
            x = block.forward(x);
            watch(format!("pos_net.{number}"), &x)?;
        }
        x = as_row(x, |x| self.attention.forward(x));
        watch(format!("pos_net.{ATTENTION}"), &x)?;
        for (number, block) in (ATTENTION + 1..).zip(&self.after) {
            x = block.forward(x);
            watch(format!("pos_net.{number}"), &x)?;
        }
        x = as_row(x, |x| self.group.forward(x));
        watch(format!("pos_net.{LAST}"), &x)?;
        let normed = self.norm.forward(x.swap_dims(1, 2), condition);
        watch("norm".into(), &normed)?;
        x = normed.swap_dims(1, 2);
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, condition);
            watch(format!("convnext.{number}"), &x)?;
        }
        let out = self.last.forward(x.swap_dims(1, 2));
        watch("out".into(), &out)?;
        Ok(out)
    }
}

/// Normalization, swish and convolution, twice; the input is added.
#[derive(Debug)]
struct Residual<B: CodecBackend> {
    norms: [GroupNorm<B>; 2],
    convs: [Conv1d<B>; 2],
}

impl<B: CodecBackend> Residual<B> {
    fn load(dim: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            norms: ["norm1", "norm2"]
                .map(|name| GroupNorm::load(dim, GROUPS, EPSILON, &loader.at(name))),
            convs: ["conv1", "conv2"]
                .map(|name| Conv1dConfig::new([dim, dim], RESIDUAL_TAPS).load(&loader.at(name))),
        }
    }

    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let layers = self.norms.iter().zip(&self.convs);
        let inside = layers.fold(x.clone(), |x, (norm, conv)| {
            centred(conv, as_row(x, |x| B::silu(norm.forward(x))))
        });
        x + inside
    }
}

/// Layer normalization whose scale and offset belong to a condition, or to none.
#[derive(Debug)]
struct ConditionNorm<B: CodecBackend> {
    /// `[conditions, c]`.
    scale: Param<Tensor<B, 2>>,
    /// `[conditions, c]`.
    offset: Param<Tensor<B, 2>>,
}

impl<B: CodecBackend> ConditionNorm<B> {
    fn load(dim: usize, conditions: Option<usize>, loader: &Loader<'_, B>) -> Self {
        match conditions {
            Some(count) => Self {
                scale: loader.param("scale.weight", [count, dim]),
                offset: loader.param("shift.weight", [count, dim]),
            },
            None => Self {
                scale: loader.reshaped("weight", [dim], [1, dim]),
                offset: loader.reshaped("bias", [dim], [1, dim]),
            },
        }
    }

    /// `[n, l, c]` to the same. The last condition stands for those beyond it.
    fn forward(&self, x: Tensor<B, 3>, condition: usize) -> Tensor<B, 3> {
        let [count, dim] = self.scale.dims();
        let row = |rows: &Param<Tensor<B, 2>>| {
            let row = condition.min(count.saturating_sub(1));
            rows.val().narrow(0, row, 1).reshape([dim])
        };
        B::layer_normalize(x, row(&self.scale), row(&self.offset), EPSILON)
    }
}

/// A block of ConvNeXt (Liu et al. 2022, arXiv 2201.03545) over time.
#[derive(Debug)]
struct Block<B: CodecBackend> {
    depthwise: DepthwiseConv1d<B>,
    norm: ConditionNorm<B>,
    widen: Linear<B>,
    narrow: Linear<B>,
    scale: Param<Tensor<B, 1>>,
}

impl<B: CodecBackend> Block<B> {
    fn forward(&self, x: Tensor<B, 3>, condition: usize) -> Tensor<B, 3> {
        let [_, c, _] = x.dims();
        let inside = self.depthwise.forward(x.clone()).swap_dims(1, 2);
        let inside = self.norm.forward(inside, condition).swap_dims(1, 2);
        let inside = B::gelu_exact(pointwise(&self.widen, inside));
        let inside = pointwise(&self.narrow, inside);
        x + inside * self.scale.val().reshape([1, c, 1])
    }
}
