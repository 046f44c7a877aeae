//! Sample rates.
//!
//! A linear-phase low-pass in the frequency domain (rubato's synchronous resampler with its Blackman-Harris window), on
//! blocks of a fixed grid of the recording: how it is cut into pushes does not matter. It calculates in `f64` and rounds
//! once, so that machines whose transforms add in another order agree but for the rare sample that lies between two `f32`.
//! What the filter delays is cut: sample `n` of the output stands at the time of sample `n * from / to` of the input.

use codec_core::Error;
use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler as _};

/// Rates that are known, Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Shortest block of the filter on both sides, in samples.
const BLOCK: usize = 1024;

/// Refuses rates out of range.
///
/// # Errors
/// [`Error::BadParameter`].
pub fn check_rate(rate: u32) -> Result<(), Error> {
    if RATES.contains(&rate) {
        return Ok(());
    }
    let (least, most) = (RATES.start(), RATES.end());
    Err(Error::bad_parameter(format!(
        "sample rate {rate} Hz (expected {least}..={most})"
    )))
}

/// Changes the rate of a recording as it comes.
pub struct Resampler {
    from: u32,
    to: u32,
    /// None if the rates are the same.
    filter: Option<Fft<f64>>,
    /// Input that no block is full of yet.
    pending: Vec<Vec<f64>>,
    /// Output samples of the filter's delay still to be cut.
    delay: usize,
    /// Samples of a channel that came and went.
    taken: u64,
    given: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

impl Resampler {
    /// From one rate to another, Hz.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for rates out of [`RATES`].
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self, Error> {
        check_rate(from)?;
        check_rate(to)?;
        let mut filter = None;
        if from != to {
            let (from, to) = (from as usize, to as usize);
            let (step, step_out) = (from / gcd(from, to), to / gcd(from, to));
            // Blocks of an even number of steps: the filter's delay is half a block, and whole samples can be cut.
            let steps = 2 * BLOCK.div_ceil(2 * step.min(step_out)).max(1);
            let block = steps * step;
            let made = Fft::new_custom(
                from,
                to,
                block,
                1,
                channels,
                rubato::WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            );
            filter = Some(made.map_err(|e| Error::bad_parameter(format!("sample rates: {e}")))?);
        }
        Ok(Self {
            from,
            to,
            delay: filter.as_ref().map_or(0, Fft::output_delay),
            filter,
            pending: vec![Vec::new(); channels],
            taken: 0,
            given: 0,
        })
    }

    /// Samples of a channel that `samples` come to: `ceil(samples * to / from)`.
    pub fn length(from: u32, to: u32, samples: u64) -> u64 {
        let product = u128::from(samples) * u128::from(to);
        u64::try_from(product.div_ceil(u128::from(from.max(1)))).unwrap_or(u64::MAX)
    }

    /// Takes samples, one slice a channel, and gives those that are ready.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of channels or slices of different lengths.
    pub fn push(&mut self, channels: &[&[f32]]) -> Result<Vec<Vec<f32>>, Error> {
        let samples = channels.first().map_or(0, |c| c.len());
        if channels.len() != self.pending.len() || channels.iter().any(|c| c.len() != samples) {
            return Err(Error::bad_parameter(format!(
                "{} channels or channels of different lengths (expected {})",
                channels.len(),
                self.pending.len()
            )));
        }
        self.taken += samples as u64;
        if self.filter.is_none() {
            self.given += samples as u64;
            return Ok(channels.iter().map(|c| c.to_vec()).collect());
        }
        for (pending, channel) in self.pending.iter_mut().zip(channels) {
            pending.extend(channel.iter().map(|&v| f64::from(v)));
        }
        let mut output = vec![Vec::new(); channels.len()];
        while let Some(block) = self.block() {
            self.filter_block(block, &mut output)?;
        }
        Ok(output)
    }

    /// The rest of the recording; together with what [`Resampler::push`] gave, [`Resampler::length`] samples.
    ///
    /// # Errors
    /// Those of the filter.
    pub fn flush(&mut self) -> Result<Vec<Vec<f32>>, Error> {
        let mut output = vec![Vec::new(); self.pending.len()];
        let whole = Self::length(self.from, self.to, self.taken);
        while self.filter.is_some() && self.given < whole {
            let block = self.filter.as_ref().map_or(0, Fft::input_frames_next);
            for pending in &mut self.pending {
                pending.resize(block, 0.0);
            }
            self.filter_block(block, &mut output)?;
        }
        let surplus = usize::try_from(self.given.saturating_sub(whole)).unwrap_or(usize::MAX);
        for channel in &mut output {
            channel.truncate(channel.len().saturating_sub(surplus));
        }
        Ok(output)
    }

    /// Length of the next block, if there is one.
    fn block(&self) -> Option<usize> {
        let block = self.filter.as_ref()?.input_frames_next();
        let there = self.pending.first().map_or(0, Vec::len);
        (there >= block).then_some(block)
    }

    fn filter_block(&mut self, block: usize, output: &mut [Vec<f32>]) -> Result<(), Error> {
        let failed = |e: String| Error::bad_parameter(format!("resampling: {e}"));
        let Some(filter) = &mut self.filter else {
            return Ok(());
        };
        let channels = self.pending.len();
        let length = filter.output_frames_next();
        let mut filtered = vec![vec![0.0; length]; channels];
        {
            let input = SequentialSliceOfVecs::new(&self.pending, channels, block)
                .map_err(|e| failed(e.to_string()))?;
            let mut target = SequentialSliceOfVecs::new_mut(&mut filtered, channels, length)
                .map_err(|e| failed(e.to_string()))?;
            filter
                .process_into_buffer(&input, &mut target, None)
                .map_err(|e| failed(e.to_string()))?;
        }
        let cut = self.delay.min(length);
        self.delay -= cut;
        self.given += (length - cut) as u64;
        for ((pending, filtered), output) in self.pending.iter_mut().zip(filtered).zip(output) {
            pending.drain(..block);
            output.extend(filtered.iter().skip(cut).map(|&v| v as f32));
        }
        Ok(())
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A whole recording at another rate, [`Resampler::length`] samples of every channel.
///
/// # Errors
/// As [`Resampler`].
pub fn resample(channels: &[&[f32]], from: u32, to: u32) -> Result<Vec<Vec<f32>>, Error> {
    let mut resampler = Resampler::new(from, to, channels.len())?;
    let mut output = resampler.push(channels)?;
    for (output, rest) in output.iter_mut().zip(resampler.flush()?) {
        output.extend(rest);
    }
    Ok(output)
}
