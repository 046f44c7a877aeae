//! Codes of chunks to samples at the recording's rate.

use codec_core::Error;
use codec_core::container::AudioInfo;

use super::analysis::pass_channels;
use crate::coder::Codes;
use crate::io::Resampler;

/// Samples of every channel of a pass.
type PassSamples = Vec<Vec<f32>>;

/// What makes samples of codes.
type Make<'a> = Box<dyn Fn(&Codes) -> Result<PassSamples, Error> + 'a>;

/// Puts the samples of passes together to those of the recording, at its rate.
pub(crate) struct Assembler {
    info: AudioInfo,
    resampler: Resampler,
    /// Samples of a channel that were given.
    given: u64,
}

impl Assembler {
    pub fn new(info: AudioInfo) -> Result<Self, Error> {
        let channels = usize::from(info.channels);
        Ok(Self {
            info,
            resampler: Resampler::new(info.model_rate, info.rate, channels)?,
            given: 0,
        })
    }

    /// Takes the passes of the next samples.
    pub fn push(&mut self, passes: &[PassSamples]) -> Result<Vec<Vec<f32>>, Error> {
        let mut channels = vec![Vec::new(); self.info.channels.into()];
        for (pass, samples) in passes.iter().enumerate() {
            place(&mut channels, &pass_channels(&self.info, pass), samples);
        }
        let length = channels.iter().map(Vec::len).max().unwrap_or(0);
        if channels.iter().any(|c| c.len() != length) {
            return Err(Error::malformed("passes of different lengths"));
        }
        if self.info.mid_side
            && let [mid, side] = channels.as_mut_slice()
        {
            for (mid, side) in mid.iter_mut().zip(side) {
                (*mid, *side) = (*mid + *side, *mid - *side);
            }
        }
        let slices: Vec<&[f32]> = channels.iter().map(Vec::as_slice).collect();
        self.resampler.push(&slices)
    }

    /// Counts what was given: `output`, with the rest of the recording if `end` says how long it is.
    pub fn count(
        &mut self,
        mut output: Vec<Vec<f32>>,
        end: Option<u64>,
    ) -> Result<Vec<Vec<f32>>, Error> {
        if let Some(samples) = end {
            for (output, rest) in output.iter_mut().zip(self.resampler.flush()?) {
                output.extend(rest);
            }
            // The last frame goes on beyond the recording's end.
            let left = samples.checked_sub(self.given);
            let left = left.and_then(|left| usize::try_from(left).ok());
            match left {
                Some(left) if output.iter().all(|c| c.len() >= left) => {
                    output.iter_mut().for_each(|c| c.truncate(left));
                }
                _ => {
                    return Err(Error::malformed(
                        "a recording whose chunks do not fit its length",
                    ));
                }
            }
        }
        self.given += output.first().map_or(0, Vec::len) as u64;
        Ok(output)
    }
}

/// Makes samples of the codes of one chunk after the other, each between frames of its neighbours.
pub(crate) struct Synthesizer<'a> {
    make: Make<'a>,
    info: AudioInfo,
    /// The last frames of the chunk before the waiting one, for each pass.
    tail: Vec<Codes>,
    /// The chunk that waits for the first frames of the next one.
    waiting: Option<Vec<Codes>>,
}

impl<'a> Synthesizer<'a> {
    pub fn new(make: impl Fn(&Codes) -> Result<PassSamples, Error> + 'a, info: AudioInfo) -> Self {
        Self {
            make: Box::new(make),
            info,
            tail: vec![Codes::default(); info.passes()],
            waiting: None,
        }
    }

    /// Takes the next chunk, one codes a pass, and gives what is certain, in order: the passes of whole chunks.
    pub fn push(&mut self, chunk: Vec<Codes>, last: bool) -> Result<Vec<Vec<PassSamples>>, Error> {
        let none = vec![Codes::default(); chunk.len()];
        let mut made = Vec::new();
        if let Some(waiting) = self.waiting.take() {
            made.push(self.render(waiting, &chunk)?);
        }
        if last || self.info.after == 0 {
            made.push(self.render(chunk, &none)?);
        } else {
            self.waiting = Some(chunk);
        }
        Ok(made)
    }

    /// Samples of `chunk` between the frames before and after it.
    fn render(&mut self, chunk: Vec<Codes>, next: &[Codes]) -> Result<Vec<PassSamples>, Error> {
        let hop = self.info.hop as usize;
        let mut made = Vec::new();
        for ((tail, codes), next) in self.tail.iter().zip(&chunk).zip(next) {
            if codes.frames() == 0 {
                continue;
            }
            let head = next.slice(0..self.info.after as usize);
            let all = Codes::join(&[tail, codes, &head])?;
            let samples = (self.make)(&all)?;
            let range = tail.frames() * hop..(tail.frames() + codes.frames()) * hop;
            let own = samples.iter().map(|s| Some(s.get(range.clone())?.to_vec()));
            made.push(own.collect::<Option<_>>().ok_or_else(|| {
                Error::malformed(format!(
                    "the model gave fewer samples than {} frames of {hop}",
                    all.frames()
                ))
            })?);
        }
        // A chunk is never shorter than the context, so the frames before the next one all lie in this one.
        let before = self.info.before as usize;
        let last_of =
            |codes: &Codes| codes.slice(codes.frames().saturating_sub(before)..codes.frames());
        self.tail = chunk.iter().map(last_of).collect();
        Ok(made)
    }
}

/// Puts the samples of a pass where they belong; a channel that was coded twice gets the mean.
fn place(channels: &mut [Vec<f32>], targets: &[usize], samples: &[Vec<f32>]) {
    let twice = matches!(targets, [a, b] if a == b);
    for (&target, samples) in targets.iter().zip(samples) {
        let Some(channel) = channels.get_mut(target) else {
            continue;
        };
        if twice && !channel.is_empty() {
            for (sum, sample) in channel.iter_mut().zip(samples) {
                *sum = (*sum + sample) / 2.0;
            }
        } else {
            channel.extend_from_slice(samples);
        }
    }
}
