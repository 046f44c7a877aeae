//! Short-time objective intelligibility.

use super::over_channels;
use super::resample::{MAX_RATE, resample};
use super::spectrum::Spectrum;
use crate::{EvalError, Sound};
use std::f64::consts::PI;

/// Rate that the measure works at.
const RATE: u32 = 10_000;
/// Samples of a frame; steps are half of it.
const FRAME: usize = 256;
const STEP: usize = FRAME / 2;
/// Length of the Fourier transform.
const SIZE: usize = 512;
/// One-third octave bands, the lowest at 150 Hz.
const BANDS: usize = 15;
const LOWEST: f64 = 150.0;
/// Frames that are compared at a time (384 ms).
const SEGMENT: usize = 30;
/// Frames so many dB below the loudest are left out.
const RANGE: f64 = 40.0;
/// Lower bound on the signal-to-distortion ratio in dB.
const CLIP: f64 = -15.0;
const EPSILON: f64 = f64::EPSILON;

/// STOI (Taal, Hendriks, Heusdens and Jensen, "An algorithm for intelligibility prediction of time-frequency weighted noisy
/// speech", IEEE TASLP 2011): 1 for equal sounds, about 0 where nothing is understood.
///
/// Sounds at another rate than 10 kHz are resampled with a 60 dB polyphase filter. Frames that are 40 dB below the loudest
/// of the original are cut out of both. As in `pystoi`, which tests compare with. Sounds as in [`super`].
///
/// # Errors
/// [`EvalError::SoundMismatch`]; [`EvalError::SoundTooShort`] below 30 frames (0.4 s) that are not silent;
/// [`EvalError::SampleRate`] at 0 and above 384 kHz.
pub fn stoi(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    measure("STOI", original, decoded, clipped_correlation)
}

/// Extended STOI (Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by modulated noise
/// maskers", IEEE TASLP 2016). Conditions and errors as for [`stoi`].
///
/// # Errors
/// Those of [`stoi`].
pub fn estoi(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    measure("ESTOI", original, decoded, normalized_correlation)
}

/// Magnitudes of a segment, `[band][frame]`.
type Segment = [[f64; SEGMENT]; BANDS];

fn measure(
    metric: &'static str,
    original: &Sound,
    decoded: &Sound,
    compare: fn(Segment, Segment) -> f64,
) -> Result<f64, EvalError> {
    let rate = original.sample_rate;
    if rate == 0 || rate > MAX_RATE {
        return Err(EvalError::SampleRate { metric, rate });
    }
    over_channels(metric, original, decoded, |x, y| {
        let (x, y) = (resample(x, rate, RATE), resample(y, rate, RATE));
        let (x, y) = without_silence(&x, &y).ok_or(EvalError::SoundTooShort { metric })?;
        let (x, y) = (bands(&x)?, bands(&y)?);
        if x.len() < SEGMENT {
            return Err(EvalError::SoundTooShort { metric });
        }
        let pairs = x.windows(SEGMENT).zip(y.windows(SEGMENT));
        let count = pairs.len() as f64;
        let sum: f64 = pairs
            .map(|(x, y)| compare(transpose(x), transpose(y)))
            .sum();
        Ok(sum / count)
    })
}

/// Hann window without its zeros.
fn window() -> Vec<f64> {
    let at = |i| 0.5 - 0.5 * (2.0 * PI * (i + 1) as f64 / (FRAME + 1) as f64).cos();
    (0..FRAME).map(at).collect()
}

/// Starts of the frames in so many samples. The frame that would end with the last sample is not among them.
fn starts(samples: usize) -> impl Iterator<Item = usize> {
    (0..samples.saturating_sub(FRAME)).step_by(STEP)
}

/// Joins the windowed frames that are loud enough in `x`; `None` without any sound.
fn without_silence(x: &[f64], y: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let window = window();
    let level = |start: usize| {
        let frame = x.iter().skip(start).zip(&window);
        let energy: f64 = frame.map(|(v, w)| (v * w).powi(2)).sum();
        20.0 * (energy.sqrt() + EPSILON).log10()
    };
    let levels: Vec<(usize, f64)> = starts(x.len()).map(|start| (start, level(start))).collect();
    let loudest = levels.iter().map(|l| l.1).fold(f64::NEG_INFINITY, f64::max);
    if loudest <= 20.0 * (2.0 * EPSILON).log10() {
        return None;
    }
    let kept: Vec<usize> = levels
        .into_iter()
        .filter(|(_, level)| loudest - RANGE - level < 0.0)
        .map(|(start, _)| start)
        .collect();
    let join = |signal: &[f64]| {
        let mut joined = vec![0.0; (kept.len().saturating_sub(1)) * STEP + FRAME];
        for (i, &start) in kept.iter().enumerate() {
            let frame = signal.iter().skip(start).zip(&window);
            for (sum, (v, w)) in joined.iter_mut().skip(i * STEP).zip(frame) {
                *sum += v * w;
            }
        }
        joined
    };
    Some((join(x), join(y)))
}

