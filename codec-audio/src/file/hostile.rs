//! Files whose check values are right and whose contents are anything: samples or a typed error, never a panic.

use burn_flex::Flex;
use codec_core::container::{
    AudioInfo, Container, Header, Media, ModelId, Part, Profile, Section, StreamReader,
};
use codec_core::{Digest, Error, ErrorKind, Limits};

use super::testing::{Toy, sound};
use super::{Chunk, Decoder, EncodeOptions, decode, encode};
use crate::coder::{AudioCoder, TokenCoder};
use crate::models::AudioFamily;
use crate::models::dac::{Dac, DacConfig};
use crate::models::testing::{Random, random_model};
use crate::models::walloc1d::{Walloc1d, Walloc1dConfig};

/// Files that each model decodes whole, in pieces and damaged.
const ROUNDS: usize = 400;

fn below(random: &mut Random, most: usize) -> usize {
    ((random.next() + 1.0) / 2.0 * most as f32) as usize % most.max(1)
}

/// Other bytes, fewer or more of them.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len();
    match below(random, 6) {
        0 => bytes.truncate(below(random, length + 1)),
        1 => bytes.extend((0..below(random, 40)).map(|i| (i * 37) as u8)),
        2 => bytes
            .iter_mut()
            .for_each(|byte| *byte = below(random, 256) as u8),
        _ => {
            for _ in 0..=below(random, 4) {
                let at = below(random, length);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << below(random, 8);
                }
            }
        }
    }
}

/// A header that says something else, large or small.
fn change(info: &mut AudioInfo, random: &mut Random) {
    let sizes = [0, 1, 2, 3, 7, 100, 8000, 65_535, 1 << 24, u32::MAX];
    let size = sizes[below(random, sizes.len())];
    match below(random, 9) {
        0 => info.rate = size,
        1 => info.model_rate = size,
        2 => info.channels = size as u16,
        3 => info.hop = size,
        4 => info.step = size as u16,
        5 => info.chunk = size,
        6 => info.before = size,
        7 => info.after = size,
        _ => info.mid_side = !info.mid_side,
    }
}

/// Decodes a file as it comes in pieces.
fn stream(coder: &dyn AudioCoder, bytes: &[u8], limits: &Limits) -> Result<usize, Error> {
    let mut reader = StreamReader::new(limits);
    let mut decoder = None;
    let mut samples = 0;
    for piece in bytes.chunks(61) {
        reader.push(piece);
        while let Some(part) = reader.next_part()? {
            match part {
                Part::Header(header) => decoder = Some(Decoder::new(coder, &header, limits)?),
                Part::Section(section) => {
                    let decoder = decoder.as_mut().expect("after the header");
                    samples += decoder.section(&section)?.first().map_or(0, Vec::len);
                }
            }
        }
    }
    reader.finish()?;
    Ok(samples)
}

fn hostile(coder: &dyn AudioCoder, seed: u64) {
    let id = ModelId {
        name: "test/hostile".into(),
        digest: Digest([3; 8]),
        profile: Profile::Portable,
    };
    let options = EncodeOptions {
        chunk: Chunk::Seconds(0.02),
        ..EncodeOptions::default()
    };
    let original = sound(coder.format().rate, 2, 1000);
    let file = encode(coder, &id, &original, &options, &mut |_, _| ());
    let file = file.expect("encodes").bytes;
    // Little, so that what decodes at all is over soon.
    let limits = Limits {
        max_samples: 1 << 13,
        max_channels: 8,
        ..Limits::default()
    };
    let parsed = Container::parse(&file, &limits).expect("a file");
    let mut random = Random(seed);
    let (mut decoded, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut header: Header = parsed.header().clone();
        if let (Media::Audio(info), 0) = (&mut header.media, round % 3) {
            change(info, &mut random);
        }
        let own = parsed.sections().iter().map(|section| Section {
            id: section.id,
            data: section.data.to_vec(),
        });
        let mut sections: Vec<Section> = own.collect();
        match below(&mut random, 5) {
            0 => drop(sections.remove(below(&mut random, sections.len()))),
            1 => sections.insert(0, sections[below(&mut random, sections.len())].clone()),
            _ if round % 3 == 0 => {}
            _ => {
                let at = below(&mut random, sections.len());
                damage(&mut sections[at].data, &mut random);
            }
        }
        // What cannot be written says nothing of what is read.
        let Ok(mut bytes) = header.to_bytes() else {
            continue;
        };
        let last = sections.len().saturating_sub(1);
        for (number, section) in sections.iter().enumerate() {
            bytes.extend(section.to_bytes(number == last));
        }
        let whole = Container::parse(&bytes, &limits)
            .and_then(|file| decode(coder, &file, &limits, &mut |_, _| ()))
            .map(|sound| sound.samples());
        for result in [whole, stream(coder, &bytes, &limits)] {
            match result {
                Ok(samples) => {
                    decoded += 1;
                    assert!(samples as u64 <= limits.max_samples);
                }
                Err(error) => {
                    refused += 1;
                    let known = [
                        ErrorKind::Malformed,
                        ErrorKind::Unsupported,
                        ErrorKind::Limit,
                    ];
                    assert!(known.contains(&error.kind()), "round {round}: {error}");
                }
            }
        }
    }
    println!("{decoded} decoded to something, {refused} refused");
    assert!(decoded > 0 && refused > ROUNDS / 2);
}

#[test]
fn models_that_join_their_frames() {
    hostile(&TokenCoder(Toy::new(1, false)), 1);
    let config = DacConfig {
        encoder_dim: 2,
        encoder_rates: vec![4, 4],
        latent_dim: 4,
        decoder_dim: 8,
        decoder_rates: vec![4, 4],
        n_codebooks: 2,
        codebook_size: 8,
        codebook_dim: 2,
        quantizer_dropout: 0.5,
        sample_rate: 8000,
    };
    let model = random_model::<Dac>(config);
    let coder = Dac::coder::<Flex>(&model, &Default::default()).expect("a coder");
    hostile(coder.as_ref(), 2);
}

#[test]
fn models_whose_chunks_stand_alone() {
    for channels in [1, 2] {
        let model = random_model::<Walloc1d>(Walloc1dConfig {
            channels,
            levels: 3,
            encoder_width: None,
            decoder_width: 8,
            latent_dim: 4,
            latent_bits: 5,
            lightweight_encode: true,
            post_filter: false,
            post_taps: 0,
            sample_rate: 8000,
        });
        let coder = Walloc1d::coder::<Flex>(&model, &Default::default()).expect("a coder");
        hostile(coder.as_ref(), 3 + channels as u64);
    }
}
