//! Hyperparameters, from the shapes of the encoder's tensors and what came with the checkpoint.

use codec_core::Error;
use codec_core::backend::Border;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};

use crate::models::given::{COUNT_MAX, Given, HOP_MAX, WIDTH_MAX, agree, at_most, shape};

/// Most taps of a convolution, with what lies between them.
const KERNEL_MAX: usize = 1 << 12;

/// What follows every convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nothing. Weight normalization is folded when a model is imported.
    #[serde(alias = "none")]
    WeightNorm,
    /// Normalization over all channels and the whole time.
    TimeGroupNorm,
}

/// Hyperparameters, under the names of the authors' configuration files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeanetConfig {
    /// Channels of the sound.
    pub channels: usize,
    /// Width of the features.
    pub dimension: usize,
    /// Channels at the full rate.
    pub n_filters: usize,
    /// Residual blocks a stage.
    pub n_residual_layers: usize,
    /// Strides of the stages in the order of the decoder.
    pub ratios: Vec<usize>,
    /// Taps of the first convolution.
    pub kernel_size: usize,
    /// Taps of the last convolution.
    pub last_kernel_size: usize,
    /// Taps of the first convolution of a residual block.
    pub residual_kernel_size: usize,
    /// Dilation of residual block i of a stage is this to the power i.
    pub dilation_base: usize,
    /// Channels of a residual block over those inside of it.
    pub compress: usize,
    /// Layers of memory.
    pub lstm: usize,
    /// Whether residual blocks add their input as it is, without a convolution.
    pub true_skip: bool,
    /// What lies beyond the ends of a signal: `reflect`, `constant` (zeros) or `replicate`.
    pub pad_mode: String,
    /// What follows every convolution.
    pub norm: Norm,
    /// Whether no output depends on what comes after its frame.
    pub causal: bool,
    /// Share of a causal transposed convolution's excess that is cut off at the end.
    pub trim_right_ratio: f64,
}

impl SeanetConfig {
    /// Hyperparameters of an encoder whose layers are `part.0`, `part.1`, ...; what is given must agree with the shapes.
    /// `causal` is what holds if nothing is given.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tensors that are no such encoder, [`Error::BadParameter`] if the given configuration
    /// contradicts them, [`Error::Unsupported`] for borders that are not known.
    pub(crate) fn new(
        tensors: &Tensors,
        part: &str,
        given: Given<'_>,
        causal: bool,
    ) -> Result<Self, Error> {
        let there = |index: usize, rest: &str| tensors.contains(&format!("{part}.{index}.{rest}"));
        let weight = |index: usize, rest: &str| {
            shape::<3>(tensors, &format!("{part}.{index}.{rest}.conv.conv.weight"))
        };
        let convolution =
            |index: usize| shape::<3>(tensors, &format!("{part}.{index}.conv.conv.weight"));
        let [n_filters, channels, kernel_size] = convolution(0)?;
        let (mut ratios, mut n_residual_layers, mut lstm) = (Vec::new(), 0, 0);
        let (mut inside, mut residual_kernel_size, mut true_skip) = (n_filters, 1, true);
        let mut last = [0; 3];
        for index in 1..COUNT_MAX {
            if there(index, "block.1.conv.conv.weight") {
                if ratios.is_empty() {
                    n_residual_layers += 1;
                    let [hidden, _, taps] = weight(index, "block.1")?;
                    (inside, residual_kernel_size) = (hidden, taps);
                    true_skip = !there(index, "shortcut.conv.conv.weight");
                }
            } else if there(index, "lstm.weight_ih_l0") {
                let layer = |layer: &usize| there(index, &format!("lstm.weight_ih_l{layer}"));
                lstm = (0..COUNT_MAX).take_while(layer).count();
            } else if there(index, "conv.conv.weight") {
                last = convolution(index)?;
                ratios.push(last[2] / 2);
            }
        }
        // The last convolution is no stage.
        ratios.pop();
        ratios.reverse();
        let config = Self {
            channels,
            dimension: last[0],
            n_filters,
            n_residual_layers,
            ratios,
            kernel_size,
            last_kernel_size: last[2],
            residual_kernel_size,
            dilation_base: given.positive("dilation_base", 2, KERNEL_MAX)?,
            compress: n_filters.checked_div(inside).unwrap_or(0),
            lstm,
            true_skip,
            pad_mode: given.text("pad_mode").unwrap_or("reflect").to_owned(),
            norm: if there(0, "conv.norm.weight") {
                Norm::TimeGroupNorm
            } else {
                Norm::WeightNorm
            },
            causal: given.flag("causal").unwrap_or(causal),
            trim_right_ratio: given.real("trim_right_ratio").unwrap_or(1.0),
        };
        config.check()?;
        for (name, found) in [
            ("channels", channels),
            ("dimension", config.dimension),
            ("n_filters", n_filters),
            ("n_residual_layers", n_residual_layers),
            ("kernel_size", kernel_size),
            ("last_kernel_size", config.last_kernel_size),
            ("lstm", lstm),
        ] {
            given.agree(name, found)?;
        }
        given.agree_all("ratios", &config.ratios)?;
        if n_residual_layers > 0 {
            given.agree("residual_kernel_size", residual_kernel_size)?;
            given.agree("compress", config.compress)?;
            agree("true_skip", given.flag("true_skip"), true_skip)?;
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        for (what, value, most) in [
            ("channels of the sound", self.channels, 64),
            ("width of the features", self.dimension, WIDTH_MAX),
            ("channels at the full rate", self.n_filters, WIDTH_MAX),
            (
                "taps of the first convolution",
                self.kernel_size,
                KERNEL_MAX,
            ),
            (
                "taps of the last convolution",
                self.last_kernel_size,
                KERNEL_MAX,
            ),
            ("taps of a block", self.residual_kernel_size, KERNEL_MAX),
            ("compression of a block", self.compress, WIDTH_MAX),
            ("number of stages", self.ratios.len(), 16),
            ("widest layer", self.width(self.ratios.len()), WIDTH_MAX),
        ] {
            at_most(what, value, most)?;
        }
        for &ratio in &self.ratios {
            at_most("stride", ratio, HOP_MAX)?;
        }
        let hop = self
            .ratios
            .iter()
            .try_fold(1usize, |n, &r| n.checked_mul(r));
        at_most("hop", hop.unwrap_or(usize::MAX), HOP_MAX)?;
        for block in 0..self.n_residual_layers {
            at_most("dilation", self.dilation(block), KERNEL_MAX)?;
        }
        if !(0.0..=1.0).contains(&self.trim_right_ratio) {
            return Err(Error::bad_parameter(format!(
                "trim_right_ratio {} (expected 0 to 1)",
                self.trim_right_ratio
            )));
        }
        self.border().map(|_| ())
    }

    /// Samples for one frame of features.
    pub fn hop(&self) -> usize {
        self.ratios.iter().product()
    }

    /// Channels after so many stages of the encoder.
    pub fn width(&self, stage: usize) -> usize {
        self.n_filters << stage.min(16)
    }

    /// Dilation of a residual block of a stage.
    pub(super) fn dilation(&self, block: usize) -> usize {
        self.dilation_base.saturating_pow(block as u32)
    }

    /// What lies beyond the ends of a signal.
    pub(super) fn border(&self) -> Result<Border, Error> {
        match self.pad_mode.as_str() {
            "reflect" => Ok(Border::Reflect),
            "constant" | "zero" => Ok(Border::Zeros),
            "replicate" => Ok(Border::Edge),
            other => Err(Error::unsupported(format!("pad_mode '{other}'"))),
        }
    }
}
