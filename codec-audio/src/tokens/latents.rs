//! Latents of a recording back to its samples.

use codec_core::container::AudioInfo;
use codec_core::{Depth, Error};

use super::Tokens;
use crate::coder::AudioLatents;
use crate::file::{Assembler, check_frames};
use crate::io::Sound;

/// The recording of `samples` samples of latents. `info` is checked against limits, but not against the model.
pub(super) fn detokenize(
    source: &dyn AudioLatents,
    tokens: &Tokens,
    info: AudioInfo,
    samples: u64,
) -> Result<Sound, Error> {
    let values = tokens.expect_latents()?;
    check_frames(&info, info.frames(samples))?;
    let frames = usize::try_from(info.frames(samples)).unwrap_or(usize::MAX);
    let format = source.format();
    let fits = (info.channels == 1 || info.channels == format.channels)
        && tokens.shape() == source.shape(frames);
    if !fits {
        return Err(Error::malformed(format!(
            "latents {:?} for {samples} samples at {} Hz in {} channels",
            tokens.shape(),
            info.rate,
            info.channels
        )));
    }
    let mut assembler = Assembler::new(info)?;
    let made = match frames {
        0 => vec![Vec::new(); info.channels.into()],
        _ => assembler.push(&[source.synthesize(values, frames)?])?,
    };
    let channels = assembler.count(made, Some(samples))?;
    Sound::new(info.rate, channels, Depth::Int16)
}
