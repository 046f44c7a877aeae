//! The networks: those of Stable Audio's autoencoder ("Oobleck") at one resolution, between wavelet packets and latents.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, Border, Boundary, CodecBackend, Walk};
use codec_core::layers::{
    Companding, Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig, SnakeBeta,
};
use codec_core::weights::Loader;

use super::config::Walloc1dConfig;

/// Dilations of the residual units of a block.
const DILATIONS: [usize; 3] = [1, 3, 9];

/// `x + conv(snake(conv(snake(x))))`.
#[derive(Module, Debug)]
struct ResidualUnit<B: Backend> {
    snake1: SnakeBeta<B>,
    conv1: Conv1d<B>,
    snake2: SnakeBeta<B>,
    conv2: Conv1d<B>,
}

impl<B: CodecBackend> ResidualUnit<B> {
    fn load(width: usize, dilation: usize, loader: &Loader<'_, B>) -> Self {
        let conv = Conv1dConfig::new([width, width], 7).with_dilation(dilation);
        Self {
            snake1: SnakeBeta::load(width, &loader.at("snake1")),
            conv1: conv.load(&loader.at("conv1")),
            snake2: SnakeBeta::load(width, &loader.at("snake2")),
            conv2: Conv1dConfig::new([width, width], 1).load(&loader.at("conv2")),
        }
    }

    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let h = same(&self.conv1, self.snake1.forward(x.clone()));
        x + same(&self.conv2, self.snake2.forward(h))
    }
}

/// Three residual units with growing dilation.
fn units<B: CodecBackend>(width: usize, loader: &Loader<'_, B>) -> Vec<ResidualUnit<B>> {
    let unit = |(i, dilation)| {
        let loader = loader.at(format!("res_unit{}", i + 1));
        ResidualUnit::load(width, dilation, &loader)
    };
    DILATIONS.into_iter().enumerate().map(unit).collect()
}

/// Residual units, then a convolution that makes the signal one longer.
#[derive(Module, Debug)]
struct EncoderBlock<B: Backend> {
    units: Vec<ResidualUnit<B>>,
    snake1: SnakeBeta<B>,
    conv1: Conv1d<B>,
}

/// A transposed convolution that makes the signal one shorter, then residual units.
#[derive(Module, Debug)]
struct DecoderBlock<B: Backend> {
    snake1: SnakeBeta<B>,
    conv_t1: ConvTranspose1d<B>,
    units: Vec<ResidualUnit<B>>,
}

/// Encoder with blocks.
#[derive(Module, Debug)]
struct Encoder<B: Backend> {
    conv1: Conv1d<B>,
    blocks: Vec<EncoderBlock<B>>,
    snake1: SnakeBeta<B>,
    conv2: Conv1d<B>,
}

/// Decoder.
#[derive(Module, Debug)]
struct Decoder<B: Backend> {
    conv1: Conv1d<B>,
    blocks: Vec<DecoderBlock<B>>,
    snake1: SnakeBeta<B>,
    /// The last convolution, which has no bias.
    conv2: Param<Tensor<B, 3>>,
}

/// The model: transform and rounding have no parameters, so these are all.
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    /// The lightweight encoder.
    projection: Option<Conv1d<B>>,
    encoder: Option<Encoder<B>>,
    decoder: Decoder<B>,
    post: Option<Conv1d<B>>,
    levels: usize,
    /// What the encoder's output is multiplied by and the decoder's input divided by.
    unit: f64,
    #[module(skip)]
    quantizer: Companding,
}

impl<B: CodecBackend> Encoder<B> {
    fn load([packets, latent_dim, width]: [usize; 3], loader: &Loader<'_, B>) -> Self {
        let block = |(i, [input, output]): (usize, [usize; 2])| {
            let loader = loader.at("block").at(i);
            EncoderBlock {
                units: units(input, &loader),
                snake1: SnakeBeta::load(input, &loader.at("snake1")),
                conv1: Conv1dConfig::new([input, output], 2).load(&loader.at("conv1")),
            }
        };
        let blocks = [[latent_dim, width], [width, width]];
        Self {
            conv1: Conv1dConfig::new([packets, latent_dim], 7).load(&loader.at("conv1")),
            blocks: blocks.into_iter().enumerate().map(block).collect(),
            snake1: SnakeBeta::load(width, &loader.at("snake1")),
            conv2: Conv1dConfig::new([width, latent_dim], 3).load(&loader.at("conv2")),
        }
    }

    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let h = self.blocks.iter().fold(same(&self.conv1, x), |h, block| {
            let h = block.units.iter().fold(h, |h, unit| unit.forward(h));
            let h = block.snake1.forward(h);
            block
                .conv1
                .forward(h, [1, 1], Border::Zeros, Activation::None)
        });
        same(&self.conv2, self.snake1.forward(h))
    }
}

