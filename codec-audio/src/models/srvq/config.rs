//! Sizes of a model.

use codec_core::Error;
use codec_core::index_context::ContextConfig;
use serde::{Deserialize, Serialize};

use super::pitch;
use super::source::FEATURES;
use crate::coder::{Format, Reach};

/// Hops of a window: a frame sees one hop before its own samples and one after.
pub const WINDOW_HOPS: usize = 3;
/// What the decoder says of each bin of a spectrum: gain and phase of the pulses, gain of the noise.
pub(super) const OUTPUTS: usize = 3;

/// Hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SrvqConfig {
    /// Samples a second, Hz.
    pub rate: u32,
    /// Samples of a frame.
    pub hop: usize,
    /// Lowest pitch, Hz.
    pub lowest: f64,
    /// Highest pitch, Hz.
    pub highest: f64,
    /// Codes of the pitch: one for none, and pitches evenly apart in octaves.
    pub pitches: usize,
    /// Mel bands that the encoder sees.
    pub bands: usize,
    /// Width of the blocks.
    pub width: usize,
    /// Units between the two layers of a block, over its width.
    pub expansion: usize,
    /// Frames that a block sees: its own and those before.
    pub kernel: usize,
    /// Blocks of the encoder.
    pub encoder_blocks: usize,
    /// Blocks of the decoder.
    pub decoder_blocks: usize,
    /// Width of the latents.
    pub latent: usize,
    /// Residual codebooks.
    pub codebooks: usize,
    /// Codes of each.
    pub codes: usize,
    /// Numbers of residual codebooks that are trained for, rising; the last is all of them.
    pub steps: Vec<u16>,
    /// Context model for the codes, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Default for SrvqConfig {
    /// Speech at 24 kHz, 75 frames a second: 0.6 kbit/s of pitch and 0.75 to 6 of spectra, before entropy coding.
    fn default() -> Self {
        Self {
            rate: 24_000,
            hop: 320,
            lowest: 60.0,
            highest: 420.0,
            pitches: 256,
            bands: 80,
            width: 192,
            expansion: 3,
            kernel: 7,
            encoder_blocks: 6,
            decoder_blocks: 8,
            latent: 64,
            codebooks: 8,
            codes: 1024,
            steps: vec![1, 2, 4, 8],
            context: None,
        }
    }
}

impl SrvqConfig {
    /// Checks sizes before anything is allocated.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let sizes = [
            ("rate", self.rate as usize, 192_000),
            ("hop", self.hop, 1 << 12),
            ("pitches", self.pitches, 1 << 12),
            ("bands", self.bands, 1 << 10),
            ("width", self.width, 1 << 12),
            ("expansion", self.expansion, 16),
            ("kernel", self.kernel, 64),
            ("encoder_blocks", self.encoder_blocks, 64),
            ("decoder_blocks", self.decoder_blocks, 64),
            ("latent", self.latent, 1 << 12),
            ("codebooks", self.codebooks, 64),
            ("codes", self.codes, 1 << 14),
        ];
        for (name, size, most) in sizes {
            if !(1..=most).contains(&size) {
                return Err(Error::bad_parameter(format!(
                    "srvq: {name} {size} (expected 1..={most})"
                )));
            }
        }
        let range = self.lowest >= 20.0 && self.lowest < self.highest;
        if !range || self.highest > f64::from(self.rate) / 8.0 || self.pitches < 2 {
            return Err(Error::bad_parameter(format!(
                "srvq: {} pitches from {} to {} Hz at {} Hz",
                self.pitches, self.lowest, self.highest, self.rate
            )));
        }
        if !pitch::fits(self) {
            return Err(Error::bad_parameter(format!(
                "srvq: hop {} (expected {WINDOW_HOPS} of them to hold two periods of {} Hz)",
                self.hop, self.lowest
            )));
        }
        let steps = &self.steps;
        let rising = steps.is_sorted_by(|a, b| a < b) && steps.first() > Some(&0);
        if !rising || steps.last().map(|&last| last.into()) != Some(self.codebooks) {
            return Err(Error::bad_parameter(format!(
                "srvq: steps {steps:?} (expected rising numbers up to {} codebooks)",
                self.codebooks
            )));
        }
        if let Some(context) = &self.context {
            context.check()?;
            if context.codes != self.books() || context.rows != 0 {
                return Err(Error::bad_parameter(format!(
                    "srvq: a context model for {:?} codes",
                    context.codes
                )));
            }
        }
        Ok(())
    }

    /// Codes of each codebook: that of the pitch, then the residual ones.
    pub fn books(&self) -> Vec<usize> {
        let mut books = vec![self.codes; self.codebooks + 1];
        if let Some(pitch) = books.first_mut() {
            *pitch = self.pitches;
        }
        books
    }

    /// Codebooks that a quality in 0..=1 stands for, that of the pitch among them: the steps in equal parts.
    pub fn codebooks_for(&self, t: f32) -> usize {
        let step = (t * self.steps.len() as f32) as usize;
        let step = step.min(self.steps.len().saturating_sub(1));
        usize::from(self.steps.get(step).copied().unwrap_or(1)) + 1
    }

    /// Samples that a frame sees.
    pub fn window(&self) -> usize {
        WINDOW_HOPS * self.hop
    }

    /// Values of a spectrum: as many real parts as imaginary ones.
    pub fn bins(&self) -> usize {
        self.window() / 2 + 1
    }

    /// Rate, channels and codebooks.
    pub fn format(&self) -> Format {
        Format {
            rate: self.rate,
            channels: 1,
            hop: self.hop as u32,
            codebooks: self.books().into_iter().map(|n| n as u32).collect(),
            steps: self.steps.iter().map(|step| step + 1).collect(),
        }
    }

    /// All blocks look back; the window looks ahead by a hop, in both directions of coding. Pulses go on through a run of
    /// frames with pitch, of which the decoder sees two seconds: what is longer has a seam.
    pub fn reach(&self) -> Reach {
        let back = |blocks: usize| (blocks * (self.kernel - 1)) as u32;
        let hop = self.hop as u32;
        Reach::Limited {
            before: (back(self.encoder_blocks).max(pitch::PATH as u32) + 2) * hop,
            after: hop,
            frames_before: back(self.decoder_blocks).max(2 * self.rate / hop.max(1)) + 1,
            frames_after: 1,
        }
    }

    /// Multiply-accumulates of encoding and decoding for a sample.
    pub fn macs(&self) -> [f64; 2] {
        let (w, bins, window) = (self.width, self.bins(), self.window());
        let block = w * self.kernel + 2 * w * w * self.expansion;
        let transform = 2 * bins * window;
        let search = self.codebooks * self.codes * self.latent;
        let encode = transform
            + bins * self.bands
            + (self.bands + FEATURES) * w
            + self.encoder_blocks * block
            + w * self.latent
            + search;
        let decode = (self.latent + FEATURES) * w
            + self.decoder_blocks * block
            + OUTPUTS * bins * w
            + 3 * transform;
        [encode, decode].map(|macs| macs as f64 / self.hop as f64)
    }
}
