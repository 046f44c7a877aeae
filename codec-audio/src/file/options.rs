//! Choices of the encoder, and what they come to in the header.

use codec_core::container::AudioInfo;
use codec_core::{Depth, Error};

use crate::coder::{AudioCoder, Format, Reach};
use crate::io::check_rate;

/// Seconds of a chunk that [`Chunk::Auto`] cuts.
pub const DEFAULT_CHUNK_SECONDS: u32 = 10;
/// Most seconds that a model sees at once: the limit for models that take whole recordings.
pub const PASS_SECONDS: u64 = 600;

/// How a recording is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Chunk {
    /// Chunks of [`DEFAULT_CHUNK_SECONDS`] with context; one chunk for models that need the whole recording.
    #[default]
    Auto,
    /// Chunks of so many seconds, rounded up to frames. Models that need the whole recording take every chunk for one, so
    /// that seams may be heard.
    Seconds(f64),
}

/// How two channels are coded by a model with one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stereo {
    /// Each on its own.
    #[default]
    Separate,
    /// Half their sum and half their difference.
    MidSide,
}

/// What decides the size of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Rate {
    /// All that the model has.
    #[default]
    Highest,
    /// The step nearest to a quality, 0 to 100.
    Quality(f32),
    /// The step nearest to so many thousand bits a second, before entropy coding.
    Kilobits(f64),
}

/// Choices of the encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncodeOptions {
    /// Size against quality.
    pub rate: Rate,
    /// How the recording is cut.
    pub chunk: Chunk,
    /// How two channels are coded by a model with one.
    pub stereo: Stereo,
    /// Leave out title, artist and the like.
    pub drop_tags: bool,
}

/// Bits a second, in thousands, of codes at a rate step before entropy coding, all `channels` channels together. `None` for
/// models without codebooks, whose rate depends on the recording.
pub fn kilobits(format: &Format, step: usize, channels: usize) -> Option<f64> {
    let count = usize::from(*format.steps.get(step)?);
    let bits: f64 = format
        .codebooks
        .get(..count)?
        .iter()
        .map(|&size| f64::from(size).log2())
        .sum();
    if count == 0 {
        return None;
    }
    let passes = channels.div_ceil(usize::from(format.channels.max(1)));
    let frames = f64::from(format.rate) / f64::from(format.hop.max(1));
    Some(bits * frames * passes as f64 / 1000.0)
}

/// The model's step for a rate, from 0.
///
/// # Errors
/// [`Error::BadParameter`] for values out of range, and for bits a second of a model that does not know them.
pub fn step_of(format: &Format, rate: Rate, channels: usize) -> Result<usize, Error> {
    let last = format.steps.len().saturating_sub(1);
    match rate {
        Rate::Highest => Ok(last),
        Rate::Quality(quality) if (0.0..=100.0).contains(&quality) => {
            Ok((f64::from(quality) / 100.0 * last as f64).round() as usize)
        }
        Rate::Quality(quality) => Err(Error::bad_parameter(format!(
            "invalid quality {quality} (expected 0..=100)"
        ))),
        Rate::Kilobits(wanted) if wanted.is_finite() && wanted > 0.0 => {
            let rates = (0..=last).map(|step| kilobits(format, step, channels));
            let rates: Option<Vec<f64>> = rates.collect();
            let rates = rates.ok_or_else(|| {
                Error::bad_parameter("bits a second of a model whose rate depends on the recording")
            })?;
            let distance = |step: usize| rates.get(step).map_or(f64::MAX, |r| (r - wanted).abs());
            Ok((0..=last)
                .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .unwrap_or(last))
        }
        Rate::Kilobits(wanted) => Err(Error::bad_parameter(format!(
            "invalid bitrate {wanted} (expected a number above 0)"
        ))),
    }
}

/// The header's description of a recording.
pub(crate) fn audio_info(
    coder: &dyn AudioCoder,
    rate: u32,
    channels: usize,
    depth: Depth,
    options: &EncodeOptions,
) -> Result<AudioInfo, Error> {
    check_rate(rate)?;
    let format = coder.format();
    let count = u16::try_from(channels).ok().filter(|&count| count > 0);
    let count = count.ok_or_else(|| {
        Error::bad_parameter(format!("{channels} channels (expected 1..={})", u16::MAX))
    })?;
    let step = step_of(format, options.rate, channels)?;
    let frames = |seconds: f64| {
        let frames = seconds * f64::from(format.rate) / f64::from(format.hop.max(1));
        (frames.ceil() as u32).max(1)
    };
    let reach = reach(coder);
    let mut chunk = match options.chunk {
        Chunk::Auto if reach == Reach::Whole => 0,
        Chunk::Auto => frames(DEFAULT_CHUNK_SECONDS.into()),
        Chunk::Seconds(seconds) if seconds > 0.0 && seconds <= PASS_SECONDS as f64 => {
            frames(seconds)
        }
        Chunk::Seconds(seconds) => {
            return Err(Error::bad_parameter(format!(
                "chunks of {seconds} seconds (expected up to {PASS_SECONDS})"
            )));
        }
    };
    let (mut before, mut after) = (0, 0);
    if let (
        Reach::Limited {
            frames_before,
            frames_after,
            ..
        },
        true,
    ) = (reach, chunk > 0)
    {
        (before, after) = (frames_before, frames_after);
        chunk = chunk.max(before).max(after);
    }
    Ok(AudioInfo {
        rate,
        channels: count,
        depth,
        mid_side: options.stereo == Stereo::MidSide && count == 2 && format.channels == 1,
        model_rate: format.rate,
        model_channels: format.channels,
        hop: format.hop,
        step: u16::try_from(step).map_err(|_| Error::bad_parameter("too many rate steps"))?,
        chunk,
        before,
        after,
    })
}

/// How far a coder's chunks may be cut: not at all, unless its codes come by themselves.
pub(crate) fn reach(coder: &dyn AudioCoder) -> Reach {
    coder.parts().map_or(Reach::Whole, |_| coder.reach())
}

/// Refuses to show a model more than [`PASS_SECONDS`] at once.
pub(crate) fn check_pass(info: &AudioInfo, samples: u64) -> Result<(), Error> {
    let limit = PASS_SECONDS * u64::from(info.model_rate);
    if samples > limit {
        return Err(Error::LimitExceeded {
            what: "number of samples that the model takes at once (cut with --chunk)",
            limit,
            actual: samples,
        });
    }
    Ok(())
}

/// The same for frames, the last of which may end behind the recording.
pub(crate) fn check_frames(info: &AudioInfo, frames: u64) -> Result<(), Error> {
    let whole = frames.saturating_sub(1);
    check_pass(info, whole.saturating_mul(info.hop.into()))
}
