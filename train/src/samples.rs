//! Reconstructions of held-out data as files to look at or listen to: `samples/original/` once, and
//! `samples/step-XXXXXXXX/` for each validation.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};

use crate::TrainError;
use crate::events::{Sample, SampleData};
use crate::storage::{Disk, replace};

/// The `samples` folder of a run.
#[derive(Debug, Clone)]
pub struct Samples {
    folder: PathBuf,
}

impl Samples {
    /// Opens the folder of a run that goes on after `step`; samples of later steps are removed.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn open(run: &Path, step: u64) -> Result<Self, TrainError> {
        let folder = run.join("samples");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let of = name.and_then(|n| n.strip_prefix("step-")?.parse::<u64>().ok());
            if of.is_some_and(|of| of > step) {
                fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
            }
        }
        Ok(Self { folder })
    }

    /// Writes the original, unless it is there, and the reconstruction; gives the file of the latter (PNG or WAV).
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Sample`] when sizes do not agree.
    pub fn write(&self, step: u64, sample: &Sample) -> Result<Vec<u8>, TrainError> {
        let name = file_name(&sample.name);
        let original = format!("{name}.{}", ending(&sample.original));
        if !self.folder.join("original").join(&original).exists() {
            self.file("original", &original, &encode(&name, &sample.original)?)?;
        }
        let bytes = encode(&name, &sample.reconstruction)?;
        let target = format!(
            "{name}-q{:02.0}.{}",
            sample.quality,
            ending(&sample.reconstruction)
        );
        self.file(&format!("step-{step:08}"), &target, &bytes)?;
        Ok(bytes)
    }

    fn file(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let folder = self.folder.join(folder);
        fs::create_dir_all(&folder).map_err(TrainError::io(&folder))?;
        replace(&Disk, &folder.join(name), bytes)
    }
}

fn ending(data: &SampleData) -> &'static str {
    match data {
        SampleData::Picture { .. } => "png",
        SampleData::Sound { .. } => "wav",
    }
}

/// A name that is a plain file name everywhere.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

fn encode(name: &str, data: &SampleData) -> Result<Vec<u8>, TrainError> {
    let bad = |reason: String| TrainError::Sample {
        name: name.to_owned(),
        reason,
    };
    match data {
        SampleData::Picture { width, height, rgb } => png(*width, *height, rgb).map_err(bad),
        SampleData::Sound { rate, channels } => wav(*rate, channels).map_err(bad),
    }
}

fn png(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, String> {
    let expected = width.checked_mul(height).and_then(|a| a.checked_mul(3));
    let (true, Ok(w), Ok(h)) = (
        expected == Some(rgb.len()) && !rgb.is_empty(),
        u32::try_from(width),
        u32::try_from(height),
    ) else {
        return Err(format!(
            "{} values for a picture of {width}x{height} in three colours",
            rgb.len()
        ));
    };
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(rgb, w, h, image::ExtendedColorType::Rgb8)
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// 16-bit samples.
fn wav(rate: u32, channels: &[Vec<f32>]) -> Result<Vec<u8>, String> {
    let length = channels.first().map_or(0, Vec::len);
    if length == 0 || channels.iter().any(|c| c.len() != length) {
        return Err("channels of different or no length".into());
    }
    let spec = hound::WavSpec {
        channels: u16::try_from(channels.len()).map_err(|e| e.to_string())?,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut cursor = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut cursor, spec).map_err(|e| e.to_string())?;
    for i in 0..length {
        for channel in channels {
            let value = channel.get(i).copied().unwrap_or(0.0).clamp(-1.0, 1.0);
            writer
                .write_sample((value * 32767.0).round() as i16)
                .map_err(|e| e.to_string())?;
        }
    }
    writer.finalize().map_err(|e| e.to_string())?;
    Ok(cursor.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rgb: [u8; 6]) -> SampleData {
        SampleData::Picture {
            width: 2,
            height: 1,
            rgb: rgb.to_vec(),
        }
    }

    #[test]
    fn pictures_read_back_and_originals_are_written_once() {
        let run = tempfile::tempdir().unwrap();
        let samples = Samples::open(run.path(), 0).unwrap();
        let mut sample = Sample {
            name: "a b/c".into(),
            quality: 7.0,
            original: picture([0, 128, 255, 255, 64, 0]),
            reconstruction: picture([51; 6]),
        };
        let bytes = samples.write(20, &sample).unwrap();
        let folder = run.path().join("samples");
        let read = |path: &str| image::open(folder.join(path)).unwrap().to_rgb8().into_raw();
        assert_eq!(read("original/a_b_c.png"), [0, 128, 255, 255, 64, 0]);
        assert_eq!(read("step-00000020/a_b_c-q07.png"), [51; 6]);
        let file = fs::read(folder.join("step-00000020/a_b_c-q07.png")).unwrap();
        assert_eq!(file, bytes);

        sample.original = picture([0; 6]);
        samples.write(40, &sample).unwrap();
        assert_eq!(read("original/a_b_c.png")[1], 128, "the original stays");
        Samples::open(run.path(), 20).unwrap();
        assert!(folder.join("step-00000020").exists() && !folder.join("step-00000040").exists());

        sample.reconstruction = SampleData::Picture {
            width: 3,
            height: 1,
            rgb: vec![0; 6],
        };
        let error = samples.write(60, &sample).unwrap_err();
        assert!(matches!(error, TrainError::Sample { .. }), "{error}");
    }

    #[test]
    fn sound_reads_back() {
        let run = tempfile::tempdir().unwrap();
        let samples = Samples::open(run.path(), 0).unwrap();
        let sound = |channels: Vec<Vec<f32>>| SampleData::Sound {
            rate: 24_000,
            channels,
        };
        let stereo = sound(vec![vec![0.0, 0.5, -1.0], vec![1.0, 0.0, -0.5]]);
        let mut sample = Sample {
            name: "voice".into(),
            quality: 50.0,
            original: stereo.clone(),
            reconstruction: stereo,
        };
        samples.write(5, &sample).unwrap();
        for path in ["original/voice.wav", "step-00000005/voice-q50.wav"] {
            let reader = hound::WavReader::open(run.path().join("samples").join(path)).unwrap();
            let spec = reader.spec();
            assert_eq!((spec.channels, spec.sample_rate), (2, 24_000));
            let values: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
            assert_eq!(values, [0, 32767, 16384, 0, -32767, -16384]);
        }
        sample.reconstruction = sound(vec![vec![0.0; 2], vec![0.0; 3]]);
        let error = samples.write(6, &sample).unwrap_err();
        assert!(matches!(error, TrainError::Sample { .. }), "{error}");
    }
}
