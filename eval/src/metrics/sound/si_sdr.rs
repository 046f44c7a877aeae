//! Scale-invariant signal-to-distortion ratio.

use super::over_channels;
use crate::{EvalError, Sound};

/// Least value of [`si_sdr`] in dB; that of silence in place of a sound.
pub const SI_SDR_MIN: f64 = -100.0;

/// SI-SDR in dB (Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019), of channels without
/// their means. The original `s` is scaled by `<s, e> / <s, s>` to meet the decoded `e`; the value is the power of what
/// that gives over the power of what is left. Infinite for equal sounds, never below [`SI_SDR_MIN`]. Sounds as in
/// [`super`].
///
/// # Errors
/// [`EvalError::SoundMismatch`]; [`EvalError::SoundTooShort`] for a silent original.
pub fn si_sdr(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    over_channels("SI-SDR", original, decoded, channel)
}

fn channel(original: &[f32], decoded: &[f32]) -> Result<f64, EvalError> {
    let centred = |x: &[f32]| -> Vec<f64> {
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len().max(1) as f64;
        x.iter().map(|v| f64::from(*v) - mean).collect()
    };
    let (s, e) = (centred(original), centred(decoded));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let power = dot(&s, &s);
    // A constant has no power but for what rounding left of its mean.
    let rounding = 1e-24 * s.len() as f64;
    if power <= rounding {
        return Err(EvalError::SoundTooShort { metric: "SI-SDR" });
    }
    let scale = dot(&s, &e) / power;
    let target = scale * scale * power;
    let rest: f64 = s.iter().zip(&e).map(|(s, e)| (e - scale * s).powi(2)).sum();
    if target <= rounding {
        return Ok(SI_SDR_MIN);
    }
    Ok((10.0 * (target / rest).log10()).max(SI_SDR_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sounds::pair;

    #[test]
    fn ends_of_the_scale() {
        let (a, b) = pair(16_000, 8_000, 8);
        let change = |change: fn(f32) -> f32| Sound {
            sample_rate: a.sample_rate,
            channels: vec![a.channels[0].iter().map(|v| change(*v)).collect()],
        };
        assert_eq!(si_sdr(&a, &a).unwrap(), f64::INFINITY);
        assert!(si_sdr(&a, &change(|v| 0.5 * v + 0.25)).unwrap() > 100.0);
        assert_eq!(si_sdr(&a, &change(|_| 0.0)).unwrap(), SI_SDR_MIN);
        assert!(si_sdr(&change(|_| 0.1), &a).is_err());
        assert!((0.0..100.0).contains(&si_sdr(&a, &b).unwrap()));
    }
}
