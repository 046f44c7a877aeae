//! Local context: attention in overlapping checkerboard windows (section 3.3 of the paper).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend, Parity, Windows};
use codec_core::layers::{Conv, LayerNorm};
use codec_core::weights::Loader;

use super::config::MlicppConfig;
use super::mixing::{EPSILON, normalize};

/// What the anchors of a slice tell of the cells around them.
#[derive(Module, Debug)]
pub struct LocalContext<B: Backend> {
    norm1: LayerNorm<B>,
    qkv: Conv<B>,
    /// Bias of each distance between query and key, `[(2 window - 1)^2, heads]`.
    distance: Param<Tensor<B, 2>>,
    fusion: Param<Tensor<B, 4>>,
    fusion_bias: Param<Tensor<B, 1>>,
    proj: Conv<B>,
    norm2: LayerNorm<B>,
    expand: Conv<B>,
    contract: Conv<B>,
    window: usize,
    heads: usize,
}

/// A linear layer over channels.
fn linear<B: CodecBackend>([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Conv<B> {
    let weight = loader.tensor("weight", [output, input]);
    let bias = loader.tensor("bias", [output]);
    Conv::same(weight.reshape([output, input, 1, 1]), bias)
}

impl<B: CodecBackend> LocalContext<B> {
    pub(super) fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Self {
        let (c, heads, window) = (
            config.slice_channels(),
            config.local_heads,
            config.context_window,
        );
        let dims = c / heads;
        loader.known("relative_position_index");
        let qkv = loader.at("qkv_proj");
        let weight = qkv.tensor("weight", [3 * c, c]);
        let bias = qkv.tensor("bias", [3 * c]);
        // The head varies fastest in the file; here each head has a block of channels.
        let weight: Tensor<B, 4> = weight.reshape([3, dims, heads, c]);
        let bias: Tensor<B, 3> = bias.reshape([3, dims, heads]);
        let weight: Tensor<B, 2> = weight.swap_dims(1, 2).reshape([3 * c, c]);
        let bias: Tensor<B, 1> = bias.swap_dims(1, 2).reshape([3 * c]);
        // Queries come out scaled.
        let scale = 1.0 / (dims as f64).sqrt();
        let scale = Tensor::cat(
            vec![
                Tensor::<B, 1>::full([c], scale, loader.device()),
                Tensor::ones([2 * c], loader.device()),
            ],
            0,
        );
        let weight = weight * scale.clone().reshape([3 * c, 1]);
        let distances = (2 * window - 1) * (2 * window - 1);
        let fusion = loader.at("fusion");
        Self {
            norm1: LayerNorm::load(c, EPSILON, &loader.at("norm1")),
            qkv: Conv::same(weight.reshape([3 * c, c, 1, 1]), bias * scale),
            distance: loader.param("relative_position_table", [distances, heads]),
            fusion: fusion.param("weight", [2 * c, c, window, window]),
            fusion_bias: fusion.param("bias", [2 * c]),
            proj: linear([2 * c, 2 * c], &loader.at("proj")),
            norm2: LayerNorm::load(2 * c, EPSILON, &loader.at("norm2")),
            expand: linear([2 * c, 4 * c], &loader.at("mlp").at("fc1")),
            contract: linear([4 * c, 2 * c], &loader.at("mlp").at("fc2")),
            window,
            heads,
        }
    }

    /// Context of the cells of one parity.
    ///
    /// # Shapes
    /// Anchors with zeros elsewhere `[n, c, h, w]` to `[n, 2c, h, w / 2]`.
    ///
    /// # Errors
    /// Odd height or width.
    pub fn forward(&self, anchors: Tensor<B, 4>, centres: Parity) -> Result<Tensor<B, 4>, Error> {
        let qkv = normalize(&self.norm1, anchors);
        let qkv = self.qkv.forward(qkv, Activation::None);
        let windows = Windows {
            side: self.window,
            heads: self.heads,
            centres,
        };
        let fused = B::checkerboard_attention(
            qkv,
            self.distance.val(),
            self.fusion.val(),
            self.fusion_bias.val(),
            windows,
        )?;
        let x = self.proj.forward(fused, Activation::None);
        let h = normalize(&self.norm2, x.clone());
        let h = B::gelu_exact(self.expand.forward(h, Activation::None));
        Ok(x + self.contract.forward(h, Activation::None))
    }
}
