//! Recordings as arrays of codes and back, for models with codebooks; as arrays of latents for models with those.
//!
//! A recording is brought to the channels of the model: the mean of all for a model with one, and one for both of a stereo
//! model. Long recordings go through in chunks with the context that the model asks for, so that the codes are those of one
//! pass over all of it.

mod batch;
mod latents;
mod stream;

use codec_core::container::AudioInfo;
use codec_core::{Depth, Error, Limits};

use crate::coder::{AudioCoder, AudioLatents, AudioTokenizer, Codes, Format, Reach};
use crate::file::{Assembler, DEFAULT_CHUNK_SECONDS, ModelId, Synthesizer, check_frames};
use crate::io::Sound;

pub use batch::tokenize_batch;
pub use codec_core::tokens::{Format as TokenFormat, Layout, Media, NAMES, Tokens};
pub use stream::TokenStream;

/// Samples that go through at once.
const PIECE: usize = 1 << 16;

/// Codes of a recording by the first `codebooks` codebooks, all of them if `None`; or its latents.
///
/// # Errors
/// As [`TokenStream`].
pub fn tokenize(
    coder: &dyn AudioCoder,
    model: &ModelId,
    sound: &Sound,
    codebooks: Option<usize>,
) -> Result<Tokens, Error> {
    sound.validate()?;
    let channels = sound.channels.len();
    let mut stream = TokenStream::new(coder, model, sound.rate, channels, codebooks)?;
    for piece in pieces(sound) {
        stream.push(&piece)?;
    }
    stream.finish()
}

/// A recording in pieces, so that what is made of it on the way stays small.
fn pieces(sound: &Sound) -> impl Iterator<Item = Vec<&[f32]>> {
    let samples = sound.samples();
    (0..samples).step_by(PIECE).map(move |start| {
        let range = start..samples.min(start + PIECE);
        let channels = sound.channels.iter();
        channels
            .map(|c| c.get(range.clone()).unwrap_or_default())
            .collect()
    })
}

/// What makes a model's tokens.
#[derive(Clone, Copy)]
enum Source<'a> {
    Codes(&'a dyn AudioTokenizer),
    Latents(&'a dyn AudioLatents),
}

impl<'a> Source<'a> {
    /// # Errors
    /// [`Error::Unsupported`] for a model with neither.
    fn of(coder: &'a dyn AudioCoder, model: &str) -> Result<Self, Error> {
        let codes = coder.tokenizer().map(Self::Codes);
        let found = codes.or_else(|| coder.latents().map(Self::Latents));
        found.ok_or_else(|| {
            Error::unsupported(format!("tokens of model '{model}': it has no codebook"))
        })
    }

    fn format(self) -> &'a Format {
        match self {
            Self::Codes(tokenizer) => tokenizer.format(),
            Self::Latents(latents) => latents.format(),
        }
    }

    fn reach(self) -> Reach {
        match self {
            Self::Codes(tokenizer) => tokenizer.reach(),
            Self::Latents(_) => Reach::Whole,
        }
    }
}

/// The recording of codes or latents, at the rate and with the length of the one that they were made of.
///
/// # Errors
/// [`Error::Unsupported`] for a model with neither, [`Error::Malformed`] for tokens of no recording or of another model's
/// format, [`Error::LimitExceeded`] for recordings beyond `limits`.
pub fn detokenize(
    coder: &dyn AudioCoder,
    tokens: &Tokens,
    limits: &Limits,
) -> Result<Sound, Error> {
    let Media::Audio {
        rate,
        samples,
        channels,
        hop,
    } = tokens.media
    else {
        return Err(Error::malformed("tokens of no recording"));
    };
    limits.check_sound(channels, samples)?;
    crate::io::check_rate(rate).map_err(|e| Error::malformed(format!("tokens: {e}")))?;
    let source = Source::of(coder, &tokens.model)?;
    let format = source.format();
    let info = info(format, source.reach(), rate, channels);
    let tokenizer = match source {
        Source::Codes(tokenizer) => tokenizer,
        Source::Latents(source) => return latents::detokenize(source, tokens, info, samples),
    };
    let &[codebooks, frames] = tokens.shape() else {
        return Err(Error::malformed("tokens of no recording"));
    };
    let fits = codebooks <= format.codebooks.len()
        && (channels == 1 || channels == format.channels)
        && hop == format.hop
        && frames as u64 == info.frames(samples);
    if !fits {
        return Err(Error::malformed(format!(
            "{codebooks} codebooks of {frames} frames for {samples} samples at {rate} Hz in {channels} channels"
        )));
    }
    let too_large = |(row, &size): (&[u32], &u32)| row.iter().any(|&code| code >= size);
    let values = tokens.expect_codes()?;
    let mut rows = values.chunks(frames.max(1)).zip(&format.codebooks);
    if rows.any(too_large) {
        return Err(Error::malformed("codes that the model does not have"));
    }
    if info.chunk == 0 {
        check_frames(&info, frames as u64)?;
    }
    let codes = Codes {
        values: values.to_vec(),
        codebooks,
    };
    let mut synthesizer = Synthesizer::new(|codes: &Codes| tokenizer.detokenize(codes), info);
    let mut assembler = Assembler::new(info)?;
    let mut output = vec![Vec::new(); channels.into()];
    let count = info.chunk_count(samples);
    let mut start = 0;
    for chunk in 0..count {
        let end = start + info.chunk_frames(chunk, samples) as usize;
        let last = chunk + 1 == count;
        let mut made = vec![Vec::new(); channels.into()];
        for passes in synthesizer.push(vec![codes.slice(start..end)], last)? {
            for (made, samples) in made.iter_mut().zip(assembler.push(&passes)?) {
                made.extend(samples);
            }
        }
        let counted = assembler.count(made, last.then_some(samples))?;
        for (output, samples) in output.iter_mut().zip(counted) {
            output.extend(samples);
        }
        start = end;
    }
    Sound::new(rate, output, Depth::Int16)
}

/// How a recording goes through the model.
fn info(format: &Format, reach: Reach, rate: u32, channels: u16) -> AudioInfo {
    let (mut chunk, mut before, mut after) = (0, 0, 0);
    if let Reach::Limited {
        frames_before,
        frames_after,
        ..
    } = reach
    {
        let frames = u64::from(DEFAULT_CHUNK_SECONDS) * u64::from(format.rate);
        let frames = frames.div_ceil(format.hop.max(1).into()) as u32;
        (before, after) = (frames_before, frames_after);
        chunk = frames.max(before).max(after);
    }
    AudioInfo {
        rate,
        channels,
        depth: Depth::Int16,
        mid_side: false,
        model_rate: format.rate,
        model_channels: format.channels,
        hop: format.hop,
        step: 0,
        chunk,
        before,
        after,
    }
}

#[cfg(test)]
mod tests;
