//! What an audio model family offers to the file layer: samples to codes and back.

use std::ops::Range;

use codec_core::Error;
use codec_core::index_context::{IndexContext, IndexGrid};
use codec_entropy::{decode_indexes, encode_indexes};

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Samples a second of a channel, Hz.
    pub rate: u32,
    /// Channels of one pass: 1, or 2 for stereo models.
    pub channels: u16,
    /// Samples of a channel for one frame of codes.
    pub hop: u32,
    /// Codes of each codebook, from the coarsest to the finest. Codes are below.
    pub codebooks: Vec<u32>,
    /// Numbers of codebooks that the model was made for, rising; the last is all of them.
    pub steps: Vec<u16>,
}

/// How far codes and samples depend on what is around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On the whole recording: no streaming.
    Whole,
    /// On so many neighbours, and no further.
    Limited {
        /// Samples before the first of a frame that its codes depend on.
        before: u32,
        /// Samples after the last of a frame that its codes depend on.
        after: u32,
        /// Frames before the one of a sample that it depends on.
        frames_before: u32,
        /// Frames after the one of a sample that it depends on.
        frames_after: u32,
    },
}

/// Codes of one pass, `[codebooks, frames]`. Models without codebooks have rows of integers instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    /// Codes, one codebook after the other.
    pub values: Vec<u32>,
    /// Codebooks.
    pub codebooks: usize,
}

impl Codes {
    /// Frames.
    pub fn frames(&self) -> usize {
        self.values.len().checked_div(self.codebooks).unwrap_or(0)
    }

    /// Some frames of every codebook; what lies beyond the last is left out.
    #[must_use]
    pub fn slice(&self, frames: Range<usize>) -> Self {
        let rows = self.values.chunks(self.frames().max(1));
        let part = |row: &[u32]| {
            let end = frames.end.min(row.len());
            row.get(frames.start.min(end)..end)
                .unwrap_or_default()
                .to_vec()
        };
        Self {
            values: rows.flat_map(part).collect(),
            codebooks: self.codebooks,
        }
    }

    /// Frames one after the other. Parts without frames may have any number of codebooks.
    ///
    /// # Errors
    /// [`Error::Malformed`] for parts of different numbers of codebooks.
    pub fn join(parts: &[&Self]) -> Result<Self, Error> {
        let parts: Vec<_> = parts.iter().filter(|part| part.frames() > 0).collect();
        let codebooks = parts.first().map_or(0, |part| part.codebooks);
        if parts.iter().any(|part| part.codebooks != codebooks) {
            return Err(Error::malformed("chunks of different numbers of codebooks"));
        }
        let mut values = Vec::new();
        for book in 0..codebooks {
            for part in &parts {
                let frames = part.frames();
                let row = part.values.get(book * frames..(book + 1) * frames);
                values.extend(row.unwrap_or_default());
            }
        }
        Ok(Self { values, codebooks })
    }
}

/// A model with codebooks on a device. Samples are in `-1.0..=1.0`, one slice a channel, all of one length.
pub trait AudioTokenizer: Send {
    /// Rate, channels and codebooks.
    fn format(&self) -> &Format;

    /// What codes and samples depend on.
    fn reach(&self) -> Reach;

    /// Codes of a recording, `ceil(samples / hop)` frames, by the first `codebooks` codebooks.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for channels or codebooks that the model does not have.
    fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, Error>;

    /// Codes of several recordings, those of each as [`AudioTokenizer::tokenize`] gives them. What fits into memory together is
    /// the caller's choice: as many samples as there are recordings of the longest length.
    ///
    /// # Errors
    /// As [`AudioTokenizer::tokenize`].
    fn tokenize_batch(&self, batch: &[Vec<&[f32]>], codebooks: usize) -> Result<Vec<Codes>, Error> {
        let each = batch.iter();
        each.map(|channels| self.tokenize(channels, codebooks))
            .collect()
    }

    /// `frames * hop` samples of every channel.
    ///
    /// # Errors
    /// [`Error::Malformed`] for codes that the model does not have.
    fn detokenize(&self, codes: &Codes) -> Result<Vec<Vec<f32>>, Error>;

    /// What the model has learned of its codes, if anything.
    fn context(&self) -> Option<&IndexContext> {
        None
    }
}

