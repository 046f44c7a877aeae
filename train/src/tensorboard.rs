//! TensorBoard event files: length-prefixed records with masked CRC-32C around hand-made protocol buffers.
//!
//! Format: TensorFlow's `record_writer` (TFRecord), `event.proto` and `summary.proto`. Scalars are written in the
//! `simple_value` form, which every version of TensorBoard reads.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::TrainError;

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

/// One entry of a summary.
#[derive(Debug, Clone, Copy)]
pub enum Summary<'a> {
    /// A number.
    Scalar(f64),
    /// A PNG file.
    Png {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The file's bytes.
        bytes: &'a [u8],
    },
    /// A WAV file.
    Wav {
        /// Samples per second.
        rate: u32,
        /// Number of channels.
        channels: usize,
        /// Samples of a channel.
        length: usize,
        /// The file's bytes.
        bytes: &'a [u8],
    },
}

impl EventFile {
    /// Starts a file in `folder` for a run that goes on after `step`: it tells readers to forget what earlier files of
    /// the folder say about later steps.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn create(folder: &Path, step: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        let seconds = wall_time() as u64;
        let (path, file) = create_new(folder, seconds)?;
        let mut this = Self { path, file };
        let mut version = Message::default();
        version.double(1, wall_time());
        version.bytes(3, b"brain.Event:2");
        this.record(&version.0)?;
        // SessionLog { status: START }: events of this step and later ones in earlier files are orphans.
        let mut session = Message::default();
        session.integer(1, 1);
        let mut start = Message::default();
        start.double(1, wall_time());
        start.integer(2, step.saturating_add(1));
        start.bytes(7, &session.0);
        this.record(&start.0)?;
        Ok(this)
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event with one summary entry per tag.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn write(&mut self, step: u64, entries: &[(&str, Summary<'_>)]) -> Result<(), TrainError> {
        let mut summary = Message::default();
        for (tag, value) in entries {
            let mut entry = Message::default();
            entry.bytes(1, tag.as_bytes());
            match *value {
                Summary::Scalar(value) => entry.float(2, value as f32),
                Summary::Png {
                    width,
                    height,
                    bytes,
                } => {
                    let mut image = Message::default();
                    image.integer(1, height as u64);
                    image.integer(2, width as u64);
                    image.integer(3, 3); // colour space: RGB
                    image.bytes(4, bytes);
                    entry.bytes(4, &image.0);
                }
                Summary::Wav {
                    rate,
                    channels,
                    length,
                    bytes,
                } => {
                    let mut audio = Message::default();
                    audio.float(1, rate as f32);
                    audio.integer(2, channels as u64);
                    audio.integer(3, length as u64);
                    audio.bytes(4, bytes);
                    audio.bytes(5, b"audio/wav");
                    entry.bytes(6, &audio.0);
                }
            }
            summary.bytes(1, &entry.0);
        }
        let mut event = Message::default();
        event.double(1, wall_time());
        event.integer(2, step);
        event.bytes(5, &summary.0);
        self.record(&event.0)
    }

    /// Length, its check value, data, their check value; written at once, so that readers see whole records.
    fn record(&mut self, data: &[u8]) -> Result<(), TrainError> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file
            .write_all(&record)
            .map_err(TrainError::io(&self.path))
    }
}

/// A new file whose name sorts after the older ones of the folder.
fn create_new(folder: &Path, seconds: u64) -> Result<(PathBuf, File), TrainError> {
    let mut counter = 0;
    loop {
        let path = folder.join(format!(
            "events.out.tfevents.{seconds:010}.{counter:04}.codec"
        ));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && counter < 9999 => {
                counter += 1;
            }
            Err(error) => return Err(TrainError::io(path)(error)),
        }
    }
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// A protocol buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }
}

/// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78, by bytes.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = i as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0x82F6_3B78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)]
    })
}

/// The rotated and offset form that TFRecord stores.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a file, each check value compared.
    fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut rest = bytes;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let check = |range: std::ops::Range<usize>, at: usize| {
                let stored = u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
                assert_eq!(stored, masked_crc(&rest[range]));
            };
            check(0..8, 8);
            check(12..12 + length, 12 + length);
            found.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
        found
    }

    /// Fields of a message: number, and payload as bytes (integers as eight little-endian bytes).
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(data: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = data[0];
                *data = &data[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut found = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let payload = match key & 7 {
                0 => varint(&mut data).to_le_bytes().to_vec(),
                kind => {
                    let length = match kind {
                        1 => 8,
                        5 => 4,
                        _ => varint(&mut data) as usize,
                    };
                    let payload = data[..length].to_vec();
                    data = &data[length..];
                    payload
                }
            };
            found.push((key >> 3, payload));
        }
        found
    }

    fn get(data: &[u8], field: u64) -> Vec<u8> {
        let found = fields(data).into_iter().find(|(f, _)| *f == field);
        found.unwrap().1
    }

    #[test]
    fn check_values_match_the_published_ones() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xff; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn files_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(folder.path(), 300).unwrap();
        let png = Summary::Png {
            width: 300,
            height: 2,
            bytes: b"not really",
        };
        file.write(301, &[("loss", Summary::Scalar(0.25)), ("sample", png)])
            .unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let records = records(&bytes);
        assert_eq!(records.len(), 3);
        assert_eq!(get(&records[0], 3), b"brain.Event:2");
        assert_eq!(get(&records[1], 2), 301u64.to_le_bytes());
        assert_eq!(get(&get(&records[1], 7), 1), 1u64.to_le_bytes());
        assert_eq!(get(&records[2], 2), 301u64.to_le_bytes());
        let entries = fields(&get(&records[2], 5));
        assert_eq!(get(&entries[0].1, 1), b"loss");
        assert_eq!(get(&entries[0].1, 2), 0.25f32.to_le_bytes());
        let image = get(&entries[1].1, 4);
        assert_eq!(get(&image, 2), 300u64.to_le_bytes());
        assert_eq!(get(&image, 4), b"not really");

        let second = EventFile::create(folder.path(), 0).unwrap();
        assert!(second.path() > file.path(), "readers sort files by name");
    }
}
