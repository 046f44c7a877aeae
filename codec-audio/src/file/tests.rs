//! Whole recordings.

use codec_core::container::StreamReader;
use codec_core::container::{Part, Profile};
use codec_core::{Depth, Digest, ErrorKind};
use proptest::prelude::*;

use super::testing::{HOP, REACH, Toy, sound};
use super::*;
use crate::coder::TokenCoder;

fn id() -> ModelId {
    ModelId {
        name: "toy/1".into(),
        digest: Digest([1; 8]),
        profile: Profile::Portable,
    }
}

fn chunked(frames: usize) -> EncodeOptions {
    EncodeOptions {
        chunk: Chunk::Seconds((frames * HOP) as f64 / 16_000.0),
        ..EncodeOptions::default()
    }
}

fn encoded(coder: &dyn AudioCoder, sound: &Sound, options: &EncodeOptions) -> Vec<u8> {
    encode(coder, &id(), sound, options, &mut |_, _| ())
        .unwrap()
        .bytes
}

fn decoded(coder: &dyn AudioCoder, bytes: &[u8]) -> Sound {
    let limits = Limits::default();
    let container = Container::parse(bytes, &limits).unwrap();
    decode(coder, &container, &limits, &mut |_, _| ()).unwrap()
}

#[test]
fn lengths_rates_and_channels_come_back() {
    for (rate, channels, model_channels) in [
        (16_000, 1, 1),
        (16_000, 2, 1),
        (44_100, 1, 2),
        (8_000, 2, 2),
        (48_000, 8, 1),
        (11_025, 3, 2),
    ] {
        let coder = TokenCoder(Toy::new(model_channels, false));
        for samples in [0, 1, HOP - 1, HOP, HOP + 1, 39, 40, 41, 1000, 5000] {
            let sound = sound(rate, channels, samples);
            let file = encoded(&coder, &sound, &chunked(10));
            let back = decoded(&coder, &file);
            assert_eq!(
                (back.rate, back.channels.len(), back.depth),
                (rate, channels, Depth::Int16)
            );
            assert!(
                back.channels.iter().all(|c| c.len() == samples),
                "{rate} {channels} {samples}"
            );
        }
    }
}

#[test]
fn what_comes_back_is_what_went_in() {
    for (channels, stereo) in [
        (1, Stereo::Separate),
        (2, Stereo::Separate),
        (2, Stereo::MidSide),
        (8, Stereo::MidSide),
    ] {
        let coder = TokenCoder(Toy::new(1, false));
        let sound = sound(16_000, channels, 4000);
        let options = EncodeOptions {
            stereo,
            ..chunked(10)
        };
        let file = encoded(&coder, &sound, &options);
        let info = *Header::parse_prefix(&file).unwrap().0.audio().unwrap();
        assert_eq!(info.mid_side, stereo == Stereo::MidSide && channels == 2);
        let back = decoded(&coder, &file);
        for (a, b) in back.channels.iter().zip(&sound.channels) {
            let worst = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.2, "{channels} {stereo:?}: {worst}");
        }
    }
}

#[test]
fn chunks_give_what_one_chunk_gives() {
    let coder = TokenCoder(Toy::new(1, false));
    for samples in [1, 39, 40, 41, 44, 45, 80, 999] {
        let sound = sound(16_000, 2, samples);
        let whole = decoded(&coder, &encoded(&coder, &sound, &EncodeOptions::default()));
        for frames in [1, 2, 3, 10, 11] {
            let file = encoded(&coder, &sound, &chunked(frames));
            let chunks = Container::parse(&file, &Limits::default()).unwrap();
            assert_eq!(chunks.chunks().count(), samples.div_ceil(frames * HOP));
            assert_eq!(
                decoded(&coder, &file),
                whole,
                "{samples} in chunks of {frames}"
            );
        }
    }
}

#[test]
fn memory_is_bounded_by_the_chunk() {
    let coder = TokenCoder(Toy::new(1, false));
    let sound = sound(16_000, 1, 50_000);
    encoded(&coder, &sound, &chunked(10));
    assert!(coder.0.longest.get() <= 40 + 2 * REACH + HOP);
}

#[test]
fn models_that_need_the_whole_recording_take_it() {
    let coder = TokenCoder(Toy::new(1, true));
    let sound = sound(16_000, 1, 5000);
    let file = encoded(&coder, &sound, &EncodeOptions::default());
    let container = Container::parse(&file, &Limits::default()).unwrap();
    assert_eq!(container.chunks().count(), 1);
    assert_eq!(coder.0.longest.get(), 5000);
    assert_eq!(decoded(&coder, &file).samples(), 5000);
    // Unless they are told to take each chunk for one.
    let file = encoded(&coder, &sound, &chunked(100));
    let info = *Header::parse_prefix(&file).unwrap().0.audio().unwrap();
    assert_eq!((info.chunk, info.before, info.after), (100, 0, 0));
    assert_eq!(decoded(&coder, &file).samples(), 5000);

    let mut encoder = Encoder::new(
        &coder,
        &id(),
        16_000,
        1,
        Depth::Int16,
        &vec![],
        &EncodeOptions::default(),
    )
    .unwrap();
    let minute = vec![0.0; 16_000 * 60];
    let error = (0..11)
        .find_map(|_| encoder.push(&[&minute]).err())
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("--chunk"), "{error}");
}

