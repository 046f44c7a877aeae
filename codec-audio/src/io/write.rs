//! Sounds to files.

use std::io::Cursor;

use codec_core::{Depth, Error};

use super::format::FileFormat;
use super::sound::{Sound, Tags};

/// The bytes of a file. WAV keeps no tags.
///
/// # Errors
/// [`Error::Unsupported`] for what the format cannot hold: FLAC has 8 channels, 24 bits and 655 350 Hz at most, no
/// floats, and one sample at least; WAV has 4 GiB.
pub fn write(sound: &Sound, format: FileFormat, depth: Depth) -> Result<Vec<u8>, Error> {
    sound.validate()?;
    match format {
        FileFormat::Wav => write_wav(sound, depth),
        FileFormat::Flac => write_flac(sound, depth),
    }
}

fn spec(rate: u32, channels: usize, depth: Depth) -> Result<hound::WavSpec, Error> {
    let channels = u16::try_from(channels)
        .map_err(|_| Error::unsupported(format!("wav files of {channels} channels")))?;
    Ok(hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: depth.bits(),
        sample_format: match depth {
            Depth::Float => hound::SampleFormat::Float,
            _ => hound::SampleFormat::Int,
        },
    })
}

fn write_wav(sound: &Sound, depth: Depth) -> Result<Vec<u8>, Error> {
    let failed = |e: hound::Error| match e {
        hound::Error::IoError(e) => Error::Io(e),
        e => Error::unsupported(format!("wav file: {e}")),
    };
    let spec = spec(sound.rate, sound.channels.len(), depth)?;
    let bytes = sound.samples() as u64 * sound.channels.len() as u64 * u64::from(depth.bits() / 8);
    check_size(bytes)?;
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).map_err(failed)?;
    for i in 0..sound.samples() {
        for channel in &sound.channels {
            let sample = channel.get(i).copied().unwrap_or_default();
            match depth.integer(sample) {
                Some(integer) => writer.write_sample(integer),
                None => writer.write_sample(sample),
            }
            .map_err(failed)?;
        }
    }
    writer.finalize().map_err(failed)?;
    Ok(file.into_inner())
}

/// The bytes of samples as WAV counts them.
fn check_size(bytes: u64) -> Result<u32, Error> {
    let most = u32::MAX - 100;
    let size = u32::try_from(bytes).ok().filter(|size| *size <= most);
    size.ok_or_else(|| Error::unsupported("wav files of more than 4 GiB"))
}

/// Makes headers of WAV files whose samples come later.
#[derive(Debug)]
pub struct WavHeader;

/// Where a WAV file says how many bytes follow (RIFF, "WAVE form").
const RIFF_SIZE: std::ops::Range<usize> = 4..8;

impl WavHeader {
    /// The header; samples follow as [`sample_bytes`] makes them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more channels than WAV has.
    pub fn endless(rate: u32, channels: usize, depth: Depth) -> Result<Vec<u8>, Error> {
        Ok(spec(rate, channels, depth)?.into_header_for_infinite_file())
    }

    /// The header of a file with so many bytes of samples, of the length that [`WavHeader::endless`] has.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more channels or bytes than WAV has.
    pub fn of(rate: u32, channels: usize, depth: Depth, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut header = Self::endless(rate, channels, depth)?;
        let (size, head) = (check_size(bytes)?, header.len());
        // The length of the samples is the last field.
        if let Some(field) = header.get_mut(head.saturating_sub(4)..) {
            field.copy_from_slice(&size.to_le_bytes());
        }
        if let Some(field) = header.get_mut(RIFF_SIZE) {
            field.copy_from_slice(&(size + head as u32 - 8).to_le_bytes());
        }
        Ok(header)
    }
}

/// Samples as WAV stores them: all channels of a moment together, little-endian.
pub fn sample_bytes(channels: &[Vec<f32>], depth: Depth) -> Vec<u8> {
    let samples = channels.iter().map(Vec::len).min().unwrap_or(0);
    let mut bytes = Vec::with_capacity(samples * channels.len() * usize::from(depth.bits() / 8));
    for i in 0..samples {
        for channel in channels {
            let sample = channel.get(i).copied().unwrap_or_default();
            match (depth, depth.integer(sample)) {
                (Depth::Int8, Some(v)) => bytes.push((v + 128) as u8),
                (Depth::Int16, Some(v)) => bytes.extend((v as i16).to_le_bytes()),
                (Depth::Int24, Some(v)) => bytes.extend(v.to_le_bytes().iter().take(3)),
                (_, Some(v)) => bytes.extend(v.to_le_bytes()),
                (_, None) => bytes.extend(sample.to_le_bytes()),
            }
        }
    }
    bytes
}

