//! The entropy model in training: hyperprior and multi-reference context networks.
//!
//! A hyperlatent at 1/32 gives features at 1/16. The latents follow in four passes; the network of pass `p` sees those
//! features and all latents of passes `0..p` (other channels at the same place and, through 3x3 kernels, their
//! neighbours) and gives the mean and the scale of each of its 192 latents.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{
    Conv, ConvConfig, FINE_WEIGHT_MAX, FRACTION_BITS, FactorizedPrior, FactorizedPriorConfig,
    IntRange, Precision, QuantConv, QuantConvConfig, WEIGHT_MAX,
};

use super::config::{LATENTS, PASS_LATENTS, PASSES, WpmrConfig};
use super::transform::{compand, with_plane};

/// Largest magnitude of a mean, in sixteenths of a symbol.
const MEAN_MAX: i32 = 8_191;
/// Largest scale index.
pub const SCALE_MAX: i32 = 63;
/// Parameters of the scale layers are stored over two to this power.
pub const SCALE_GAIN_LOG2: i32 = 3;
/// Hyperlatents enter the integer network times this, so that small ones matter.
pub const HYPER_GAIN: f32 = 0.25;

/// Encoder side of the hyperprior. Its output is rounded and coded, so it may stay in floats.
#[derive(Module, Debug)]
pub struct HyperAnalysis<B: Backend> {
    /// First layer, 1/16.
    pub input: Conv<B>,
    /// 3x3 layer, 1/16.
    pub hidden: Conv<B>,
    /// Last layer, 1/32.
    pub output: Conv<B>,
}

impl<B: CodecBackend> HyperAnalysis<B> {
    /// Hyperlatents of latents, before rounding.
    ///
    /// # Shapes
    /// `[n, 768, h, w]`, `[n]` to `[n, z, h/2, w/2]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sides that are not even.
    pub fn forward(&self, latents: Tensor<B, 4>, t: &[f32]) -> Result<Tensor<B, 4>, Error> {
        let t: Vec<f32> = t.iter().map(|t| 2.0 * t - 1.0).collect();
        let h = self
            .input
            .forward(with_plane(compand(latents), &t), Activation::Relu);
        let h = self.hidden.forward(h, Activation::Relu);
        Ok(self
            .output
            .forward(B::space_to_depth2(h)?, Activation::None))
    }
}

/// Decoder side of the hyperprior, in integers.
#[derive(Module, Debug)]
pub struct HyperSynthesis<B: Backend> {
    /// 3x3 layer, 1/32.
    pub input: QuantConv<B>,
    /// 1x1 layer that makes four positions, 1/32.
    pub expand: QuantConv<B>,
    /// 3x3 layer, 1/16.
    pub output: QuantConv<B>,
}

/// Network of one pass, in integers.
#[derive(Module, Debug)]
pub struct PassNetwork<B: Backend> {
    /// 1x1 layer over the latents so far; the first pass has none.
    pub entry: Option<QuantConv<B>>,
    /// 3x3 layer over entry and hyper features.
    pub spatial: QuantConv<B>,
    /// 1x1 layer.
    pub hidden: QuantConv<B>,
    /// Means ([`mean_range`]), from the hidden layer and the neighbours.
    pub mean: QuantConv<B>,
    /// Scale indexes, from the hidden layer and the neighbours' magnitudes.
    pub scale: QuantConv<B>,
    /// Depthwise 3x3 layers over the latents so far and over their magnitudes.
    pub neighbours: Option<Neighbours<B>>,
}

/// The short way from decoded latents to the parameters: each channel filtered by itself, then mixed by the last layers.
/// It carries what the narrow hidden layers cannot: the magnitude of each band's own neighbours.
#[derive(Module, Debug)]
pub struct Neighbours<B: Backend> {
    /// Over latents.
    pub signed: QuantConv<B>,
    /// Over magnitudes.
    pub magnitude: QuantConv<B>,
}

/// Range of the depthwise layer over latents.
pub const SIGNED: IntRange = IntRange {
    lo: -127,
    hi: 127,
    fraction: FRACTION_BITS,
};

