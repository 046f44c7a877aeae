//! The file layer with a coder that needs no weights.

use codec_core::container::Profile;
use codec_core::digest::Digest;
use codec_core::error::ErrorKind;

use super::*;
use crate::coder::{DecodedTile, EncodedTile};

/// Keeps the high bits of each sample, more of them for higher quality.
struct RawCoder;

fn shift(quality: Quality) -> u32 {
    7 - (quality.unit() * 7.0) as u32
}

impl ImageCoder for RawCoder {
    fn encode_tile(&self, tile: RgbTile<'_>, options: TileOptions) -> Result<EncodedTile, Error> {
        assert_eq!(tile.samples.len(), 3 * tile.width * tile.height);
        let mut bytes: Vec<u8> = tile
            .samples
            .iter()
            .map(|sample| sample >> shift(options.quality))
            .collect();
        // Padding makes the size depend on the quality as in a real coder.
        bytes.resize(
            bytes.len() + 2 * usize::from(options.quality.hundredths()),
            0,
        );
        Ok(EncodedTile {
            bytes,
            estimate: None,
            stages: Stages::default(),
        })
    }

    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        quality: Quality,
    ) -> Result<DecodedTile, Error> {
        let length = 3 * width * height;
        let samples = bytes
            .get(..length)
            .ok_or_else(|| Error::malformed("short tile"))?;
        let samples = samples
            .iter()
            .map(|sample| sample << shift(quality))
            .collect();
        Ok(DecodedTile {
            samples,
            stages: Stages::default(),
        })
    }
}

fn model() -> ModelId {
    ModelId {
        name: "raw/test".into(),
        digest: Digest::of(b"raw"),
        profile: Profile::Portable,
    }
}