/// Magnitudes in one-third octave bands, frame by frame.
fn bands(x: &[f64]) -> Result<Vec<[f64; BANDS]>, EvalError> {
    let window = window();
    let mut spectrum = Spectrum::new(SIZE);
    // A band reaches from the bin nearest to its lower edge to the one before the bin nearest to its upper edge.
    let edge = |band: usize, half: f64| {
        let hertz = LOWEST * 2f64.powf((2.0 * band as f64 + half) / 6.0);
        ((hertz * SIZE as f64 / f64::from(RATE)).round() as usize).min(SIZE / 2)
    };
    starts(x.len())
        .map(|start| {
            let frame = x.iter().skip(start).zip(&window).map(|(v, w)| v * w);
            let power = spectrum.power(frame)?;
            Ok(std::array::from_fn(|band| {
                let (low, high) = (edge(band, -1.0), edge(band, 1.0));
                let inside = power.iter().take(high).skip(low);
                inside.sum::<f64>().sqrt()
            }))
        })
        .collect()
}

fn transpose(frames: &[[f64; BANDS]]) -> Segment {
    let mut segment = [[0.0; SEGMENT]; BANDS];
    for (at, frame) in frames.iter().enumerate().take(SEGMENT) {
        for (row, value) in segment.iter_mut().zip(frame) {
            row[at] = *value;
        }
    }
    segment
}

fn dot(x: &[f64; SEGMENT], y: &[f64; SEGMENT]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Takes the mean away.
fn centre(x: &mut [f64; SEGMENT]) {
    let mean = x.iter().sum::<f64>() / SEGMENT as f64;
    for value in x {
        *value -= mean;
    }
}

/// Mean over bands of the correlation of `x` with `y`, which is first brought to the energy of `x` and bounded (2011,
/// eqs. 3 to 5).
fn clipped_correlation(mut x: Segment, mut y: Segment) -> f64 {
    let bound = 1.0 + 10f64.powf(-CLIP / 20.0);
    let bands = x.iter_mut().zip(&mut y).map(|(x, y)| {
        let scale = dot(x, x).sqrt() / (dot(y, y).sqrt() + EPSILON);
        for (y, x) in y.iter_mut().zip(x.iter()) {
            *y = (*y * scale).min(*x * bound);
        }
        centre(x);
        centre(y);
        dot(x, y) / ((dot(x, x).sqrt() + EPSILON) * (dot(y, y).sqrt() + EPSILON))
    });
    bands.sum::<f64>() / BANDS as f64
}

/// Mean over frames of the correlation of columns, after rows and then columns are centred and normalized (2016, eqs. 3 to
/// 6).
fn normalized_correlation(mut x: Segment, mut y: Segment) -> f64 {
    for segment in [&mut x, &mut y] {
        for row in segment.iter_mut() {
            centre(row);
            normalize(row.iter_mut());
        }
        for at in 0..SEGMENT {
            let mean = segment.iter().map(|row| row[at]).sum::<f64>() / BANDS as f64;
            for row in segment.iter_mut() {
                row[at] -= mean;
            }
            normalize(segment.iter_mut().map(|row| &mut row[at]));
        }
    }
    let sum: f64 = x.iter().zip(&y).map(|(x, y)| dot(x, y)).sum();
    sum / SEGMENT as f64
}

/// Brings values to norm 1; what is nothing but rounding becomes 0.
fn normalize<'a>(values: impl Iterator<Item = &'a mut f64>) {
    let values: Vec<&mut f64> = values.collect();
    let norm = values.iter().map(|v| **v * **v).sum::<f64>().sqrt();
    let scale = if norm > 10.0 * EPSILON {
        1.0 / norm
    } else {
        0.0
    };
    for value in values {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sounds::pair;

    #[test]
    fn ends_of_the_scale() {
        let (a, b) = pair(16_000, 16_000, 16);
        assert!((stoi(&a, &a).unwrap() - 1.0).abs() < 1e-9);
        assert!((estoi(&a, &a).unwrap() - 1.0).abs() < 1e-9);
        assert!(stoi(&a, &b).unwrap() < 1.0);
        let silent = Sound {
            sample_rate: 16_000,
            channels: vec![vec![0.0; 16_000]],
        };
        assert_eq!(stoi(&a, &silent).unwrap(), 0.0);
        assert_eq!(estoi(&a, &silent).unwrap(), 0.0);
    }

    #[test]
    fn what_is_refused() {
        let short = pair(16_000, 5_000, 4);
        let error = stoi(&short.0, &short.1).unwrap_err();
        assert!(matches!(error, EvalError::SoundTooShort { .. }));
        let (mut a, _) = pair(16_000, 16_000, 4);
        for rate in [0, MAX_RATE + 1] {
            a.sample_rate = rate;
            let error = estoi(&a, &a).unwrap_err();
            assert!(matches!(error, EvalError::SampleRate { .. }));
        }
    }
}
