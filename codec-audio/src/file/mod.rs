//! The file layer: a [`Sound`] to the bytes of a container and back, chunk by chunk, with any [`AudioCoder`].
//!
//! Chunks lie on a grid that the file defines: chunk `k` holds frames `k * chunk ..` of the recording, wherever the caller
//! cut it. The encoder shows the model as much of the neighbouring chunks as its [`Reach`](crate::coder::Reach) asks for, and the decoder puts
//! frames of the neighbours around those of a chunk, so that seams are not heard. [`Encoder`] and [`Decoder`] keep a chunk
//! and its context in memory, whatever the length of the recording.
//!
//! A mono model codes channels one by one, or two as half their sum and half their difference; a stereo model codes them
//! in pairs, a last single one twice, and the mean of both comes back.

mod analysis;
mod decoder;
mod encoder;
#[cfg(test)]
mod hostile;
mod options;
mod synthesis;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use codec_core::container::ModelId;
pub use decoder::Decoder;
pub use encoder::{Encoded, Encoder};
pub use options::{
    Chunk, DEFAULT_CHUNK_SECONDS, EncodeOptions, PASS_SECONDS, Rate, Stereo, kilobits, step_of,
};

pub(crate) use analysis::{Analyzer, Pass, own};
pub(crate) use options::{audio_info, check_frames};
pub(crate) use synthesis::{Assembler, Synthesizer};

use codec_core::container::{Container, Header, SectionId, take_tags};
use codec_core::{Error, Limits};

use crate::coder::AudioCoder;
use crate::io::Sound;

/// Samples that progress is told after.
const PROGRESS: usize = 1 << 16;

/// Encodes a whole recording. `progress` is told samples done and samples in all.
///
/// # Errors
/// Those of [`Encoder`].
pub fn encode(
    coder: &dyn AudioCoder,
    model: &ModelId,
    sound: &Sound,
    options: &EncodeOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Encoded, Error> {
    sound.validate()?;
    let mut encoder = Encoder::new(
        coder,
        model,
        sound.rate,
        sound.channels.len(),
        sound.depth,
        &sound.tags,
        options,
    )?;
    let mut bytes = Vec::new();
    let samples = sound.samples();
    progress(0, samples);
    for start in (0..samples).step_by(PROGRESS) {
        let end = samples.min(start + PROGRESS);
        let part: Vec<&[f32]> = sound
            .channels
            .iter()
            .map(|channel| channel.get(start..end).unwrap_or_default())
            .collect();
        bytes.extend(encoder.push(&part)?);
        progress(end, samples);
    }
    let rest = encoder.flush()?;
    bytes.extend(rest.bytes);
    Ok(Encoded { bytes, ..rest })
}

/// Decodes a parsed file. `progress` is told chunks done and chunks in all.
///
/// # Errors
/// Those of [`Decoder`], and [`Error::Malformed`] for tags that are none.
pub fn decode(
    coder: &dyn AudioCoder,
    container: &Container<'_>,
    limits: &Limits,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Sound, Error> {
    let header: &Header = container.header();
    let info = *header.audio()?;
    let samples = container.samples();
    limits.check_sound(info.channels, samples)?;
    let mut decoder = Decoder::new(coder, header, limits)?;
    let mut channels = vec![Vec::new(); info.channels.into()];
    let chunks = usize::try_from(info.chunk_count(samples)).unwrap_or(usize::MAX);
    progress(0, chunks);
    for (index, payload) in container.chunks().enumerate() {
        let end = (index + 1 == chunks).then_some(samples);
        let decoded = decoder.chunk(payload, end)?;
        for (channel, decoded) in channels.iter_mut().zip(decoded) {
            channel.extend(decoded);
        }
        progress(index + 1, chunks);
    }
    let tags = container.get(SectionId::TAGS).map(take_tags).transpose()?;
    Ok(Sound {
        rate: info.rate,
        channels,
        depth: info.depth,
        tags: tags.unwrap_or_default(),
    })
}
