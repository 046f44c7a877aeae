//! Perceptual evaluation of speech quality, by the crate `pesq`.
//!
//! It is within 2e-4 of the reference code on coded speech and on noise or a click in place of it, and far from it for a
//! constant in place of speech (wideband, 1.54 and 1.10).

use super::over_channels;
use super::resample::{MAX_RATE, resample};
use crate::{EvalError, Sound};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rates that the models work at.
const WIDE: u32 = 16_000;
const NARROW: u32 = 8_000;
/// Lower end of the scale of P.862, before it is mapped to MOS-LQO.
const LEAST: f64 = -0.5;

/// A model's rate, its name, how it compares, and what it makes of a raw score.
struct Model {
    metric: &'static str,
    rate: u32,
    compare: fn(&[i16], &[i16]) -> Result<f64, pesq::PesqError>,
    map: fn(f64) -> f32,
}

/// Wideband PESQ as MOS-LQO, about 1.02 to 4.64 (ITU-T P.862.2, 2007).
///
/// Sounds at another rate than 16 kHz are resampled by a polyphase filter (60 dB, transition centred on 8 kHz or on half of
/// a lower rate); samples are then rounded to 16 bits. Speech only, of a quarter second to about half a
/// minute. Silence in place of the original has the value of the raw score -0.5, the lower end of P.862. Sounds as in
/// [`super`].
///
/// # Errors
/// [`EvalError::SoundMismatch`]; [`EvalError::SoundTooShort`] below a quarter second and for an original without an
/// utterance; [`EvalError::SampleRate`] at 0 and above 384 kHz; [`EvalError::Unusable`] where the decoded sound has no
/// utterance left, or so little in common with the original that the two cannot be aligned.
pub fn pesq_wb(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    let model = Model {
        metric: "PESQ (wideband)",
        rate: WIDE,
        compare: |a, b| pesq::pesq_wb(a, b).map(f64::from),
        map: pesq::score::mos_lqo_wb,
    };
    measure(&model, original, decoded)
}

/// Narrowband PESQ as MOS-LQO, about 1.01 to 4.55 (ITU-T P.862, 2001, mapped by P.862.1, 2003). As [`pesq_wb`] otherwise, at
/// 8 kHz.
///
/// # Errors
/// Those of [`pesq_wb`].
pub fn pesq_nb(original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    let model = Model {
        metric: "PESQ (narrowband)",
        rate: NARROW,
        compare: |a, b| {
            pesq::pesq_8k(a, b).map(|raw| f64::from(pesq::score::mos_lqo(f64::from(raw))))
        },
        map: pesq::score::mos_lqo,
    };
    measure(&model, original, decoded)
}

fn measure(model: &Model, original: &Sound, decoded: &Sound) -> Result<f64, EvalError> {
    let (metric, compare) = (model.metric, model.compare);
    let rate = original.sample_rate;
    if rate == 0 || rate > MAX_RATE {
        return Err(EvalError::SampleRate { metric, rate });
    }
    let quantize = |x: &[f32]| -> Vec<i16> {
        let values = resample(x, rate, model.rate).into_iter();
        // The conversion saturates.
        values.map(|v| (v * 32_768.0).round() as i16).collect()
    };
    let unusable = |reason: &str| EvalError::Unusable {
        what: metric.to_owned(),
        reason: reason.to_owned(),
    };
    // The crate indexes out of range when it aligns sounds that have nothing in common (seen once in 800 odd pairs).
    let guarded = |a: &[i16], b: &[i16]| {
        catch_unwind(AssertUnwindSafe(|| compare(a, b)))
            .map_err(|_| unusable("the sounds cannot be aligned"))
    };
    let is_silent = |x: &[i16]| x.iter().all(|v| *v == 0);
    over_channels(metric, original, decoded, |a, b| {
        let (a, b) = (quantize(a), quantize(b));
        // A score of silence is undefined in the reference code, and the best one in the crate.
        let result = if is_silent(&a) {
            return Err(EvalError::SoundTooShort { metric });
        } else if is_silent(&b) {
            guarded(&a, &a)?.map(|_| f64::from((model.map)(LEAST)))
        } else {
            guarded(&a, &b)?
        };
        match result {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(unusable("the score is not a number")),
            // Too short, or no utterance: the original's own, or what became of it.
            Err(_) if guarded(&a, &a)?.is_err() => Err(EvalError::SoundTooShort { metric }),
            Err(error) => Err(unusable(&error.to_string())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_sounds::pair;

    #[test]
    fn ends_of_the_scale() {
        let (a, b) = pair(16_000, 32_000, 8);
        assert!((pesq_wb(&a, &a).unwrap() - 4.644).abs() < 1e-3);
        assert!((pesq_nb(&a, &a).unwrap() - 4.549).abs() < 1e-3);
        assert!(pesq_wb(&a, &b).unwrap() < 4.5);
        let silent = Sound {
            sample_rate: 16_000,
            channels: vec![vec![0.0; 32_000]],
        };
        assert!((pesq_wb(&a, &silent).unwrap() - 1.043).abs() < 1e-3);
        assert!((pesq_nb(&a, &silent).unwrap() - 1.017).abs() < 1e-3);
        let short = pair(16_000, 3_000, 1);
        let nothing = Sound {
            sample_rate: 16_000,
            channels: vec![vec![0.0; 3_000]],
        };
        for b in [&short.1, &nothing] {
            let error = pesq_wb(&short.0, b).unwrap_err();
            assert!(matches!(error, EvalError::SoundTooShort { .. }));
        }
    }
}
