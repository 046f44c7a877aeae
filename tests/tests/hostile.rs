//! Files whose check values are right and whose contents are not: a picture or a typed error, never a panic.
//!
//! Damage in transit is caught by check values (`cli/tests`); this is about files that somebody made on purpose.

use codec::{Codec, EncodeOptions, ErrorKind, Limits, RateGoal};
use codec_core::container::{self, Container, Section, SectionId};
use codec_image::models::wpmr::Weights;
use codec_tests::picture::{Kind, Noise, picture};
use codec_tests::{devices, model};

fn codec() -> Codec {
    Codec::open(None, Some(model::tiny()), &devices::cpu()).expect("opens")
}

fn file(codec: &Codec) -> Vec<u8> {
    let picture = picture(70, 40, Kind::ALL[3]);
    let options = EncodeOptions::default();
    let file = codec.encode(&picture, RateGoal::default(), &options, &mut |_, _| ());
    file.expect("encodes").bytes
}

/// Random damage: a few flipped bits, other lengths, or all other bytes.
fn damage(bytes: &mut Vec<u8>, noise: &mut Noise) {
    let length = bytes.len().max(1);
    match noise.draw() % 8 {
        0 => bytes.truncate(noise.draw() as usize % length),
        1 => bytes.extend((0..noise.draw() % 40).map(|i| (i * 37) as u8)),
        2 => bytes.iter_mut().for_each(|byte| *byte = noise.draw() as u8),
        3 => bytes
            .iter_mut()
            .skip(noise.draw() as usize % length)
            .for_each(|byte| *byte = 0xff),
        _ => {
            for _ in 0..1 + noise.draw() % 6 {
                let at = noise.draw() as usize % length;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (noise.draw() % 8);
                }
            }
        }
    }
}

#[test]
fn damaged_payloads_with_right_checks() {
    let codec = codec();
    let original = file(&codec);
    let parsed = Container::parse(&original, &Limits::default()).expect("valid");
    let mut noise = Noise::new(11);
    let (mut decoded, mut refused) = (0, 0);
    for round in 0..600 {
        let target = [SectionId::IMAGE_TILE, SectionId::ALPHA][round % 2];
        let section = |section: &container::SectionRef<'_>| Section {
            id: section.id,
            data: section.data.to_vec(),
        };
        let mut sections: Vec<Section> = parsed.sections().iter().map(section).collect();
        for section in sections.iter_mut().filter(|section| section.id == target) {
            damage(&mut section.data, &mut noise);
        }
        let bytes = container::write(parsed.header(), &sections).expect("well-formed");
        match codec.decode(&bytes, &Limits::default(), &mut |_, _| ()) {
            Ok(_) => decoded += 1,
            Err(error) => {
                refused += 1;
                let kind = error.kind();
                let expected = matches!(
                    kind,
                    ErrorKind::Malformed | ErrorKind::Unsupported | ErrorKind::Limit
                );
                assert!(expected, "round {round}: {error}");
            }
        }
    }
    println!("{decoded} decoded to something, {refused} refused");
    assert!(
        refused > 500,
        "the coder's final state finds nearly all damage, but only {refused} of 600"
    );
}

/// A tile of another size than its header says.
#[test]
fn headers_that_lie_about_the_size() {
    let codec = codec();
    let original = file(&codec);
    let parsed = Container::parse(&original, &Limits::default()).expect("valid");
    let tile = parsed
        .sections()
        .iter()
        .find(|section| section.id == SectionId::IMAGE_TILE);
    let tile = tile.expect("a tile").data.to_vec();
    for (width, height) in [(1, 1), (64, 40), (70, 200), (1500, 1500), (4096, 4096)] {
        let mut header = parsed.header().clone();
        header.media = container::Media::Image(container::ImageInfo {
            width,
            height,
            alpha: false,
            ..*header.image().expect("a picture")
        });
        let section = Section {
            id: SectionId::IMAGE_TILE,
            data: tile.clone(),
        };
        let bytes = container::write(&header, &[section]).expect("well-formed");
        let result = codec.decode(&bytes, &Limits::default(), &mut |_, _| ());
        let kind = result.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Malformed), "{width}x{height}");
    }
}

#[test]
fn damaged_weights() {
    let mut noise = Noise::new(12);
    let mut valid = 0;
    for round in 0..200 {
        let mut bytes = model::tiny().to_vec();
        if round % 2 == 0 {
            // In the part that says what the tensors are.
            let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
            let tail = bytes.split_off(header);
            damage(&mut bytes, &mut noise);
            bytes.extend(tail);
        } else {
            damage(&mut bytes, &mut noise);
        }
        match Weights::from_bytes(&bytes) {
            Ok(_) => valid += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Malformed, "round {round}: {error}"),
        }
    }
    println!("{valid} of 200 were still valid weights");
}