#[test]
fn rates_choose_the_nearest_step() {
    let format = Toy::new(1, false).format;
    assert_eq!(kilobits(&format, 0, 1), Some(32.0));
    assert_eq!(kilobits(&format, 1, 2), Some(128.0));
    for (rate, step) in [
        (Rate::Highest, 1),
        (Rate::Quality(0.0), 0),
        (Rate::Quality(49.0), 0),
        (Rate::Quality(51.0), 1),
        (Rate::Kilobits(1.0), 0),
        (Rate::Kilobits(47.0), 0),
        (Rate::Kilobits(1e9), 1),
    ] {
        assert_eq!(step_of(&format, rate, 1).unwrap(), step, "{rate:?}");
    }
    for rate in [
        Rate::Quality(-1.0),
        Rate::Quality(f32::NAN),
        Rate::Kilobits(0.0),
    ] {
        assert!(step_of(&format, rate, 1).is_err());
    }
    let coder = TokenCoder(Toy::new(1, false));
    let sound = sound(16_000, 1, 4000);
    let small = EncodeOptions {
        rate: Rate::Quality(0.0),
        ..EncodeOptions::default()
    };
    let (small, large) = (
        encoded(&coder, &sound, &small),
        encoded(&coder, &sound, &EncodeOptions::default()),
    );
    assert!(small.len() < large.len());
    assert_eq!(decoded(&coder, &small).samples(), 4000);
    let quality = |file: &[u8]| Header::parse_prefix(file).unwrap().0.quality;
    assert_eq!((quality(&small), quality(&large)), (0, 10_000));
}

#[test]
fn tags_come_back_unless_they_are_dropped() {
    let coder = TokenCoder(Toy::new(1, false));
    let mut sound = sound(16_000, 1, 10);
    sound.tags = vec![("title".into(), "Air".into())];
    assert_eq!(
        decoded(&coder, &encoded(&coder, &sound, &chunked(10))).tags,
        sound.tags
    );
    let options = EncodeOptions {
        drop_tags: true,
        ..chunked(10)
    };
    assert!(
        decoded(&coder, &encoded(&coder, &sound, &options))
            .tags
            .is_empty()
    );
}

/// A coder that keeps its codes to itself: every chunk stands alone.
struct Closed(TokenCoder<Toy>);

impl AudioCoder for Closed {
    fn format(&self) -> &crate::coder::Format {
        self.0.format()
    }

    fn reach(&self) -> crate::coder::Reach {
        self.0.reach()
    }

    fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error> {
        self.0.encode_chunk(channels, step)
    }

    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.0.decode_chunk(bytes, frames, step)
    }
}

#[test]
fn coders_that_keep_their_codes_have_chunks_that_stand_alone() {
    let (open, closed) = (
        TokenCoder(Toy::new(1, false)),
        Closed(TokenCoder(Toy::new(1, false))),
    );
    for samples in [0, 1, 41, 999] {
        let sound = sound(44_100, 2, samples);
        let file = encoded(&closed, &sound, &EncodeOptions::default());
        let info = *Header::parse_prefix(&file).unwrap().0.audio().unwrap();
        assert_eq!((info.chunk, info.before, info.after), (0, 0, 0));
        // One chunk holds the same either way.
        assert_eq!(decoded(&open, &file), decoded(&closed, &file));
        let file = encoded(&closed, &sound, &chunked(10));
        assert_eq!(decoded(&closed, &file).samples(), samples);
    }
}

#[test]
fn bad_parameters_are_told() {
    let coder = TokenCoder(Toy::new(1, false));
    let new = |rate, channels, options: &EncodeOptions| {
        Encoder::new(
            &coder,
            &id(),
            rate,
            channels,
            Depth::Int16,
            &vec![],
            options,
        )
        .map(|_| ())
    };
    for options in [
        EncodeOptions {
            chunk: Chunk::Seconds(0.0),
            ..EncodeOptions::default()
        },
        EncodeOptions {
            chunk: Chunk::Seconds(601.0),
            ..EncodeOptions::default()
        },
        EncodeOptions {
            chunk: Chunk::Seconds(f64::NAN),
            ..EncodeOptions::default()
        },
    ] {
        assert_eq!(
            new(16_000, 1, &options).unwrap_err().kind(),
            ErrorKind::Parameter
        );
    }
    assert!(new(1, 1, &EncodeOptions::default()).is_err());
    assert!(new(16_000, 0, &EncodeOptions::default()).is_err());
    let mut encoder = Encoder::new(
        &coder,
        &id(),
        16_000,
        2,
        Depth::Int16,
        &vec![],
        &EncodeOptions::default(),
    )
    .unwrap();
    assert!(encoder.push(&[&[0.0]]).is_err() && encoder.push(&[&[0.0], &[]]).is_err());
}