/// Range of the means of a model.
pub fn mean_range(config: &WpmrConfig) -> IntRange {
    let fraction = config.mean_fraction();
    let limit = MEAN_MAX << (fraction - 4);
    IntRange {
        lo: -limit,
        hi: limit,
        fraction: fraction as i32,
    }
}

/// All parts of the entropy model.
#[derive(Module, Debug)]
pub struct EntropyModel<B: Backend> {
    /// Latents to hyperlatents.
    pub analysis: HyperAnalysis<B>,
    /// Prior of the hyperlatents.
    pub prior: FactorizedPrior<B>,
    /// Hyperlatents to features.
    pub synthesis: HyperSynthesis<B>,
    /// One network a pass.
    pub passes: Vec<PassNetwork<B>>,
}

impl<B: Backend> EntropyModel<B> {
    /// Networks of the configured widths.
    pub fn new(config: &WpmrConfig, device: &B::Device) -> Self {
        let (z, a, f) = (
            config.hyper_latents,
            config.hyper_analysis_width,
            config.hyper_width,
        );
        let (e, c) = (config.entry_width, config.context_width);
        Self {
            analysis: HyperAnalysis {
                input: ConvConfig::new([LATENTS + 1, a], 1).init(device),
                hidden: ConvConfig::new([a, a], 3).init(device),
                output: ConvConfig::new([4 * a, z], 1).init(device),
            },
            prior: FactorizedPriorConfig::new(z).init(device),
            synthesis: HyperSynthesis {
                input: QuantConvConfig::new([z + 1, f], 3)
                    .with_init_gain(1.5)
                    .init(device),
                expand: QuantConvConfig::new([f, 4 * f], 1).init(device),
                output: QuantConvConfig::new([f, f], 3).init(device),
            },
            passes: (0..PASSES)
                .map(|pass| {
                    let seen = pass * PASS_LATENTS;
                    let entry = if pass == 0 { 0 } else { e };
                    PassNetwork {
                        entry: (pass > 0).then(|| {
                            QuantConvConfig::new([seen, e], 1)
                                .with_init_gain(2.0)
                                .init(device)
                        }),
                        spatial: QuantConvConfig::new([entry + f, c], 3).init(device),
                        hidden: QuantConvConfig::new([c, c], 1).init(device),
                        mean: QuantConvConfig::new([c + seen, PASS_LATENTS], 1)
                            .with_weight_max(if config.fine_means {
                                FINE_WEIGHT_MAX
                            } else {
                                WEIGHT_MAX
                            })
                            .with_lo(mean_range(config).lo)
                            .with_hi(mean_range(config).hi)
                            .with_fraction(mean_range(config).fraction)
                            .with_init_gain(0.1)
                            .init(device),
                        scale: QuantConvConfig::new([c + seen, PASS_LATENTS], 1)
                            .with_lo(0)
                            .with_hi(SCALE_MAX)
                            .with_fraction(0)
                            .with_gain_log2(SCALE_GAIN_LOG2)
                            .with_init_gain(2.0)
                            .with_init_bias(12.0)
                            .init(device),
                        neighbours: (pass > 0).then(|| {
                            let layer = QuantConvConfig::new([seen, seen], 3).with_depthwise(true);
                            Neighbours {
                                signed: layer
                                    .clone()
                                    .with_lo(SIGNED.lo)
                                    .with_hi(SIGNED.hi)
                                    .init(device),
                                magnitude: layer.init(device),
                            }
                        }),
                    }
                })
                .collect(),
        }
    }
}

impl<B: CodecBackend> HyperSynthesis<B> {
    /// Features of rounded hyperlatents. `plane` is [`super::quality::quality_plane`] of each picture.
    ///
    /// # Shapes
    /// `[n, z, h, w]`, `[n]` to `[n, f, 2h, 2w]`.
    ///
    /// # Errors
    /// As [`QuantConv::forward`].
    pub fn forward(
        &self,
        z: Tensor<B, 4>,
        plane: &[i32],
        precision: Precision,
    ) -> Result<Tensor<B, 4>, Error> {
        let plane: Vec<f32> = plane.iter().map(|&v| v as f32 / 16.0).collect();
        let h = with_plane(z.mul_scalar(HYPER_GAIN), &plane);
        let h = self.input.forward(h, precision)?;
        let h = self.expand.forward(h, precision)?;
        self.output.forward(B::depth_to_space2(h)?, precision)
    }
}

