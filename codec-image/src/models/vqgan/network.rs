//! Encoder, quantizer and decoder (Esser, Rombach and Ommer 2021, arXiv 2012.09841, section 3.1 and appendix A).

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::index_context::IndexContext;
use codec_core::index_restorer::Restorer;
use codec_core::layers::quantizer::{Codebook, Quantizer, from_rows, to_rows};
use codec_core::layers::{
    AttentionKeys, Conv, ConvConfig, GroupNorm, ResidualBlock, ResidualBlockConfig, SelfAttention,
};
use codec_core::weights::Loader;

use super::config::{GROUPS, NetworkConfig, VqganConfig};

/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Residual blocks of a level, each with attention or none, and what changes the size.
#[derive(Module, Debug)]
struct Level<B: Backend> {
    blocks: Vec<(ResidualBlock<B>, Option<SelfAttention<B>>)>,
    resample: Option<Conv<B>>,
}

/// Two residual blocks with attention between them.
#[derive(Module, Debug)]
struct Middle<B: Backend> {
    first: ResidualBlock<B>,
    attention: SelfAttention<B>,
    second: ResidualBlock<B>,
}

impl<B: CodecBackend> Level<B> {
    /// Blocks `block.i` and `attn.i` from `input` to `output` channels.
    fn load(
        blocks: usize,
        [input, output]: [usize; 2],
        attends: bool,
        resample: Option<Conv<B>>,
        loader: &Loader<'_, B>,
    ) -> Self {
        let blocks = (0..blocks).map(|index| {
            let input = if index == 0 { input } else { output };
            let block = ResidualBlockConfig::new([input, output])
                .load(&loader.at(format!("block.{index}")));
            let attention = attends.then(|| {
                let loader = loader.at(format!("attn.{index}"));
                SelfAttention::load(output, AttentionKeys::TAMING, &loader)
            });
            (block, attention)
        });
        Self {
            blocks: blocks.collect(),
            resample,
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.blocks.iter().fold(x, |h, (block, attention)| {
            let h = block.forward(h);
            match attention {
                Some(attention) => attention.forward(h),
                None => h,
            }
        })
    }
}

impl<B: CodecBackend> Middle<B> {
    fn load(width: usize, loader: &Loader<'_, B>) -> Self {
        let block = |name: &str| ResidualBlockConfig::new([width; 2]).load(&loader.at(name));
        Self {
            first: block("block_1"),
            attention: SelfAttention::load(width, AttentionKeys::TAMING, &loader.at("attn_1")),
            second: block("block_2"),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = self.attention.forward(self.first.forward(x));
        self.second.forward(h)
    }
}

/// Pictures to features.
#[derive(Module, Debug)]
pub struct Encoder<B: Backend> {
    pub(super) input: Conv<B>,
    levels: Vec<Level<B>>,
    middle: Middle<B>,
    norm: GroupNorm<B>,
    output: Conv<B>,
}

impl<B: CodecBackend> Encoder<B> {
    fn load(config: &NetworkConfig, loader: &Loader<'_, B>) -> Self {
        let last = config.ch_mult.len().saturating_sub(1);
        let levels = (0..config.ch_mult.len()).map(|level| {
            let width = config.width(level);
            let before = match level.checked_sub(1) {
                Some(above) => config.width(above),
                None => config.ch,
            };
            let loader = loader.at(format!("down.{level}"));
            // One row and column of zeros below and to the right, none above and to the left.
            let halve = ConvConfig::new([width; 2], 3)
                .with_stride(2)
                .with_before(Some(0));
            let resample = (level < last).then(|| halve.load(&loader.at("downsample.conv")));
            let attends = config.attends(level);
            Level::load(
                config.num_res_blocks,
                [before, width],
                attends,
                resample,
                &loader,
            )
        });
        let width = config.width(last);
        Self {
            input: ConvConfig::new([config.in_channels, config.ch], 3).load(&loader.at("conv_in")),
            levels: levels.collect(),
            middle: Middle::load(width, &loader.at("mid")),
            norm: GroupNorm::load(width, GROUPS, EPSILON, &loader.at("norm_out")),
            output: ConvConfig::new([width, config.encoded()], 3).load(&loader.at("conv_out")),
        }
    }

