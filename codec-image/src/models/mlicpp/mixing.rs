//! Mixing of cells and of channels: the blocks of the global contexts, and MLICv2's token mixing.
//!
//! MLICv2 (Jiang et al., arXiv 2504.19119) has blocks of the MetaFormer kind (a mixer of tokens, then one of channels, each on
//! normalized input and added to it) in place of the residual blocks of MLIC++. No code and no weights of it are published, so
//! layers, widths and names of [`TokenMixing`] are our reading.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{Conv, ConvConfig, DepthwiseConv, LayerNorm};
use codec_core::weights::Loader;

/// Added to variances.
pub(super) const EPSILON: f64 = 1e-5;

/// Layer normalization over channels, `[n, c, h, w]` to the same.
pub(super) fn normalize<B: CodecBackend>(norm: &LayerNorm<B>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let rows = x.reshape([n, c, h * w]).swap_dims(1, 2);
    norm.forward(rows).swap_dims(1, 2).reshape([n, c, h, w])
}

/// 1x1 convolution, GELU, depthwise 3x3, GELU, 1x1 convolution.
#[derive(Module, Debug)]
pub(super) struct Mixer<B: Backend> {
    expand: Conv<B>,
    spread: DepthwiseConv<B>,
    contract: Conv<B>,
}

impl<B: CodecBackend> Mixer<B> {
    pub(super) fn load([input, hidden, output]: [usize; 3], loader: &Loader<'_, B>) -> Self {
        Self {
            expand: ConvConfig::new([input, hidden], 1).load(&loader.at(0)),
            spread: DepthwiseConv::load(hidden, 3, &loader.at(2)),
            contract: ConvConfig::new([hidden, output], 1).load(&loader.at(4)),
        }
    }

    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = B::gelu_exact(self.expand.forward(x, Activation::None));
        let h = B::gelu_exact(self.spread.forward(h, Activation::None));
        self.contract.forward(h, Activation::None)
    }
}

/// MLICv2's block, as far as its paper is known: `x + mix(spread(h + gelu(local(h))))` of the normalized `h`, with depthwise
/// kernels of 3x3 and 5x5 and a 1x1 convolution, then `x + h * sigmoid(gate(h))` of the normalized `h`.
#[derive(Module, Debug)]
pub(super) struct TokenMixing<B: Backend> {
    norm1: LayerNorm<B>,
    local: DepthwiseConv<B>,
    spread: DepthwiseConv<B>,
    mix: Conv<B>,
    norm2: LayerNorm<B>,
    gate: Mixer<B>,
}

impl<B: CodecBackend> TokenMixing<B> {
    pub(super) fn load(channels: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            norm1: LayerNorm::load(channels, EPSILON, &loader.at("norm1")),
            local: DepthwiseConv::load(channels, 3, &loader.at("local")),
            spread: DepthwiseConv::load(channels, 5, &loader.at("spread")),
            mix: ConvConfig::new([channels, channels], 1).load(&loader.at("mix")),
            norm2: LayerNorm::load(channels, EPSILON, &loader.at("norm2")),
            gate: Mixer::load([channels; 3], &loader.at("gate")),
        }
    }

    /// `[n, c, h, w]` to the same.
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = normalize(&self.norm1, x.clone());
        let local = self.local.forward(h.clone(), Activation::None);
        let h = h + B::gelu_exact(local);
        let h = self.spread.forward(h, Activation::None);
        let x = x + self.mix.forward(h, Activation::None);
        let h = normalize(&self.norm2, x.clone());
        x + h.clone() * sigmoid(self.gate.forward(h))
    }
}