/// A model on a device that has quantities with a sign, latents, in place of codes. It takes recordings whole.
pub trait AudioLatents: Send {
    /// Rate, channels and samples of a frame; there are no codebooks.
    fn format(&self) -> &Format;

    /// Largest magnitude of a latent.
    fn limit(&self) -> u32;

    /// Rows and columns of the latents of a recording of so many frames.
    fn shape(&self, frames: usize) -> [usize; 2];

    /// Latents of a recording, row after row.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for channels that the model does not have.
    fn analyze(&self, channels: &[&[f32]]) -> Result<Vec<i32>, Error>;

    /// `frames * hop` samples of every channel.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of latents, or larger ones than the model has.
    fn synthesize(&self, latents: &[i32], frames: usize) -> Result<Vec<Vec<f32>>, Error>;
}

/// A model on a device, as the file layer sees it.
pub trait AudioCoder: Send {
    /// Rate, channels and codebooks; a model without codebooks has an empty list of them.
    fn format(&self) -> &Format;

    /// What payloads and samples depend on.
    fn reach(&self) -> Reach;

    /// Payload of a chunk. `step` counts [`Format::steps`] from 0; models with one rate take 0 alone.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for channels or a step that the model does not have.
    fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error>;

    /// `frames * hop` samples of every channel from the payload of a chunk of `frames` frames.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a payload that is none.
    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error>;

    /// The model's codes, if it has codebooks.
    fn tokenizer(&self) -> Option<&dyn AudioTokenizer> {
        None
    }

    /// The model's latents, if it has those in place of codes.
    fn latents(&self) -> Option<&dyn AudioLatents> {
        None
    }

    /// Analysis and packing by themselves, for models whose frames can be cut and joined: only these are coded in chunks
    /// without seams.
    fn parts(&self) -> Option<&dyn ChunkCoder> {
        None
    }
}

/// A model whose codes and payloads come one after the other, so that the codes of neighbouring chunks can stand around
/// those of a chunk. `step` counts [`Format::steps`] from 0.
pub trait ChunkCoder {
    /// Codes of a recording, `ceil(samples / hop)` frames.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for channels or a step that the model does not have.
    fn analyze(&self, channels: &[&[f32]], step: usize) -> Result<Codes, Error>;

    /// `frames * hop` samples of every channel.
    ///
    /// # Errors
    /// [`Error::Malformed`] for codes that the model does not have.
    fn synthesize(&self, codes: &Codes, step: usize) -> Result<Vec<Vec<f32>>, Error>;

    /// Payload of a chunk.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for codes or a step that the model does not have.
    fn pack(&self, codes: &Codes, step: usize) -> Result<Vec<u8>, Error>;

    /// Codes of `frames` frames from the payload of a chunk.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a payload that is none.
    fn unpack(&self, bytes: &[u8], frames: usize, step: usize) -> Result<Codes, Error>;
}

/// First bytes of payloads: codebooks one after the other, or all codes by the model's context model.
const APART: u8 = 0;
const TOGETHER: u8 = 1;

/// Codes as a context model sees them.
fn grid(codebooks: usize, frames: usize) -> IndexGrid {
    IndexGrid {
        codebooks,
        height: 1,
        width: frames,
    }
}

/// A tokenizer as a codec. A payload is the shorter of two forms: a byte of 0 and every codebook's codes by [`encode_indexes`],
/// each with its length before it; a byte of 1 and all codes by [`IndexContext::encode`], if the model has one.
#[derive(Debug)]
pub struct TokenCoder<T>(pub T);

impl<T: AudioTokenizer> TokenCoder<T> {
    fn codebooks(&self, step: usize) -> Result<usize, Error> {
        let steps = &self.0.format().steps;
        steps.get(step).map(|&count| count.into()).ok_or_else(|| {
            Error::bad_parameter(format!("rate step {step} of a model with {}", steps.len()))
        })
    }
}

impl<T: AudioTokenizer> AudioCoder for TokenCoder<T> {
    fn format(&self) -> &Format {
        self.0.format()
    }

    fn reach(&self) -> Reach {
        self.0.reach()
    }

    fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error> {
        self.pack(&self.analyze(channels, step)?, step)
    }

    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.synthesize(&self.unpack(bytes, frames, step)?, step)
    }

    fn tokenizer(&self) -> Option<&dyn AudioTokenizer> {
        Some(&self.0)
    }

    fn parts(&self) -> Option<&dyn ChunkCoder> {
        Some(self)
    }
}

impl<T: AudioTokenizer> ChunkCoder for TokenCoder<T> {
    fn analyze(&self, channels: &[&[f32]], step: usize) -> Result<Codes, Error> {
        self.0.tokenize(channels, self.codebooks(step)?)
    }

    fn synthesize(&self, codes: &Codes, _step: usize) -> Result<Vec<Vec<f32>>, Error> {
        self.0.detokenize(codes)
    }

    fn pack(&self, codes: &Codes, step: usize) -> Result<Vec<u8>, Error> {
        if codes.codebooks != self.codebooks(step)? {
            return Err(Error::bad_parameter(format!(
                "codes of {} codebooks for rate step {step}",
                codes.codebooks
            )));
        }
        let mut bytes = vec![APART];
        let sizes = &self.0.format().codebooks;
        for (codes, &size) in codes.values.chunks(codes.frames().max(1)).zip(sizes) {
            append_codes(&mut bytes, codes, size)?;
        }
        if let Some(context) = self.0.context() {
            let together = context.encode(&codes.values, grid(codes.codebooks, codes.frames()))?;
            if together.len() + 1 < bytes.len() {
                bytes = vec![TOGETHER];
                bytes.extend(together);
            }
        }
        Ok(bytes)
    }

    fn unpack(&self, bytes: &[u8], frames: usize, step: usize) -> Result<Codes, Error> {
        let codebooks = self.codebooks(step)?;
        let (&form, mut rest) = bytes.split_first().ok_or_else(truncated)?;
        if let (TOGETHER, Some(context)) = (form, self.0.context()) {
            let values = context.decode(rest, grid(codebooks, frames))?;
            return Ok(Codes { values, codebooks });
        }
        if form != APART {
            return Err(Error::malformed(format!("chunk payload: form {form}")));
        }
        let mut values = Vec::new();
        for &size in self.0.format().codebooks.iter().take(codebooks) {
            values.extend(take_codes(&mut rest, size, frames)?);
        }
        finished(rest)?;
        Ok(Codes { values, codebooks })
    }
}

/// Appends codes below `size` by [`encode_indexes`], with their length as `u32`, little-endian.
///
/// # Errors
/// [`Error::BadParameter`] for codes that are not below.
pub(crate) fn append_codes(bytes: &mut Vec<u8>, codes: &[u32], size: u32) -> Result<(), Error> {
    let stream = encode_indexes(codes, size as usize)
        .map_err(|e| Error::bad_parameter(format!("codes: {e}")))?;
    bytes.extend((stream.len() as u32).to_le_bytes());
    bytes.extend(stream);
    Ok(())
}

/// Takes `count` codes off the front of a payload, the inverse of [`append_codes`].
///
/// # Errors
/// [`Error::Malformed`] for a payload that is none.
pub(crate) fn take_codes(rest: &mut &[u8], size: u32, count: usize) -> Result<Vec<u32>, Error> {
    let length = u32::from_le_bytes(take_word(rest)?) as usize;
    let (stream, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
    *rest = after;
    decode_indexes(stream, size as usize, count, count)
        .map_err(|e| Error::malformed(format!("chunk payload: {e}")))
}

/// Takes four bytes off the front of a payload.
///
/// # Errors
/// [`Error::Malformed`] if it has fewer.
pub(crate) fn take_word(rest: &mut &[u8]) -> Result<[u8; 4], Error> {
    let (word, after) = rest.split_first_chunk().ok_or_else(truncated)?;
    *rest = after;
    Ok(*word)
}

/// Makes sure that nothing of a payload is left.
///
/// # Errors
/// [`Error::Malformed`] if something is.
pub(crate) fn finished(rest: &[u8]) -> Result<(), Error> {
    match rest {
        [] => Ok(()),
        _ => Err(Error::malformed("chunk payload: bytes after its end")),
    }
}

fn truncated() -> Error {
    Error::malformed("chunk payload: it ends early")
}
