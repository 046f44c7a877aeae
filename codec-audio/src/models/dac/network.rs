//! Encoder, quantizer and decoder (section 3 of the paper).

use burn::tensor::activation::tanh;
use burn::tensor::{Int, Tensor};
use codec_core::Error;
use codec_core::backend::{Activation, Border, CodecBackend};
use codec_core::layers::quantizer::{
    Codebooks, QuantizerConfig, ResidualQuantized, ResidualQuantizer,
};
use codec_core::layers::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig, Snake};
use codec_core::weights::Loader;

use super::DacConfig;
use super::lengths::{DILATIONS, LAST_TAPS, TAPS};
use crate::models::features::{from_rows, to_rows};
use crate::models::ragged::{Mask, Ragged};
use crate::models::tokenizer::TokenNetwork;

/// What is beyond the ends of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Zeros: signals keep their length.
    Zeros,
    /// Nothing: outputs that would see beyond an end do not exist.
    Lost,
}

/// Networks of Descript Audio Codec on a device.
#[derive(Debug)]
pub struct DacNetwork<B: CodecBackend> {
    pub(super) encoder: Encoder<B>,
    /// Over rows of features.
    pub quantizer: ResidualQuantizer<B>,
    pub(super) decoder: Decoder<B>,
    pub(super) codebooks: Codebooks<B>,
    config: DacConfig,
}

impl<B: CodecBackend> DacNetwork<B> {
    pub(super) fn load(config: &DacConfig, loader: &Loader<'_, B>) -> Self {
        let stage = QuantizerConfig::Factorized {
            codes: config.codebook_size,
            input: config.latent_dim,
            width: config.codebook_dim,
        };
        let quantizers = loader.at("quantizer.quantizers");
        let quantizer =
            ResidualQuantizer::load(stage, config.n_codebooks, |number| quantizers.at(number));
        Self {
            encoder: Encoder::load(config, &loader.at("encoder.block")),
            decoder: Decoder::load(config, &loader.at("decoder.model")),
            codebooks: quantizer.codebooks(),
            quantizer,
            config: config.clone(),
        }
    }

    /// Features of a signal.
    ///
    /// # Shapes
    /// `[n, 1, t]` to `[n, latent, l]`; l is t over the hop, or less with [`Ends::Lost`]
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are too few samples.
    pub fn encode(&self, x: Tensor<B, 3>, ends: Ends) -> Result<Tensor<B, 3>, Error> {
        let samples = x.dims()[2];
        if self.config.frames(samples, ends).is_none() {
            return Err(Error::bad_parameter(format!(
                "{samples} samples are too few for a frame"
            )));
        }
        let mask = Mask::default();
        self.encoder.forward(x, ends, &mask, |_, _| Ok(()))
    }

    /// Codes of features by the first codebooks, with all that training looks at.
    pub fn quantize(&self, features: Tensor<B, 3>, codebooks: usize) -> ResidualQuantized<B> {
        let rows = to_rows(features);
        self.quantizer.quantize(rows, codebooks, &self.codebooks)
    }

    /// What codes of the first codebooks stand for, `[n l]` each, to `[n, latent, l]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are no codes, or more than codebooks.
    pub fn features(&self, codes: &[Tensor<B, 1, Int>], n: usize) -> Result<Tensor<B, 3>, Error> {
        let rows = self.quantizer.decode(codes, &self.codebooks)?;
        Ok(from_rows(rows, n))
    }

    /// A signal of features.
    ///
    /// # Shapes
    /// `[n, latent, l]` to `[n, 1, t]`; t is l times the hop, or a few samples less where strides are odd, or less still with
    /// [`Ends::Lost`]
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are too few frames.
    pub fn decode(&self, features: Tensor<B, 3>, ends: Ends) -> Result<Tensor<B, 3>, Error> {
        let frames = features.dims()[2];
        if !self.config.decodes(frames, ends) {
            return Err(Error::bad_parameter(format!(
                "{frames} frames are too few for a sample"
            )));
        }
        self.decoder.forward(features, ends, |_, _| Ok(()))
    }
}

