//! Sounds: WAV through `hound`, FLAC through `claxon`.

use crate::media::Format;
use crate::{DataLimits, DatasetError, Info, SkipReason};
use std::io::{BufReader, Cursor, Read, Seek};

/// One sound in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    rate: u32,
    channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Sound from one vector of samples per channel, full scale at -1 and 1.
    ///
    /// # Errors
    /// [`DatasetError::BadParameter`] for rate 0, no channel, or channels that are empty or of different lengths.
    pub fn new(rate: u32, channels: Vec<Vec<f32>>) -> Result<Self, DatasetError> {
        let frames = channels.first().map_or(0, Vec::len);
        if rate == 0 || frames == 0 || channels.iter().any(|c| c.len() != frames) {
            return Err(DatasetError::BadParameter {
                name: "sound",
                value: format!(
                    "{} channels of {frames} samples at {rate} Hz",
                    channels.len()
                ),
                expected: "a rate and channels of one length, not 0",
            });
        }
        Ok(Self { rate, channels })
    }

    /// Samples per second and channel, Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The channels, all of one length.
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// Samples per channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

fn damaged(error: impl std::fmt::Display) -> SkipReason {
    SkipReason::Sound(error.to_string())
}

/// Length, rate and channels from the header of a WAV or FLAC file.
pub(crate) fn probe(format: Format, source: impl Read + Seek) -> Result<Info, SkipReason> {
    if format == Format::Wav {
        return wav_info(&hound::WavReader::new(BufReader::new(source)).map_err(damaged)?);
    }
    flac_info(source)
}

/// Decodes a whole file. Nothing larger than `limits` is allocated, and a file that is shorter than its header says is
/// damaged.
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    limits: &DataLimits,
) -> Result<Sound, SkipReason> {
    let sound = if format == Format::Wav {
        decode_wav(bytes, limits)?
    } else {
        decode_flac(bytes, limits)?
    };
    if sound.frames() == 0 {
        return Err(damaged("no samples"));
    }
    Ok(sound)
}

fn wav_info<R: Read>(reader: &hound::WavReader<R>) -> Result<Info, SkipReason> {
    let spec = reader.spec();
    if spec.channels == 0 || spec.sample_rate == 0 {
        return Err(damaged(format!(
            "{} channels at {} Hz",
            spec.channels, spec.sample_rate
        )));
    }
    Ok(Info::Audio {
        frames: u64::from(reader.duration()),
        rate: spec.sample_rate,
        channels: spec.channels,
    })
}

/// Checks a header's claim, and allocates the channels for it.
fn allocate(info: Info, limits: &DataLimits) -> Result<Vec<Vec<f32>>, SkipReason> {
    check_limit(info, limits)?;
    let Info::Audio {
        frames, channels, ..
    } = info
    else {
        return Err(damaged("not a sound"));
    };
    let frames = usize::try_from(frames).map_err(damaged)?;
    (0..channels)
        .map(|_| {
            let mut channel = Vec::new();
            channel.try_reserve_exact(frames).map_err(damaged)?;
            Ok(channel)
        })
        .collect()
}

/// Refuses a sound that has more samples than `limits` allow.
pub(crate) fn check_limit(info: Info, limits: &DataLimits) -> Result<(), SkipReason> {
    let samples = info.decoded_bytes() / 4;
    if samples > limits.max_samples {
        return Err(SkipReason::TooManySamples {
            samples,
            limit: limits.max_samples,
        });
    }
    Ok(())
}

fn decode_wav(bytes: &[u8], limits: &DataLimits) -> Result<Sound, SkipReason> {
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(damaged)?;
    let info = wav_info(&reader)?;
    let spec = reader.spec();
    // A byte holds one sample at most, so this bounds the allocation by the file.
    if u64::from(reader.len()) > bytes.len() as u64 {
        return Err(damaged(format!(
            "cut: {} samples in {} bytes",
            reader.len(),
            bytes.len()
        )));
    }
    let mut channels = allocate(info, limits)?;
    match spec.sample_format {
        hound::SampleFormat::Float => spread(&mut channels, reader.samples::<f32>(), |v| v)?,
        hound::SampleFormat::Int => {
            let scale = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            spread(&mut channels, reader.samples::<i32>(), |v| v as f32 * scale)?;
        }
    }
    Ok(Sound {
        rate: spec.sample_rate,
        channels,
    })
}

fn spread<T>(
    channels: &mut [Vec<f32>],
    mut samples: impl Iterator<Item = hound::Result<T>>,
    scale: impl Fn(T) -> f32,
) -> Result<(), SkipReason> {
    loop {
        for (index, channel) in channels.iter_mut().enumerate() {
            match samples.next() {
                Some(value) => channel.push(finite(scale(value.map_err(damaged)?))?),
                None if index == 0 => return Ok(()),
                None => return Err(damaged("the last sample lacks channels")),
            }
        }
    }
}

fn finite(value: f32) -> Result<f32, SkipReason> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(damaged("a sample is not finite"))
    }
}

