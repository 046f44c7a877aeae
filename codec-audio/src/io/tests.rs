//! Files that come back, files that are damaged, and rates.

use std::f64::consts::PI;

use codec_core::{ErrorKind, Limits};
use proptest::prelude::*;

use super::*;

fn tone(rate: u32, frequency: f64, samples: usize) -> Vec<f32> {
    let step = 2.0 * PI * frequency / f64::from(rate);
    (0..samples)
        .map(|i| (0.5 * (step * i as f64).sin()) as f32)
        .collect()
}

fn sound(channels: usize, samples: usize) -> Sound {
    let channels = (0..channels)
        .map(|c| tone(44_100, 300.0 + 70.0 * c as f64, samples))
        .collect();
    Sound::new(44_100, channels, Depth::Int16).unwrap()
}

fn back(bytes: &[u8]) -> Result<Sound, codec_core::Error> {
    read(bytes.to_vec(), &Limits::default())
}

/// Largest error of one rounding.
fn step(depth: Depth) -> f32 {
    match depth {
        Depth::Int8 => 0.5 / 128.0,
        Depth::Int16 => 0.5 / 32_768.0,
        Depth::Int24 => 1e-7,
        _ => 1e-7,
    }
}

#[test]
fn every_depth_and_channel_count_comes_back() {
    for (depth, _) in Depth::ALL {
        for (channels, samples) in [(1, 1), (2, 5000), (8, 1153), (1, 0)] {
            let original = sound(channels, samples);
            for format in [FileFormat::Wav, FileFormat::Flac] {
                let Ok(bytes) = write(&original, format, depth) else {
                    let none = samples == 0 || matches!(depth, Depth::Int32 | Depth::Float);
                    assert!(format == FileFormat::Flac && none);
                    continue;
                };
                assert!(is_sound(&bytes));
                let read = back(&bytes)
                    .unwrap_or_else(|e| panic!("{format:?} {depth} {channels}x{samples}: {e}"));
                assert_eq!((read.rate, read.depth), (44_100, depth), "{format:?}");
                assert_eq!((read.channels.len(), read.samples()), (channels, samples));
                for (a, b) in read.channels.iter().zip(&original.channels) {
                    for (a, b) in a.iter().zip(b) {
                        assert!((a - b).abs() <= step(depth), "{format:?} {depth}: {a} {b}");
                    }
                }
                // What came through the file goes through it again without loss.
                assert_eq!(back(&write(&read, format, depth).unwrap()).unwrap(), read);
            }
        }
    }
}

#[test]
fn clipped_samples_stay_at_full_scale() {
    let loud = Sound::new(8000, vec![vec![2.0, -2.0, 1.0]], Depth::Int16).unwrap();
    let read = back(&write(&loud, FileFormat::Wav, Depth::Int16).unwrap()).unwrap();
    assert_eq!(
        read.channels,
        [[32_767.0 / 32_768.0, -1.0, 32_767.0 / 32_768.0]]
    );
    let read = back(&write(&loud, FileFormat::Wav, Depth::Float).unwrap()).unwrap();
    assert_eq!(read.channels, loud.channels);
}

#[test]
fn tags_of_flac_come_back() {
    let mut original = sound(2, 100);
    original.tags = vec![
        ("title".into(), "Air".into()),
        ("artist".into(), "J. S. Bach".into()),
    ];
    let bytes = write(&original, FileFormat::Flac, Depth::Int16).unwrap();
    assert_eq!(back(&bytes).unwrap().tags, original.tags);
}

#[test]
fn a_pipe_need_not_know_its_length() {
    let original = sound(2, 5000);
    let mut bytes = WavHeader::endless(44_100, 2, Depth::Int16).unwrap();
    bytes.extend(sample_bytes(&original.channels, Depth::Int16));
    let whole = back(&write(&original, FileFormat::Wav, Depth::Int16).unwrap()).unwrap();
    let limits = Limits::default();
    let reader = SoundReader::from_pipe(std::io::Cursor::new(bytes.clone()), &limits).unwrap();
    assert_eq!(reader.info().samples, None);
    assert_eq!(reader.read_all().unwrap(), whole);
    assert_eq!(back(&bytes).unwrap(), whole);
    for (depth, _) in Depth::ALL {
        let mut bytes = WavHeader::endless(44_100, 2, depth).unwrap();
        bytes.extend(sample_bytes(&original.channels, depth));
        let whole = back(&write(&original, FileFormat::Wav, depth).unwrap()).unwrap();
        assert_eq!(back(&bytes).unwrap(), whole, "{depth}");
    }
}

#[test]
fn layer_3_frames_of_silence() {
    // 128 kbit/s, 44.1 kHz, mono, no side information: 417 bytes of nothing.
    let mut frame = vec![0xff, 0xfb, 0x90, 0xc0];
    frame.resize(417, 0);
    let bytes = frame.repeat(5);
    assert!(is_sound(&bytes));
    let sound = back(&bytes).unwrap();
    assert_eq!((sound.rate, sound.channels.len()), (44_100, 1));
    assert_eq!(sound.depth, Depth::Int16);
    assert!(sound.samples() >= 4 * 1152 && sound.channels[0].iter().all(|&v| v == 0.0));
}

