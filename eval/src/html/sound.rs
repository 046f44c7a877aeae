//! Sounds as WAV files of 16 bits.

use crate::{EvalError, Sound};

/// Bytes of the header.
const HEADER: usize = 44;

/// The sound as a WAV file. Samples outside -1..=1 are cut.
pub(super) fn wav(name: &str, sound: &Sound) -> Result<Vec<u8>, EvalError> {
    let refuse = |reason: &str| EvalError::Unusable {
        what: name.to_owned(),
        reason: reason.to_owned(),
    };
    if sound.sample_rate == 0 || sound.samples() == 0 {
        return Err(refuse("the sound is empty"));
    }
    let channels = u16::try_from(sound.channels.len())
        .ok()
        .filter(|channels| *channels <= u16::MAX / 2)
        .ok_or_else(|| refuse("the sound has too many channels"))?;
    let frame = u32::from(channels) * 2;
    let length = u32::try_from(sound.samples())
        .ok()
        .and_then(|samples| samples.checked_mul(frame))
        .filter(|length| *length < u32::MAX - HEADER as u32)
        .ok_or_else(|| refuse("the sound is too long for a WAV file"))?;
    let mut out = Vec::with_capacity(HEADER + length as usize);
    out.extend(b"RIFF");
    out.extend((length + 36).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16_u32.to_le_bytes());
    out.extend(1_u16.to_le_bytes()); // integers
    out.extend(channels.to_le_bytes());
    out.extend(sound.sample_rate.to_le_bytes());
    out.extend(sound.sample_rate.wrapping_mul(frame).to_le_bytes());
    out.extend((channels * 2).to_le_bytes());
    out.extend(16_u16.to_le_bytes());
    out.extend(b"data");
    out.extend(length.to_le_bytes());
    for i in 0..sound.samples() {
        for channel in &sound.channels {
            let sample = channel.get(i).copied().unwrap_or(0.0);
            out.extend(((sample * 32_767.0).round() as i16).to_le_bytes());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_samples() {
        let sound = Sound {
            sample_rate: 8000,
            channels: vec![vec![0.0, 1.0, -2.0], vec![0.5, f32::NAN, -1.0]],
        };
        let bytes = wav("a", &sound).unwrap();
        assert_eq!(bytes.len(), HEADER + 12);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(bytes[22..24], [2, 0]);
        assert_eq!(bytes[24..28], 8000_u32.to_le_bytes());
        assert_eq!(bytes[28..32], 32_000_u32.to_le_bytes());
        let samples: Vec<i16> = bytes[HEADER..]
            .chunks(2)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect();
        assert_eq!(samples, [0, 16_384, 32_767, 0, i16::MIN, -32_767]);
        assert!(wav("a", &Sound::default()).is_err());
    }
}
