//! Sounds as models and commands want them.

use super::TaskError;
use super::onnx::{Onnx, Tensor};
use super::resample::resample;
use crate::Sound;
use serde::{Deserialize, Serialize};

/// Longest window or sound, in samples.
const MAX_SAMPLES: usize = 1 << 28;

/// How sounds are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SoundPreprocess {
    /// Samples a second that the model takes; as it comes unless given.
    pub sample_rate: Option<u32>,
    /// Whether channels are mixed into one. The model decides where its shape `[1, channels, samples]` is fixed.
    pub mono: bool,
    /// Samples of a window. Longer sounds are cut into windows, one after the other, whose results are averaged or joined;
    /// the last one is filled with silence. That of the model where it has a fixed one, else the whole sound.
    pub samples: Option<usize>,
    /// Shorter sounds are filled with silence up to so many samples.
    pub at_least: usize,
    /// Whether each window is brought to mean 0 and variance 1.
    pub normalise: bool,
}

impl Default for SoundPreprocess {
    fn default() -> Self {
        Self {
            sample_rate: None,
            mono: true,
            samples: None,
            at_least: 1,
            normalise: false,
        }
    }
}

impl SoundPreprocess {
    pub(super) fn check(&self) -> Result<(), TaskError> {
        let bad = |name, value: String, expected| {
            Err(TaskError::BadSetting {
                name,
                value,
                expected,
            })
        };
        if self
            .sample_rate
            .is_some_and(|rate| !(1..=768_000).contains(&rate))
        {
            return bad(
                "sound.sample-rate",
                format!("{:?}", self.sample_rate),
                "1..=768000",
            );
        }
        for (name, value) in [
            ("sound.samples", self.samples.unwrap_or(1)),
            ("sound.at-least", self.at_least),
        ] {
            if !(1..=MAX_SAMPLES).contains(&value) {
                return bad(name, value.to_string(), "1..=268435456");
            }
        }
        Ok(())
    }

    /// The windows of a sound as inputs of the model.
    ///
    /// # Errors
    /// An input that is no sound, or of a length other than the one set; rates that do not fit.
    pub fn tensors(&self, sound: &Sound, model: &Onnx) -> Result<Vec<Tensor>, TaskError> {
        let (rank, wanted, fixed) = match model.shape() {
            None => (2, None, None),
            Some(&[samples]) => (1, Some(1), samples),
            Some(&[_, samples]) => (2, Some(1), samples),
            Some(&[_, channels, samples]) => (3, channels, samples),
            Some(_) => return Err(model.refuse("a sound")),
        };
        if fixed == Some(0) || wanted == Some(0) {
            return Err(model.refuse("a sound"));
        }
        let mono = wanted.map_or(self.mono, |channels| channels == 1);
        let mut channels = if mono || sound.channels.is_empty() {
            vec![sound.mono()]
        } else {
            sound.channels.clone()
        };
        match (wanted, channels.len()) {
            (None, _) => (),
            (Some(wanted), found) if wanted == found => (),
            (Some(2), 1) => channels.push(channels[0].clone()),
            (Some(_), found) => return Err(model.refuse(format!("{found} channels"))),
        }
        if let Some(rate) = self.sample_rate {
            for channel in &mut channels {
                *channel = resample(channel, sound.sample_rate, rate)?;
            }
        }
        let length = channels
            .iter()
            .map(Vec::len)
            .max()
            .unwrap_or(0)
            .max(self.at_least);
        let window = self.samples.or(fixed).unwrap_or(length);
        let windows = (0..length.div_ceil(window)).map(|i| {
            let mut data = Vec::with_capacity(window * channels.len());
            for channel in &channels {
                let rest = channel.get(i * window..).unwrap_or_default();
                let mut part = rest[..rest.len().min(window)].to_vec();
                part.resize(window, 0.0);
                if self.normalise {
                    normalise(&mut part);
                }
                data.extend(part);
            }
            let shape = match rank {
                1 => vec![window],
                2 => vec![1, window],
                _ => vec![1, channels.len(), window],
            };
            Tensor {
                shape,
                data,
                ..Tensor::default()
            }
        });
        Ok(windows.collect())
    }
}

