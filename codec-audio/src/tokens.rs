//! Recordings as arrays of codes and back, for models with codebooks.
//!
//! A recording is brought to the channels of the model: the mean of all for a model with one, and one for both of a stereo
//! model. Long recordings go through in chunks with the context that the model asks for, so that the codes are those of one
//! pass over all of it.

use codec_core::container::AudioInfo;
use codec_core::{Depth, Digest, Error, Limits};

use crate::coder::{AudioTokenizer, Codes, Reach};
use crate::file::{Analyzer, Assembler, DEFAULT_CHUNK_SECONDS, Synthesizer, check_frames, own};
use crate::io::Sound;

pub use codec_core::tokens::{Format, Layout, Media, NAMES, Tokens};

/// Codes of a recording by the first `codebooks` codebooks, all of them if `None`.
///
/// # Errors
/// [`Error::LimitExceeded`] for recordings that are too long for a model that takes them whole, [`Error::BadParameter`] for
/// more codebooks than the model has, and whatever the tokenizer returns.
pub fn tokenize(
    tokenizer: &dyn AudioTokenizer,
    model: &str,
    digest: Digest,
    sound: &Sound,
    codebooks: Option<usize>,
) -> Result<Tokens, Error> {
    sound.validate()?;
    let format = tokenizer.format();
    let all = format.codebooks.len();
    let count = codebooks.unwrap_or(all);
    if !(1..=all).contains(&count) {
        return Err(Error::bad_parameter(format!(
            "{count} codebooks of model '{model}' (expected 1..={all})"
        )));
    }
    let mixed;
    let channels: Vec<&[f32]> = if sound.channels.len() == usize::from(format.channels) {
        sound.slices()
    } else {
        mixed = mean(&sound.channels);
        vec![&mixed]
    };
    let info = info(tokenizer, sound.rate, channels.len() as u16);
    let make = |channels: &[&[f32]], frames| own(&tokenizer.tokenize(channels, count)?, frames);
    let limits = Limits {
        max_samples: u64::MAX,
        ..Limits::default()
    };
    let mut analyzer = Analyzer::new(Box::new(make), tokenizer.reach(), info, &limits)?;
    let mut chunks = analyzer.push(&channels)?;
    let (rest, samples) = analyzer.finish()?;
    chunks.extend(rest);
    let parts: Vec<&Codes> = chunks.iter().flatten().collect();
    let codes = Codes::join(&parts)?;
    let frames = codes.frames();
    let largest = format.codebooks.iter().copied().max().unwrap_or(1);
    let media = Media::Audio {
        rate: sound.rate,
        samples,
        channels: info.channels,
        hop: format.hop,
    };
    Tokens::new(
        codes.values,
        vec![count, frames],
        largest,
        model.to_owned(),
        digest,
        media,
    )
}

/// The recording of codes, at the rate and with the length of the one that they were made of.
///
/// # Errors
/// [`Error::Malformed`] for tokens of no recording or of another model's format, [`Error::LimitExceeded`] for recordings
/// beyond `limits`.
pub fn detokenize(
    tokenizer: &dyn AudioTokenizer,
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
    let format = tokenizer.format();
    let info = info(tokenizer, rate, channels);
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
fn info(tokenizer: &dyn AudioTokenizer, rate: u32, channels: u16) -> AudioInfo {
    let format = tokenizer.format();
    let (mut chunk, mut before, mut after) = (0, 0, 0);
    if let Reach::Limited {
        frames_before,
        frames_after,
        ..
    } = tokenizer.reach()
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

/// Mean of all channels.
fn mean(channels: &[Vec<f32>]) -> Vec<f32> {
    let count = channels.len().max(1) as f32;
    let samples = channels.first().map_or(0, Vec::len);
    let sum = |i: usize| channels.iter().filter_map(|c| c.get(i)).sum::<f32>();
    (0..samples).map(|i| sum(i) / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::testing::{HOP, Toy, sound};

    fn codes(toy: &Toy, sound: &Sound, count: Option<usize>) -> Tokens {
        tokenize(toy, "toy/1", Digest([1; 8]), sound, count).unwrap()
    }

    #[test]
    fn codes_of_chunks_are_those_of_one_pass() {
        let (limited, whole) = (Toy::new(1, false), Toy::new(1, true));
        for samples in [0, 1, HOP, 16_000 * 10, 16_000 * 10 + 1, 16_000 * 25] {
            let sound = sound(16_000, 1, samples);
            let tokens = codes(&limited, &sound, None);
            assert_eq!(tokens.shape(), [2, samples.div_ceil(HOP)]);
            assert_eq!(tokens, codes(&whole, &sound, None));
            let limits = Limits::default();
            let back = detokenize(&limited, &tokens, &limits).unwrap();
            assert_eq!(back.samples(), samples);
            assert_eq!(back, detokenize(&whole, &tokens, &limits).unwrap());
        }
        assert!(limited.longest.get() < 16_000 * 10 + 100);
    }

    #[test]
    fn rates_channels_and_codebooks() {
        for (rate, source, model, kept) in [
            (44_100, 2, 1, 1),
            (8000, 1, 2, 1),
            (16_000, 2, 2, 2),
            (48_000, 8, 2, 1),
        ] {
            let toy = Toy::new(model, false);
            let original = sound(rate, source, 3001);
            let tokens = codes(&toy, &original, Some(1));
            assert_eq!(tokens.codebooks(), 1);
            let back = detokenize(&toy, &tokens, &Limits::default()).unwrap();
            assert_eq!(
                (back.rate, back.channels.len(), back.samples()),
                (rate, kept, 3001)
            );
        }
        let toy = Toy::new(1, false);
        let original = sound(16_000, 1, 100);
        for count in [0, 3] {
            assert!(tokenize(&toy, "toy/1", Digest([1; 8]), &original, Some(count)).is_err());
        }
    }

    #[test]
    fn tokens_that_do_not_fit_are_refused() {
        let toy = Toy::new(1, false);
        let tokens = codes(&toy, &sound(16_000, 1, 100), None);
        let with = |change: fn(&mut Media)| {
            let mut changed = tokens.clone();
            change(&mut changed.media);
            detokenize(&toy, &changed, &Limits::default())
                .unwrap_err()
                .kind()
                .exit_status()
        };
        assert_eq!(
            with(|m| if let Media::Audio { samples, .. } = m {
                *samples = 101
            }),
            3
        );
        assert_eq!(
            with(|m| if let Media::Audio { samples, .. } = m {
                *samples = u64::MAX
            }),
            6
        );
        assert_eq!(
            with(|m| if let Media::Audio { hop, .. } = m {
                *hop = 5
            }),
            3
        );
        assert_eq!(
            with(|m| if let Media::Audio { channels, .. } = m {
                *channels = 2
            }),
            3
        );
        assert_eq!(
            with(|m| if let Media::Audio { rate, .. } = m {
                *rate = 1
            }),
            3
        );
        assert_eq!(
            with(|m| *m = Media::Image {
                width: 1,
                height: 1
            }),
            3
        );
        let values = tokens.codes().iter().map(|&code| code as i32).collect();
        let latents = Tokens::of_latents(
            values,
            tokens.shape().to_vec(),
            1 << 20,
            tokens.model.clone(),
            tokens.digest,
            tokens.media,
        )
        .unwrap();
        let refused = detokenize(&toy, &latents, &Limits::default()).unwrap_err();
        assert_eq!(refused.kind().exit_status(), 3);
    }
}
