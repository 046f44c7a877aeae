//! Hyperparameters.

use codec_core::Error;
use codec_core::layers::Companding;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::coder::Format;
use crate::models::given::{Given, WIDTH_MAX, at_most, shape};

/// Most levels of the transform: frames then have 4096 samples.
const LEVELS_MAX: usize = 12;
/// Sample rate of the authors' models, Hz.
const RATE: usize = 44_100;
/// Longest filter behind the synthesis, in samples.
const FILTER_MAX: usize = 1 << 12;

/// Hyperparameters, under the authors' names in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walloc1dConfig {
    /// Channels of a recording.
    pub channels: usize,
    /// Levels of the wavelet packet transform.
    #[serde(rename = "J")]
    pub levels: usize,
    /// Width of the full encoder; the lightweight one has none.
    #[serde(rename = "Ne")]
    pub encoder_width: Option<usize>,
    /// Width of the decoder, rounded down to a multiple of the channels of the latents.
    #[serde(rename = "Nd")]
    pub decoder_width: usize,
    /// Channels of the latents.
    pub latent_dim: usize,
    /// Bits of an integer of the latents.
    pub latent_bits: u32,
    /// Whether the encoder is a single convolution.
    pub lightweight_encode: bool,
    /// Whether a filter follows the synthesis.
    pub post_filter: bool,
    /// Taps of that filter.
    pub post_taps: usize,
    /// Samples a second, Hz. The authors' files do not tell it; theirs have 44 100.
    pub sample_rate: usize,
}

impl Default for Walloc1dConfig {
    /// `stereo_5x` of the authors with frames half as long and a decoder of width 128, which a CPU can train.
    fn default() -> Self {
        Self {
            channels: 2,
            levels: 7,
            encoder_width: None,
            decoder_width: 128,
            latent_dim: 128,
            latent_bits: 9,
            lightweight_encode: true,
            post_filter: false,
            post_taps: 0,
            sample_rate: RATE,
        }
    }
}

