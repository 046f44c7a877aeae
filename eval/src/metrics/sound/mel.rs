//! Distance of log-mel spectra.

use super::over_channels;
use super::spectrum::{frames, hann, is_silent};
use crate::{EvalError, Sound};

/// Bands of the mel scale.
pub const MEL_BANDS: usize = 80;
/// Least mean magnitude in a band: 100 dB below full scale.
const FLOOR: f64 = 1e-5;
/// Shortest window in seconds.
const WINDOW: f64 = 0.04;
/// Highest rate that is taken.
const MAX_RATE: u32 = 384_000;

/// Mean absolute difference of log-mel spectra, in nepers (1 is 8.7 dB).
///
/// At the sounds' own rate `r`: frames of `n` samples, the smallest power of two that lasts 40 ms, in steps of `n / 4` under
/// a periodic Hann window, both sounds led and followed by `n / 2` zeros. Magnitudes of the Fourier transforms are divided
/// by the sum of the window, so that a sine at full scale has 0.5. [`MEL_BANDS`] triangles whose corners are evenly spaced
/// between 0 and `r / 2` on the mel scale of Slaney's Auditory Toolbox (linear below 1 kHz, 27 steps for each factor of 6.4
/// above) weigh the magnitudes at bin centres, with weights that sum to 1 in each band. The value is the mean over frames
/// and bands of `|ln max(S, 1e-5) - ln max(E, 1e-5)|`; 0 for equal sounds. It depends on the sample rate. Sounds as in
/// [`super`].
///
/// # Errors
/// [`EvalError::SoundMismatch`]; [`EvalError::SoundTooShort`] for a silent original; [`EvalError::SampleRate`] above
/// 384 kHz.
pub fn mel_distance(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    let metric = "the mel distance";
    let rate = original.sample_rate;
    if rate > MAX_RATE {
        return Err(EvalError::SampleRate { metric, rate });
    }
    let size = ((WINDOW * f64::from(rate)).ceil() as usize)
        .max(4)
        .next_power_of_two();
    let bands = triangles(f64::from(rate), size);
    let scale = 1.0 / hann(size).iter().sum::<f64>();
    over_channels(metric, original, decoded, |a, b| {
        if is_silent(a) {
            return Err(EvalError::SoundTooShort { metric });
        }
        let (mut sum, mut count) = (0.0, 0usize);
        frames(a, b, size, |a, b| {
            for value in a.iter_mut().chain(b.iter_mut()) {
                *value = value.sqrt() * scale;
            }
            for band in &bands {
                sum += (band.of(a).max(FLOOR) / band.of(b).max(FLOOR)).ln().abs();
            }
            count += bands.len();
        })?;
        Ok(sum / count as f64)
    })
}

/// Weights of neighbouring bins.
struct Band {
    first: usize,
    weights: Vec<f64>,
}

impl Band {
    fn of(&self, spectrum: &[f64]) -> f64 {
        let bins = spectrum.iter().skip(self.first);
        self.weights.iter().zip(bins).map(|(w, v)| w * v).sum()
    }
}

/// Slaney's mel scale backwards: Hz of a mel.
fn hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * 6.4f64.powf((mel - 15.0) / 27.0)
    }
}

/// Slaney's mel scale: mel of a frequency in Hz.
fn mel(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        hertz * 3.0 / 200.0
    } else {
        15.0 + 27.0 * (hertz / 1000.0).ln() / 6.4f64.ln()
    }
}

/// All bands over the `size / 2 + 1` bins of a spectrum.
fn triangles(rate: f64, size: usize) -> Vec<Band> {
    let top = mel(rate / 2.0);
    let corner = |i: usize| hertz(top * i as f64 / (MEL_BANDS + 1) as f64);
    let width = rate / size as f64;
    (0..MEL_BANDS)
        .map(|band| {
            let (low, centre, high) = (corner(band), corner(band + 1), corner(band + 2));
            let weight = |bin: usize| {
                let f = bin as f64 * width;
                ((f - low) / (centre - low))
                    .min((high - f) / (high - centre))
                    .max(0.0)
            };
            let first = ((low / width).floor() as usize).min(size / 2);
            let last = ((high / width).ceil() as usize).min(size / 2);
            let mut weights: Vec<f64> = (first..=last).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= sum;
            }
            Band { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sounds::pair;

    #[test]
    fn a_gain_is_its_logarithm() {
        let (a, _) = pair(24_000, 24_000, 1);
        let mut half = a.clone();
        for value in &mut half.channels[0] {
            *value *= 0.5;
        }
        let distance = mel_distance(&a, &half).unwrap();
        // Less where frames fall below the floor.
        assert!(distance > 0.5 && distance < std::f64::consts::LN_2 + 1e-9);
        assert_eq!(mel_distance(&a, &a).unwrap(), 0.0);
    }

    #[test]
    fn no_band_is_empty_at_usual_rates() {
        for rate in [
            8_000.0, 11_025.0, 16_000.0, 22_050.0, 24_000.0, 44_100.0, 48_000.0, 96_000.0,
        ] {
            let size = ((WINDOW * rate).ceil() as usize).next_power_of_two();
            for band in triangles(rate, size) {
                let sum: f64 = band.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-12, "{rate}");
            }
        }
        for f in [0.0, 500.0, 1000.0, 7000.0] {
            assert!((hertz(mel(f)) - f).abs() < 1e-9);
        }
    }

    #[test]
    fn absurd_rates() {
        let sound = |sample_rate| Sound {
            sample_rate,
            channels: vec![vec![0.5, -0.5, 0.25]],
        };
        let error = mel_distance(&sound(500_000), &sound(500_000)).unwrap_err();
        assert!(matches!(error, EvalError::SampleRate { .. }));
        for rate in [0, 1, 10] {
            let value = mel_distance(&sound(rate), &sound(rate));
            assert!(value.is_err() || value.is_ok_and(|value| value == 0.0));
        }
    }
}
