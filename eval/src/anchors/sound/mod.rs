//! Anchors for sound. Tools get 16-bit samples, and what they decode has rate, channels and length of the original.

mod mp3;
mod opus;
mod vorbis;
mod wav;

pub use mp3::Mp3;
pub use opus::Opus;
pub use vorbis::Vorbis;

use crate::Sound;
use crate::codec::Codec;

/// All anchors with default settings, Opus first.
pub fn all() -> Vec<Box<dyn Codec<Sound>>> {
    vec![
        Box::new(Opus::default()),
        Box::new(Mp3::default()),
        Box::new(Vorbis::default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Medium;
    use crate::anchors::{Availability, available};
    use crate::metrics::sound::stft_distance;
    use crate::test_sounds::pair;

    /// Two channels; the second is the first, late and turned over.
    fn stereo(sample_rate: u32, samples: usize) -> Sound {
        let (mut sound, _) = pair(sample_rate, samples, 1);
        let late: Vec<f32> = std::iter::repeat_n(0.0, 100)
            .chain(sound.channels[0].iter().map(|v| -0.5 * v))
            .take(samples)
            .collect();
        sound.channels.push(late);
        sound
    }

    /// Lag in -500..=500 at which the second sound is most like the first.
    fn lag(a: &[f32], b: &[f32]) -> i64 {
        let correlation = |lag: i64| -> f64 {
            let pairs = (0..a.len() as i64).filter_map(|i| {
                let b = b.get(usize::try_from(i + lag).ok()?)?;
                Some(f64::from(a[i as usize] * b))
            });
            pairs.sum()
        };
        let best = (-500..=500).map(|lag| (correlation(lag), lag));
        best.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
    }

    fn found() -> Vec<Box<dyn Codec<Sound>>> {
        let Availability { found, missing } = available(all());
        assert_eq!(found.len() + missing.len(), 3);
        for (name, error) in missing {
            println!("skipped: {name}: {error}");
            assert!(error.is_missing_tool(), "{error}");
        }
        found
    }

    /// Runs for each installed tool; a machine without any still passes, and says so by the error's text.
    #[test]
    fn round_trips_where_installed() {
        let (sound, _) = pair(24_000, 48_123, 1);
        for anchor in found() {
            let qualities = anchor.qualities();
            assert!(qualities.len() >= 7 && qualities.is_sorted());
            let mut before: Option<(usize, f64)> = None;
            for quality in [qualities[0], qualities[qualities.len() - 1]] {
                let bytes = anchor.encode(&sound, quality).unwrap();
                assert_eq!(bytes, anchor.encode(&sound, quality).unwrap());
                let decoded = anchor.decode(&bytes).unwrap();
                let distance = stft_distance(&sound, &decoded).unwrap();
                assert!(
                    before.is_none_or(|(size, far)| bytes.len() > size && distance < far),
                    "{}",
                    anchor.name()
                );
                before = Some((bytes.len(), distance));
            }
            for quality in [50.5, 1000.0, f64::NAN] {
                let error = anchor.encode(&sound, quality).unwrap_err();
                assert!(error.to_string().starts_with("invalid quality"), "{error}");
            }
            assert!(anchor.decode(b"not a sound").is_err());
            assert!(anchor.encode(&Sound::default(), qualities[0]).is_err());
        }
    }

    #[test]
    fn extent_and_delay_are_the_originals() {
        for anchor in found() {
            let qualities = anchor.qualities();
            for (rate, samples) in [(8_000, 12_001), (22_050, 20_007), (48_000, 48_000)] {
                let both = stereo(rate, samples);
                let one = pair(rate, samples, 1).0;
                for sound in [&one, &both] {
                    let bytes = anchor.encode(sound, qualities[qualities.len() - 2]);
                    let decoded = anchor.decode(&bytes.unwrap()).unwrap();
                    assert_eq!(decoded.extent(), sound.extent(), "{}", anchor.name());
                    for (a, b) in sound.channels.iter().zip(&decoded.channels) {
                        assert_eq!(lag(a, b), 0, "{} at {rate} Hz", anchor.name());
                    }
                }
            }
        }
    }
}