/// Distribution of the latents of one pass.
pub struct PassParameters<B: Backend> {
    /// Means, `[n, 192, h, w]`: in symbols, or as integers ([`mean_range`]) from layers that run in them.
    pub mean: Tensor<B, 4>,
    /// Scale indexes in `0..=63`, `[n, 192, h, w]`.
    pub scale: Tensor<B, 4>,
}

impl<B: CodecBackend> PassNetwork<B> {
    /// Parameters of this pass. `seen` holds the companded latents of all passes before.
    ///
    /// # Errors
    /// As [`QuantConv::forward`].
    pub fn forward(
        &self,
        features: Tensor<B, 4>,
        seen: Option<&Tensor<B, 4>>,
        precision: Precision,
    ) -> Result<PassParameters<B>, Error> {
        let layers = PassLayers {
            entry: self.entry.as_ref(),
            spatial: &self.spatial,
            hidden: &self.hidden,
            mean: &self.mean,
            scale: &self.scale,
            neighbours: self
                .neighbours
                .as_ref()
                .map(|neighbours| [&neighbours.signed, &neighbours.magnitude]),
        };
        layers.parameters(features, seen, |layer, x| layer.forward(x, precision))
    }
}

/// The layers of a pass in any arithmetic: with weights that learn, as integers, or as integers with gradients.
pub(super) struct PassLayers<L> {
    entry: Option<L>,
    spatial: L,
    hidden: L,
    mean: L,
    scale: L,
    /// Depthwise layers over latents and over magnitudes.
    neighbours: Option<[L; 2]>,
}

impl<L> PassLayers<L> {
    /// The layers of pass `pass` by their names in a weights file.
    ///
    /// # Errors
    /// Those of `layer`.
    pub fn load(pass: usize, layer: impl Fn(&str) -> Result<L, Error>) -> Result<Self, Error> {
        let named = |part: &str| layer(&format!("passes.{pass}.{part}"));
        // The first pass has seen no latents.
        let later = |part: &str| (pass > 0).then(|| named(part)).transpose();
        Ok(Self {
            entry: later("entry")?,
            spatial: named("spatial")?,
            hidden: named("hidden")?,
            mean: named("mean")?,
            scale: named("scale")?,
            neighbours: later("signed")?
                .zip(later("magnitude")?)
                .map(<[L; 2]>::from),
        })
    }

    /// Means and scale indexes. `seen` holds the companded latents of all passes before, `run` does the arithmetic.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn parameters<B: CodecBackend>(
        &self,
        features: Tensor<B, 4>,
        seen: Option<&Tensor<B, 4>>,
        run: impl Fn(&L, Tensor<B, 4>) -> Result<Tensor<B, 4>, Error>,
    ) -> Result<PassParameters<B>, Error> {
        let h = match self.entry.as_ref().zip(seen) {
            Some((entry, seen)) => B::concat_channels(run(entry, seen.clone())?, features),
            None => features,
        };
        let h = run(&self.hidden, run(&self.spatial, h)?)?;
        let (for_mean, for_scale) = match self.neighbours.as_ref().zip(seen) {
            Some(([signed, magnitude], seen)) => (
                B::concat_channels(h.clone(), run(signed, seen.clone())?),
                B::concat_channels(h, run(magnitude, seen.clone().abs())?),
            ),
            None => (h.clone(), h),
        };
        Ok(PassParameters {
            mean: run(&self.mean, for_mean)?,
            scale: run(&self.scale, for_scale)?,
        })
    }
}

/// [`compand`] with the rounding of the integer networks when `precision` asks for it.
pub fn context_input<B: CodecBackend>(latents: Tensor<B, 4>, precision: Precision) -> Tensor<B, 4> {
    let companded = compand(latents);
    match precision {
        Precision::Float => companded,
        Precision::Integer => B::fake_quant(companded, 16.0, -127.0, 127.0),
    }
}
