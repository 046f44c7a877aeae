//! Tokens of a recording as it comes.

use codec_core::container::AudioInfo;
use codec_core::{Error, Limits};

use super::{Media, Source, Tokens, info};
use crate::coder::{AudioCoder, Codes};
use crate::file::{Analyzer, ModelId, Pass, own};

/// Takes a recording in pieces of any length and gives its tokens at the end. Samples are kept for as long as the model has
/// to see them and no longer, codes are kept all. The tokens do not depend on the pieces.
pub struct TokenStream<'a> {
    recording: Recording<'a>,
    made: Made<'a>,
}

/// What was made so far.
enum Made<'a> {
    Codes(Analyzer<'a, Codes>, Vec<Codes>),
    Latents(Analyzer<'a, Vec<i32>>),
}

impl std::fmt::Debug for TokenStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenStream")
            .field("info", &self.recording.info)
            .finish_non_exhaustive()
    }
}

impl<'a> TokenStream<'a> {
    /// At the start of a recording of this rate in Hz, with so many channels, by the first `codebooks` codebooks, all of them
    /// if `None`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for models with neither codebooks nor latents, [`Error::BadParameter`] for a rate or channels out
    /// of range, for more codebooks than the model has, and for any number of them if it has latents.
    pub fn new(
        coder: &'a dyn AudioCoder,
        model: &'a ModelId,
        rate: u32,
        channels: usize,
        codebooks: Option<usize>,
    ) -> Result<Self, Error> {
        let recording = Recording::new(coder, model, rate, channels, codebooks)?;
        let made = match recording.source {
            Source::Codes(tokenizer) => {
                let count = recording.codebooks;
                let make = move |channels: &[&[f32]], frames| {
                    own(&tokenizer.tokenize(channels, count)?, frames)
                };
                Made::Codes(recording.analyzer(Box::new(make))?, Vec::new())
            }
            Source::Latents(latents) => {
                let make = move |channels: &[&[f32]], _| latents.analyze(channels);
                Made::Latents(recording.analyzer(Box::new(make))?)
            }
        };
        Ok(Self { recording, made })
    }

    /// Takes samples, one slice a channel.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of channels or slices of different lengths, [`Error::LimitExceeded`] for
    /// recordings that are too long for a model that takes them whole, and whatever the model returns.
    pub fn push(&mut self, channels: &[&[f32]]) -> Result<(), Error> {
        match &mut self.made {
            Made::Codes(analyzer, parts) => {
                parts.extend(self.recording.push(analyzer, channels)?);
            }
            // They come with the end of the recording.
            Made::Latents(analyzer) => drop(self.recording.push(analyzer, channels)?),
        }
        Ok(())
    }

    /// The tokens.
    ///
    /// # Errors
    /// As [`TokenStream::push`].
    pub fn finish(self) -> Result<Tokens, Error> {
        match self.made {
            Made::Codes(mut analyzer, mut parts) => {
                let (rest, samples) = analyzer.finish()?;
                parts.extend(rest.into_iter().flatten());
                self.recording.tokens_of_codes(&parts, samples)
            }
            Made::Latents(mut analyzer) => {
                let (mut made, samples) = analyzer.finish()?;
                let made = made.pop().and_then(|mut passes| passes.pop());
                self.recording.tokens_of_latents(made, samples)
            }
        }
    }
}

/// A recording on its way through a model.
pub(super) struct Recording<'a> {
    pub source: Source<'a>,
    model: &'a ModelId,
    /// None of a model with latents.
    pub codebooks: usize,
    /// Channels of the source; the model sees the mean of them, or as many.
    channels: usize,
    info: AudioInfo,
}