/// Layout and length from the header of a FLAC file. Encoders that write to a pipe leave the length open; then the
/// frames are counted.
fn flac_info(source: impl Read + Seek) -> Result<Info, SkipReason> {
    let mut source = BufReader::new(source);
    let options = claxon::FlacReaderOptions {
        metadata_only: true,
        read_vorbis_comment: false,
    };
    let header = claxon::FlacReader::new_ext(&mut source, options).map_err(damaged)?;
    let info = header.streaminfo();
    let frames = match info.samples.filter(|&frames| frames > 0) {
        Some(frames) => frames,
        None => {
            source.rewind().map_err(SkipReason::Io)?;
            let mut reader = open_flac(source)?;
            let (mut blocks, mut counted) = (reader.blocks(), 0u64);
            let mut buffer = Vec::new();
            while let Some(block) = blocks.read_next_or_eof(buffer).map_err(damaged)? {
                counted = counted.saturating_add(u64::from(block.duration()));
                buffer = block.into_buffer();
            }
            counted
        }
    };
    flac_layout(info, frames)
}

fn open_flac<R: Read>(source: R) -> Result<claxon::FlacReader<R>, SkipReason> {
    let options = claxon::FlacReaderOptions {
        metadata_only: false,
        read_vorbis_comment: false,
    };
    claxon::FlacReader::new_ext(source, options).map_err(damaged)
}

fn flac_layout(info: claxon::metadata::StreamInfo, frames: u64) -> Result<Info, SkipReason> {
    let channels = u16::try_from(info.channels).map_err(damaged)?;
    if info.sample_rate == 0 || channels == 0 || !(4..=32).contains(&info.bits_per_sample) {
        return Err(damaged(format!(
            "{channels} channels of {} bits at {} Hz",
            info.bits_per_sample, info.sample_rate
        )));
    }
    Ok(Info::Audio {
        frames,
        rate: info.sample_rate,
        channels,
    })
}

fn decode_flac(bytes: &[u8], limits: &DataLimits) -> Result<Sound, SkipReason> {
    let mut reader = open_flac(bytes)?;
    let info = reader.streaminfo();
    flac_layout(info, 0)?;
    let scale = 0.5f32.powi(info.bits_per_sample as i32 - 1);
    // The header's length is a claim that costs nothing to make: memory follows what is decoded.
    let mut channels: Vec<Vec<f32>> = (0..info.channels).map(|_| Vec::new()).collect();
    let mut frames = 0u64;
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    // Every frame carries a checksum, which is compared before the frame is handed out.
    while let Some(block) = blocks.read_next_or_eof(buffer).map_err(damaged)? {
        if block.channels() != info.channels {
            return Err(damaged("the channels change on the way"));
        }
        frames = frames.saturating_add(u64::from(block.duration()));
        check_limit(flac_layout(info, frames)?, limits)?;
        for (number, channel) in (0..info.channels).zip(&mut channels) {
            channel.extend(block.channel(number).iter().map(|&v| v as f32 * scale));
        }
        buffer = block.into_buffer();
    }
    let claimed = info.samples.filter(|&n| n > 0 && n != frames);
    if let Some(claimed) = claimed {
        return Err(damaged(format!("{frames} of {claimed} samples")));
    }
    Ok(Sound {
        rate: info.sample_rate,
        channels,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A WAV file of 16-bit samples.
    pub(crate) fn wav(rate: u32, channels: u16, frames: usize, seed: i32) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for i in 0..frames as i32 {
            for c in 0..i32::from(channels) {
                let value = (i * 37 + c * 1000 + seed * 7919) % 60_000 - 30_000;
                writer.write_sample(value as i16).unwrap();
            }
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    #[test]
    fn wav_samples_are_exact_and_cuts_are_found() {
        let bytes = wav(24_000, 2, 100, 1);
        let info = Info::Audio {
            frames: 100,
            rate: 24_000,
            channels: 2,
        };
        let probed = probe(Format::Wav, Cursor::new(bytes.clone())).unwrap();
        assert_eq!(probed, info);
        let sound = decode(Format::Wav, &bytes, &DataLimits::default()).unwrap();
        assert_eq!((sound.rate(), sound.frames()), (24_000, 100));
        for i in 0..100 {
            for c in 0..2 {
                let value = (i * 37 + c * 1000 + 7919) % 60_000 - 30_000;
                assert_eq!(
                    sound.channels()[c as usize][i as usize],
                    value as f32 / 32768.0
                );
            }
        }
        let cut = &bytes[..bytes.len() - 50];
        assert!(decode(Format::Wav, cut, &DataLimits::default()).is_err());
        let limits = DataLimits {
            max_samples: 199,
            ..DataLimits::default()
        };
        let error = decode(Format::Wav, &bytes, &limits).unwrap_err();
        assert_eq!(error.to_string(), "too long: 200 samples (limit 199)");
    }

    #[test]
    fn a_header_that_lies_allocates_nothing() {
        let mut bytes = wav(24_000, 1, 10, 0);
        let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 4;
        bytes[at..at + 4].copy_from_slice(&0x7fff_fffe_u32.to_le_bytes());
        let error = decode(Format::Wav, &bytes, &DataLimits::default()).unwrap_err();
        assert!(error.to_string().contains("cut"), "{error}");
        assert!(decode(Format::Flac, b"fLaC\0\0\0", &DataLimits::default()).is_err());
    }
}
