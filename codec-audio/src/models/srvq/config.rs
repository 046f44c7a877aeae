//! Sizes of a model.

use codec_core::Error;
use codec_core::index_context::ContextConfig;
use serde::{Deserialize, Serialize};

use crate::coder::{Format, Reach};

/// Hops of a window: a frame sees one hop before its own samples and one after.
pub const WINDOW_HOPS: usize = 3;

/// Hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SrvqConfig {
    /// Samples a second, Hz.
    pub rate: u32,
    /// Samples of a frame.
    pub hop: usize,
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
    /// Codebooks.
    pub codebooks: usize,
    /// Codes of each.
    pub codes: usize,
    /// Numbers of codebooks that are trained for, rising; the last is all of them.
    pub steps: Vec<u16>,
    /// Context model for the codes, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextConfig>,
}

impl Default for SrvqConfig {
    /// Speech at 24 kHz, 75 frames a second, 0.75 to 6 kbit/s before entropy coding.
    fn default() -> Self {
        Self {
            rate: 24_000,
            hop: 320,
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
            if context.codes != vec![self.codes; self.codebooks] || context.rows != 0 {
                return Err(Error::bad_parameter(format!(
                    "srvq: a context model for {:?} codes",
                    context.codes
                )));
            }
        }
        Ok(())
    }

    /// Codebooks that a quality in 0..=1 stands for: the steps in equal parts.
    pub fn codebooks_for(&self, t: f32) -> usize {
        let step = (t * self.steps.len() as f32) as usize;
        let step = step.min(self.steps.len().saturating_sub(1));
        self.steps.get(step).copied().unwrap_or(1).into()
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
            codebooks: vec![self.codes as u32; self.codebooks],
            steps: self.steps.clone(),
        }
    }

    /// All blocks look back; the window looks ahead by a hop, in both directions of coding.
    pub fn reach(&self) -> Reach {
        let back = |blocks: usize| (blocks * (self.kernel - 1)) as u32;
        let hop = self.hop as u32;
        Reach::Limited {
            before: (back(self.encoder_blocks) + 1) * hop,
            after: hop,
            frames_before: back(self.decoder_blocks) + 1,
            frames_after: 1,
        }
    }

    /// Multiply-accumulates of encoding and decoding for a sample.
    pub fn macs(&self) -> [f64; 2] {
        let (w, bins, window) = (self.width, self.bins(), self.window());
        let block = w * self.kernel + 2 * w * w * self.expansion;
        let transform = 2 * bins * window;
        let search = self.codebooks * self.codes * self.latent;
        let encode =
            transform + 3 * bins * w + self.encoder_blocks * block + w * self.latent + search;
        let decode = self.latent * w + self.decoder_blocks * block + 2 * bins * w + transform;
        [encode, decode].map(|macs| macs as f64 / self.hop as f64)
    }
}