#[test]
fn truncated_and_lying_files_are_typed_errors() {
    for (format, depth) in [
        (FileFormat::Wav, Depth::Int16),
        (FileFormat::Wav, Depth::Int24),
        (FileFormat::Flac, Depth::Int16),
    ] {
        let bytes = write(&sound(2, 3000), format, depth).unwrap();
        let lengths = (0..100).chain((100..bytes.len()).step_by(487));
        for length in lengths {
            let error = back(&bytes[..length]).unwrap_err();
            let kinds = [ErrorKind::Malformed, ErrorKind::Unsupported];
            assert!(
                kinds.contains(&error.kind()),
                "{format:?} {length}: {error}"
            );
        }
    }
    let mut lying = write(&sound(1, 100), FileFormat::Wav, Depth::Int16).unwrap();
    let at = lying.windows(4).position(|w| w == b"data").unwrap() + 4;
    lying[4..8].copy_from_slice(&0x7ffe_1000u32.to_le_bytes());
    lying[at..at + 4].copy_from_slice(&0x7ffe_0000u32.to_le_bytes());
    let limits = Limits {
        max_samples: 1 << 20,
        ..Limits::default()
    };
    assert_eq!(
        read(lying.clone(), &limits).unwrap_err().kind(),
        ErrorKind::Limit
    );
    lying[at..at + 4].copy_from_slice(&0x0001_0000u32.to_le_bytes());
    assert_eq!(back(&lying).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn limits_hold_before_and_while_reading() {
    let bytes = write(&sound(2, 3000), FileFormat::Wav, Depth::Int16).unwrap();
    for limits in [
        Limits {
            max_samples: 5999,
            ..Limits::default()
        },
        Limits {
            max_channels: 1,
            ..Limits::default()
        },
        Limits {
            max_file_bytes: 100,
            ..Limits::default()
        },
    ] {
        assert_eq!(
            read(bytes.clone(), &limits).unwrap_err().kind(),
            ErrorKind::Limit
        );
    }
    let mut endless = WavHeader::endless(44_100, 1, Depth::Int16).unwrap();
    endless.extend(vec![0; 5000]);
    let limits = Limits {
        max_samples: 2000,
        ..Limits::default()
    };
    assert_eq!(read(endless, &limits).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn other_files_are_not_sounds() {
    for bytes in [
        &b"\x89PNG\r\n\x1a\n"[..],
        b"\x9eNCX",
        b"",
        b"RIFF\0\0\0\0WEBP",
        b"hello",
    ] {
        assert!(!is_sound(bytes));
        let error = read(bytes.to_vec(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn samples_that_are_no_numbers_are_refused() {
    let mut bytes = WavHeader::endless(44_100, 1, Depth::Float).unwrap();
    bytes.extend(f32::NAN.to_le_bytes());
    assert_eq!(back(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn resampling_keeps_tones_in_their_place() {
    for (from, to) in [
        (44_100, 24_000),
        (24_000, 44_100),
        (48_000, 16_000),
        (16_000, 48_000),
        (8000, 8000),
    ] {
        let input = tone(from, 440.0, from as usize);
        let output = resample(&[&input], from, to).unwrap().remove(0);
        assert_eq!(output.len(), to as usize);
        let expected = tone(to, 440.0, to as usize);
        // Away from the ends, where the tone breaks off.
        let inner = to as usize / 8..to as usize * 7 / 8;
        for i in inner {
            let (a, b) = (output[i], expected[i]);
            assert!((a - b).abs() < 1e-4, "{from} to {to} at {i}: {a} {b}");
        }
    }
}

#[test]
fn resampling_gives_exact_lengths() {
    for (from, to) in [
        (44_100, 24_000),
        (24_000, 44_100),
        (11_025, 48_000),
        (22_050, 22_051),
    ] {
        for samples in [0usize, 1, 2, 79, 1000, 2000, 44_099] {
            let input = vec![0.25; samples];
            let output = resample(&[&input, &input], from, to).unwrap();
            let length = Resampler::length(from, to, samples as u64);
            assert_eq!(output.len(), 2);
            assert_eq!(output[0].len() as u64, length, "{samples}: {from} to {to}");
        }
    }
    assert_eq!(Resampler::length(24_000, 44_100, 1), 2);
    assert!(Resampler::new(999, 8000, 1).is_err() && Resampler::new(8000, 768_001, 1).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pushes_of_any_size_resample_alike(
        cuts in prop::collection::vec(0usize..4000, 1..12),
        up: bool,
    ) {
        let (from, to) = if up { (16_000, 44_100) } else { (44_100, 16_000) };
        let input = tone(from, 1000.0, cuts.iter().sum());
        let whole = resample(&[&input], from, to).unwrap();
        let mut resampler = Resampler::new(from, to, 1).unwrap();
        let (mut output, mut at) = (Vec::new(), 0);
        for cut in cuts {
            output.extend(resampler.push(&[&input[at..at + cut]]).unwrap().remove(0));
            at += cut;
        }
        output.extend(resampler.flush().unwrap().remove(0));
        prop_assert_eq!(&output, &whole[0]);
    }

    #[test]
    fn damage_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        flac: bool,
    ) {
        let format = if flac { FileFormat::Flac } else { FileFormat::Wav };
        let mut bytes = write(&sound(2, 600), format, Depth::Int16).unwrap();
        for (at, value) in flips {
            // Heads are short: half of the damage goes there.
            let length = if value % 2 == 0 { 60.min(bytes.len()) } else { bytes.len() };
            let at = at.index(length);
            bytes[at] = value;
        }
        if let Err(error) = back(&bytes) {
            let kind = error.kind();
            prop_assert!(
                matches!(kind, ErrorKind::Malformed | ErrorKind::Unsupported | ErrorKind::Limit),
                "{}", error
            );
        }
    }
}
