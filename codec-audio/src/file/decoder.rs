//! The decoder as a stream.

use codec_core::container::{AudioEnd, AudioInfo, Header, Section, SectionId, split_passes};
use codec_core::{Error, Limits};

use super::options::check_frames;
use super::synthesis::{Assembler, Synthesizer};
use crate::coder::{AudioCoder, ChunkCoder, Codes};
use crate::io::Resampler;

/// Turns the chunks of a file into samples as they come.
pub struct Decoder<'a> {
    coder: &'a dyn AudioCoder,
    info: AudioInfo,
    limits: Limits,
    /// For coders whose frames can be joined.
    synthesizer: Option<(&'a dyn ChunkCoder, Synthesizer<'a>)>,
    assembler: Assembler,
    /// Chunks that came.
    chunks: u64,
}

impl std::fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl<'a> Decoder<'a> {
    /// At the start of a file with this header, with the model that it names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for pictures, [`Error::Malformed`] for a header that is not of this model.
    pub fn new(coder: &'a dyn AudioCoder, header: &Header, limits: &Limits) -> Result<Self, Error> {
        let info = *header.audio()?;
        limits.check_sound(info.channels, 0)?;
        crate::io::check_rate(info.rate).map_err(|e| Error::malformed(e.to_string()))?;
        let format = coder.format();
        let own = (format.rate, format.channels, format.hop);
        if own != (info.model_rate, info.model_channels, info.hop) {
            return Err(Error::malformed(format!(
                "frames of {} samples in {} channels at {} Hz (the model has {}, {} and {})",
                info.hop, info.model_channels, info.model_rate, own.2, own.1, own.0
            )));
        }
        if usize::from(info.step) >= format.steps.len().max(1) {
            let steps = format.steps.len();
            return Err(Error::malformed(format!(
                "rate step {} of a model with {steps}",
                info.step
            )));
        }
        if coder.parts().is_none() && (info.before, info.after) != (0, 0) {
            return Err(Error::malformed("context of a model that has none"));
        }
        let step = usize::from(info.step);
        let synthesizer = coder.parts().map(|parts| {
            let make = move |codes: &Codes| parts.synthesize(codes, step);
            (parts, Synthesizer::new(make, info))
        });
        Ok(Self {
            coder,
            info,
            limits: *limits,
            synthesizer,
            assembler: Assembler::new(info)?,
            chunks: 0,
        })
    }

    /// What the header says of the recording.
    pub fn info(&self) -> &AudioInfo {
        &self.info
    }

    /// Takes the next section of a file as it comes; sections that hold no chunk give nothing.
    ///
    /// # Errors
    /// As [`Decoder::chunk`].
    pub fn section(&mut self, section: &Section) -> Result<Vec<Vec<f32>>, Error> {
        match section.id {
            SectionId::AUDIO_CHUNK => self.chunk(&section.data, None),
            SectionId::AUDIO_END => {
                let end = AudioEnd::parse(&section.data)?;
                self.chunk(end.payload, Some(end.samples))
            }
            _ => Ok(vec![Vec::new(); self.info.channels.into()]),
        }
    }

    /// Takes the payload of the next chunk and gives the samples that are certain, those of every channel. `end` is the
    /// recording's length with its last chunk; all of it has been given then.
    ///
    /// # Errors
    /// [`Error::Malformed`] for payloads that are none, [`Error::LimitExceeded`].
    pub fn chunk(&mut self, payload: &[u8], end: Option<u64>) -> Result<Vec<Vec<f32>>, Error> {
        let frames = match end {
            Some(samples) => self.info.chunk_frames(self.chunks, samples),
            None => self.info.chunk.into(),
        };
        check_frames(&self.info, frames)?;
        // The last frame may end behind the recording.
        let so_far = self.chunks.saturating_mul(self.info.chunk.into());
        let at_model = so_far.saturating_add(frames).saturating_sub(1);
        let at_model = at_model.saturating_mul(self.info.hop.into());
        let samples = Resampler::length(self.info.model_rate, self.info.rate, at_model);
        self.limits.check_sound(self.info.channels, samples)?;
        let frames = usize::try_from(frames)
            .map_err(|_| Error::unsupported("chunks of this length on this machine"))?;
        let payloads = match (frames, payload) {
            (0, []) => vec![&[][..]; self.info.passes()],
            (0, _) => return Err(Error::malformed("a payload of no frames")),
            _ => split_passes(payload, self.info.passes())?,
        };
        self.chunks += 1;
        let step = self.info.step.into();
        let chunks = match &mut self.synthesizer {
            Some((parts, synthesizer)) => {
                let unpack = |payload: &&[u8]| match frames {
                    0 => Ok(Codes::default()),
                    _ => own(parts.unpack(payload, frames, step)?, frames),
                };
                let codes: Result<Vec<_>, Error> = payloads.iter().map(unpack).collect();
                synthesizer.push(codes?, end.is_some())?
            }
            None if frames == 0 => Vec::new(),
            None => {
                let decode = |payload: &&[u8]| self.coder.decode_chunk(payload, frames, step);
                let passes: Result<Vec<_>, Error> = payloads.iter().map(decode).collect();
                vec![passes?]
            }
        };
        let mut output = vec![Vec::new(); self.info.channels.into()];
        for passes in chunks {
            for (output, samples) in output.iter_mut().zip(self.assembler.push(&passes)?) {
                output.extend(samples);
            }
        }
        self.assembler.count(output, end)
    }
}

/// Refuses codes of another number of frames.
fn own(codes: Codes, frames: usize) -> Result<Codes, Error> {
    if codes.frames() != frames {
        let got = codes.frames();
        return Err(Error::malformed(format!(
            "{got} frames in a chunk of {frames}"
        )));
    }
    Ok(codes)
}
