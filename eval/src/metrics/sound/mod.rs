//! Metrics of sound.
//!
//! Original and decoded sound have one rate, number of channels and length. Every channel is measured on its own, and the
//! value is the mean over those channels in which the metric is defined: a channel whose original is silent is left out.
//!
//! `docs/data/metric-validation-sound.json` compares them with other implementations on speech. There is no ViSQOL: the one
//! crate for it (`visqol-rs` 0.4.1) brings bindings to LAPACK, panics on input that it does not expect, needs a model
//! file that it does not come with for anything but speech, and there is nothing here that it could be compared with.

mod mel;
mod pesq;
mod resample;
mod si_sdr;
mod spectrum;
mod stft;
mod stoi;

pub use mel::{MEL_BANDS, mel_distance};
pub use pesq::{pesq_nb, pesq_wb};
pub use si_sdr::{SI_SDR_MIN, si_sdr};
pub use stft::{STFT_SIZES, stft_distance};
pub use stoi::{estoi, stoi};

use super::{Measure, Metric, Plain, where_defined};
use crate::{EvalError, Sound};

/// Keys of the metrics that are measured where none are named.
pub const USUAL: &[&str] = &["pesq-wb", "stoi", "si-sdr", "mel-distance", "stft-distance"];

/// The metric of this key, ready to measure; `None` for one that needs more than the sounds.
pub fn of_key(key: &str) -> Option<Box<dyn Measure<Sound>>> {
    type Compare = fn(&Sound, &Sound) -> Result<f64, EvalError>;
    let compare: Compare = match key {
        "si-sdr" => si_sdr,
        "stft-distance" => stft_distance,
        "mel-distance" => mel_distance,
        "pesq-wb" => pesq_wb,
        "pesq-nb" => pesq_nb,
        "stoi" => stoi,
        "estoi" => estoi,
        _ => return None,
    };
    Some(Box::new(Plain::new(Metric::of_key(key), move |a, b| {
        where_defined(compare(a, b))
    })))
}

/// Fails unless both sounds have one rate, number of channels and length, and only finite samples.
pub(crate) fn check(a: &Sound, b: &Sound) -> Result<(), EvalError> {
    let samples = a.samples();
    let alike = a.sample_rate == b.sample_rate
        && a.channels.len() == b.channels.len()
        && a.channels
            .iter()
            .chain(&b.channels)
            .all(|channel| channel.len() == samples);
    if !alike {
        let describe = |sound: &Sound| {
            let lengths: Vec<String> = sound.channels.iter().map(|c| c.len().to_string()).collect();
            format!("{} Hz [{}]", sound.sample_rate, lengths.join(", "))
        };
        return Err(EvalError::SoundMismatch {
            first: describe(a),
            second: describe(b),
        });
    }
    if a.channels
        .iter()
        .chain(&b.channels)
        .flatten()
        .any(|sample| !sample.is_finite())
    {
        return Err(EvalError::Unusable {
            what: "sound".to_owned(),
            reason: "a sample is not a finite number".to_owned(),
        });
    }
    Ok(())
}

