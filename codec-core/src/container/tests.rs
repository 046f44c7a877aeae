//! Whole files: sizes, round trips, damage and absurd claims.

mod recordings;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::error::ErrorKind;

pub(super) fn header() -> Header {
    Header {
        model: "wpmr/v1".into(),
        digest: Digest([0, 1, 2, 3, 4, 5, 6, 7]),
        profile: Profile::Portable,
        quality: 5040,
        media: Media::Image(ImageInfo {
            width: 768,
            height: 512,
            color: Color::Rgb,
            alpha: false,
            bit_depth: 8,
            tile_size: 0,
        }),
    }
}

fn with_image(change: impl FnOnce(&mut ImageInfo)) -> Header {
    let mut header = header();
    let Media::Image(info) = &mut header.media else {
        panic!("a picture")
    };
    change(info);
    header
}

fn section(id: SectionId, data: &[u8]) -> Section {
    Section {
        id,
        data: data.to_vec(),
    }
}

fn parse(bytes: &[u8]) -> Result<Container<'_>, Error> {
    Container::parse(bytes, &Limits::default())
}

/// A file with every known section, two tiles and one unknown optional section.
fn rich() -> Vec<u8> {
    let header = with_image(|info| {
        info.alpha = true;
        info.tile_size = 512;
    });
    let sections = [
        section(SectionId::ICC, b"profile"),
        section(SectionId::EXIF, b"II*\0"),
        section(SectionId::XMP, b"<x/>"),
        section(SectionId::new(40, false).unwrap(), b"from the future"),
        section(SectionId::ALPHA, &[0, 255]),
        section(SectionId::IMAGE_TILE, &[7; 200]),
        section(SectionId::IMAGE_TILE, &[]),
    ];
    write(&header, &sections).unwrap()
}

#[test]
fn overhead_of_a_plain_picture_is_within_its_budget() {
    for (side, length) in [(1, 0), (512, 20_000), (16_383, 1 << 21)] {
        let header = with_image(|info| (info.width, info.height) = (side, side));
        let bytes = write(&header, &[section(SectionId::IMAGE_TILE, &vec![0; length])]).unwrap();
        assert!(
            bytes.len() - length <= 40,
            "{} bytes at {side}",
            bytes.len() - length
        );
    }
}

#[test]
fn everything_comes_back() {
    let bytes = rich();
    assert!(is_container(&bytes));
    let file = parse(&bytes).unwrap();
    assert_eq!(file.sections().len(), 7);
    assert_eq!(file.get(SectionId::ICC), Some(&b"profile"[..]));
    assert_eq!(file.get(SectionId::ALPHA), Some(&[0, 255][..]));
    assert_eq!(file.tiles().map(<[u8]>::len).collect::<Vec<_>>(), [200, 0]);
    assert_eq!(
        Header::parse_prefix(&bytes).unwrap(),
        (file.header().clone(), file.header_bytes())
    );
    assert_eq!(file.header().image().unwrap().tile_grid(), (2, 1));
}

#[test]
fn every_truncation_is_reported_as_such() {
    let bytes = rich();
    for length in 0..bytes.len() {
        let error = parse(&bytes[..length]).unwrap_err();
        assert!(error.is_truncated(), "{length}: {error}");
    }
}

#[test]
fn every_flipped_byte_is_an_error() {
    let bytes = rich();
    for at in 0..bytes.len() {
        for flip in 1..=255u8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let error = parse(&damaged).unwrap_err();
            let kinds = [ErrorKind::Malformed, ErrorKind::Unsupported];
            assert!(kinds.contains(&error.kind()), "{at} ^ {flip}: {error}");
        }
    }
}

