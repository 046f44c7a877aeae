//! Recordings: their part of the header, their chunks, and their tags.

use super::wire::{Reader, put_varint};
use crate::depth::Depth;
use crate::error::Error;
use crate::limits::Limits;

pub(super) const MID_SIDE_BIT: u8 = 1 << 3;
pub(super) const PAIRS_BIT: u8 = 1 << 4;
const DEPTH_SHIFT: u32 = 5;
/// Most channels of a recording in a file.
const CHANNELS_MAX: u32 = 65_535;

/// The recording that a file holds.
///
/// Its length is not here: an encoder that reads from a pipe does not know it, so the last chunk tells ([`AudioEnd`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AudioInfo {
    /// Samples a second of a channel of the recording, Hz, at least 1.
    pub rate: u32,
    /// Channels of the recording, at least 1.
    pub channels: u16,
    /// How the recording's samples were stored.
    pub depth: Depth,
    /// Whether two channels are coded as half their sum and half their difference.
    pub mid_side: bool,
    /// Samples a second of a channel that the model works at, Hz.
    pub model_rate: u32,
    /// Channels that the model codes together: 1 or 2.
    pub model_channels: u16,
    /// Samples of a channel at the model's rate in a frame, at least 1.
    pub hop: u32,
    /// The model's rate step, from 0.
    pub step: u16,
    /// Frames in a chunk; 0 means one chunk.
    pub chunk: u32,
    /// Frames of the chunk before that a decoder puts before those of a chunk.
    pub before: u32,
    /// Frames of the chunk after that a decoder puts after those of a chunk.
    pub after: u32,
}

impl AudioInfo {
    /// Frames of a recording of so many samples: what `ceil(samples * model_rate / rate)` samples fill.
    #[must_use]
    pub fn frames(&self, samples: u64) -> u64 {
        let samples = u128::from(samples) * u128::from(self.model_rate);
        let samples = samples.div_ceil(u128::from(self.rate.max(1)));
        let frames = samples.div_ceil(u128::from(self.hop.max(1)));
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// Chunks of a recording of so many samples, at least 1.
    #[must_use]
    pub fn chunk_count(&self, samples: u64) -> u64 {
        match self.chunk {
            0 => 1,
            chunk => self.frames(samples).div_ceil(chunk.into()).max(1),
        }
    }

    /// Frames of chunk `index` of a recording of so many samples.
    #[must_use]
    pub fn chunk_frames(&self, index: u64, samples: u64) -> u64 {
        let frames = self.frames(samples);
        match u64::from(self.chunk) {
            0 => frames,
            chunk => frames
                .saturating_sub(index.saturating_mul(chunk))
                .min(chunk),
        }
    }

    /// Passes of the model over a chunk: pairs of channels for stereo models, else one a channel.
    #[must_use]
    pub fn passes(&self) -> usize {
        usize::from(self.channels).div_ceil(usize::from(self.model_channels.max(1)))
    }

    pub(super) fn flags(&self) -> u8 {
        let depth = Depth::ALL
            .iter()
            .position(|(depth, _)| *depth == self.depth);
        let mut flags = (depth.unwrap_or_default() as u8) << DEPTH_SHIFT;
        if self.mid_side {
            flags |= MID_SIDE_BIT;
        }
        if self.model_channels == 2 {
            flags |= PAIRS_BIT;
        }
        flags
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.rate.into());
        // Most recordings come at the model's rate.
        let model_rate = if self.model_rate == self.rate {
            0
        } else {
            self.model_rate
        };
        for value in [
            model_rate,
            self.channels.into(),
            self.hop,
            self.step.into(),
            self.chunk,
        ] {
            put_varint(out, value.into());
        }
        if self.chunk > 0 {
            put_varint(out, self.before.into());
            put_varint(out, self.after.into());
        }
    }

    /// Reads the fields. Judging them is for later, when the check value has been compared.
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Fields, Error> {
        let mut fields = Fields {
            rate: reader.varint32("sample rate")?,
            model_rate: reader.varint32("sample rate of the model")?,
            channels: reader.varint32("number of channels")?,
            hop: reader.varint32("samples of a frame")?,
            step: reader.varint32("rate step")?,
            chunk: reader.varint32("frames of a chunk")?,
            context: [0; 2],
        };
        if fields.chunk > 0 {
            fields.context = [
                reader.varint32("frames before a chunk")?,
                reader.varint32("frames after a chunk")?,
            ];
        }
        Ok(fields)
    }

    /// The rules that hold on both sides.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.rate == 0 || self.model_rate == 0 {
            return Err("sample rate of 0 Hz".to_owned());
        }
        if self.channels == 0 {
            return Err("recording without channels".to_owned());
        }
        if !(1..=2).contains(&self.model_channels) {
            return Err(format!(
                "{} channels of a model (expected 1 or 2)",
                self.model_channels
            ));
        }
        if self.mid_side && (self.channels != 2 || self.model_channels != 1) {
            return Err(format!(
                "sum and difference of {} channels, {} together",
                self.channels, self.model_channels
            ));
        }
        if self.hop == 0 {
            return Err("frames of 0 samples".to_owned());
        }
        if self.before > self.chunk || self.after > self.chunk {
            return Err(format!(
                "{} frames before and {} after chunks of {}",
                self.before, self.after, self.chunk
            ));
        }
        Ok(())
    }
}

