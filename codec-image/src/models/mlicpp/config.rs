//! Hyperparameters of MLIC++.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};

/// Widest layer that a checkpoint may ask for.
const MAX_WIDTH: usize = 4_096;
/// Most slices.
const MAX_SLICES: usize = 64;
/// Largest side of an attention window.
const MAX_WINDOW: usize = 15;
/// Most blocks in place of a residual block.
const MAX_MIXING: usize = 16;
/// Channels of a head of the global context between slices in the published models.
const GLOBAL_HEAD: usize = 32;

/// Which of the published generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The checkpoints of 2024: residual prediction of fixed widths, a wider start of the synthesis.
    New,
    /// The checkpoints of 2023.
    Old,
}

/// Hyperparameters, under the names of the authors' code where it has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlicppConfig {
    /// Width of the transforms, and channels of the hyperlatents.
    #[serde(rename = "N")]
    pub width: usize,
    /// Channels of the latents.
    #[serde(rename = "M")]
    pub latents: usize,
    /// Slices of equal size that the latents' channels are coded in.
    pub slice_num: usize,
    /// Side of the windows of the local context.
    pub context_window: usize,
    /// Heads of the local context.
    pub local_heads: usize,
    /// Channels of a head of the global context between slices.
    pub global_head_dim: usize,
    /// Generation.
    pub variant: Variant,
    /// Hidden widths of the entropy parameters.
    pub entropy_hidden: Vec<usize>,
    /// Hidden widths of the channel context; empty with a single slice.
    pub channel_hidden: Vec<usize>,
    /// Hidden widths of the residual prediction; those of the old generation follow from its input and are not listed.
    pub lrp_hidden: Vec<usize>,
    /// MLICv2: token mixing blocks in place of each residual block that keeps the size. None in MLIC++; the paper's number is
    /// not known for certain, we read two.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub token_mixing: usize,
    /// MLICv2: global context within the first slice, too, where the hyperprior's features say which anchors matter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_slice_context: bool,
}

/// So that files of MLIC++ say nothing of MLICv2.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What a configuration file may say; anything else in it is ignored.
#[derive(Debug, Default, Deserialize)]
struct Given {
    #[serde(rename = "N")]
    width: Option<usize>,
    #[serde(rename = "M")]
    latents: Option<usize>,
    slice_num: Option<usize>,
    context_window: Option<usize>,
    local_heads: Option<usize>,
    global_head_dim: Option<usize>,
    variant: Option<Variant>,
    entropy_hidden: Option<Vec<usize>>,
    channel_hidden: Option<Vec<usize>>,
    lrp_hidden: Option<Vec<usize>>,
    token_mixing: Option<usize>,
    first_slice_context: Option<bool>,
}

impl MlicppConfig {
    /// Channels of a slice.
    pub fn slice_channels(&self) -> usize {
        self.latents / self.slice_num.max(1)
    }

    /// Heads of the global context of slice `index`, which sees as many slices.
    pub fn global_heads(&self, index: usize) -> usize {
        let channels = index * self.slice_channels();
        channels.checked_div(self.global_head_dim).unwrap_or(0)
    }

