//! Tokens of several recordings at once.

use std::ops::Range;

use codec_core::Error;

use super::stream::Recording;
use super::{Tokens, pieces, tokenize};
use crate::coder::{AudioCoder, AudioTokenizer, Codes};
use crate::file::{ModelId, own};
use crate::io::Sound;

/// What the model sees at once, with the frames that belong to the chunk.
type Pass = (Vec<Vec<f32>>, Range<usize>);

/// What is known of a recording when it has been cut.
struct Cut<'a> {
    recording: Recording<'a>,
    samples: u64,
    /// How many of the passes are its own.
    passes: usize,
}

/// Tokens of recordings, those of each as [`tokenize`] gives them: passes of the model of about equal length go through it
/// together, so many that with padding none of these batches is longer than `seconds` seconds, unless a single pass is. A
/// recording that fails leaves the others as they are. Models with latents take one recording after the other.
pub fn tokenize_batch(
    coder: &dyn AudioCoder,
    model: &ModelId,
    sounds: &[&Sound],
    codebooks: Option<usize>,
    seconds: f64,
) -> Vec<Result<Tokens, Error>> {
    let Some(tokenizer) = coder.tokenizer() else {
        let each = sounds.iter();
        return each
            .map(|sound| tokenize(coder, model, sound, codebooks))
            .collect();
    };
    let mut passes = Vec::new();
    let cuts: Vec<_> = sounds
        .iter()
        .map(|sound| cut(coder, model, sound, codebooks, &mut passes))
        .collect();
    let count = cuts.iter().flatten().map(|cut| cut.recording.codebooks);
    let count = count.max().unwrap_or(0);
    let mut codes = codes_of(tokenizer, &passes, count, seconds).into_iter();
    let mut finish = |cut: Cut<'_>| {
        let parts: Vec<_> = codes.by_ref().take(cut.passes).collect();
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        cut.recording.tokens_of_codes(&parts, cut.samples)
    };
    cuts.into_iter().map(|cut| finish(cut?)).collect()
}

/// Adds the passes of a recording to those of the others.
fn cut<'a>(
    coder: &'a dyn AudioCoder,
    model: &'a ModelId,
    sound: &Sound,
    codebooks: Option<usize>,
    passes: &mut Vec<Pass>,
) -> Result<Cut<'a>, Error> {
    sound.validate()?;
    let channels = sound.channels.len();
    let recording = Recording::new(coder, model, sound.rate, channels, codebooks)?;
    let take = |channels: &[&[f32]], frames: Range<usize>| -> Result<Pass, Error> {
        Ok((channels.iter().map(|c| c.to_vec()).collect(), frames))
    };
    let mut analyzer = recording.analyzer(Box::new(take))?;
    let mut own = Vec::new();
    for piece in pieces(sound) {
        own.extend(recording.push(&mut analyzer, &piece)?);
    }
    let (rest, samples) = analyzer.finish()?;
    own.extend(rest.into_iter().flatten());
    let cut = Cut {
        recording,
        samples,
        passes: own.len(),
    };
    passes.extend(own);
    Ok(cut)
}

/// Codes of every pass.
fn codes_of(
    tokenizer: &dyn AudioTokenizer,
    passes: &[Pass],
    codebooks: usize,
    seconds: f64,
) -> Vec<Result<Codes, Error>> {
    let most = (seconds * f64::from(tokenizer.format().rate)) as usize;
    let lengths: Vec<usize> = passes
        .iter()
        .map(|(channels, _)| channels.first().map_or(0, Vec::len))
        .collect();
    let mut found: Vec<Result<Codes, Error>> = Vec::new();
    found.resize_with(passes.len(), || Ok(Codes::default()));
    for batch in batches(&lengths, most) {
        let members: Vec<(usize, &Pass)> = batch
            .iter()
            .filter_map(|&number| Some((number, passes.get(number)?)))
            .collect();
        let channels: Vec<Vec<&[f32]>> = members
            .iter()
            .map(|(_, (channels, _))| channels.iter().map(Vec::as_slice).collect())
            .collect();
        // If one fails, each tells by itself.
        let codes: Vec<Result<Codes, Error>> = match tokenizer.tokenize_batch(&channels, codebooks)
        {
            Ok(codes) => codes.into_iter().map(Ok).collect(),
            Err(_) => channels
                .iter()
                .map(|channels| tokenizer.tokenize(channels, codebooks))
                .collect(),
        };
        for ((number, (_, frames)), codes) in members.into_iter().zip(codes) {
            if let Some(found) = found.get_mut(number) {
                *found = codes.and_then(|codes| own(&codes, frames.clone()));
            }
        }
    }
    found
}

/// Numbers of items of these lengths, short ones first, in batches whose number times their longest is no more than `most`.
fn batches(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let length = |number: usize| lengths.get(number).copied().unwrap_or(0);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&number| length(number));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for number in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1).saturating_mul(length(number)) <= most => {
                batch.push(number);
            }
            _ => batches.push(vec![number]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn batches_are_of_about_equal_lengths_and_never_too_long() {
        let lengths = [50, 3, 9, 10, 200, 0, 8];
        assert_eq!(
            batches(&lengths, 30),
            [vec![5, 1, 6], vec![2, 3], vec![0], vec![4]]
        );
        assert_eq!(batches(&lengths, 0).len(), 7);
        assert_eq!(batches(&lengths, usize::MAX).len(), 1);
        assert!(batches(&[], 5).is_empty());
    }
}