impl<'a> Recording<'a> {
    pub fn new(
        coder: &'a dyn AudioCoder,
        model: &'a ModelId,
        rate: u32,
        channels: usize,
        codebooks: Option<usize>,
    ) -> Result<Self, Error> {
        let source = Source::of(coder, &model.name)?;
        let format = source.format();
        let all = format.codebooks.len();
        let count = codebooks.unwrap_or(all);
        if let (Source::Latents(_), Some(count)) = (source, codebooks) {
            return Err(Error::bad_parameter(format!(
                "{count} codebooks of model '{}', whose tokens are latents",
                model.name
            )));
        }
        if matches!(source, Source::Codes(_)) && !(1..=all).contains(&count) {
            return Err(Error::bad_parameter(format!(
                "{count} codebooks of model '{}' (expected 1..={all})",
                model.name
            )));
        }
        let kept = if channels == usize::from(format.channels) {
            format.channels
        } else {
            1
        };
        Ok(Self {
            source,
            model,
            codebooks: count,
            channels,
            info: info(format, source.reach(), rate, kept),
        })
    }

    /// What cuts the recording into passes of the model, as the tokens' chunks.
    pub fn analyzer<T>(&self, make: Pass<'a, T>) -> Result<Analyzer<'a, T>, Error> {
        // What is tokenized lies in the caller's hands already.
        let limits = Limits {
            max_samples: u64::MAX,
            ..Limits::default()
        };
        Analyzer::new(make, self.source.reach(), self.info, &limits)
    }

    /// Takes samples of the source, and gives what was made of the passes that are ready.
    pub fn push<T>(
        &self,
        analyzer: &mut Analyzer<'a, T>,
        channels: &[&[f32]],
    ) -> Result<Vec<T>, Error> {
        let samples = channels.first().map_or(0, |c| c.len());
        if channels.len() != self.channels || channels.iter().any(|c| c.len() != samples) {
            return Err(Error::bad_parameter(format!(
                "{} channels or channels of different lengths (expected {})",
                channels.len(),
                self.channels
            )));
        }
        let chunks = if channels.len() == usize::from(self.info.channels) {
            analyzer.push(channels)?
        } else {
            analyzer.push(&[&mean(channels)])?
        };
        Ok(chunks.into_iter().flatten().collect())
    }

    /// The tokens of the codes of all passes.
    pub fn tokens_of_codes(&self, parts: &[Codes], samples: u64) -> Result<Tokens, Error> {
        let codes = Codes::join(&parts.iter().collect::<Vec<_>>())?;
        let frames = codes.frames();
        let sizes = &self.source.format().codebooks;
        Tokens::new(
            codes.values,
            vec![self.codebooks, frames],
            sizes.iter().copied().max().unwrap_or(1),
            self.model.name.clone(),
            self.model.digest,
            self.media(samples),
        )
    }

    /// The tokens of the latents of the recording, which are not there if it has no samples.
    fn tokens_of_latents(&self, made: Option<Vec<i32>>, samples: u64) -> Result<Tokens, Error> {
        let Source::Latents(source) = self.source else {
            return Err(Error::unsupported("latents of a model with codebooks"));
        };
        let latents = match made {
            Some(latents) => latents,
            None => source.analyze(&vec![&[][..]; source.format().channels.into()])?,
        };
        let frames = usize::try_from(self.info.frames(samples)).unwrap_or(usize::MAX);
        Tokens::of_latents(
            latents,
            source.shape(frames).to_vec(),
            source.limit(),
            self.model.name.clone(),
            self.model.digest,
            self.media(samples),
        )
    }

    fn media(&self, samples: u64) -> Media {
        Media::Audio {
            rate: self.info.rate,
            samples,
            channels: self.info.channels,
            hop: self.info.hop,
        }
    }
}

/// Mean of all channels.
fn mean(channels: &[&[f32]]) -> Vec<f32> {
    let count = channels.len().max(1) as f32;
    let samples = channels.first().map_or(0, |c| c.len());
    let sum = |i: usize| channels.iter().filter_map(|c| c.get(i)).sum::<f32>();
    (0..samples).map(|i| sum(i) / count).collect()
}
