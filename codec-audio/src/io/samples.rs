//! Files that other programs wrote: `tests/data/README.md` says how.

use codec_core::Limits;

use super::*;
use crate::models::testing::Random;

struct Sample {
    format: &'static str,
    bytes: &'static [u8],
    rate: u32,
    /// Pitch of each channel, Hz.
    tones: &'static [f64],
    /// What the codec may add to the half second, before and after it, in samples.
    delay: usize,
}

const SAMPLES: [Sample; 5] = [
    Sample {
        format: "ogg",
        bytes: include_bytes!("../../tests/data/tone.ogg"),
        rate: 44_100,
        tones: &[440.0, 660.0],
        delay: 0,
    },
    Sample {
        format: "mp3",
        bytes: include_bytes!("../../tests/data/tone.mp3"),
        rate: 44_100,
        tones: &[440.0, 660.0],
        delay: 3 * 1152,
    },
    Sample {
        format: "isomp4",
        bytes: include_bytes!("../../tests/data/tone.m4a"),
        rate: 44_100,
        tones: &[440.0, 660.0],
        delay: 3 * 1024,
    },
    Sample {
        format: "aac",
        bytes: include_bytes!("../../tests/data/tone.aac"),
        rate: 48_000,
        tones: &[440.0],
        delay: 3 * 1024,
    },
    Sample {
        format: "flac",
        bytes: include_bytes!("../../tests/data/tone.flac"),
        rate: 16_000,
        tones: &[440.0],
        delay: 0,
    },
];

/// Share of the energy that lies in a sine of this frequency, and its amplitude.
fn share(samples: &[f32], rate: u32, hertz: f64) -> (f64, f64) {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
    for (i, &v) in samples.iter().enumerate() {
        let (v, at) = (f64::from(v), step * i as f64);
        sine += v * at.sin();
        cosine += v * at.cos();
        energy += v * v;
    }
    let count = samples.len() as f64;
    let found = 2.0 * (sine * sine + cosine * cosine) / count;
    (found / energy, (2.0 * found / count).sqrt())
}

#[test]
fn other_programs_files_are_their_tones() {
    for sample in &SAMPLES {
        let name = sample.format;
        assert!(is_sound(sample.bytes), "{name}");
        let limits = Limits::default();
        let reader = SoundReader::from_bytes(sample.bytes.to_vec(), &limits).unwrap();
        let info = reader.info().clone();
        assert_eq!(info.rate, sample.rate, "{name}");
        let sound = reader.read_all().unwrap();
        assert_eq!(sound.channels.len(), sample.tones.len(), "{name}");
        let half = sample.rate as usize / 2;
        let length = sound.samples();
        println!("{name} as {}: {length} samples of {half}", info.format);
        assert!(
            (half..=half + sample.delay).contains(&length),
            "{name}: {length}"
        );
        // Where neither delay nor ends are.
        let middle = sample.delay.min(half / 4) + 1000..half - 1000;
        for (channel, &hertz) in sound.channels.iter().zip(sample.tones) {
            let (share, amplitude) = share(&channel[middle.clone()], sample.rate, hertz);
            println!("  {hertz} Hz: {share:.4}, amplitude {amplitude:.3}");
            assert!(share > 0.99, "{name}: {share}");
            assert!((amplitude - 0.5).abs() < 0.05, "{name}: {amplitude}");
        }
        let piped = SoundReader::from_pipe(std::io::Cursor::new(sample.bytes), &limits);
        assert_eq!(piped.unwrap().read_all().unwrap(), sound, "{name}");
    }
}

/// Reads as far as it goes: samples, and the status of what went wrong.
fn readable(bytes: Vec<u8>) -> (usize, u8) {
    let status = |error: codec_core::Error| error.kind().exit_status();
    let mut reader = match SoundReader::from_bytes(bytes, &Limits::default()) {
        Ok(reader) => reader,
        Err(error) => return (0, status(error)),
    };
    let mut samples = 0;
    loop {
        match reader.next_block() {
            Ok(Some(block)) => samples += block.first().map_or(0, Vec::len),
            Ok(None) => return (samples, 0),
            Err(error) => return (samples, status(error)),
        }
    }
}

#[test]
fn what_is_left_of_a_file_is_read_or_refused() {
    for sample in &SAMPLES {
        let (name, length) = (sample.format, sample.bytes.len());
        let (whole, _) = readable(sample.bytes.to_vec());
        for cut in (0..length).step_by(37).chain([length - 1]) {
            let (samples, status) = readable(sample.bytes[..cut].to_vec());
            assert!(samples <= whole, "{name} cut at {cut}: {samples}");
            assert!([0, 3, 4].contains(&status), "{name} cut at {cut}: {status}");
        }
        // Frames that come one after the other are read as far as they go. Half a second of Ogg is a single page with one check
        // value, and symphonia takes no MP4 whose samples are not all there.
        let (samples, status) = readable(sample.bytes[..length * 9 / 10].to_vec());
        println!("{name}: {samples} of {whole} samples of nine tenths, status {status}");
        match name {
            "ogg" | "isomp4" => assert_eq!((samples, status), (0, 3), "{name}"),
            _ => assert!(samples > whole / 2, "{name}: {samples}"),
        }
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let mut random = Random(11);
    let mut below = |most: usize| ((random.next() + 1.0) / 2.0 * most as f32) as usize % most;
    for sample in &SAMPLES {
        for _ in 0..200 {
            let mut bytes = sample.bytes.to_vec();
            for _ in 0..=below(6) {
                let at = below(bytes.len());
                bytes[at] = below(256) as u8;
            }
            let (samples, status) = readable(bytes);
            assert!(
                [0, 3, 4, 6].contains(&status),
                "{}: {status}",
                sample.format
            );
            assert!(samples < 1 << 22, "{}: {samples}", sample.format);
        }
    }
}
