//! Transforms between pixels, latents and hyperlatents (section 3.1 of the paper, blocks of Cheng et al. 2020).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{Conv, ConvConfig, Gdn};
use codec_core::weights::Loader;

use super::config::{MlicppConfig, Variant};
use super::mixing::TokenMixing;

fn conv3<B: CodecBackend>(channels: [usize; 2], stride: usize, loader: &Loader<'_, B>) -> Conv<B> {
    ConvConfig::new(channels, 3)
        .with_stride(stride)
        .load(loader)
}

/// 3x3 convolution to four times the channels, which become blocks of 2 x 2 pixels.
#[derive(Module, Debug)]
struct Upsample<B: Backend> {
    conv: Conv<B>,
}

impl<B: CodecBackend> Upsample<B> {
    fn load([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        let conv: Conv<B> = conv3([input, 4 * output], 1, &loader.at(0));
        // PyTorch's pixel shuffle has the place in a block vary fastest, `depth_to_space2` the channel.
        let weight = conv.weight.val().reshape([output, 4, input * 9]);
        let weight = weight.swap_dims(0, 1).reshape([4 * output, input, 3, 3]);
        let bias = conv.bias.val().reshape([output, 4]);
        let bias = bias.swap_dims(0, 1).reshape([4 * output]);
        Self {
            conv: Conv {
                weight: Param::from_tensor(weight),
                bias: Param::from_tensor(bias),
                ..conv
            },
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        Ok(B::depth_to_space2(self.conv.forward(x, Activation::None))?)
    }
}

/// Residual block, of half the size with a stride and a GDN at its end.
#[derive(Module, Debug)]
struct ResidualBlock<B: Backend> {
    conv1: Conv<B>,
    conv2: Conv<B>,
    gdn: Option<Gdn<B>>,
    skip: Option<Conv<B>>,
}

impl<B: CodecBackend> ResidualBlock<B> {
    fn load([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        let skip = ConvConfig::new([input, output], 1);
        Self {
            conv1: conv3([input, output], 1, &loader.at("conv1")),
            conv2: conv3([output, output], 1, &loader.at("conv2")),
            gdn: None,
            skip: (input != output).then(|| skip.load(&loader.at("skip"))),
        }
    }

    fn halving([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        let skip = ConvConfig::new([input, output], 1).with_stride(2);
        Self {
            conv1: conv3([input, output], 2, &loader.at("conv1")),
            conv2: conv3([output, output], 1, &loader.at("conv2")),
            gdn: Some(Gdn::load(output, false, &loader.at("gdn"))),
            skip: Some(skip.load(&loader.at("skip"))),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = B::gelu_exact(self.conv1.forward(x.clone(), Activation::None));
        let h = self.conv2.forward(h, Activation::None);
        let h = match &self.gdn {
            Some(gdn) => gdn.forward(h),
            None => B::gelu_exact(h),
        };
        match &self.skip {
            Some(skip) => h + skip.forward(x, Activation::None),
            None => h + x,
        }
    }
}

/// A residual block, or MLICv2's blocks in the place of one.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    residual: Option<ResidualBlock<B>>,
    mixing: Vec<TokenMixing<B>>,
}

impl<B: CodecBackend> Block<B> {
    fn residual(block: ResidualBlock<B>) -> Self {
        Self {
            residual: Some(block),
            mixing: Vec::new(),
        }
    }

    /// What keeps the size.
    fn load(config: &MlicppConfig, channels: [usize; 2], loader: &Loader<'_, B>) -> Self {
        if config.token_mixing == 0 {
            return Self::residual(ResidualBlock::load(channels, loader));
        }
        let block = |index: usize| TokenMixing::load(channels[0], &loader.at(index));
        Self {
            residual: None,
            mixing: (0..config.token_mixing).map(block).collect(),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let x = match &self.residual {
            Some(block) => block.forward(x),
            None => x,
        };
        self.mixing.iter().fold(x, |x, block| block.forward(x))
    }
}

/// Residual block of twice the size.
#[derive(Module, Debug)]
struct DoublingBlock<B: Backend> {
    subpel: Upsample<B>,
    conv: Conv<B>,
    gdn: Gdn<B>,
    upsample: Upsample<B>,
}

impl<B: CodecBackend> DoublingBlock<B> {
    fn load([input, output]: [usize; 2], loader: &Loader<'_, B>) -> Self {
        Self {
            subpel: Upsample::load([input, output], &loader.at("subpel_conv")),
            conv: conv3([output, output], 1, &loader.at("conv")),
            gdn: Gdn::load(output, true, &loader.at("igdn")),
            upsample: Upsample::load([input, output], &loader.at("upsample")),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        let h = B::gelu_exact(self.subpel.forward(x.clone())?);
        let h = self.gdn.forward(self.conv.forward(h, Activation::None));
        Ok(h + self.upsample.forward(x)?)
    }
}

/// `g_a`: pixels to latents.
#[derive(Module, Debug)]
pub struct Analysis<B: Backend> {
    blocks: Vec<Block<B>>,
    output: Conv<B>,
}

impl<B: CodecBackend> Analysis<B> {
    pub(super) fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Self {
        let n = config.width;
        let blocks = (0..6).map(|index| {
            let loader = loader.at("analysis_transform").at(index);
            match index {
                0 => Block::residual(ResidualBlock::halving([3, n], &loader)),
                2 | 4 => Block::residual(ResidualBlock::halving([n, n], &loader)),
                _ => Block::load(config, [n, n], &loader),
            }
        });
        let output = loader.at("analysis_transform").at(6);
        Self {
            blocks: blocks.collect(),
            output: conv3([n, config.latents], 2, &output),
        }
    }

    /// `[n, 3, 16h, 16w]` in 0..1 to `[n, M, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = self.blocks.iter().fold(x, |x, block| block.forward(x));
        self.output.forward(h, Activation::None)
    }
}

/// `g_s`: latents to pixels.
#[derive(Module, Debug)]
pub struct Synthesis<B: Backend> {
    blocks: Vec<Block<B>>,
    doubling: Vec<DoublingBlock<B>>,
    output: Upsample<B>,
}

impl<B: CodecBackend> Synthesis<B> {
    pub(super) fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Self {
        let (n, m) = (config.width, config.latents);
        let start = match config.variant {
            Variant::New => m,
            Variant::Old => n,
        };
        let at = |index: usize| loader.at("synthesis_transform").at(index);
        let plain = |index: usize| match index {
            0 => Block::load(config, [m, start], &at(0)),
            _ => Block::load(config, [n, n], &at(index)),
        };
        let doubling = |index: usize| match index {
            1 => DoublingBlock::load([start, n], &at(1)),
            _ => DoublingBlock::load([n, n], &at(index)),
        };
        Self {
            blocks: [0, 2, 4, 6].map(plain).into(),
            doubling: [1, 3, 5].map(doubling).into(),
            output: Upsample::load([n, 3], &at(7)),
        }
    }

    /// `[n, M, h, w]` to `[n, 3, 16h, 16w]`, not clamped.
    ///
    /// # Errors
    /// None for sizes of at least one.
    pub fn forward(&self, y: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        let mut h = y;
        for (index, block) in self.blocks.iter().enumerate() {
            h = block.forward(h);
            if let Some(doubling) = self.doubling.get(index) {
                h = doubling.forward(h)?;
            }
        }
        self.output.forward(h)
    }
}

/// `h_a`: latents to hyperlatents.
#[derive(Module, Debug)]
pub struct HyperAnalysis<B: Backend> {
    layers: Vec<Conv<B>>,
}

impl<B: CodecBackend> HyperAnalysis<B> {
    pub(super) fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Self {
        let (n, m) = (config.width, config.latents);
        let layer = |index: usize| {
            let channels = if index == 0 { [m, n] } else { [n, n] };
            let stride = if index == 4 || index == 8 { 2 } else { 1 };
            conv3(channels, stride, &loader.at("reduction").at(index))
        };
        Self {
            layers: [0, 2, 4, 6, 8].map(layer).into(),
        }
    }

    /// `[n, M, 4h, 4w]` to `[n, N, h, w]`.
    pub fn forward(&self, y: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut layers = self.layers.iter();
        let first = layers
            .next()
            .map(|l| l.forward(y.clone(), Activation::None));
        layers.fold(first.unwrap_or(y), |h, layer| {
            layer.forward(B::gelu_exact(h), Activation::None)
        })
    }
}

/// `h_s`: hyperlatents to features of the latents' size.
#[derive(Module, Debug)]
pub struct HyperSynthesis<B: Backend> {
    input: Conv<B>,
    first: Upsample<B>,
    middle: Conv<B>,
    second: Upsample<B>,
    output: Conv<B>,
}

impl<B: CodecBackend> HyperSynthesis<B> {
    pub(super) fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Self {
        let (n, m) = (config.width, config.latents);
        let wide = 3 * m / 2;
        let at = |index: usize| loader.at("increase").at(index);
        Self {
            input: conv3([n, m], 1, &at(0)),
            first: Upsample::load([m, m], &at(2)),
            middle: conv3([m, wide], 1, &at(4)),
            second: Upsample::load([wide, wide], &at(6)),
            output: conv3([wide, 2 * m], 1, &at(8)),
        }
    }

    /// `[n, N, h, w]` to `[n, 2M, 4h, 4w]`, the second half of which are means.
    ///
    /// # Errors
    /// None for sizes of at least one.
    pub fn forward(&self, z: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        let h = B::gelu_exact(self.input.forward(z, Activation::None));
        let h = B::gelu_exact(self.first.forward(h)?);
        let h = B::gelu_exact(self.middle.forward(h, Activation::None));
        let h = B::gelu_exact(self.second.forward(h)?);
        Ok(self.output.forward(h, Activation::None))
    }
}