    /// `[n, 3, h, w]` to `[n, encoded, h / factor, w / factor]`; sizes are multiples of the factor.
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut h = self.input.forward(x, Activation::None);
        for level in &self.levels {
            h = level.forward(h);
            if let Some(halve) = &level.resample {
                h = halve.forward(h, Activation::None);
            }
        }
        let h = B::silu(self.norm.forward(self.middle.forward(h)));
        self.output.forward(h, Activation::None)
    }

    /// The first residual block, and what follows it where the level has no other.
    pub(super) fn first_block(&self, x: Tensor<B, 4>) -> Option<Tensor<B, 4>> {
        let (block, _) = self.levels.first()?.blocks.first()?;
        Some(block.forward(x))
    }

    /// The first level's halving.
    pub(super) fn first_halving(&self, x: Tensor<B, 4>) -> Option<Tensor<B, 4>> {
        let halve = self.levels.first()?.resample.as_ref()?;
        Some(halve.forward(x, Activation::None))
    }
}

/// Features to pictures.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    input: Conv<B>,
    middle: Middle<B>,
    /// From the smallest to full size.
    levels: Vec<Level<B>>,
    norm: GroupNorm<B>,
    output: Conv<B>,
}

impl<B: CodecBackend> Decoder<B> {
    fn load(config: &NetworkConfig, loader: &Loader<'_, B>) -> Self {
        let last = config.ch_mult.len().saturating_sub(1);
        let levels = (0..config.ch_mult.len()).rev().map(|level| {
            let width = config.width(level);
            let before = config.width((level + 1).min(last));
            let loader = loader.at(format!("up.{level}"));
            let conv = ConvConfig::new([width; 2], 3);
            let resample = (level > 0).then(|| conv.load(&loader.at("upsample.conv")));
            let blocks = config.num_res_blocks + 1;
            let attends = config.attends(level);
            Level::load(blocks, [before, width], attends, resample, &loader)
        });
        let (first, width) = (config.width(last), config.width(0));
        Self {
            input: ConvConfig::new([config.z_channels, first], 3).load(&loader.at("conv_in")),
            middle: Middle::load(first, &loader.at("mid")),
            levels: levels.collect(),
            norm: GroupNorm::load(width, GROUPS, EPSILON, &loader.at("norm_out")),
            output: ConvConfig::new([width, config.out_ch], 3).load(&loader.at("conv_out")),
        }
    }

    /// `[n, z, h, w]` to `[n, 3, h * factor, w * factor]`, not clamped.
    fn forward(&self, x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        let mut h = self.input.forward(x, Activation::None);
        h = self.middle.forward(h);
        for level in &self.levels {
            h = level.forward(h);
            if let Some(conv) = &level.resample {
                h = conv.forward(double(h)?, Activation::None);
            }
        }
        let h = B::silu(self.norm.forward(h));
        Ok(self.output.forward(h, Activation::None))
    }
}

/// Every sample four times, in a block.
fn double<B: CodecBackend>(x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
    Ok(B::depth_to_space2(Tensor::cat(vec![x; 4], 1))?)
}

/// Everything with parameters.
#[derive(Module, Debug)]
pub struct Autoencoder<B: Backend> {
    pub(super) encoder: Encoder<B>,
    pub(super) quant_conv: Conv<B>,
    pub(super) quantizer: Quantizer<B>,
    pub(super) post_quant_conv: Conv<B>,
    decoder: Decoder<B>,
}

/// What [`Autoencoder::forward_training`] gives, with gradients.
#[derive(Debug, Clone)]
pub struct TrainingPass<B: Backend> {
    /// Reconstruction, not clamped, `[n, 3, h, w]` in -1..1.
    pub reconstruction: Tensor<B, 4>,
    /// The quantizer's loss of each picture, `[n]`.
    pub quantization: Tensor<B, 1>,
    /// Codes, `[n h w]` in the order n, h, w.
    pub codes: Tensor<B, 1, Int>,
}

impl<B: CodecBackend> Autoencoder<B> {
    pub(super) fn load(config: &VqganConfig, loader: &Loader<'_, B>) -> Self {
        let ddconfig = &config.ddconfig;
        let conv = |channels, name: &str| ConvConfig::new(channels, 1).load(&loader.at(name));
        Self {
            encoder: Encoder::load(ddconfig, &loader.at("encoder")),
            quant_conv: conv([ddconfig.encoded(), config.latent()], "quant_conv"),
            quantizer: super::quantizers::load(config.quantizer_config(), loader),
            post_quant_conv: conv([config.embed_dim, ddconfig.z_channels], "post_quant_conv"),
            decoder: Decoder::load(ddconfig, &loader.at("decoder")),
        }
    }