/// Payloads that somebody made on purpose: samples or a typed error.
#[test]
fn hostile_payloads() {
    let coder = TokenCoder(Toy::new(1, false));
    let sound = sound(16_000, 2, 500);
    let file = encoded(&coder, &sound, &chunked(30));
    let limits = Limits::default();
    let container = Container::parse(&file, &limits).unwrap();
    let header = container.header();
    let payloads: Vec<_> = container.chunks().collect();
    let mut refused = 0;
    for index in 0..payloads.len() {
        for at in 0..payloads[index].len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = payloads[index].to_vec();
                damaged[at] ^= value;
                damaged.truncate(if value == 1 { at } else { damaged.len() });
                let mut decoder = Decoder::new(&coder, header, &limits).unwrap();
                let result = payloads.iter().enumerate().try_for_each(|(i, payload)| {
                    let payload = if i == index { &damaged } else { *payload };
                    let end = (i + 1 == payloads.len()).then_some(500);
                    decoder.chunk(payload, end).map(|_| ())
                });
                if let Err(error) = result {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");

    let tight = Limits {
        max_samples: 900,
        ..limits
    };
    let mut decoder = Decoder::new(&coder, header, &tight).unwrap();
    let mut parts = payloads.iter().map(|payload| decoder.chunk(payload, None));
    assert_eq!(
        parts.find_map(Result::err).unwrap().kind(),
        ErrorKind::Limit
    );
    // Another model's file.
    let other = TokenCoder(Toy::new(2, false));
    assert_eq!(
        Decoder::new(&other, header, &limits).unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[test]
fn a_file_decodes_as_it_comes() {
    let coder = TokenCoder(Toy::new(1, false));
    let sound = sound(44_100, 2, 3000);
    let file = encoded(&coder, &sound, &chunked(20));
    let whole = decoded(&coder, &file);
    let mut reader = StreamReader::new(&Limits::default());
    let (mut decoder, mut output) = (None, vec![Vec::new(); 2]);
    for piece in file.chunks(7) {
        reader.push(piece);
        while let Some(part) = reader.next_part().unwrap() {
            match part {
                Part::Header(header) => {
                    decoder = Some(Decoder::new(&coder, &header, &Limits::default()).unwrap());
                }
                Part::Section(section) => {
                    let decoder = decoder.as_mut().unwrap();
                    let samples = decoder.section(&section).unwrap();
                    for (output, samples) in output.iter_mut().zip(samples) {
                        output.extend(samples);
                    }
                }
            }
        }
    }
    reader.finish().unwrap();
    assert_eq!(output, whole.channels);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pushes_of_any_size_give_the_same_bytes(
        cuts in prop::collection::vec(0usize..900, 1..10),
        frames in 1usize..40,
        resampled: bool,
        channels in 1usize..3,
    ) {
        let coder = TokenCoder(Toy::new(1, false));
        let rate = if resampled { 22_050 } else { 16_000 };
        let sound = sound(rate, channels, cuts.iter().sum());
        let whole = encoded(&coder, &sound, &chunked(frames));
        let mut encoder =
            Encoder::new(&coder, &id(), rate, channels, Depth::Int16, &vec![], &chunked(frames)).unwrap();
        let (mut bytes, mut at) = (Vec::new(), 0);
        for cut in cuts {
            let part: Vec<&[f32]> = sound.channels.iter().map(|c| &c[at..at + cut]).collect();
            bytes.extend(encoder.push(&part).unwrap());
            at += cut;
        }
        bytes.extend(encoder.flush().unwrap().bytes);
        prop_assert_eq!(bytes, whole);
    }
}

#[test]
fn limits_count_samples_at_the_recordings_own_rate() {
    let coder = TokenCoder(Toy::new(1, false));
    for samples in [1, 999, 1000] {
        let file = encoded(&coder, &sound(8000, 1, samples), &chunked(10));
        let with = |max_samples: usize| {
            let limits = Limits {
                max_samples: max_samples as u64,
                ..Limits::default()
            };
            let container = Container::parse(&file, &limits)?;
            decode(&coder, &container, &limits, &mut |_, _| ())
        };
        assert_eq!(with(samples).unwrap().samples(), samples);
        assert_eq!(with(samples - 1).unwrap_err().kind(), ErrorKind::Limit);
    }
}