fn picture(width: u32, height: u32, color: Color, alpha: bool) -> Picture {
    let pixels = u64::from(width) * u64::from(height);
    let noise = |count: u64, seed: u64| -> Vec<u8> {
        (0..count)
            .map(|i| ((i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
            .collect()
    };
    Picture {
        width,
        height,
        color,
        pixels: noise(pixels * color.channels() as u64, 1),
        alpha: alpha.then(|| noise(pixels, 2)),
        metadata: Metadata::default(),
    }
}

fn lossless() -> EncodeOptions {
    EncodeOptions {
        quality: Quality::MAX,
        ..EncodeOptions::default()
    }
}

fn round_trip(picture: &Picture, options: &EncodeOptions) -> (Picture, Header) {
    let mut calls = Vec::new();
    let encoded = encode_picture(&RawCoder, &model(), picture, options, &mut |done, total| {
        calls.push((done, total))
    })
    .unwrap();
    let total = calls[0].1;
    assert_eq!(
        calls,
        (0..=total).map(|done| (done, total)).collect::<Vec<_>>()
    );
    let container = Container::parse(&encoded.bytes, &Limits::default()).unwrap();
    let (decoded, _) =
        decode_picture(&RawCoder, &container, &Limits::default(), &mut |_, _| ()).unwrap();
    (decoded, container.header().clone())
}

#[test]
fn every_kind_of_picture_returns_at_its_size() {
    for (width, height) in [(1, 1), (1, 70), (65, 64), (200, 130)] {
        for color in [Color::Gray, Color::Rgb] {
            for alpha in [false, true] {
                let picture = picture(width, height, color, alpha);
                for tile in [Tile::Auto, Tile::Size(64)] {
                    let (decoded, header) =
                        round_trip(&picture, &EncodeOptions { tile, ..lossless() });
                    assert_eq!(decoded, picture);
                    let info = *header.image().unwrap();
                    let single = tile == Tile::Auto || (width <= 64 && height <= 64);
                    assert_eq!(info.tile_size, if single { 0 } else { 64 });
                    assert_eq!((info.color, info.alpha), (color, alpha));
                }
            }
        }
    }
}

#[test]
fn metadata_are_kept_as_asked() {
    let mut picture = picture(3, 2, Color::Rgb, false);
    picture.metadata = Metadata {
        icc: Some(vec![1, 2]),
        exif: Some(vec![3]),
        xmp: Some(b"<x/>".to_vec()),
    };
    let (all, _) = round_trip(&picture, &lossless());
    assert_eq!(all.metadata, picture.metadata);
    let (none, _) = round_trip(
        &picture,
        &EncodeOptions {
            keep: Keep::NONE,
            ..lossless()
        },
    );
    assert_eq!(none.metadata, Metadata::default());
    let keep = Keep {
        icc: true,
        ..Keep::NONE
    };
    let (icc, _) = round_trip(&picture, &EncodeOptions { keep, ..lossless() });
    assert_eq!(
        icc.metadata,
        Metadata {
            icc: Some(vec![1, 2]),
            ..Metadata::default()
        }
    );
}

#[test]
fn large_pictures_are_cut_automatically() {
    assert_eq!(
        tile_size(Tile::Auto, MAX_TILE_PIXELS, [4096, 4096]).unwrap(),
        0
    );
    assert_eq!(
        tile_size(Tile::Auto, MAX_TILE_PIXELS, [4097, 4096]).unwrap(),
        AUTO_TILE
    );
    assert_eq!(tile_size(Tile::Auto, 1 << 20, [1024, 1025]).unwrap(), 1024);
    assert_eq!(
        tile_size(Tile::Size(512), MAX_TILE_PIXELS, [513, 1]).unwrap(),
        512
    );
    for side in [0, 63, 4097, u32::MAX] {
        assert_eq!(
            tile_size(Tile::Size(side), MAX_TILE_PIXELS, [9, 9])
                .unwrap_err()
                .kind(),
            ErrorKind::Parameter
        );
    }
}

#[test]
fn options_and_buffers_out_of_range_are_the_callers_fault() {
    let encode = |picture: &Picture, options: &EncodeOptions| {
        encode_picture(&RawCoder, &model(), picture, options, &mut |_, _| ())
            .unwrap_err()
            .kind()
    };
    let good = picture(4, 4, Color::Rgb, true);
    for effort in [0, 11] {
        assert_eq!(
            encode(
                &good,
                &EncodeOptions {
                    effort,
                    ..lossless()
                }
            ),
            ErrorKind::Parameter
        );
    }
    let short = Picture {
        pixels: vec![0; 47],
        ..good.clone()
    };
    assert_eq!(encode(&short, &lossless()), ErrorKind::Parameter);
    let short = Picture {
        alpha: Some(vec![0; 15]),
        ..good
    };
    assert_eq!(encode(&short, &lossless()), ErrorKind::Parameter);
}

#[test]
fn headers_that_promise_too_much_are_refused_before_anything_is_allocated() {
    let file = |width, height, tile_size| {
        let info = ImageInfo {
            width,
            height,
            color: Color::Rgb,
            alpha: false,
            bit_depth: 8,
            tile_size,
        };
        let ModelId {
            name,
            digest,
            profile,
        } = model();
        let header = Header {
            model: name,
            digest,
            profile,
            quality: 0,
            media: Media::Image(info),
        };
        container::write(
            &header,
            &[Section {
                id: SectionId::IMAGE_TILE,
                data: vec![0; 9],
            }],
        )
        .unwrap()
    };
    let decode = |bytes: &[u8]| {
        let wide = Limits {
            max_pixels: u64::MAX,
            ..Limits::default()
        };
        let container = Container::parse(bytes, &wide).unwrap();
        decode_picture(&RawCoder, &container, &wide, &mut |_, _| ())
            .unwrap_err()
            .kind()
    };
    assert_eq!(decode(&file(1 << 20, 1 << 20, 0)), ErrorKind::Limit);
    assert_eq!(decode(&file(1 << 20, 1 << 20, 1 << 20)), ErrorKind::Limit);
    assert_eq!(decode(&file(4096, 4096, 0)), ErrorKind::Malformed);
    let bytes = file(100, 100, 0);
    let container = Container::parse(&bytes, &Limits::default()).unwrap();
    let tight = Limits {
        max_pixels: 9_999,
        ..Limits::default()
    };
    let error = decode_picture(&RawCoder, &container, &tight, &mut |_, _| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn goals_are_reached_on_real_files() {
    let picture = picture(60, 50, Color::Rgb, false);
    let encode = |goal| {
        let options = EncodeOptions::default();
        encode_to_goal(
            &RawCoder,
            &model(),
            &picture,
            goal,
            &options,
            &mut |_, _| (),
        )
        .unwrap()
    };
    let exact = encode(RateGoal::Quality(Quality::new(12.34).unwrap()));
    assert_eq!(
        (exact.quality.hundredths(), exact.reached, exact.tries),
        (1234, true, 1)
    );

    let sized = encode(RateGoal::TargetBytes(20_000));
    assert!(
        sized.reached && sized.bytes.len() <= 20_000 && sized.bytes.len() >= 19_600,
        "{}",
        sized.bytes.len()
    );
    let header = Container::parse(&sized.bytes, &Limits::default())
        .unwrap()
        .header()
        .clone();
    assert_eq!(header.quality, sized.quality.hundredths());

    let rated = encode(RateGoal::BitsPerPixel(20_000.0 * 8.0 / 3_000.0));
    assert_eq!(rated.bytes, sized.bytes);

    let small = encode(RateGoal::TargetBytes(10));
    assert!(!small.reached && small.quality.hundredths() == 0);
    let large = encode(RateGoal::TargetBytes(1_000_000));
    assert!(!large.reached && large.quality == Quality::MAX);
    for goal in [
        RateGoal::TargetBytes(0),
        RateGoal::BitsPerPixel(0.0),
        RateGoal::BitsPerPixel(f64::NAN),
    ] {
        let options = EncodeOptions::default();
        let error = encode_to_goal(
            &RawCoder,
            &model(),
            &picture,
            goal,
            &options,
            &mut |_, _| (),
        )
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
    }
}
