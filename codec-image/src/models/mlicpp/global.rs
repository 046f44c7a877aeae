//! Global contexts: attention of linear cost over all cells (section 3.4 of the paper).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend, Parity};
use codec_core::layers::{Conv, ConvConfig, DepthwiseConv};
use codec_core::weights::Loader;

use super::config::MlicppConfig;
use super::mixing::Mixer;

/// Heads of the context within a slice.
const INTRA_HEADS: usize = 2;

/// 1x1 convolution, then one kernel of 3x3 a channel.
#[derive(Module, Debug)]
struct Projection<B: Backend> {
    mix: Conv<B>,
    spread: DepthwiseConv<B>,
}

impl<B: CodecBackend> Projection<B> {
    fn load([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        Self {
            mix: ConvConfig::new([input, output], 1).load(&loader.at(0)),
            spread: DepthwiseConv::load(output, 3, &loader.at(1)),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let mixed = self.mix.forward(x, Activation::None);
        self.spread.forward(mixed, Activation::None)
    }
}

/// Queries, keys and values of planes that share nothing but their channels.
#[derive(Module, Debug)]
struct LinearAttention<B: Backend> {
    queries: Projection<B>,
    keys: Projection<B>,
    values: Projection<B>,
    heads: usize,
}

impl<B: CodecBackend> LinearAttention<B> {
    /// Queries and keys are of planes with `guide` channels.
    fn load(guide: usize, channels: usize, heads: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            queries: Projection::load([guide, channels], &loader.at("queries")),
            keys: Projection::load([guide, channels], &loader.at("keys")),
            values: Projection::load([channels, channels], &loader.at("values")),
            heads,
        }
    }

    /// Softmax of keys over their cells, of queries over the channels of a head; what the keys gather of the values is
    /// what the queries hand out. All `[n, c, h, w]`, queries of cells of their own.
    fn attend(&self, q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, c, h, w] = q.dims();
        let heads = |x: Tensor<B, 4>| -> Tensor<B, 4> {
            let [_, _, h, w] = x.dims();
            x.reshape([n, self.heads, c / self.heads, h * w])
        };
        let q = softmax(heads(q), 2);
        let k = B::softmax_last(heads(k));
        // [queries' channel, values' channel]
        let gathered = k.matmul(heads(v).swap_dims(2, 3));
        gathered.swap_dims(2, 3).matmul(q).reshape([n, c, h, w])
    }
}

/// Between slices: all that is decoded, for the next slice.
#[derive(Module, Debug)]
pub struct InterContext<B: Backend> {
    attention: LinearAttention<B>,
    reprojection: Conv<B>,
    mlp: Mixer<B>,
    skip: Conv<B>,
}

impl<B: CodecBackend> InterContext<B> {
    pub(super) fn load(config: &MlicppConfig, index: usize, loader: &Loader<'_, B>) -> Self {
        let slice = config.slice_channels();
        let channels = index * slice;
        let skip = ConvConfig::new([3 * slice, 2 * slice], 1);
        Self {
            attention: LinearAttention::load(
                channels,
                channels,
                config.global_heads(index),
                loader,
            ),
            reprojection: ConvConfig::new([channels, 3 * slice], 5)
                .load(&loader.at("reprojection")),
            mlp: Mixer::load([3 * slice, 4 * slice, 2 * slice], &loader.at("mlp")),
            skip: skip.load(&loader.at("skip")),
        }
    }

    /// `[n, i c, h, w]` to `[n, 2c, h, w]`.
    pub fn forward(&self, previous: Tensor<B, 4>) -> Tensor<B, 4> {
        let attention = &self.attention;
        let q = attention.queries.forward(previous.clone());
        let k = attention.keys.forward(previous.clone());
        let v = attention.values.forward(previous);
        let x = self
            .reprojection
            .forward(attention.attend(q, k, v), Activation::None);
        self.skip.forward(x.clone(), Activation::None) + self.mlp.forward(x)
    }
}

/// Within a slice: what cells far away had in the slice before says which anchors of this one matter. For the first slice the
/// hyperprior's features say so, if the model has that (MLICv2).
#[derive(Module, Debug)]
pub struct IntraContext<B: Backend> {
    attention: LinearAttention<B>,
    reprojection: Conv<B>,
    mlp: Mixer<B>,
}

impl<B: CodecBackend> IntraContext<B> {
    pub(super) fn load(config: &MlicppConfig, guide: usize, loader: &Loader<'_, B>) -> Self {
        let c = config.slice_channels();
        Self {
            attention: LinearAttention::load(guide, c, INTRA_HEADS, loader),
            reprojection: ConvConfig::new([c, 2 * c], 5).load(&loader.at("reprojection")),
            mlp: Mixer::load([2 * c, 4 * c, 2 * c], &loader.at("mlp")),
        }
    }

    /// Halves of the guide (the slice before, or the hyperprior's features), and this slice's anchors with zeros elsewhere.
    ///
    /// # Shapes
    /// Anchors and others of the guide `[n, g, h, w / 2]`, anchors `[n, c, h, w]`, to `[n, 2c, h, w]`.
    ///
    /// # Errors
    /// Odd height or width.
    pub fn forward(
        &self,
        guide: [Tensor<B, 4>; 2],
        anchors: Tensor<B, 4>,
    ) -> Result<Tensor<B, 4>, Error> {
        let attention = &self.attention;
        let [odd, even] = guide;
        let q = attention.queries.forward(B::put_cells(even, Parity::Even)?);
        let k = attention.keys.forward(B::put_cells(odd, Parity::Odd)?);
        let v = attention.values.forward(anchors);
        let attended = attention.attend(
            B::take_cells(q, Parity::Even)?,
            B::take_cells(k, Parity::Odd)?,
            B::take_cells(v, Parity::Odd)?,
        );
        let attended = B::put_cells(attended, Parity::Even)?;
        let x = self.reprojection.forward(attended, Activation::None);
        Ok(x.clone() + self.mlp.forward(x))
    }
}
