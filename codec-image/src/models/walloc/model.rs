//! The networks and the road of a picture through them.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::{Activation, Boundary, CodecBackend};
use codec_core::layers::{
    AttentionKeys, Companding, Conv, ConvConfig, GroupNorm, PYTORCH_GAIN, ResidualBlock,
    ResidualBlockConfig, Rounding, SelfAttention, plane_bits,
};
use codec_core::weights::{HostTensor, Loader};

use super::config::{GROUPS, WallocConfig};
use super::latents::Latents;

/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Encoder or decoder network: the one-resolution network of latent diffusion's autoencoder.
///
/// The encoder has its residual blocks before the middle with the attention, the decoder behind it.
#[derive(Module, Debug)]
pub struct Autoencoder<B: Backend> {
    conv_in: Conv<B>,
    before: Vec<ResidualBlock<B>>,
    middle: [ResidualBlock<B>; 2],
    attention: SelfAttention<B>,
    after: Vec<ResidualBlock<B>>,
    conv_norm_out: GroupNorm<B>,
    conv_out: Conv<B>,
}

/// Widths of an [`Autoencoder`]: input, within, output.
#[derive(Debug, Clone, Copy)]
struct Widths([usize; 3]);

/// Numbers of residual blocks before and behind the middle.
type Depth = [usize; 2];
const ENCODER_DEPTH: Depth = [2, 0];
const DECODER_DEPTH: Depth = [0, 3];

impl Widths {
    fn init<B: CodecBackend>(self, depth: Depth, device: &B::Device) -> Autoencoder<B> {
        let Self([input, width, output]) = self;
        let conv = |channels| {
            ConvConfig::new(channels, 3)
                .with_gain(PYTORCH_GAIN)
                .init(device)
        };
        let block = || ResidualBlockConfig::new([width, width]).init(device);
        let [before, after] = depth.map(|count| (0..count).map(|_| block()).collect());
        Autoencoder {
            conv_in: conv([input, width]),
            before,
            middle: [block(), block()],
            attention: SelfAttention::init(width, device),
            after,
            conv_norm_out: GroupNorm::init(width, GROUPS, EPSILON, device),
            conv_out: conv([width, output]),
        }
    }

    /// Keys are those of diffusers' `AutoencoderKL`.
    fn load<B: CodecBackend>(self, depth: Depth, loader: &Loader<'_, B>) -> Autoencoder<B> {
        let Self([input, width, output]) = self;
        let conv = |name: &str, channels| ConvConfig::new(channels, 3).load(&loader.at(name));
        let block = |part: &str, index: usize| {
            let loader = loader.at(part).at("resnets").at(index);
            ResidualBlockConfig::new([width, width]).load(&loader)
        };
        let blocks = |part: &str, count: usize| (0..count).map(|i| block(part, i)).collect();
        let [before, after] = depth;
        let attention = loader.at("mid_block.attentions.0");
        Autoencoder {
            conv_in: conv("conv_in", [input, width]),
            before: blocks("down_blocks.0", before),
            middle: [block("mid_block", 0), block("mid_block", 1)],
            attention: SelfAttention::load(width, AttentionKeys::DIFFUSERS, &attention),
            after: blocks("up_blocks.0", after),
            conv_norm_out: GroupNorm::load(width, GROUPS, EPSILON, &loader.at("conv_norm_out")),
            conv_out: conv("conv_out", [width, output]),
        }
    }
}

impl<B: CodecBackend> Autoencoder<B> {
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let blocks = |x, blocks: &[ResidualBlock<B>]| blocks.iter().fold(x, |x, b| b.forward(x));
        let [first, second] = &self.middle;
        let h = self.conv_in.forward(x, Activation::None);
        let h = first.forward(blocks(h, &self.before));
        let h = second.forward(self.attention.forward(h));
        let h = B::silu(self.conv_norm_out.forward(blocks(h, &self.after)));
        self.conv_out.forward(h, Activation::None)
    }
}

/// The model: transform and rounding have no parameters, so these are all.
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    /// The lightweight encoder, a 1x1 convolution.
    projection: Option<Conv<B>>,
    /// The full encoder.
    encoder: Option<Autoencoder<B>>,
    decoder: Autoencoder<B>,
    channels: usize,
    levels: usize,
    side_min: usize,
    bits: u32,
}

/// What [`Network::forward_training`] gives, with gradients.
#[derive(Debug, Clone)]
pub struct TrainingPass<B: Backend> {
    /// Reconstruction, not clamped, `[n, c, h, w]` around 0.
    pub reconstruction: Tensor<B, 4>,
    /// Mean squared error of each picture, `[n]`.
    pub mse: Tensor<B, 1>,
    /// Mean squared error of the wavelet packets of each picture, `[n]`.
    pub packet_mse: Tensor<B, 1>,
    /// Estimated bits a pixel of each picture, `[n]`.
    pub rate: Tensor<B, 1>,
}