#[test]
fn foreign_and_trailing_bytes_are_malformed() {
    let mut longer = rich();
    longer.push(0);
    let doubled = [rich(), rich()].concat();
    for bytes in [&b"\x89PNG\r\n\x1a\n"[..], b"N", &longer, &doubled] {
        let error = parse(bytes).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
    assert!(!is_container(b"\x9eNC") && !is_container(b""));
}

#[test]
fn absurd_claims_cost_nothing() {
    let huge = with_image(|info| (info.width, info.height) = (u32::MAX, u32::MAX));
    let bytes = write(&huge, &[section(SectionId::IMAGE_TILE, &[])]).unwrap();
    assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Limit);

    // A section that claims 2^63 bytes.
    let mut bytes = Vec::new();
    header().put(&mut bytes).unwrap();
    bytes.push(0b1100_0001);
    wire::put_varint(&mut bytes, 1 << 63);
    assert!(parse(&bytes).unwrap_err().is_truncated());

    // One tile per pixel, of which there are none.
    let tiny_tiles = with_image(|info| info.tile_size = 1);
    let mut bytes = Vec::new();
    tiny_tiles.put(&mut bytes).unwrap();
    section(SectionId::IMAGE_TILE, &[]).put(&mut bytes, true);
    assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn limits_cover_file_and_metadata() {
    let bytes = rich();
    let tight = [
        Limits {
            max_file_bytes: bytes.len() as u64 - 1,
            ..Limits::default()
        },
        Limits {
            max_metadata_bytes: 7 + 4 + 4 + 14,
            ..Limits::default()
        },
        Limits {
            max_width: 767,
            ..Limits::default()
        },
    ];
    for limits in tight {
        assert_eq!(
            Container::parse(&bytes, &limits).unwrap_err().kind(),
            ErrorKind::Limit
        );
    }
}

#[test]
fn unknown_sections_are_skipped_or_refused() {
    let tile = section(SectionId::IMAGE_TILE, &[1]);
    for (id, kind) in [
        (SectionId::new(5, true).unwrap(), ErrorKind::Unsupported),
        (SectionId::new(1, false).unwrap(), ErrorKind::Malformed),
        (SectionId::new(16, true).unwrap(), ErrorKind::Malformed),
    ] {
        let extra = section(id, &[2]);
        let error = write(&header(), &[tile.clone(), extra.clone()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        let mut bytes = Vec::new();
        header().put(&mut bytes).unwrap();
        tile.put(&mut bytes, false);
        extra.put(&mut bytes, true);
        assert_eq!(parse(&bytes).unwrap_err().kind(), kind, "{id:?}");
    }
}

#[test]
fn sections_must_fit_the_header() {
    let tile = section(SectionId::IMAGE_TILE, &[1]);
    let alpha = section(SectionId::ALPHA, &[1]);
    let icc = section(SectionId::ICC, &[1]);
    let transparent = with_image(|info| info.alpha = true);
    for (header, sections) in [
        (header(), vec![]),
        (header(), vec![tile.clone(), tile.clone()]),
        (header(), vec![tile.clone(), alpha.clone()]),
        (header(), vec![tile.clone(), icc.clone(), icc]),
        (transparent, vec![tile]),
    ] {
        assert_eq!(
            write(&header, &sections).unwrap_err().kind(),
            ErrorKind::Parameter
        );
    }
}

prop_compose! {
    fn any_header()(
        model in "[a-z0-9._/-]{1,64}",
        digest: [u8; 8],
        float: bool,
        quality in 0..=MAX_QUALITY,
        (width, height) in (1..5000u32, 1..5000u32),
        rgb: bool,
        alpha: bool,
        bit_depth in prop::sample::select(vec![8u8, 10, 12, 16]),
        tile_size in prop_oneof![Just(0), 1500..6000u32],
    ) -> Header {
        Header {
            model,
            digest: Digest(digest),
            profile: if float { Profile::Float } else { Profile::Portable },
            quality,
            media: Media::Image(ImageInfo {
                width,
                height,
                color: if rgb { Color::Rgb } else { Color::Gray },
                alpha,
                bit_depth,
                tile_size,
            }),
        }
    }
}

proptest! {
    #[test]
    fn files_round_trip(
        header in any_header(),
        data in prop::collection::vec(any::<u8>(), 0..300),
        unknown in prop::collection::vec((20u8..=MAX_SECTION_NUMBER, any::<u8>()), 0..4),
    ) {
        let info = *header.image().unwrap();
        let mut sections: Vec<_> = unknown
            .iter()
            .map(|(number, byte)| section(SectionId::new(*number, false).unwrap(), &[*byte]))
            .collect();
        if info.alpha {
            sections.push(section(SectionId::ALPHA, &data));
        }
        for tile in 0..info.tile_count() {
            sections.push(section(SectionId::IMAGE_TILE, &data[..data.len().min(tile as usize)]));
        }
        let bytes = write(&header, &sections).unwrap();
        let file = parse(&bytes).unwrap();
        prop_assert_eq!(file.header(), &header);
        prop_assert_eq!(file.sections().len(), sections.len());
        for (read, written) in file.sections().iter().zip(&sections) {
            prop_assert_eq!((read.id, read.data), (written.id, &written.data[..]));
        }
    }

    #[test]
    fn arbitrary_bytes_end_in_a_value_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
        if magic {
            bytes.splice(0..0, [0x9e, b'N', b'C', b'X', VERSION]);
        }
        let _ = parse(&bytes);
        let _ = Header::parse_prefix(&bytes);
    }
}