impl<B: CodecBackend> Decoder<B> {
    fn load([latent_dim, width, packets]: [usize; 3], loader: &Loader<'_, B>) -> Self {
        let block = |(i, channels): (usize, [usize; 2])| {
            let loader = loader.at("block").at(i);
            let [input, output] = channels;
            DecoderBlock {
                snake1: SnakeBeta::load(input, &loader.at("snake1")),
                conv_t1: ConvTranspose1dConfig {
                    channels,
                    kernel: 2,
                    stride: 1,
                }
                .load(&loader.at("conv_t1")),
                units: units(output, &loader),
            }
        };
        let blocks = [[width, width], [width, latent_dim]];
        Self {
            conv1: Conv1dConfig::new([latent_dim, width], 7).load(&loader.at("conv1")),
            blocks: blocks.into_iter().enumerate().map(block).collect(),
            snake1: SnakeBeta::load(latent_dim, &loader.at("snake1")),
            conv2: loader.at("conv2").param("weight", [packets, latent_dim, 7]),
        }
    }

    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let h = self.blocks.iter().fold(same(&self.conv1, x), |h, block| {
            let h = block.snake1.forward(h);
            let h = block.conv_t1.forward(h, [1, 1], Activation::None);
            block.units.iter().fold(h, |h, unit| unit.forward(h))
        });
        let h = self.snake1.forward(h);
        let weight = self.conv2.val();
        let [packets, _, taps] = weight.dims();
        let bias = Tensor::zeros([packets], &h.device());
        let walk = Walk {
            stride: 1,
            dilation: 1,
            before: taps / 2,
            after: taps / 2,
        };
        B::signal_conv(h, weight, bias, walk, Border::Zeros, Activation::None)
    }
}

impl<B: CodecBackend> Network<B> {
    /// The network of a checkpoint.
    pub(super) fn load(
        config: &Walloc1dConfig,
        quantizer: Companding,
        loader: &Loader<'_, B>,
    ) -> Self {
        let (encoder, decoder) = (loader.at("encoder.0"), loader.at("decoder.1"));
        let (packets, latent_dim) = (config.packets(), config.latent_dim);
        let width = |told: usize| told / latent_dim.max(1) * latent_dim;
        let light = Conv1dConfig::new([packets, latent_dim], 1);
        let channels = config.channels;
        let post = Conv1dConfig::new([channels, channels], config.post_taps);
        Self {
            projection: config.lightweight_encode.then(|| light.load(&encoder)),
            encoder: config
                .encoder_width
                .map(|told| Encoder::load([packets, latent_dim, width(told)], &encoder)),
            decoder: Decoder::load([latent_dim, width(config.decoder_width), packets], &decoder),
            post: config.post_filter.then(|| post.load(&loader.at("post"))),
            levels: config.levels,
            unit: 1.0,
            quantizer,
        }
    }

    /// The same parameters for other units: `unit` stands between the networks and the quantizer.
    pub(super) fn in_units_of(self, unit: f64) -> Self {
        Self { unit, ..self }
    }

    /// The quantizer between encoder and decoder.
    pub fn quantizer(&self) -> Companding {
        self.quantizer
    }

    /// Samples in -0.5..0.5, `[n, c, t]`, to wavelet packets `[n, c 2^J, t / 2^J]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for lengths that are no multiples of `2^J`.
    pub fn analysis(&self, x: Tensor<B, 3>) -> Result<Tensor<B, 3>, Error> {
        B::wavelet_analysis_1d(x, self.levels, Boundary::Periodic)
            .map_err(|e| Error::bad_parameter(format!("wavelet analysis: {e}")))
    }

    /// The inverse of [`Network::analysis`].
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of channels.
    pub fn synthesis(&self, packets: Tensor<B, 3>) -> Result<Tensor<B, 3>, Error> {
        B::wavelet_synthesis_1d(packets, self.levels, Boundary::Periodic)
            .map_err(|e| Error::bad_parameter(format!("wavelet synthesis: {e}")))
    }

    /// The filter behind the synthesis, `[n, c, t]` to the same.
    pub fn filter(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.post {
            Some(post) => same(post, x),
            None => x,
        }
    }

    /// Wavelet packets `[n, c 2^J, l]` to normal latents `[n, latent_dim, l + 2]`: both encoders look one frame beyond
    /// either end, which the decoder takes back.
    pub fn encode(&self, packets: Tensor<B, 3>) -> Tensor<B, 3> {
        let normal = match (&self.projection, &self.encoder) {
            (Some(projection), _) => {
                projection.forward(packets, [1, 1], Border::Zeros, Activation::None)
            }
            (None, Some(encoder)) => encoder.forward(packets),
            (None, None) => packets,
        };
        match self.unit {
            1.0 => normal,
            unit => normal.mul_scalar(unit),
        }
    }

    /// Normal latents `[n, latent_dim, l + 2]` to wavelet packets `[n, c 2^J, l]`.
    pub fn decode(&self, normal: Tensor<B, 3>) -> Tensor<B, 3> {
        self.decoder.forward(match self.unit {
            1.0 => normal,
            unit => normal.div_scalar(unit),
        })
    }
}

/// A convolution of an odd number of taps that keeps the length.
fn same<B: CodecBackend>(conv: &Conv1d<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    let side = conv.span() / 2;
    conv.forward(x, [side, side], Border::Zeros, Activation::None)
}

/// Zeros behind a signal, up to `length` samples.
pub(super) fn extended<B: Backend>(x: Tensor<B, 3>, length: usize) -> Tensor<B, 3> {
    let [n, channels, samples] = x.dims();
    if length <= samples {
        return x;
    }
    let zeros = Tensor::zeros([n, channels, length - samples], &x.device());
    Tensor::cat(vec![x, zeros], 2)
}