impl WallocConfig {
    /// Widths of the full encoder, if the model has one.
    fn encoder(&self) -> Option<Widths> {
        let width = self.encoder_width.filter(|_| !self.lightweight_encode)?;
        Some(Widths([self.packets(), width, self.latent_dim]))
    }

    fn decoder(&self) -> Widths {
        Widths([self.latent_dim, self.decoder_width, self.packets()])
    }

    fn projection(&self) -> Option<ConvConfig> {
        self.lightweight_encode
            .then(|| ConvConfig::new([self.packets(), self.latent_dim], 1))
    }

    fn network<B: Backend>(
        &self,
        projection: Option<Conv<B>>,
        encoder: Option<Autoencoder<B>>,
        decoder: Autoencoder<B>,
    ) -> Network<B> {
        Network {
            projection,
            encoder,
            decoder,
            channels: self.channels,
            levels: self.levels,
            side_min: self.side_min(),
            bits: self.latent_bits,
        }
    }

    /// A network to be trained, of values that [`WallocConfig::check`] accepts.
    pub fn init<B: CodecBackend>(&self, device: &B::Device) -> Network<B> {
        let projection = self.projection();
        self.network(
            projection.map(|conv| conv.with_gain(PYTORCH_GAIN).init(device)),
            self.encoder().map(|e| e.init(ENCODER_DEPTH, device)),
            self.decoder().init(DECODER_DEPTH, device),
        )
    }

    /// The network of a checkpoint.
    pub(super) fn load<B: CodecBackend>(&self, loader: &Loader<'_, B>) -> Network<B> {
        let (encoder, decoder) = (loader.at("encoder.0"), loader.at("decoder.1"));
        self.network(
            self.projection().map(|conv| conv.load(&encoder)),
            self.encoder().map(|e| e.load(ENCODER_DEPTH, &encoder)),
            self.decoder().load(DECODER_DEPTH, &decoder),
        )
    }
}

impl<B: CodecBackend> Network<B> {
    /// The quantizer between encoder and decoder.
    ///
    /// # Errors
    /// Those of [`Companding::new`].
    pub fn quantizer(&self) -> Result<Companding, Error> {
        Companding::new(self.bits)
    }

    /// Pixels around 0, `[n, c, h, w]`, to wavelet packets `[n, c 4^J, h / 2^J, w / 2^J]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sides that are no multiples of `2^J`.
    pub fn analysis(&self, x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        analysis(x, self.levels)
    }

    /// The inverse of [`Network::analysis`].
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of channels.
    pub fn synthesis(&self, packets: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
        synthesis(packets, self.levels)
    }

    /// Wavelet packets to normal latents `[n, latent_dim, h, w]`.
    pub fn encode(&self, packets: Tensor<B, 4>) -> Tensor<B, 4> {
        let packets = match &self.projection {
            Some(projection) => return projection.forward(packets, Activation::None),
            None => packets,
        };
        match &self.encoder {
            Some(encoder) => encoder.forward(packets),
            None => packets,
        }
    }

    /// Normal latents to wavelet packets.
    pub fn decode(&self, normal: Tensor<B, 4>) -> Tensor<B, 4> {
        self.decoder.forward(normal)
    }

    /// The pass of training (section 4 of the paper).
    ///
    /// # Shapes
    /// Pictures around 0 (-0.5..0.5), `[n, c, h, w]`, sides multiples of `2^J`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for other sides.
    pub fn forward_training(
        &self,
        x: Tensor<B, 4>,
        rounding: Rounding,
    ) -> Result<TrainingPass<B>, Error> {
        let quantizer = self.quantizer()?;
        let [_, _, height, width] = x.dims();
        let packets = self.analysis(x.clone())?;
        let z = quantizer.compress(self.encode(packets.clone()));
        let rate = plane_bits(z.clone()).div_scalar((height * width) as f64);
        let decoded = self.decode(quantizer.expand(quantizer.approximate(z, rounding)));
        let reconstruction = self.synthesis(decoded.clone())?;
        Ok(TrainingPass {
            mse: squared_error(reconstruction.clone(), x),
            packet_mse: squared_error(decoded, packets),
            rate,
            reconstruction,
        })
    }

    /// Size to which a picture is padded for coding: multiples of `2^J`, and not below what the transform can invert.
    pub fn padded(&self, side: usize) -> usize {
        side.max(self.side_min).next_multiple_of(1 << self.levels)
    }

    /// Integers of a picture of any size.
    ///
    /// # Shapes
    /// Pixels in 0..1, `[1, c, h, w]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an empty picture, another number of channels or more than one picture, device errors.
    pub fn latents(&self, pixels: Tensor<B, 4>) -> Result<Latents, Error> {
        let [n, channels, height, width] = pixels.dims();
        if n != 1 || channels != self.channels || height == 0 || width == 0 {
            return Err(Error::bad_parameter(format!(
                "walloc: pixels [{n}, {channels}, {height}, {width}] (expected one picture of {} channels)",
                self.channels
            )));
        }
        let quantizer = self.quantizer()?;
        let size = [self.padded(height), self.padded(width)];
        let packets = self.analysis(pad(pixels.sub_scalar(0.5), size))?;
        let z = quantizer.round(quantizer.compress(self.encode(packets)));
        let [_, latent_dim, h, w] = z.dims();
        let z = HostTensor::from_device(z)?;
        let limit = quantizer.limit();
        // What is not a number becomes 0, so that a file can always be written.
        let values = z.as_floats().unwrap_or_default().iter();
        Ok(Latents {
            shape: [latent_dim, h, w],
            limit,
            values: values.map(|&v| (v as i32).clamp(-limit, limit)).collect(),
        })
    }