impl Walloc1dConfig {
    /// Checks every value of a model that is to be trained.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let within = |name: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::bad_parameter(format!(
                "walloc1d: invalid {name} {value} (expected {least}..={most})"
            )))
        };
        within("channels", self.channels, 1, 2)?;
        within("J", self.levels, 0, LEVELS_MAX)?;
        within("latent_dim", self.latent_dim, 1, WIDTH_MAX)?;
        within("Nd", self.decoder_width, self.latent_dim, WIDTH_MAX)?;
        match self.encoder_width {
            None if self.lightweight_encode => {}
            Some(_) if self.lightweight_encode => {
                return Err(Error::bad_parameter(
                    "walloc1d: Ne of a lightweight encoder (it has no width)",
                ));
            }
            width => within("Ne", width.unwrap_or(0), self.latent_dim, WIDTH_MAX)?,
        }
        if self.post_filter {
            within("post_taps", self.post_taps, 1, FILTER_MAX)?;
            if self.post_taps.is_multiple_of(2) {
                return Err(Error::bad_parameter(
                    "walloc1d: invalid post_taps (expected an odd number)",
                ));
            }
        }
        let (least, most) = (*crate::io::RATES.start(), *crate::io::RATES.end());
        within(
            "sample_rate",
            self.sample_rate,
            least as usize,
            most as usize,
        )?;
        Companding::new(self.latent_bits).map(|_| ())
    }

    /// Multiply-accumulates per sample (of all channels at once) of encoder and decoder networks, without the transform.
    pub fn macs(&self) -> [f64; 2] {
        let (packets, dim) = (self.packets(), self.latent_dim);
        let width = |told: usize| told / dim.max(1) * dim;
        // Three units of a convolution of seven taps and one of one.
        let units = |width: usize| 24 * width * width;
        let encode = match self.encoder_width.filter(|_| !self.lightweight_encode) {
            Some(told) => {
                let w = width(told);
                7 * packets * dim + units(dim) + 2 * dim * w + units(w) + 2 * w * w + 3 * w * dim
            }
            None => packets * dim,
        };
        let w = width(self.decoder_width);
        let decode =
            7 * dim * w + 2 * w * w + units(w) + 2 * w * dim + units(dim) + 7 * dim * packets;
        let filter = self.channels * self.channels * self.post_taps;
        let hop = self.hop() as f64;
        [encode as f64 / hop, decode as f64 / hop + filter as f64]
    }

    /// Channels of wavelet packets, `channels * 2^J`.
    pub fn packets(&self) -> usize {
        self.channels << self.levels
    }

    /// Samples of a frame of latents, `2^J`.
    pub fn hop(&self) -> usize {
        1 << self.levels
    }

    /// Fewest frames for which the transform can be inverted: ten samples at the last level, as long as its filters.
    pub fn frames_min(&self) -> usize {
        if self.levels == 0 { 1 } else { 5 }
    }

    /// What the file layer has to know.
    pub(super) fn format(&self) -> Format {
        Format {
            rate: self.sample_rate as u32,
            channels: self.channels as u16,
            hop: self.hop() as u32,
            codebooks: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Hyperparameters of a checkpoint. Everything but channels, levels and the bits of the latents follows from shapes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `given` and shapes contradict each other or something is told by neither,
    /// [`Error::BadParameter`] for values that no model has.
    pub fn of(tensors: &Tensors, given: Option<&Value>) -> Result<Self, Error> {
        let given = Given(given);
        let [width, latent_dim, _] = shape(tensors, "decoder.1.conv1.weight")?;
        let [packets, _, _] = shape(tensors, "decoder.1.conv2.weight")?;
        for (what, value) in [
            ("latent_dim", latent_dim),
            ("width of the decoder", width),
            ("wavelet packets", packets),
        ] {
            at_most(what, value, WIDTH_MAX)?;
        }
        given.agree("latent_dim", latent_dim)?;
        // Either of the two tells the other, and a filter behind the synthesis tells the channels.
        let filter = tensors.shape("post.weight");
        let filter = filter.and_then(|shape| <[usize; 3]>::try_from(shape).ok());
        let levels_of = |channels: usize| (packets / channels.max(1)).max(1).ilog2() as usize;
        let channels = given
            .size("channels")
            .or(filter.map(|[channels, _, _]| channels));
        let (channels, levels) = match (channels, given.size("J")) {
            (Some(channels), Some(levels)) => (channels, levels),
            (Some(channels), None) => (channels, levels_of(channels)),
            (None, Some(levels)) => (packets >> levels.min(LEVELS_MAX), levels),
            (None, None) => return Err(untold("channels and J")),
        };
        if levels > LEVELS_MAX || channels == 0 || channels << levels != packets {
            return Err(Error::malformed(format!(
                "walloc1d: {channels} channels and J = {levels} do not make the {packets} packets of the tensors"
            )));
        }
        let decoder_width = given.size("Nd").unwrap_or(width);
        if decoder_width / latent_dim * latent_dim != width {
            return Err(Error::malformed(format!(
                "walloc1d: Nd is {decoder_width}, the tensors have {width}"
            )));
        }
        let lightweight_encode = tensors.contains("encoder.0.weight");
        if given
            .flag("lightweight_encode")
            .is_some_and(|flag| flag != lightweight_encode)
        {
            return Err(Error::malformed(
                "walloc1d: the tensors are those of the other encoder",
            ));
        }
        let encoder_width = if lightweight_encode {
            None
        } else {
            let [width, _, _] = shape(tensors, "encoder.0.block.0.conv1.weight")?;
            at_most("width of the encoder", width, WIDTH_MAX)?;
            let told = given.size("Ne").unwrap_or(width);
            if told / latent_dim * latent_dim != width {
                return Err(Error::malformed(format!(
                    "walloc1d: Ne is {told}, the tensors have {width}"
                )));
            }
            Some(told)
        };
        let taps = filter.map_or(0, |[_, _, taps]| taps);
        if given
            .flag("post_filter")
            .is_some_and(|flag| flag != (taps > 0))
        {
            return Err(Error::malformed(
                "walloc1d: post_filter is not as the tensors are",
            ));
        }
        if taps > 0 && taps.is_multiple_of(2) || taps > FILTER_MAX {
            return Err(Error::bad_parameter(format!(
                "walloc1d: a filter of {taps} taps (expected an odd number up to {FILTER_MAX})"
            )));
        }
        let bits = given
            .size("latent_bits")
            .or(given.real("latent_bits").map(|v| v as usize));
        let bits = bits.ok_or_else(|| untold("latent_bits"))?;
        let latent_bits = u32::try_from(bits).unwrap_or(u32::MAX);
        Companding::new(latent_bits)?;
        Ok(Self {
            channels,
            levels,
            encoder_width,
            decoder_width,
            latent_dim,
            latent_bits,
            lightweight_encode,
            post_filter: taps > 0,
            post_taps: taps,
            sample_rate: given.positive("sample_rate", RATE, *crate::io::RATES.end() as usize)?,
        })
    }
}

fn untold(name: &str) -> Error {
    Error::malformed(format!(
        "walloc1d: neither the configuration nor the tensors tell {name}"
    ))
}