impl<B: CodecBackend> TokenNetwork<B> for DacNetwork<B> {
    fn codes(&self, x: Ragged<B>, codebooks: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error> {
        let mask = x.mask();
        let features = self
            .encoder
            .forward(x.x, Ends::Zeros, &mask, |_, _| Ok(()))?;
        Ok(self.quantize(features, codebooks).codes)
    }

    fn samples(&self, codes: &[Tensor<B, 1, Int>]) -> Result<Tensor<B, 3>, Error> {
        self.decode(self.features(codes, 1)?, Ends::Zeros)
    }
}

/// Convolution at the rate of its signal, as long as its input with zeros.
fn centred<B: CodecBackend>(conv: &Conv1d<B>, x: Tensor<B, 3>, ends: Ends) -> Tensor<B, 3> {
    let side = match ends {
        Ends::Zeros => conv.span() / 2,
        Ends::Lost => 0,
    };
    conv.forward(x, [side; 2], Border::Zeros, Activation::None)
}

/// What zeros lie beyond each end of a resampling convolution, or what of its result is cut off.
fn half(stride: usize, ends: Ends) -> [usize; 2] {
    match ends {
        Ends::Zeros => [stride.div_ceil(2); 2],
        Ends::Lost => [0; 2],
    }
}

/// `x + second(snake(first(snake(x))))`, without the ends of `x` that the convolutions lost.
#[derive(Debug)]
struct Unit<B: CodecBackend> {
    before: Snake<B>,
    first: Conv1d<B>,
    between: Snake<B>,
    second: Conv1d<B>,
}

impl<B: CodecBackend> Unit<B> {
    fn load(channels: usize, dilation: usize, loader: &Loader<'_, B>) -> Self {
        let loader = loader.at("block");
        let first = Conv1dConfig::new([channels, channels], TAPS).with_dilation(dilation);
        Self {
            before: Snake::load(channels, &loader.at(0)),
            first: first.load(&loader.at(1)),
            between: Snake::load(channels, &loader.at(2)),
            second: Conv1dConfig::new([channels, channels], 1).load(&loader.at(3)),
        }
    }

    fn forward(&self, x: Tensor<B, 3>, ends: Ends) -> Tensor<B, 3> {
        let inside = centred(&self.first, self.before.forward(x.clone()), ends);
        let inside = centred(&self.second, self.between.forward(inside), ends);
        let (from, to) = (x.dims()[2], inside.dims()[2]);
        let x = match from - to {
            0 => x,
            lost => x.narrow(2, lost / 2, to),
        };
        x + inside
    }
}

fn units<B: CodecBackend>(channels: usize, first: usize, loader: &Loader<'_, B>) -> Vec<Unit<B>> {
    let dilations = DILATIONS.into_iter().enumerate();
    dilations
        .map(|(number, dilation)| Unit::load(channels, dilation, &loader.at(first + number)))
        .collect()
}

/// A stage of the encoder: residual units, then half the rate or less.
#[derive(Debug)]
struct Down<B: CodecBackend> {
    units: Vec<Unit<B>>,
    snake: Snake<B>,
    conv: Conv1d<B>,
}

/// `[n, 1, t]` to `[n, latent, l]`.
#[derive(Debug)]
pub(super) struct Encoder<B: CodecBackend> {
    input: Conv1d<B>,
    stages: Vec<Down<B>>,
    snake: Snake<B>,
    output: Conv1d<B>,
}

/// Called with the number of every part and what it gave.
pub(super) trait Watch<B: CodecBackend>:
    FnMut(usize, &Tensor<B, 3>) -> Result<(), Error>
{
}
impl<B: CodecBackend, F: FnMut(usize, &Tensor<B, 3>) -> Result<(), Error>> Watch<B> for F {}

impl<B: CodecBackend> Encoder<B> {
    fn load(config: &DacConfig, loader: &Loader<'_, B>) -> Self {
        let stages = config.encoder_rates.iter().enumerate();
        let stages = stages.map(|(stage, &rate)| {
            let loader = loader.at(stage + 1).at("block");
            let widths = [stage, stage + 1].map(|stage| config.encoder_width(stage));
            let conv = Conv1dConfig::new(widths, 2 * rate).with_stride(rate);
            Down {
                units: units(widths[0], 0, &loader),
                snake: Snake::load(widths[0], &loader.at(3)),
                conv: conv.load(&loader.at(4)),
            }
        });
        let count = config.encoder_rates.len();
        let width = config.encoder_width(count);
        Self {
            input: Conv1dConfig::new([1, config.encoder_dim], TAPS).load(&loader.at(0)),
            stages: stages.collect(),
            snake: Snake::load(width, &loader.at(count + 1)),
            output: Conv1dConfig::new([width, config.latent_dim], LAST_TAPS)
                .load(&loader.at(count + 2)),
        }
    }

