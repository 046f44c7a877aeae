//! Patch discriminator for pictures (Isola et al., "Image-to-image translation with conditional adversarial networks",
//! 2017, as VQGAN uses it).

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::Judgement;
use crate::losses::LossError;

/// Slope of the activations below 0.
const SLOPE: f64 = 0.2;
/// Standard deviation of initial weights.
const SPREAD: f64 = 0.02;

/// Normalization between the layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchNorm {
    /// Over the batch, as published. A batch that is split over devices is normalized part by part.
    #[default]
    Batch,
    /// Over each channel of each picture.
    Instance,
    /// None.
    None,
}

/// Configuration of [`Patch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PatchConfig {
    /// Channels of the pictures.
    pub inputs: usize,
    /// Channels of the first layer; each of the next three doubles them.
    pub channels: usize,
    /// Layers that halve the resolution.
    pub layers: usize,
    /// Normalization between the layers.
    pub norm: PatchNorm,
}

impl Default for PatchConfig {
    fn default() -> Self {
        Self {
            inputs: 3,
            channels: 64,
            layers: 3,
            norm: PatchNorm::Batch,
        }
    }
}

impl Config for PatchConfig {}

impl PatchConfig {
    /// A discriminator with weights from N(0, 0.02) and norms from N(1, 0.02).
    pub fn init<B: Backend>(&self, device: &B::Device) -> Patch<B> {
        let mut widths = vec![self.channels];
        widths.extend((1..=self.layers).map(|i| self.channels << i.min(3)));
        let conv = |input: usize, output: usize, stride: usize, bias: bool| {
            let mut conv = Conv2dConfig::new([input, output], [4, 4])
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(bias)
                .with_initializer(Initializer::Normal {
                    mean: 0.0,
                    std: SPREAD,
                })
                .init(device);
            if bias {
                conv.bias = Some(Initializer::Zeros.init([output], device));
            }
            conv
        };
        let blocks = widths
            .windows(2)
            .enumerate()
            .filter_map(|(i, pair)| match *pair {
                [input, output] => {
                    let last = i + 1 == self.layers;
                    Some(PatchBlock {
                        conv: conv(
                            input,
                            output,
                            if last { 1 } else { 2 },
                            self.norm == PatchNorm::None,
                        ),
                        norm: PatchNormLayer::new(self.norm, output, device),
                    })
                }
                _ => None,
            })
            .collect();
        Patch {
            first: conv(self.inputs, self.channels, 2, true),
            blocks,
            last: conv(widths.last().copied().unwrap_or(self.channels), 1, 1, true),
        }
    }
}

/// One of the layers in between.
#[derive(Module, Debug)]
pub struct PatchBlock<B: Backend> {
    conv: Conv2d<B>,
    norm: PatchNormLayer<B>,
}

/// The norm that [`PatchNorm`] chooses.
#[derive(Module, Debug)]
// One of a handful of layers; a box would not be a module.
#[allow(clippy::large_enum_variant)]
pub enum PatchNormLayer<B: Backend> {
    /// Over the batch.
    Batch(BatchNorm<B>),
    /// One group for each channel.
    Instance(GroupNorm<B>),
    /// Nothing; the field is a placeholder without parameters.
    None(burn::nn::Relu),
}

impl<B: Backend> PatchNormLayer<B> {
    fn new(norm: PatchNorm, channels: usize, device: &B::Device) -> Self {
        let gamma = |param: Param<Tensor<B, 1>>| {
            drop(param);
            Initializer::Normal {
                mean: 1.0,
                std: SPREAD,
            }
            .init([channels], device)
        };
        match norm {
            PatchNorm::Batch => {
                let mut layer = BatchNormConfig::new(channels).init(device);
                layer.gamma = gamma(layer.gamma);
                Self::Batch(layer)
            }
            PatchNorm::Instance => {
                let mut layer = GroupNormConfig::new(channels, channels).init(device);
                layer.gamma = layer.gamma.map(gamma);
                Self::Instance(layer)
            }
            PatchNorm::None => Self::None(burn::nn::Relu::new()),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Batch(layer) => layer.forward(x),
            Self::Instance(layer) => layer.forward(x),
            Self::None(_) => x,
        }
    }
}

/// Convolutions that judge overlapping patches, 70x70 with the defaults.
///
/// Kernels are 4x4 with padding 1: the first of stride 2, then `layers` more with norms, all but the last of stride 2,
/// then one to a single channel. The features are the activations after each but the last.
#[derive(Module, Debug)]
pub struct Patch<B: Backend> {
    first: Conv2d<B>,
    blocks: Vec<PatchBlock<B>>,
    last: Conv2d<B>,
}

impl<B: Backend> Patch<B> {
    /// Smallest side of a picture.
    pub fn min_side(&self) -> usize {
        // The two last layers take one line each off, the halving ones need twice as much.
        let halvings = 1 + self.blocks.len().saturating_sub(1);
        3 << halvings
    }

    /// # Shapes
    /// `[n, c, h, w]`, values in 0..1; they are stretched to -1..1 first.
    ///
    /// # Errors
    /// [`LossError::TooSmall`].
    pub fn forward(&self, pictures: Tensor<B, 4>) -> Result<Judgement<B>, LossError> {
        let [_, _, h, w] = pictures.dims();
        if h.min(w) < self.min_side() {
            return Err(LossError::TooSmall {
                term: "patch discriminator".into(),
                what: "shorter side",
                found: h.min(w),
                smallest: self.min_side(),
            });
        }
        let x = pictures.mul_scalar(2.0).sub_scalar(1.0);
        let mut x = leaky_relu(self.first.forward(x), SLOPE);
        let mut features = vec![x.clone()];
        for block in &self.blocks {
            x = leaky_relu(block.norm.forward(block.conv.forward(x)), SLOPE);
            features.push(x.clone());
        }
        Ok(Judgement {
            logits: self.last.forward(x),
            features,
        })
    }
}
