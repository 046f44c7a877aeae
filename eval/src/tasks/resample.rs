//! Sound at another rate, through a windowed sinc.

use super::TaskError;

/// Zero crossings on each side.
const REACH: f64 = 24.0;
/// Share of the narrower band that is kept.
const BAND: f64 = 0.95;
/// Most coefficients of a filter.
const LIMIT: usize = 1 << 23;

/// Samples at the rate `to`; there are as many as make up the same time, rounded up.
pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>, TaskError> {
    if from == to {
        return Ok(samples.to_vec());
    }
    if from == 0 || to == 0 {
        return Err(TaskError::BadSetting {
            name: "sample rate",
            value: format!("{from} to {to}"),
            expected: "more than 0",
        });
    }
    let common = gcd(from, to);
    let (up, down) = ((to / common) as usize, (from / common) as usize);
    // In samples of the source.
    let band = BAND * (f64::from(to) / f64::from(from)).min(1.0);
    let half = (REACH / band).ceil() as usize;
    let taps = 2 * half;
    let count = samples.len().saturating_mul(up).div_ceil(down);
    if up.saturating_mul(taps) > LIMIT || count > 1 << 28 {
        return Err(TaskError::TooLarge {
            what: "change of sample rate",
            actual: up.saturating_mul(taps).max(count),
            limit: LIMIT,
        });
    }
    let mut filters = Vec::with_capacity(up * taps);
    for phase in 0..up {
        let at = phase as f64 / up as f64;
        let filter = (0..taps).map(|k| {
            let distance = k as f64 + 1.0 - half as f64 - at;
            let inside = (distance / half as f64).clamp(-1.0, 1.0) * std::f64::consts::PI;
            // Blackman's window.
            let window = 0.42 + 0.5 * inside.cos() + 0.08 * (2.0 * inside).cos();
            sinc(distance * band) * window
        });
        let filter: Vec<f64> = filter.collect();
        // Constants stay what they are.
        let sum: f64 = filter.iter().sum();
        filters.extend(filter.into_iter().map(|value| (value / sum) as f32));
    }
    let at = |i: usize| {
        let position = i * down;
        let (whole, phase) = (position / up, position % up);
        let filter = filters.iter().skip(phase * taps).take(taps);
        let begin = (whole + 1).saturating_sub(half);
        let cut = half.saturating_sub(whole + 1);
        let sources = samples.get(begin..).unwrap_or_default();
        filter.skip(cut).zip(sources).map(|(f, s)| f * s).sum()
    };
    Ok((0..count).map(at).collect())
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, rate: u32, count: usize) -> Vec<f32> {
        let turn = std::f64::consts::TAU * hertz / f64::from(rate);
        (0..count).map(|i| (turn * i as f64).sin() as f32).collect()
    }

    #[test]
    fn tones_keep_their_pitch_and_level() {
        for (from, to) in [
            (24_000, 16_000),
            (44_100, 16_000),
            (8000, 24_000),
            (22_050, 48_000),
        ] {
            let count = from as usize / 2;
            let got = resample(&tone(1000.0, from, count), from, to).unwrap();
            assert_eq!(got.len(), count * to as usize / from as usize);
            let wanted = tone(1000.0, to, got.len());
            let inner = 400..got.len() - 400;
            for (a, b) in got[inner.clone()].iter().zip(&wanted[inner]) {
                assert!((a - b).abs() < 2e-3, "{from} to {to}: {a} {b}");
            }
        }
        // What the lower rate cannot hold is gone.
        let got = resample(&tone(11_000.0, 24_000, 24_000), 24_000, 16_000).unwrap();
        assert!(got[400..15_600].iter().all(|v| v.abs() < 2e-3));
    }

    #[test]
    fn ends_and_odd_rates() {
        assert!(resample(&[], 8000, 16_000).unwrap().is_empty());
        assert_eq!(resample(&[0.5], 8000, 8000).unwrap(), [0.5]);
        assert_eq!(resample(&[0.5; 3], 7, 5).unwrap().len(), 3);
        assert!(resample(&[0.5], 0, 5).is_err());
        assert!(resample(&[0.5], 4_000_000_007, 3).is_err());
    }
}