    /// The model of a checkpoint. Shapes tell everything but the heads of the global context between slices, which come
    /// from the given configuration or are those of the published models.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is none of this family, [`Error::BadParameter`] if the given configuration is of another
    /// model.
    pub fn of(tensors: &Tensors, given: Option<&serde_json::Value>) -> Result<Self, Error> {
        let given: Given = match given {
            Some(given) => Deserialize::deserialize(given)
                .map_err(|e| Error::bad_parameter(format!("configuration: {e}")))?,
            None => Given::default(),
        };
        let length = |name: &str, dimension: usize| {
            let shape = tensors.shape(name);
            let shape = shape.ok_or_else(|| missing(name))?;
            match shape.get(dimension) {
                Some(&length) if (1..=MAX_WIDTH).contains(&length) => Ok(length),
                _ => Err(misshaped(name, shape)),
            }
        };
        let width = length("g_a.analysis_transform.0.conv1.weight", 0)?;
        let latents = length("g_a.analysis_transform.6.weight", 0)?;
        let slice_num = (0..=MAX_SLICES)
            .take_while(|i| tensors.contains(&format!("local_context.{i}.qkv_proj.weight")))
            .count();
        if !(1..=MAX_SLICES).contains(&slice_num) || !latents.is_multiple_of(slice_num) {
            return Err(Error::malformed(format!(
                "weights: {latents} latents in {slice_num} slices (expected 1..={MAX_SLICES} of equal size)"
            )));
        }
        let slice = latents / slice_num;
        let hidden = |part: &str, suffix: &str| {
            let name = |index: usize| format!("{part}.{}{suffix}", 2 * index);
            let count = (0..MAX_SLICES)
                .take_while(|&i| tensors.contains(&name(i)))
                .count();
            let widths = (0..count.saturating_sub(1)).map(|i| length(&name(i), 0));
            widths.collect::<Result<Vec<_>, Error>>()
        };
        let variant = match tensors.contains("lrp_anchor.0.lrp_transform.6.weight")
            || tensors.contains("g_s.synthesis_transform.0.skip.weight")
        {
            true => Variant::Old,
            false => Variant::New,
        };
        let mixing = (0..=MAX_MIXING)
            .take_while(|i| {
                let name = format!("g_a.analysis_transform.1.{i}.norm1.weight");
                tensors.contains(&name)
            })
            .count();
        let config = Self {
            width,
            latents,
            slice_num,
            context_window: length("local_context.0.fusion.weight", 2)?,
            local_heads: length("local_context.0.relative_position_table", 1)?,
            global_head_dim: given.global_head_dim.unwrap_or(GLOBAL_HEAD.min(slice)),
            variant,
            entropy_hidden: hidden("entropy_parameters_anchor.0.fusion", ".weight")?,
            channel_hidden: hidden("channel_context.1.fushion", ".weight")?,
            lrp_hidden: match variant {
                Variant::New => hidden("lrp_anchor.0.lrp_transform", ".weight")?,
                Variant::Old => Vec::new(),
            },
            token_mixing: mixing,
            first_slice_context: tensors.contains("global_intra_context.0.reprojection.weight"),
        };
        config.compare(&given)?;
        config.check()?;
        Ok(config)
    }

    fn compare(&self, given: &Given) -> Result<(), Error> {
        let numbers = [
            ("N", given.width, self.width),
            ("M", given.latents, self.latents),
            ("slice_num", given.slice_num, self.slice_num),
            ("context_window", given.context_window, self.context_window),
            ("local_heads", given.local_heads, self.local_heads),
            ("token_mixing", given.token_mixing, self.token_mixing),
        ];
        for (key, given, value) in numbers {
            agree(key, given, &value)?;
        }
        agree("variant", given.variant, &self.variant)?;
        agree(
            "first_slice_context",
            given.first_slice_context,
            &self.first_slice_context,
        )?;
        agree(
            "entropy_hidden",
            given.entropy_hidden.as_ref(),
            &&self.entropy_hidden,
        )?;
        if self.slice_num > 1 {
            let given = given.channel_hidden.as_ref();
            agree("channel_hidden", given, &&self.channel_hidden)?;
        }
        if self.variant == Variant::New {
            agree("lrp_hidden", given.lrp_hidden.as_ref(), &&self.lrp_hidden)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let slice = self.slice_channels();
        let window = self.context_window;
        if window.is_multiple_of(2) || window > MAX_WINDOW {
            return Err(Error::malformed(format!(
                "weights: windows of side {window} (expected an odd number up to {MAX_WINDOW})"
            )));
        }
        if !slice.is_multiple_of(2) || !slice.is_multiple_of(self.local_heads) {
            return Err(Error::malformed(format!(
                "weights: slices of {slice} channels for {} heads and pairs of heads",
                self.local_heads
            )));
        }
        if self.token_mixing > MAX_MIXING {
            return Err(Error::malformed(format!(
                "weights: more than {MAX_MIXING} blocks in place of a residual block"
            )));
        }
        if self.token_mixing > 0 && self.variant == Variant::Old {
            return Err(Error::malformed(
                "weights: token mixing with the old generation's synthesis, whose first block changes its width",
            ));
        }
        for index in 1..self.slice_num {
            let heads = self.global_heads(index);
            if heads == 0 || !(index * slice).is_multiple_of(heads) {
                return Err(Error::bad_parameter(format!(
                    "invalid global_head_dim {} (slices of {slice} channels)",
                    self.global_head_dim
                )));
            }
        }
        Ok(())
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(
    key: &str,
    given: Option<T>,
    value: &T,
) -> Result<(), Error> {
    match given {
        Some(given) if given != *value => Err(Error::bad_parameter(format!(
            "configuration says {key} = {given:?}, the tensors {value:?}"
        ))),
        _ => Ok(()),
    }
}

fn missing(name: &str) -> Error {
    Error::malformed(format!("weights: {name} is missing"))
}

fn misshaped(name: &str, shape: &[usize]) -> Error {
    Error::malformed(format!("weights: {name} has shape {shape:?}"))
}
