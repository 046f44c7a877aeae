//! Samples of any source to the chunks of a file.

use std::ops::Range;

use codec_core::container::AudioInfo;
use codec_core::{Error, Limits};

use super::options::check_pass;
use crate::coder::{Codes, Reach};
use crate::io::Resampler;

/// What is made of the channels of a pass, of which the given frames are those of the chunk.
pub(crate) type Pass<'a, T> = Box<dyn Fn(&[&[f32]], Range<usize>) -> Result<T, Error> + 'a>;

/// Takes samples in pieces of any length and gives what is made of every chunk whose context is there: for each pass of
/// the model something, nothing of a chunk without frames.
pub(crate) struct Analyzer<'a, T> {
    make: Pass<'a, T>,
    info: AudioInfo,
    limits: Limits,
    resampler: Resampler,
    /// Samples at the model's rate from sample `start` on.
    buffer: Vec<Vec<f32>>,
    start: u64,
    /// Number of the next chunk.
    chunk: u64,
    /// Samples of the source that came.
    taken: u64,
    /// Samples before and after a chunk that the model has to see, those before in whole frames.
    before: u64,
    after: u64,
}

impl<'a, T> Analyzer<'a, T> {
    /// `reach` is the model's, [`Reach::Whole`] for one that is to see each chunk by itself.
    pub fn new(
        make: Pass<'a, T>,
        reach: Reach,
        info: AudioInfo,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let channels = usize::from(info.channels);
        let (mut before, mut after) = (0, 0);
        if let (
            Reach::Limited {
                before: b,
                after: a,
                ..
            },
            true,
        ) = (reach, info.chunk > 0)
        {
            before = u64::from(b).next_multiple_of(info.hop.into());
            after = a.into();
        }
        Ok(Self {
            make,
            info,
            limits: *limits,
            resampler: Resampler::new(info.rate, info.model_rate, channels)?,
            buffer: vec![Vec::new(); channels],
            start: 0,
            chunk: 0,
            taken: 0,
            before,
            after,
        })
    }

    /// Samples of a chunk at the model's rate.
    fn chunk_samples(&self) -> u64 {
        u64::from(self.info.chunk) * u64::from(self.info.hop)
    }

    /// Samples at the model's rate so far.
    fn there(&self) -> u64 {
        self.start + self.buffer.first().map_or(0, Vec::len) as u64
    }

    /// Takes samples of every channel and gives the chunks that are ready; none of them is the last.
    pub fn push(&mut self, channels: &[&[f32]]) -> Result<Vec<Vec<T>>, Error> {
        self.taken += channels.first().map_or(0, |c| c.len()) as u64;
        self.limits.check_sound(self.info.channels, self.taken)?;
        // A resampled recording can be much longer.
        let at_model = Resampler::length(self.info.rate, self.info.model_rate, self.taken);
        self.limits.check_sound(self.info.channels, at_model)?;
        if self.info.chunk == 0 {
            check_pass(&self.info, at_model)?;
        }
        let resampled = self.resampler.push(channels)?;
        self.store(resampled);
        let mut chunks = Vec::new();
        while self.info.chunk > 0
            && self.there() >= (self.chunk + 1) * self.chunk_samples() + self.after.max(1)
        {
            chunks.push(self.next_chunk()?);
        }
        Ok(chunks)
    }

    /// The chunks that are left, the last of the recording among them, and the recording's length.
    pub fn finish(&mut self) -> Result<(Vec<Vec<T>>, u64), Error> {
        let rest = self.resampler.flush()?;
        self.store(rest);
        let count = self.info.chunk_count(self.taken);
        let mut chunks = Vec::new();
        while self.chunk < count {
            chunks.push(self.next_chunk()?);
        }
        Ok((chunks, self.taken))
    }

    fn store(&mut self, mut samples: Vec<Vec<f32>>) {
        if self.info.mid_side
            && let [left, right] = samples.as_mut_slice()
        {
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = ((*left + *right) / 2.0, (*left - *right) / 2.0);
            }
        }
        for (buffer, samples) in self.buffer.iter_mut().zip(samples) {
            buffer.extend(samples.iter().map(|v| v.clamp(-1.0, 1.0)));
        }
    }

    /// What is made of the next chunk; forgets samples that no chunk needs any more.
    fn next_chunk(&mut self) -> Result<Vec<T>, Error> {
        let hop = u64::from(self.info.hop);
        let (from, to) = match self.info.chunk {
            0 => (0, self.there()),
            _ => {
                let start = self.chunk * self.chunk_samples();
                (start, self.there().min(start + self.chunk_samples()))
            }
        };
        let first = from.saturating_sub(self.before);
        let last = self.there().min(to.saturating_add(self.after));
        let skipped = ((from - first) / hop) as usize;
        let frames = (to - from).div_ceil(hop) as usize;
        let range = (first - self.start) as usize..(last - self.start) as usize;
        let mut made = Vec::new();
        let passes = if frames == 0 { 0 } else { self.info.passes() };
        for pass in 0..passes {
            let channels: Vec<&[f32]> = pass_channels(&self.info, pass)
                .into_iter()
                .filter_map(|channel| self.buffer.get(channel)?.get(range.clone()))
                .collect();
            made.push((self.make)(&channels, skipped..skipped + frames)?);
        }
        self.chunk += 1;
        let needed = (self.chunk * self.chunk_samples()).saturating_sub(self.before);
        let forgotten = needed.min(self.there()).saturating_sub(self.start);
        for buffer in &mut self.buffer {
            buffer.drain(..(forgotten as usize).min(buffer.len()));
        }
        self.start += forgotten;
        Ok(made)
    }
}

/// Frames of a chunk out of those of a pass.
pub(crate) fn own(codes: &Codes, frames: Range<usize>) -> Result<Codes, Error> {
    let own = codes.slice(frames.clone());
    if own.frames() != frames.len() {
        return Err(Error::bad_parameter(format!(
            "the model gave {} frames (expected {})",
            codes.frames(),
            frames.end
        )));
    }
    Ok(own)
}

/// Channels of a pass; a single one stands for both of a pair.
pub(super) fn pass_channels(info: &AudioInfo, pass: usize) -> Vec<usize> {
    let together = usize::from(info.model_channels);
    let last = usize::from(info.channels).saturating_sub(1);
    (0..together)
        .map(|i| (pass * together + i).min(last))
        .collect()
}