    /// Pixels of integers: the inverse of [`Network::latents`].
    ///
    /// # Shapes
    /// `[1, c, height, width]` in 0..1.
    ///
    /// # Errors
    /// [`Error::Malformed`] for latents that are not those of a picture of that size.
    pub fn pixels(
        &self,
        latents: &Latents,
        [height, width]: [usize; 2],
        device: &B::Device,
    ) -> Result<Tensor<B, 4>, Error> {
        let quantizer = self.quantizer()?;
        let limit = quantizer.limit();
        let expected = self.latent_shape([height, width]);
        if latents.shape != expected || latents.limit != limit {
            return Err(Error::malformed(format!(
                "walloc: latents {:?} up to {} (expected {expected:?} up to {limit})",
                latents.shape, latents.limit
            )));
        }
        latents.check()?;
        let [latent_dim, h, w] = latents.shape;
        let values = latents.values.iter().map(|&v| v as f32).collect();
        let z = Tensor::from_data(TensorData::new(values, [1, latent_dim, h, w]), device);
        let x = self.synthesis(self.decode(quantizer.expand(z)))?;
        Ok(crop(x, [height, width]).clamp(-0.5, 0.5).add_scalar(0.5))
    }

    /// Shape of the latents of a picture of `[height, width]` pixels.
    pub fn latent_shape(&self, size: [usize; 2]) -> [usize; 3] {
        let [h, w] = size.map(|side| self.padded(side) >> self.levels);
        let latent_dim = self.decoder.conv_in.weight.dims()[1];
        [latent_dim, h, w]
    }

    /// Channels of a picture.
    pub fn channels(&self) -> usize {
        self.channels
    }
}

/// Mean squared difference of each sample, `[n]`.
fn squared_error<B: Backend>(a: Tensor<B, 4>, b: Tensor<B, 4>) -> Tensor<B, 1> {
    let difference: Tensor<B, 2> = (a - b).flatten(1, 3);
    (difference.clone() * difference).mean_dim(1).squeeze_dim(1)
}

/// `levels` levels of the transform.
pub(super) fn analysis<B: CodecBackend>(
    x: Tensor<B, 4>,
    levels: usize,
) -> Result<Tensor<B, 4>, Error> {
    let bad = |e| Error::bad_parameter(format!("wavelet analysis: {e}"));
    B::wavelet_analysis(x, levels, Boundary::Periodic).map_err(bad)
}

/// The inverse of [`analysis`].
pub(super) fn synthesis<B: CodecBackend>(
    packets: Tensor<B, 4>,
    levels: usize,
) -> Result<Tensor<B, 4>, Error> {
    let bad = |e| Error::bad_parameter(format!("wavelet synthesis: {e}"));
    B::wavelet_synthesis(packets, levels, Boundary::Periodic).map_err(bad)
}

/// Pads with reflections at the borders, the picture in the middle; the odd row or column goes to the end. Pictures of a
/// single row or column are repeated, and the reflection goes back and forth where the padding is longer than the picture.
pub(super) fn pad<B: Backend>(x: Tensor<B, 4>, size: [usize; 2]) -> Tensor<B, 4> {
    let along = |x: Tensor<B, 4>, axis: usize, padded: usize| {
        let side = x.dims()[axis];
        if padded == side {
            return x;
        }
        let before = padded.saturating_sub(side) / 2;
        let indices: Vec<i64> = (0..padded)
            .map(|i| reflected(i as i64 - before as i64, side as i64))
            .collect();
        let data = TensorData::new(indices, [padded]);
        let indices = Tensor::<B, 1, Int>::from_data(data, &x.device());
        x.select(axis, indices)
    };
    let [height, width] = size;
    along(along(x, 2, height), 3, width)
}

/// Position in `0..side` of what lies at `position` when the border samples are mirrors.
fn reflected(position: i64, side: i64) -> i64 {
    let period = (2 * side - 2).max(1);
    let position = position.rem_euclid(period);
    position.min(period - position).min(side - 1)
}

/// Takes the middle out again.
pub(super) fn crop<B: Backend>(x: Tensor<B, 4>, [height, width]: [usize; 2]) -> Tensor<B, 4> {
    let [_, _, padded_height, padded_width] = x.dims();
    let (height, width) = (height.min(padded_height), width.min(padded_width));
    x.narrow(2, (padded_height - height) / 2, height)
        .narrow(3, (padded_width - width) / 2, width)
}