/// The header's fields as they stand there.
pub(super) struct Fields {
    rate: u32,
    model_rate: u32,
    channels: u32,
    hop: u32,
    step: u32,
    chunk: u32,
    context: [u32; 2],
}

impl Fields {
    /// The recording that they describe, with the header's flags.
    pub(super) fn info(self, flags: u8) -> Result<AudioInfo, Error> {
        let depth = usize::from(flags >> DEPTH_SHIFT);
        let Some(&(depth, _)) = Depth::ALL.get(depth) else {
            return Err(Error::unsupported(format!("sample format code {depth}")));
        };
        let small = |what: &str, value: u32| {
            u16::try_from(value).map_err(|_| {
                Error::malformed(format!("{what} {value} (expected up to {CHANNELS_MAX})"))
            })
        };
        // One spelling per header: the model's rate stands there only if it is another one.
        if self.model_rate == self.rate {
            return Err(Error::malformed("the same sample rate twice"));
        }
        Ok(AudioInfo {
            rate: self.rate,
            channels: small("number of channels", self.channels)?,
            depth,
            mid_side: flags & MID_SIDE_BIT != 0,
            model_rate: if self.model_rate == 0 {
                self.rate
            } else {
                self.model_rate
            },
            model_channels: if flags & PAIRS_BIT == 0 { 1 } else { 2 },
            hop: self.hop,
            step: small("rate step", self.step)?,
            chunk: self.chunk,
            before: self.context[0],
            after: self.context[1],
        })
    }
}

/// The last chunk of a recording: the recording's length, and the chunk's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioEnd<'a> {
    /// Samples of a channel of the recording at its own rate.
    pub samples: u64,
    /// The payload, as those of the chunks before.
    pub payload: &'a [u8],
}

impl<'a> AudioEnd<'a> {
    /// Takes the data of a section apart.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Truncated`].
    pub fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(data, 0);
        let samples = reader.varint()?;
        let payload = data.get(reader.position()..).unwrap_or_default();
        Ok(Self { samples, payload })
    }

    /// The data of the section.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.payload.len() + 10);
        put_varint(&mut data, self.samples);
        data.extend_from_slice(self.payload);
        data
    }
}

/// Data of a chunk: the payloads of its passes, each but the last with its length before it.
#[must_use]
pub fn join_passes(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        if index + 1 < payloads.len() {
            put_varint(&mut data, payload.len() as u64);
        }
        data.extend_from_slice(payload);
    }
    data
}

/// The payloads of the `passes` passes of a chunk.
///
/// # Errors
/// [`Error::Malformed`] if they are not there.
pub fn split_passes(data: &[u8], passes: usize) -> Result<Vec<&[u8]>, Error> {
    let early = |_| Error::malformed("a chunk ends before its last pass");
    let mut reader = Reader::new(data, 0);
    let mut payloads = Vec::new();
    for _ in 1..passes {
        let length = reader.varint().map_err(early)?;
        payloads.push(reader.take(length).map_err(early)?);
    }
    payloads.push(data.get(reader.position()..).unwrap_or_default());
    Ok(payloads)
}

/// Data of a section of tags.
#[must_use]
pub fn put_tags(tags: &[(String, String)]) -> Vec<u8> {
    let mut data = Vec::new();
    for text in tags.iter().flat_map(|(name, value)| [name, value]) {
        put_varint(&mut data, text.len() as u64);
        data.extend_from_slice(text.as_bytes());
    }
    data
}

/// Names and values of a section of tags. What is no UTF-8 comes back with replacement characters.
///
/// # Errors
/// [`Error::Malformed`].
pub fn take_tags(data: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let early = |_| Error::malformed("tags end early");
    let mut reader = Reader::new(data, 0);
    let text = |reader: &mut Reader<'_>| -> Result<String, Error> {
        let length = reader.varint().map_err(early)?;
        let bytes = reader.take(length).map_err(early)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    };
    let mut tags = Vec::new();
    while reader.position() < data.len() {
        tags.push((text(&mut reader)?, text(&mut reader)?));
    }
    Ok(tags)
}

/// The rules of a recording's chunks. `end` is the data of its last one, `chunks` the number of all.
pub(super) fn check_chunks(
    info: &AudioInfo,
    chunks: u64,
    end: &[u8],
    limits: &Limits,
) -> Result<(), Error> {
    let samples = AudioEnd::parse(end)
        .map_err(|_| Error::malformed("the last chunk lacks the recording's length"))?
        .samples;
    limits.check_sound(info.channels, samples)?;
    let expected = info.chunk_count(samples);
    if chunks != expected {
        return Err(Error::malformed(format!(
            "{chunks} chunks of a recording of {samples} samples (expected {expected})"
        )));
    }
    Ok(())
}