fn normalise(samples: &mut [f32]) {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let power = |&v: &f32| (f64::from(v) - mean).powi(2);
    let variance = samples.iter().map(power).sum::<f64>() / count;
    let scale = 1.0 / (variance + 1e-7).sqrt();
    for sample in samples {
        *sample = ((f64::from(*sample) - mean) * scale) as f32;
    }
}

/// The sound as a WAV file of 16-bit samples.
pub(super) fn to_wav(sound: &Sound) -> Result<Vec<u8>, TaskError> {
    let channels = sound.channels.len();
    let bytes = sound.samples().saturating_mul(channels).saturating_mul(2);
    let too_large = |actual| TaskError::TooLarge {
        what: "WAV file",
        actual,
        limit: MAX_SAMPLES * 2,
    };
    if bytes > MAX_SAMPLES * 2 {
        return Err(too_large(bytes));
    }
    let count = u16::try_from(channels).map_err(|_| too_large(channels))?;
    let frame = count.checked_mul(2).ok_or_else(|| too_large(channels))?;
    let mut wav = Vec::with_capacity(44 + bytes);
    wav.extend(b"RIFF");
    wav.extend((36 + bytes as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    wav.extend(count.to_le_bytes());
    wav.extend(sound.sample_rate.to_le_bytes());
    wav.extend(
        sound
            .sample_rate
            .saturating_mul(u32::from(frame))
            .to_le_bytes(),
    );
    wav.extend(frame.to_le_bytes());
    wav.extend(b"\x10\0data");
    wav.extend((bytes as u32).to_le_bytes());
    for i in 0..sound.samples() {
        for channel in &sound.channels {
            let sample = channel.get(i).copied().unwrap_or(0.0);
            let sample = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
            wav.extend(sample.to_le_bytes());
        }
    }
    Ok(wav)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::model;

    #[test]
    fn windows_rates_and_channels() {
        let sound = Sound {
            sample_rate: 100,
            channels: vec![vec![1.0; 70], vec![0.0; 70]],
        };
        let loudness = model("loudness.onnx");
        let windows = |prepare: SoundPreprocess, model: &Onnx| prepare.tensors(&sound, model);
        let found = windows(SoundPreprocess::default(), &loudness).unwrap();
        assert_eq!(
            (found.len(), found[0].shape.as_slice()),
            (1, [1, 70].as_slice())
        );
        assert_eq!(found[0].data, [0.5; 70]);
        let set = SoundPreprocess {
            samples: Some(40),
            ..SoundPreprocess::default()
        };
        let found = windows(set.clone(), &loudness).unwrap();
        assert_eq!(
            (found.len(), found[1].data[29], found[1].data[30]),
            (2, 0.5, 0.0)
        );
        let half = SoundPreprocess {
            sample_rate: Some(50),
            at_least: 60,
            normalise: true,
            ..SoundPreprocess::default()
        };
        let found = windows(half, &loudness).unwrap();
        assert_eq!(found[0].shape, [1, 60]);
        assert!(found[0].data.iter().sum::<f32>().abs() < 1e-3);
        // [1, 2, ?]
        let stereo = windows(SoundPreprocess::default(), &model("bands.onnx")).unwrap();
        assert_eq!(stereo[0].shape, [1, 2, 70]);
        assert!(windows(set, &model("colour.onnx")).is_err());
        let empty = SoundPreprocess::default()
            .tensors(&Sound::default(), &loudness)
            .unwrap();
        assert_eq!(empty[0].data, [0.0]);
    }

    #[test]
    fn wav_header() {
        let sound = Sound {
            sample_rate: 8000,
            channels: vec![vec![0.5, -2.0], vec![0.0, 1.0]],
        };
        let wav = to_wav(&sound).unwrap();
        assert_eq!(wav.len(), 52);
        assert_eq!(
            wav[22..36],
            [2, 0, 0x40, 0x1f, 0, 0, 0, 0x7d, 0, 0, 4, 0, 16, 0]
        );
        assert_eq!(wav[44..], [0, 0x40, 0, 0, 0, 0x80, 0xff, 0x7f]);
    }
}
