//! Change of the sample rate by a polyphase filter.

use std::f64::consts::PI;

/// Rejection of the filter in dB.
const REJECTION: f64 = 60.0;
/// Highest rate that is taken; the filter's length grows with it.
pub(super) const MAX_RATE: u32 = 384_000;

/// Takes sound from one rate to another: a windowed sinc at the product of both rates over their common divisor, in f64,
/// symmetric, so without delay. The filter is that of Octave's `resample` (Kaiser window for 60 dB, transition over a tenth
/// of the lower half rate), which the reference implementations of STOI use; ends see zeros beyond them. `x` as it is
/// where the rates are equal. The result has `ceil(len * to / from)` samples. Rates are not 0.
pub(super) fn resample(x: &[f32], from: u32, to: u32) -> Vec<f64> {
    let exact = x.iter().map(|v| f64::from(*v));
    if from == to {
        return exact.collect();
    }
    let divisor = gcd(from, to).max(1);
    let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
    let x: Vec<f64> = exact.collect();
    let filter = filter(up, down);
    let half = filter.len() / 2;
    let count = (x.len() * up).div_ceil(down);
    let at = |m: usize| -> f64 {
        // Samples k with |m down - k up| <= half.
        let centre = m * down;
        let first = centre.saturating_sub(half).div_ceil(up);
        let last = ((centre + half) / up + 1).min(x.len());
        let taps = |k: usize| filter.get((centre + half).checked_sub(k * up)?);
        let inside = x.iter().enumerate().take(last).skip(first);
        inside
            .map(|(k, v)| taps(k).map_or(0.0, |tap| tap * v))
            .sum()
    };
    (0..count).map(at).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The low-pass for `up / down`, an odd number of taps that sum to `up`.
fn filter(up: usize, down: usize) -> Vec<f64> {
    let cutoff = 1.0 / (2.0 * up.max(down) as f64);
    // Kaiser's length and shape for a rejection (Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.6).
    let half = ((REJECTION - 8.0) / (28.714 * cutoff / 10.0)).ceil();
    let beta = 0.1102 * (REJECTION - 8.7);
    let tap = |i: usize| {
        let t = i as f64 - half;
        let angle = 2.0 * PI * cutoff * t;
        let sinc = if t == 0.0 { 1.0 } else { angle.sin() / angle };
        sinc * bessel(beta * (1.0 - (t / half).powi(2)).max(0.0).sqrt())
    };
    let mut taps: Vec<f64> = (0..=2 * half as usize).map(tap).collect();
    let scale = up as f64 / taps.iter().sum::<f64>();
    for tap in &mut taps {
        *tap *= scale;
    }
    taps
}

/// Modified Bessel function of order 0 by its power series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..60 {
        term *= quarter / f64::from(k * k);
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_pass_and_stay_in_place() {
        for (from, to) in [
            (24_000, 10_000),
            (44_100, 16_000),
            (8_000, 16_000),
            (48_000, 8_000),
        ] {
            let tone = |rate: u32, i: usize| (2.0 * PI * 1000.0 * i as f64 / f64::from(rate)).sin();
            let x: Vec<f32> = (0..from as usize / 2)
                .map(|i| tone(from, i) as f32)
                .collect();
            let y = resample(&x, from, to);
            assert_eq!(y.len(), to as usize / 2);
            for (i, value) in y.iter().enumerate().skip(400).take(y.len() - 800) {
                assert!((value - tone(to, i)).abs() < 2e-3, "{from} {to} {i}");
            }
        }
    }

    #[test]
    fn tones_above_are_removed() {
        let x: Vec<f32> = (0..24_000)
            .map(|i| (2.0 * PI * 7000.0 * f64::from(i) / 24_000.0).sin() as f32)
            .collect();
        let y = resample(&x, 24_000, 10_000);
        assert!(y[400..9_600].iter().all(|value| value.abs() < 2e-3));
        assert_eq!(resample(&[0.25, 0.5], 7, 7), [0.25, 0.5]);
        assert!(resample(&[], 8_000, 16_000).is_empty());
    }
}