    /// The mask, of whole frames, puts zeros behind the ends of shorter items, which every layer then sees there. Activations
    /// keep them.
    pub(super) fn forward(
        &self,
        x: Tensor<B, 3>,
        ends: Ends,
        mask: &Mask,
        mut watch: impl Watch<B>,
    ) -> Result<Tensor<B, 3>, Error> {
        let mut x = mask.apply(centred(&self.input, x, ends));
        watch(0, &x)?;
        for (number, stage) in (1..).zip(&self.stages) {
            for unit in &stage.units {
                x = mask.apply(unit.forward(x, ends));
            }
            let sides = half(stage.conv.stride, ends);
            let seen = stage.snake.forward(x);
            let out = stage
                .conv
                .forward(seen, sides, Border::Zeros, Activation::None);
            x = mask.apply(out);
            watch(number, &x)?;
        }
        x = self.snake.forward(x);
        watch(self.stages.len() + 1, &x)?;
        x = centred(&self.output, x, ends);
        watch(self.stages.len() + 2, &x)?;
        Ok(x)
    }
}

/// A stage of the decoder: twice the rate or more, then residual units.
#[derive(Debug)]
struct Up<B: CodecBackend> {
    snake: Snake<B>,
    conv: ConvTranspose1d<B>,
    units: Vec<Unit<B>>,
}

/// `[n, latent, l]` to `[n, 1, t]`.
#[derive(Debug)]
pub(super) struct Decoder<B: CodecBackend> {
    input: Conv1d<B>,
    stages: Vec<Up<B>>,
    snake: Snake<B>,
    output: Conv1d<B>,
}

impl<B: CodecBackend> Decoder<B> {
    fn load(config: &DacConfig, loader: &Loader<'_, B>) -> Self {
        let stages = config.decoder_rates.iter().enumerate();
        let stages = stages.map(|(stage, &rate)| {
            let loader = loader.at(stage + 1).at("block");
            let widths = [stage, stage + 1].map(|stage| config.decoder_width(stage));
            Up {
                snake: Snake::load(widths[0], &loader.at(0)),
                conv: ConvTranspose1dConfig::new(widths, 2 * rate, rate).load(&loader.at(1)),
                units: units(widths[1], 2, &loader),
            }
        });
        let count = config.decoder_rates.len();
        let width = config.decoder_width(count);
        Self {
            input: Conv1dConfig::new([config.latent_dim, config.decoder_dim], TAPS)
                .load(&loader.at(0)),
            stages: stages.collect(),
            snake: Snake::load(width, &loader.at(count + 1)),
            output: Conv1dConfig::new([width, 1], TAPS).load(&loader.at(count + 2)),
        }
    }

    pub(super) fn forward(
        &self,
        x: Tensor<B, 3>,
        ends: Ends,
        mut watch: impl Watch<B>,
    ) -> Result<Tensor<B, 3>, Error> {
        let mut x = centred(&self.input, x, ends);
        watch(0, &x)?;
        for (number, stage) in (1..).zip(&self.stages) {
            let cut = half(stage.conv.stride, ends);
            let seen = stage.snake.forward(x);
            x = stage.conv.forward(seen, cut, Activation::None);
            for unit in &stage.units {
                x = unit.forward(x, ends);
            }
            watch(number, &x)?;
        }
        let last = self.stages.len() + 1;
        x = self.snake.forward(x);
        watch(last, &x)?;
        x = centred(&self.output, x, ends);
        watch(last + 1, &x)?;
        x = tanh(x);
        watch(last + 2, &x)?;
        Ok(x)
    }
}
