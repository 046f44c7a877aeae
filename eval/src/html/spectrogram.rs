//! Spectrograms: how loud each frequency is at each time.
//!
//! A spectrogram is a picture of one byte a pixel, the level in decibels from a floor to a top that all versions of a
//! sound share. The page gives it colours and labelled axes.

use crate::{EvalError, Sound};
use realfft::RealFftPlanner;

/// Pixels in a row: times.
pub(super) const COLUMNS: usize = 800;
/// Rows: frequencies, the highest first.
pub(super) const ROWS: usize = 256;
/// Decibels from floor to top.
pub(super) const RANGE: f32 = 80.0;
/// Length of a window in seconds, rounded to a power of two of samples.
const WINDOW: f64 = 0.04;
/// Step between levels, as a byte; about a decibel, which keeps files short.
const STEP: f32 = 3.0;
/// Level of digital silence.
const SILENCE: f32 = -200.0;

/// Levels in decibels against a full sine, row by row.
pub(super) struct Levels(Vec<f32>);

/// Levels of a sound over `0..seconds` and `0..hertz`. What lies beyond the sound is silent.
pub(super) fn levels(sound: &Sound, seconds: f64, hertz: f64) -> Result<Levels, EvalError> {
    let rate = f64::from(sound.sample_rate);
    let size = 1_usize << ((rate * WINDOW).log2().round().clamp(6.0, 13.0) as u32);
    let window: Vec<f32> = (0..size)
        .map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / size as f32).cos())
        .collect();
    let scale = 2.0 / window.iter().sum::<f32>();
    let samples = sound.mono();
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(size);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let mut scratch = fft.make_scratch_vec();
    let mut levels = vec![SILENCE; COLUMNS * ROWS];
    let span = seconds * rate / COLUMNS as f64;
    let frames = (span / (size / 2) as f64).ceil().max(1.0) as usize;
    let mut power = vec![0.0_f32; output.len()];
    for column in 0..COLUMNS {
        let start = column as f64 * span;
        if start >= samples.len() as f64 {
            break;
        }
        power.fill(0.0);
        for frame in 0..frames {
            let middle = start + (frame as f64 + 0.5) * span / frames as f64;
            let first = middle as i64 - (size / 2) as i64;
            for (i, (x, w)) in input.iter_mut().zip(&window).enumerate() {
                let at = usize::try_from(first + i as i64).ok();
                let sample = at.and_then(|at| samples.get(at)).copied();
                *x = w * sample.filter(|sample| sample.is_finite()).unwrap_or(0.0);
            }
            fft.process_with_scratch(&mut input, &mut output, &mut scratch)
                .map_err(|error| EvalError::Plot(error.to_string()))?;
            for (sum, x) in power.iter_mut().zip(&output) {
                *sum += x.norm_sqr() * scale * scale / frames as f32;
            }
        }
        for row in 0..ROWS {
            if let Some(power) = band(&power, row, hertz / rate * size as f64) {
                let level = (10.0 * power.log10()).max(SILENCE);
                levels[(ROWS - 1 - row) * COLUMNS + column] = level;
            }
        }
    }
    Ok(Levels(levels))
}

/// Mean power of the bins of a row, counted from the lowest; `bins` are those of all rows.
fn band(power: &[f32], row: usize, bins: f64) -> Option<f32> {
    let (low, high) = (
        row as f64 * bins / ROWS as f64,
        (row + 1) as f64 * bins / ROWS as f64,
    );
    let (first, end) = (low.ceil() as usize, high.ceil() as usize);
    if first >= end {
        return power.get(low.round() as usize).copied();
    }
    let bins = power.get(first..end.min(power.len()))?;
    (!bins.is_empty()).then(|| bins.iter().sum::<f32>() / bins.len() as f32)
}

/// Level that the loudest of all versions does not pass (by more than rounding), in steps of 5 dB.
pub(super) fn top(all: &[Levels]) -> f32 {
    let loudest = all.iter().flat_map(|levels| &levels.0);
    let loudest = loudest.copied().fold(-100.0, f32::max);
    ((loudest - 0.1) / 5.0).ceil() * 5.0
}

impl Levels {
    /// One byte a pixel: 0 at [`RANGE`] below `top` and less, 255 at `top`.
    pub(super) fn pixels(&self, top: f32) -> Vec<u8> {
        let byte = |level: &f32| {
            let share = ((level - top) / RANGE + 1.0).clamp(0.0, 1.0);
            ((share * 255.0 / STEP).round() * STEP) as u8
        };
        self.0.iter().map(byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f32, seconds: f32) -> Sound {
        let rate = 16_000_u32;
        let samples = (seconds * rate as f32) as usize;
        let at = |i| (std::f32::consts::TAU * hertz * i as f32 / rate as f32).sin();
        Sound {
            sample_rate: rate,
            channels: vec![(0..samples).map(at).collect()],
        }
    }

    #[test]
    fn a_tone_is_a_line_at_its_frequency() {
        let levels = levels(&tone(2000.0, 0.5), 1.0, 12_000.0).unwrap();
        let pixels = levels.pixels(top(std::slice::from_ref(&levels)));
        assert_eq!(pixels.len(), COLUMNS * ROWS);
        let loudest = |column: usize| {
            (0..ROWS)
                .max_by_key(|row| pixels[row * COLUMNS + column])
                .unwrap()
        };
        // 2 of 12 kHz from below.
        let expected = ROWS as f64 * (1.0 - 2.0 / 12.0);
        assert!((loudest(COLUMNS / 4) as f64 - expected).abs() <= 1.5);
        // Above half the sample rate, and after the end.
        assert_eq!(pixels[10 * COLUMNS + COLUMNS / 4], 0);
        assert_eq!(pixels[loudest(COLUMNS / 4) * COLUMNS + COLUMNS * 3 / 4], 0);
    }

    #[test]
    fn levels_are_against_a_full_sine() {
        let loud = levels(&tone(2000.0, 1.0), 1.0, 8000.0).unwrap();
        assert_eq!(top(&[loud]), 0.0);
        let silence = Sound {
            sample_rate: 8000,
            channels: vec![vec![0.0; 8000]],
        };
        let silence = levels(&silence, 1.0, 4000.0).unwrap();
        let top = top(std::slice::from_ref(&silence));
        assert!(silence.pixels(top).iter().all(|pixel| *pixel == 0));
    }
}
