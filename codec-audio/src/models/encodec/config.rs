//! Hyperparameters.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::coder::Format;
use crate::models::given::{Given, at_most, codebooks};
use crate::models::seanet::SeanetConfig;

/// Share of a codebook that a bitrate may lack.
const ROUNDING: f64 = 1e-5;
/// Longest segment in samples.
const SEGMENT_MAX: usize = 1 << 24;

/// Hyperparameters of EnCodec, under the names of the authors' arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodecConfig {
    /// Encoder and decoder.
    #[serde(flatten)]
    pub seanet: SeanetConfig,
    /// Samples a second.
    pub sample_rate: usize,
    /// Codebooks.
    pub n_q: usize,
    /// Codes of a codebook.
    pub bins: usize,
    /// Bitrates that the model was trained for, kbit/s.
    pub target_bandwidths: Vec<f64>,
    /// Whether every segment is divided by its volume.
    pub normalize: bool,
    /// Length of a segment in seconds; none if a recording is one.
    pub segment: Option<f64>,
    /// Share of a segment that overlaps with the next one.
    pub overlap: f64,
}

impl EncodecConfig {
    /// Hyperparameters of tensors under normalized names. What the shapes do not tell and nobody gives is as in the published
    /// model with the same normalization: 48 kHz with one over time, 24 kHz without.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tensors that are no EnCodec, [`Error::BadParameter`] if the given configuration contradicts
    /// them.
    pub fn new(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        let given = Given(given);
        let wide = tensors.contains("encoder.model.0.conv.norm.weight");
        let seanet = SeanetConfig::new(tensors, "encoder.model", given, !wide)?;
        let [n_q, bins, width] = codebooks(tensors, "quantizer.vq.layers", "_codebook.embed")?;
        if width != seanet.dimension {
            return Err(Error::malformed(format!(
                "codes have {width} values, features {}",
                seanet.dimension
            )));
        }
        given.agree("n_q", n_q)?;
        given.agree("bins", bins)?;
        let published: &[f64] = if wide {
            &[3.0, 6.0, 12.0, 24.0]
        } else {
            &[1.5, 3.0, 6.0, 12.0, 24.0]
        };
        let segment = match given.is_null("segment") {
            true => None,
            false => given.real("segment").or(wide.then_some(1.0)),
        };
        let rate = if wide { 48_000 } else { 24_000 };
        let config = Self {
            seanet,
            sample_rate: given.positive("sample_rate", rate, 1 << 24)?,
            n_q,
            bins,
            target_bandwidths: given
                .reals("target_bandwidths")
                .unwrap_or_else(|| published.to_vec()),
            normalize: given.flag("normalize").unwrap_or(wide),
            segment,
            overlap: given.real("overlap").unwrap_or(0.01),
        };
        if let Some(length) = config.segment_length() {
            at_most("samples of a segment", length, SEGMENT_MAX)?;
            at_most(
                "samples from segment to segment",
                config.segment_stride(),
                length,
            )?;
        }
        Ok(config)
    }

    /// Samples of a segment.
    pub fn segment_length(&self) -> Option<usize> {
        self.segment
            .map(|seconds| (seconds * self.sample_rate as f64) as usize)
    }

    /// Samples from the beginning of one segment to that of the next.
    pub fn segment_stride(&self) -> usize {
        let length = self.segment_length().unwrap_or(usize::MAX);
        ((1.0 - self.overlap) * length as f64) as usize
    }

    /// Codebooks for a bitrate in kbit/s: as many as fit, but one at least.
    pub fn codebooks_for(&self, bandwidth: f64) -> usize {
        let frames = self.sample_rate.div_ceil(self.seanet.hop());
        let each = (self.bins as f64).log2() * frames as f64;
        // A bitrate that was stored in 32 bits may be a little less than it was.
        let fit = (bandwidth * 1000.0 / each.max(1.0) + ROUNDING).floor();
        (fit as usize).clamp(1, self.n_q)
    }

    /// What coders say of the model.
    pub(super) fn format(&self) -> Format {
        let mut steps: Vec<u16> = self
            .target_bandwidths
            .iter()
            .map(|&bandwidth| self.codebooks_for(bandwidth) as u16)
            .collect();
        steps.push(self.n_q as u16);
        steps.sort_unstable();
        steps.dedup();
        Format {
            rate: self.sample_rate as u32,
            channels: self.seanet.channels as u16,
            hop: self.seanet.hop() as u32,
            codebooks: vec![self.bins as u32; self.n_q],
            steps,
        }
    }

    /// Whether a recording is coded as one piece whose codes are all that there is to it.
    pub(super) fn is_plain(&self) -> bool {
        self.segment.is_none() && !self.normalize
    }
}