    /// Latents of pictures, `[n, 3, h, w]` in -1..1 to `[n, latent, h / factor, w / factor]`.
    pub(super) fn latents(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.quant_conv
            .forward(self.encoder.forward(x), Activation::None)
    }

    /// Pictures of rows `[n, embed_dim, h, w]`.
    pub(super) fn synthesize(&self, rows: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        self.decoder
            .forward(self.post_quant_conv.forward(rows, Activation::None))
    }

    /// One pass over pictures `[n, 3, h, w]` in -1..1 with sizes that are multiples of the factor; the quantizer's loss is
    /// weighted as its authors do (equation 4 of the paper).
    ///
    /// # Errors
    /// Those of the layers.
    pub fn forward_training(
        &self,
        config: &VqganConfig,
        x: Tensor<B, 4>,
    ) -> Result<TrainingPass<B>, Error> {
        let z = self.latents(x);
        let [n, _, h, w] = z.dims();
        let quantized = self
            .quantizer
            .quantize(to_rows(z), &self.quantizer.codebook());
        let each = config
            .loss()
            .of_rows(quantized.latents, quantized.rows)
            .reshape([n, h * w])
            .mean_dim(1);
        Ok(TrainingPass {
            reconstruction: self.synthesize(from_rows(quantized.output, [n, h, w]))?,
            quantization: each.reshape([n]),
            codes: quantized.codes,
        })
    }
}

/// The networks of a VQGAN on a device.
pub struct Network<B: Backend> {
    pub(super) autoencoder: Autoencoder<B>,
    /// The rows of all codes, then those of the smaller codebooks.
    pub(super) codebooks: Vec<Codebook<B>>,
    /// Context model for the codes of the first.
    pub(super) context: Option<IndexContext>,
    /// What restores lost codes of the first.
    pub(super) restorer: Option<Restorer<B>>,
}

impl<B: CodecBackend> Network<B> {
    pub(super) fn load(config: &VqganConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let mut network = Self::of(Autoencoder::load(config, loader));
        for &size in &config.clusters {
            loader.known(&format!("assignment.{size}"));
            let rows = loader.tensor(&format!("codebook.{size}"), [size, config.embed_dim]);
            network.codebooks.push(Codebook::new(rows));
        }
        if let Some(context) = &config.context {
            network.context = IndexContext::load(context, &loader.at("context"))?;
        }
        if let Some(restorer) = &config.restorer {
            network.restorer = Some(Restorer::load(restorer, &loader.at("restorer")));
        }
        Ok(network)
    }

    /// Networks ready to code, with the codebook as it is.
    pub fn of(autoencoder: Autoencoder<B>) -> Self {
        Self {
            codebooks: vec![autoencoder.quantizer.codebook()],
            autoencoder,
            context: None,
            restorer: None,
        }
    }

    /// Everything with parameters.
    pub fn autoencoder(&self) -> &Autoencoder<B> {
        &self.autoencoder
    }

    /// Codes of pictures in -1..1 with sizes that are multiples of the factor, by one of the codebooks.
    ///
    /// # Shapes
    /// `[n, 3, h, w]` to `[n h w / factor^2]`, in the order n, h, w
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there is no such codebook.
    pub fn codes(&self, x: Tensor<B, 4>, codebook: usize) -> Result<Tensor<B, 1, Int>, Error> {
        let z = self.autoencoder.latents(x);
        let quantizer = &self.autoencoder.quantizer;
        Ok(quantizer.codes(to_rows(z), self.codebook(codebook)?))
    }

    /// Pictures of codes `[n h w]`, all of them below the size of the codebook, not clamped.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there is no such codebook.
    pub fn decode(
        &self,
        codes: Tensor<B, 1, Int>,
        shape: [usize; 3],
        codebook: usize,
    ) -> Result<Tensor<B, 4>, Error> {
        let quantizer = &self.autoencoder.quantizer;
        let rows = quantizer.decode(codes, self.codebook(codebook)?);
        self.autoencoder.synthesize(from_rows(rows, shape))
    }

    pub(super) fn codebook(&self, index: usize) -> Result<&Codebook<B>, Error> {
        self.codebooks
            .get(index)
            .ok_or_else(|| Error::bad_parameter(format!("no codebook {index}")))
    }
}
