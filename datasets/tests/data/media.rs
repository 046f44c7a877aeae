//! Pictures, sounds and shards made on the spot.

use image::{ImageFormat, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// A PNG picture whose content follows from `seed`.
pub fn png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([
            (x * 3 + seed) as u8,
            (y * 5 + seed * 7) as u8,
            (x ^ y ^ seed) as u8,
        ])
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A PNG file with an intact header and garbage behind it.
pub fn broken_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(width, height, 0);
    let from = bytes.windows(4).position(|w| w == b"IDAT").unwrap() + 6;
    let to = (from + 40).min(bytes.len() - 16);
    bytes[from..to].fill(0xA5);
    bytes
}

fn sample(i: usize, channel: usize, seed: i32) -> i16 {
    ((i as i32 * 37 + channel as i32 * 1000 + seed * 7919) % 60_000 - 30_000) as i16
}

/// A 16-bit WAV file.
pub fn wav(rate: u32, channels: u16, frames: usize, seed: i32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for i in 0..frames {
        for c in 0..usize::from(channels) {
            writer.write_sample(sample(i, c, seed)).unwrap();
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

/// The samples of [`wav`] and [`flac`] as f32.
pub fn samples(channels: usize, frames: usize, seed: i32) -> Vec<Vec<f32>> {
    (0..channels)
        .map(|c| {
            (0..frames)
                .map(|i| f32::from(sample(i, c, seed)) / 32768.0)
                .collect()
        })
        .collect()
}

fn crc(bytes: &[u8], polynomial: u32, width: u32) -> u32 {
    let top = 1 << (width - 1);
    bytes.iter().fold(0u32, |mut crc, &byte| {
        crc ^= u32::from(byte) << (width - 8);
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & top != 0 { polynomial } else { 0 };
        }
        crc & (top | (top - 1))
    })
}

const BLOCK: usize = 192;

/// A 16-bit mono FLAC file of verbatim blocks of 192 samples (RFC 9639); `frames` must be a multiple of that.
pub fn flac(rate: u32, frames: usize, seed: i32, sized: bool) -> Vec<u8> {
    assert_eq!(frames % BLOCK, 0);
    let mut bytes = b"fLaC\x80\0\0\x22".to_vec();
    bytes.extend([0, BLOCK as u8, 0, BLOCK as u8, 0, 0, 0, 0, 0, 0]);
    let total = if sized { frames as u64 } else { 0 };
    let packed = u64::from(rate) << 44 | 15 << 36 | total;
    bytes.extend(packed.to_be_bytes());
    // No MD5.
    bytes.extend([0; 16]);
    for block in 0..frames / BLOCK {
        assert!(block < 128, "numbers of one byte only");
        // Sync code, 192 samples at the rate of the stream, mono of 16 bits, number, CRC-8.
        let mut frame = vec![0xFF, 0xF8, 0x10, 0x08, block as u8];
        frame.push(crc(&frame, 0x07, 8) as u8);
        // A verbatim subframe.
        frame.push(0x02);
        for i in block * BLOCK..(block + 1) * BLOCK {
            frame.extend(sample(i, 0, seed).to_be_bytes());
        }
        let check = crc(&frame, 0x8005, 16) as u16;
        frame.extend(check.to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

/// Writes a tar file of members.
pub fn tar(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut builder = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    builder.finish().unwrap();
}

/// Writes a file, and the folders on the way.
pub fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
