//! The encoder as a stream.

use std::ops::Range;

use codec_core::container::{
    AudioEnd, AudioInfo, Header, MAX_QUALITY, Media, Section, SectionId, join_passes, put_tags,
};
use codec_core::{Depth, Error, Limits};

use super::analysis::{Analyzer, own};
use super::options::reach;
use super::{EncodeOptions, ModelId, audio_info};
use crate::coder::AudioCoder;
use crate::io::Tags;

/// What [`Encoder::flush`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Bytes of the file, or the rest of them.
    pub bytes: Vec<u8>,
    /// Samples of a channel of the recording.
    pub samples: u64,
    /// The model's rate step that was taken, from 0.
    pub step: usize,
}

/// Turns samples into the bytes of a file as they come. The bytes do not depend on how the samples were cut.
pub struct Encoder<'a> {
    info: AudioInfo,
    analyzer: Analyzer<'a, Vec<u8>>,
    /// Header and tags, until they are given.
    head: Option<Vec<u8>>,
}

impl std::fmt::Debug for Encoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<'a> Encoder<'a> {
    /// At the start of a recording of this rate in Hz, with these channels.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a rate, channels or options out of range.
    pub fn new(
        coder: &'a dyn AudioCoder,
        model: &ModelId,
        rate: u32,
        channels: usize,
        depth: Depth,
        tags: &Tags,
        options: &EncodeOptions,
    ) -> Result<Self, Error> {
        let info = audio_info(coder, rate, channels, depth, options)?;
        let steps = coder.format().steps.len().saturating_sub(1).max(1);
        let quality = usize::from(MAX_QUALITY) * usize::from(info.step) / steps;
        let header = Header {
            model: model.name.clone(),
            digest: model.digest,
            profile: model.profile,
            quality: quality as u16,
            media: Media::Audio(info),
        };
        let mut head = header.to_bytes()?;
        if !tags.is_empty() && !options.drop_tags {
            head.extend(
                Section {
                    id: SectionId::TAGS,
                    data: put_tags(tags),
                }
                .to_bytes(false),
            );
        }
        // What is encoded lies in the caller's hands already; only its own limits count.
        let limits = Limits {
            max_samples: u64::MAX,
            max_channels: u16::MAX,
            ..Limits::default()
        };
        let step = usize::from(info.step);
        let make = move |channels: &[&[f32]], frames: Range<usize>| match coder.parts() {
            Some(parts) => parts.pack(&own(&parts.analyze(channels, step)?, frames)?, step),
            None => coder.encode_chunk(channels, step),
        };
        Ok(Self {
            info,
            analyzer: Analyzer::new(Box::new(make), reach(coder), info, &limits)?,
            head: Some(head),
        })
    }

    /// What the header says of the recording.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Takes samples, one slice a channel, and gives the bytes that are ready.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of channels or slices of different lengths, [`Error::LimitExceeded`] for
    /// recordings that are too long for a model that takes them whole, and whatever the coder returns.
    pub fn push(&mut self, channels: &[&[f32]]) -> Result<Vec<u8>, Error> {
        let chunks = self.analyzer.push(channels)?;
        let mut bytes = self.head.take().unwrap_or_default();
        for chunk in chunks {
            let section = Section {
                id: SectionId::AUDIO_CHUNK,
                data: join_passes(&chunk),
            };
            bytes.extend(section.to_bytes(false));
        }
        Ok(bytes)
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn flush(mut self) -> Result<Encoded, Error> {
        let (mut chunks, samples) = self.analyzer.finish()?;
        let end = chunks.pop().unwrap_or_default();
        let mut bytes = self.head.take().unwrap_or_default();
        for chunk in chunks {
            let section = Section {
                id: SectionId::AUDIO_CHUNK,
                data: join_passes(&chunk),
            };
            bytes.extend(section.to_bytes(false));
        }
        let payload = &join_passes(&end);
        let section = Section {
            id: SectionId::AUDIO_END,
            data: AudioEnd { samples, payload }.to_bytes(),
        };
        bytes.extend(section.to_bytes(true));
        Ok(Encoded {
            bytes,
            samples,
            step: self.info.step.into(),
        })
    }
}
