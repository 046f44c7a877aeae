//! Multi-resolution distance of spectra.

use super::over_channels;
use super::spectrum::{frames, is_silent};
use crate::{EvalError, Sound};

/// Sizes of transform and window; steps are a quarter of them.
pub const STFT_SIZES: [usize; 3] = [512, 1024, 2048];
/// Least power of a value of a spectrum, as in the training losses that the distance is known from.
const FLOOR: f64 = 1e-7;

/// Multi-resolution STFT distance (Yamamoto, Song and Kim, "Parallel WaveGAN", ICASSP 2020, eqs. 4 to 6), with the windows
/// of [`STFT_SIZES`] in place of the paper's.
///
/// For each size `n`: both sounds are led and followed by `n / 2` zeros, frames of `n` samples under a periodic Hann window
/// start at multiples of `n / 4`, and `S` and `E` are the magnitudes of their Fourier transforms, squares not below 1e-7.
/// The distance is `|S - E| / |S|` (Frobenius norms) plus the mean of `|ln S - ln E|`; the value is the mean over sizes. 0
/// for equal sounds. It depends on the sample rate. Sounds as in [`super`].
///
/// # Errors
/// [`EvalError::SoundMismatch`]; [`EvalError::SoundTooShort`] for a silent original.
pub fn stft_distance(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    over_channels("the STFT distance", original, decoded, channel)
}

fn channel(original: &[f32], decoded: &[f32]) -> Result<f64, EvalError> {
    if is_silent(original) {
        let metric = "the STFT distance";
        return Err(EvalError::SoundTooShort { metric });
    }
    let mut sum = 0.0;
    for size in STFT_SIZES {
        let (mut rest, mut whole, mut logs, mut count) = (0.0, 0.0, 0.0, 0usize);
        frames(original, decoded, size, |a, b| {
            for (a, b) in a.iter().zip(b.iter()) {
                let (a, b) = (a.max(FLOOR), b.max(FLOOR));
                whole += a;
                rest += (a.sqrt() - b.sqrt()).powi(2);
                logs += 0.5 * (a / b).ln().abs();
            }
            count += a.len();
        })?;
        sum += (rest / whole).sqrt() + logs / count as f64;
    }
    Ok(sum / STFT_SIZES.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sounds::pair;

    #[test]
    fn grows_with_noise() {
        let (a, b) = pair(16_000, 9_001, 2);
        let (_, c) = pair(16_000, 9_001, 20);
        assert_eq!(stft_distance(&a, &a).unwrap(), 0.0);
        let (near, far) = (
            stft_distance(&a, &b).unwrap(),
            stft_distance(&a, &c).unwrap(),
        );
        assert!(0.0 < near && near < far);
    }
}