/// Number of the metadata block of a FLAC file that holds tags (RFC 9639, section 8).
const VORBIS_COMMENT: u8 = 4;
/// The bit of a metadata block that is the last.
const LAST: u8 = 0x80;
/// Where the first metadata block begins, where its two block sizes stand, and where it ends, in bytes.
const STREAM_INFO: usize = 4;
const BLOCK_SIZES: usize = 8;
const HEAD: usize = 42;

fn write_flac(sound: &Sound, depth: Depth) -> Result<Vec<u8>, Error> {
    use flacenc::bitsink::ByteSink;
    use flacenc::component::BitRepr;
    use flacenc::error::Verify;
    let cannot = |what: String| Error::unsupported(format!("flac files {what} (write wav)"));
    if matches!(depth, Depth::Int32 | Depth::Float) {
        return Err(cannot(format!("of depth {depth}")));
    }
    if sound.channels.len() > 8 {
        return Err(cannot(format!("of {} channels", sound.channels.len())));
    }
    let failed = |e: String| cannot(format!("like this: {e}"));
    let mut samples = Vec::with_capacity(sound.samples() * sound.channels.len());
    for i in 0..sound.samples() {
        let moment = sound.channels.iter().filter_map(|c| c.get(i));
        samples.extend(moment.filter_map(|&sample| depth.integer(sample)));
    }
    let config = flacenc::config::Encoder::default()
        .into_verified()
        .map_err(|(_, e)| failed(e.to_string()))?;
    let (channels, bits, rate) = (
        sound.channels.len(),
        usize::from(depth.bits()),
        sound.rate as usize,
    );
    if samples.is_empty() {
        return Err(cannot("without samples".to_owned()));
    }
    let source = flacenc::source::MemSource::from_samples(&samples, channels, bits, rate);
    let stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size)
        .map_err(|e| failed(e.to_string()))?;
    let mut sink = ByteSink::new();
    stream.write(&mut sink).map_err(|e| failed(e.to_string()))?;
    let mut bytes = sink.into_inner();
    // The encoder counts the last block, which may be as short as it likes, among those that the head describes.
    let block = (config.block_size as u16).to_be_bytes();
    for (byte, value) in bytes
        .iter_mut()
        .skip(BLOCK_SIZES)
        .zip([block, block].concat())
    {
        *byte = value;
    }
    if !sound.tags.is_empty() && bytes.len() >= HEAD {
        let comments = comments(&sound.tags);
        let length = (comments.len() as u32).to_be_bytes();
        let block = [
            &[LAST | VORBIS_COMMENT],
            length.get(1..).unwrap_or_default(),
            &comments,
        ]
        .concat();
        if let Some(first) = bytes.get_mut(STREAM_INFO) {
            *first &= !LAST;
        }
        bytes.splice(HEAD..HEAD, block);
    }
    Ok(bytes)
}

/// A Vorbis comment block, without the framing bit (RFC 9639, section 8.6).
fn comments(tags: &Tags) -> Vec<u8> {
    let mut block = Vec::new();
    let mut put = |text: &str| {
        block.extend((text.len() as u32).to_le_bytes());
        block.extend(text.as_bytes());
    };
    put("codec");
    let lines: Vec<String> = tags
        .iter()
        .map(|(name, value)| format!("{}={value}", name.replace('=', "_").to_uppercase()))
        .collect();
    let mut all = block;
    all.extend((lines.len() as u32).to_le_bytes());
    for line in lines {
        all.extend((line.len() as u32).to_le_bytes());
        all.extend(line.as_bytes());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_and_samples_are_the_file() {
        let channels = vec![vec![0.5, -0.25, 0.125], vec![0.0, 1.0, -1.0]];
        for depth in [
            Depth::Int8,
            Depth::Int16,
            Depth::Int24,
            Depth::Int32,
            Depth::Float,
        ] {
            let sound = Sound::new(16_000, channels.clone(), depth).unwrap();
            let samples = sample_bytes(&channels, depth);
            let header = WavHeader::of(16_000, 2, depth, samples.len() as u64).unwrap();
            let whole = write(&sound, FileFormat::Wav, depth).unwrap();
            assert_eq!([header, samples].concat(), whole, "{depth}");
        }
        assert!(WavHeader::of(16_000, 1, Depth::Int16, 1 << 32).is_err());
    }
}
