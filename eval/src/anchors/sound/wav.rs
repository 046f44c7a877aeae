//! Sound for tools and from them: WAV with 16 bits.

use crate::anchors::tool::{Tool, read, tempdir, write};
use crate::{EvalError, Sound};
use std::io::Cursor;

/// The sound as a WAV file of 16-bit samples; what is beyond full scale is cut.
pub(super) fn to_wav(sound: &Sound) -> Result<Vec<u8>, EvalError> {
    let unusable = |reason: String| EvalError::Unusable {
        what: "sound".to_owned(),
        reason,
    };
    let channels = u16::try_from(sound.channels.len()).unwrap_or(u16::MAX);
    if channels == 0 || sound.sample_rate == 0 || sound.samples() == 0 {
        return Err(unusable("there is nothing in it".to_owned()));
    }
    let spec = hound::WavSpec {
        channels,
        sample_rate: sound.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let fill = |bytes: &mut Cursor<Vec<u8>>| -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::new(bytes, spec)?;
        for at in 0..sound.samples() {
            for channel in &sound.channels {
                let value = channel.get(at).copied().unwrap_or_default();
                // The conversion saturates.
                writer.write_sample((value * 32_768.0).round() as i16)?;
            }
        }
        writer.finalize()
    };
    fill(&mut bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(bytes.into_inner())
}

/// The sound in a WAV file of 16-bit samples.
pub(super) fn from_wav(bytes: &[u8]) -> Result<Sound, EvalError> {
    let unusable = |reason: String| EvalError::Unusable {
        what: "decoded sound".to_owned(),
        reason,
    };
    let mut reader =
        hound::WavReader::new(Cursor::new(bytes)).map_err(|error| unusable(error.to_string()))?;
    let spec = reader.spec();
    if spec.bits_per_sample != 16 || spec.channels == 0 {
        return Err(unusable(format!(
            "{} channels of {} bits",
            spec.channels, spec.bits_per_sample
        )));
    }
    let mut channels = vec![Vec::new(); usize::from(spec.channels)];
    for (i, sample) in reader.samples::<i16>().enumerate() {
        let sample = sample.map_err(|error| unusable(error.to_string()))?;
        let at = i % channels.len();
        if let Some(channel) = channels.get_mut(at) {
            channel.push(f32::from(sample) / 32_768.0);
        }
    }
    Ok(Sound {
        sample_rate: spec.sample_rate,
        channels,
    })
}

/// Runs a tool that reads one file and writes another. `arguments` get the paths of both; the first file has `input` and
/// ends in `extensions.0`, the second is returned and ends in `extensions.1`.
pub(super) fn convert(
    tool: Tool,
    input: &[u8],
    extensions: (&str, &str),
    arguments: impl Fn(&str, &str) -> Vec<String>,
) -> Result<Vec<u8>, EvalError> {
    let dir = tempdir()?;
    let (source, target) = (
        dir.path().join(format!("in.{}", extensions.0)),
        dir.path().join(format!("out.{}", extensions.1)),
    );
    write(&source, input)?;
    tool.run(
        &arguments(&source.to_string_lossy(), &target.to_string_lossy()),
        &[],
    )?;
    read(&target)
}

/// Arguments as [`convert`] takes them.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_come_back() {
        let sound = Sound {
            sample_rate: 22_050,
            channels: vec![vec![0.5, -1.0, 0.0], vec![0.25, 1.5, -3.0 / 32_768.0]],
        };
        let back = from_wav(&to_wav(&sound).unwrap()).unwrap();
        assert_eq!(back.sample_rate, 22_050);
        assert_eq!(back.channels[0], sound.channels[0]);
        let full = 32_767.0 / 32_768.0;
        assert_eq!(back.channels[1], [0.25, full, -3.0 / 32_768.0]);
        assert!(to_wav(&Sound::default()).is_err());
        assert!(from_wav(b"RIFF").is_err());
    }
}