/// The mean of `compare` over the channels in which it is defined.
fn over_channels(
    metric: &'static str,
    a: &Sound,
    b: &Sound,
    compare: impl Fn(&[f32], &[f32]) -> Result<f64, EvalError>,
) -> Result<f64, EvalError> {
    check(a, b)?;
    let (mut sum, mut count) = (0.0, 0);
    for (a, b) in a.channels.iter().zip(&b.channels) {
        if let Some(value) = where_defined(compare(a, b))? {
            sum += value;
            count += 1;
        }
    }
    if count == 0 {
        return Err(EvalError::SoundTooShort { metric });
    }
    Ok(sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::test_sounds::{REFERENCE, pair};

    #[test]
    fn every_known_metric_measures() {
        let (a, b) = pair(16_000, 16_000, 4);
        for key in Metric::known(Kind::Audio) {
            let measure = of_key(key).unwrap();
            let reference = measure.reference("a.wav", &a).unwrap();
            let found = reference.measure(&b).unwrap();
            assert!(found.values[key].is_finite(), "{key}");
            assert_eq!(found.values.len(), 1);
        }
        assert!(USUAL.iter().all(|key| of_key(key).is_some()));
        assert!(of_key("psnr-rgb").is_none());
    }

    #[test]
    fn equals_the_reference() {
        for case in &REFERENCE {
            let (a, b) = pair(case.rate, case.samples, case.amplitude);
            let near = |key: &str, value: f64, expected: f64, tolerance: f64| {
                println!("{} {key} {value} {expected}", case.rate);
                assert!(
                    (value - expected).abs() < tolerance,
                    "{key} at {} Hz: {value} and {expected}",
                    case.rate
                );
            };
            // Closed formulas on both sides, all in f64.
            near("si-sdr", si_sdr(&a, &b).unwrap(), case.si_sdr, 1e-9);
            near("stft", stft_distance(&a, &b).unwrap(), case.stft, 1e-9);
            near("mel", mel_distance(&a, &b).unwrap(), case.mel, 1e-9);
            // pystoi adds noise of 1e-16 to ESTOI; PESQ of the reference code is in f32.
            near("stoi", stoi(&a, &b).unwrap(), case.stoi, 1e-9);
            near("estoi", estoi(&a, &b).unwrap(), case.estoi, 1e-9);
            near("pesq-wb", pesq_wb(&a, &b).unwrap(), case.pesq_wb, 1e-2);
            near("pesq-nb", pesq_nb(&a, &b).unwrap(), case.pesq_nb, 1e-2);
        }
    }

    #[test]
    fn channels_are_averaged_and_silent_ones_left_out() {
        let (a, b) = pair(16_000, 32_000, 4);
        let (c, d) = pair(16_000, 32_000, 32);
        let join = |x: &Sound, y: &Sound| Sound {
            sample_rate: 16_000,
            channels: vec![x.channels[0].clone(), y.channels[0].clone()],
        };
        let silent = Sound {
            sample_rate: 16_000,
            channels: vec![vec![0.0; 32_000]],
        };
        let empty = Sound {
            sample_rate: 16_000,
            channels: Vec::new(),
        };
        for key in Metric::known(Kind::Audio) {
            let measure = of_key(key).unwrap();
            let value = |x: &Sound, y: &Sound| {
                let reference = measure.reference("", x).unwrap();
                reference.measure(y).unwrap().values.get(key).copied()
            };
            let (one, two) = (value(&a, &b).unwrap(), value(&c, &d).unwrap());
            let both = value(&join(&a, &c), &join(&b, &d)).unwrap();
            assert!((both - (one + two) / 2.0).abs() < 1e-12, "{key}");
            let half = value(&join(&a, &silent), &join(&b, &silent));
            assert_eq!(half, Some(one), "{key}");
            assert_eq!(value(&silent, &b), None, "{key}");
            assert_eq!(value(&empty, &empty), None, "{key}");
        }
    }

    #[test]
    fn unlike_sounds_are_refused() {
        let sound = |sample_rate, lengths: &[usize]| Sound {
            sample_rate,
            channels: lengths.iter().map(|n| vec![0.5; *n]).collect(),
        };
        let a = sound(16_000, &[9, 9]);
        assert!(check(&a, &a).is_ok());
        for b in [
            sound(8_000, &[9, 9]),
            sound(16_000, &[9]),
            sound(16_000, &[9, 8]),
            sound(16_000, &[8, 8]),
        ] {
            let error = check(&a, &b).unwrap_err();
            assert!(matches!(error, EvalError::SoundMismatch { .. }));
            assert!(check(&b, &a).is_err());
        }
        let mut b = a.clone();
        b.channels[1][3] = f32::NAN;
        assert!(matches!(
            check(&a, &b).unwrap_err(),
            EvalError::Unusable { .. }
        ));
    }
}
