//! The residual block of latent diffusion's autoencoders: normalization, SiLU, 3x3 convolution, twice.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::conv::{Conv, ConvConfig, PYTORCH_GAIN};
use super::norm::GroupNorm;
use crate::backend::{Activation, CodecBackend};
use crate::weights::Loader;

/// Groups of every normalization.
const GROUPS: usize = 32;
/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Configuration of [`ResidualBlock`].
#[derive(Config, Debug)]
pub struct ResidualBlockConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Whether convolutions have biases.
    #[config(default = true)]
    pub bias: bool,
}

impl ResidualBlockConfig {
    /// A block with new weights, of the spread that PyTorch starts with.
    pub fn init<B: CodecBackend>(&self, device: &B::Device) -> ResidualBlock<B> {
        let [input, output] = self.channels;
        let conv = |channels, kernel| {
            ConvConfig::new(channels, kernel)
                .with_gain(PYTORCH_GAIN)
                .init(device)
        };
        ResidualBlock {
            norm1: GroupNorm::init(input, GROUPS, EPSILON, device),
            conv1: conv([input, output], 3),
            norm2: GroupNorm::init(output, GROUPS, EPSILON, device),
            conv2: conv([output, output], 3),
            shortcut: (input != output).then(|| conv([input, output], 1)),
        }
    }

    /// The block of a checkpoint: `norm1`, `conv1`, `norm2`, `conv2` and, where the widths differ, `nin_shortcut`.
    pub fn load<B: CodecBackend>(&self, loader: &Loader<'_, B>) -> ResidualBlock<B> {
        let [input, output] = self.channels;
        let conv = |channels, kernel, name: &str| {
            ConvConfig::new(channels, kernel)
                .with_bias(self.bias)
                .load(&loader.at(name))
        };
        ResidualBlock {
            norm1: GroupNorm::load(input, GROUPS, EPSILON, &loader.at("norm1")),
            conv1: conv([input, output], 3, "conv1"),
            norm2: GroupNorm::load(output, GROUPS, EPSILON, &loader.at("norm2")),
            conv2: conv([output, output], 3, "conv2"),
            shortcut: (input != output).then(|| conv([input, output], 1, "nin_shortcut")),
        }
    }
}

/// `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))))`.
#[derive(Module, Debug)]
pub struct ResidualBlock<B: Backend> {
    norm1: GroupNorm<B>,
    conv1: Conv<B>,
    norm2: GroupNorm<B>,
    conv2: Conv<B>,
    shortcut: Option<Conv<B>>,
}

impl<B: CodecBackend> ResidualBlock<B> {
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = B::silu(self.norm1.forward(x.clone()));
        let h = self.conv1.forward(h, Activation::None);
        let h = B::silu(self.norm2.forward(h));
        let h = self.conv2.forward(h, Activation::None);
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, Activation::None) + h,
            None => x + h,
        }
    }
}
