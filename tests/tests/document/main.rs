//! A second decoder, written from `docs/bitstream.md` alone: integers in `i64`, pixels in `f64`, no Burn.
//!
//! It shares no code with the codec but the parser of safetensors files and that of the container (whose bytes have tests
//! of their own). If it finds what the codec finds, the document is right, and the integer layers are exact.

mod entropy;
mod passes;
mod pixels;
mod weights;

use codec::{Codec, EncodeOptions, Limits, Picture, Quality, RateGoal};
use codec_core::container::{Color, Container};
use codec_tests::picture::{largest_difference, photo};
use codec_tests::{devices, model};

use weights::Weights;

/// Channels of a plane each, row by row.
#[derive(Debug, Clone)]
struct Planes<T> {
    width: usize,
    height: usize,
    channels: Vec<Vec<T>>,
}

/// The 768 channels of the 1/16 grid from four passes of 192, "Which latent is where".
fn fold(passes: &[Planes<i64>], digits: u32) -> Planes<f64> {
    let (width, height) = (passes[0].width, passes[0].height);
    let mut channels = vec![Vec::new(); 768];
    for (p, pass) in passes.iter().enumerate() {
        for (i, values) in pass.channels.iter().enumerate() {
            let folded = if i < 3 {
                4 * i + p
            } else {
                let j = i - 3;
                12 + 189 * ([0, 3, 1, 2][p] ^ ((j + 3) % 4)) + j
            };
            assert!(channels[folded].is_empty(), "every latent has one place");
            channels[folded] = values
                .iter()
                .map(|&v| v as f64 / f64::from(1 << digits))
                .collect();
        }
    }
    Planes {
        width,
        height,
        channels,
    }
}

/// Decodes an RGB file of one tile.
fn decode(bytes: &[u8], weights: &Weights) -> Picture {
    let container = Container::parse(bytes, &Limits::default()).expect("a valid file");
    let header = container.header();
    let info = header.image().expect("a picture");
    assert_eq!((info.color, info.tile_size), (Color::Rgb, 0));
    let payload = container.tiles().next().expect("a tile");
    let size = (info.width as usize, info.height as usize);
    let quality = i64::from(header.quality);
    let passes = passes::decode(payload, size, quality, weights);
    let latents = fold(&passes, weights.digits());
    let samples = pixels::reconstruct(latents, size, quality as f64 / 10_000.0, weights);
    Picture::new(info.width, info.height, Color::Rgb, samples).expect("sizes fit")
}

fn check(weights: &[u8], sizes: &[(u32, u32)], qualities: &[f32]) {
    let codec = Codec::open(None, Some(weights), &devices::cpu()).expect("opens");
    let second = Weights::parse(weights);
    for &(width, height) in sizes {
        let original = photo(width, height);
        for &quality in qualities {
            let goal = RateGoal::Quality(Quality::new(quality).expect("in range"));
            let file = codec
                .encode(&original, goal, &EncodeOptions::default(), &mut |_, _| ())
                .expect("encodes");
            let decoded = codec.decode(&file.bytes, &Limits::default(), &mut |_, _| ());
            let decoded = decoded.expect("decodes").picture;
            let difference = largest_difference(&decoded, &decode(&file.bytes, &second));
            assert!(
                difference <= 1,
                "{width}x{height} at {quality}: {difference}"
            );
        }
    }
}

#[test]
fn the_document_describes_tiny_files() {
    check(
        model::tiny(),
        &[(1, 1), (33, 17), (70, 40)],
        &[0.0, 33.33, 100.0],
    );
}

/// Large enough for four lanes.
#[test]
fn the_document_describes_large_files() {
    let codec = Codec::open(None, Some(model::tiny()), &devices::cpu()).expect("opens");
    let goal = RateGoal::Quality(Quality::MAX);
    let options = EncodeOptions::default();
    let file = codec.encode(&photo(400, 300), goal, &options, &mut |_, _| ());
    let file = file.expect("encodes").bytes;
    let container = Container::parse(&file, &Limits::default()).expect("valid");
    assert_eq!(container.tiles().next().map(|tile| tile[0]), Some(4));
    check(model::tiny(), &[(400, 300)], &[100.0]);
}

#[test]
fn the_document_describes_embedded_models() {
    for name in codec_image::pretrained::names() {
        let weights = codec_image::pretrained::get(name).expect("listed");
        check(weights, &[(96, 64)], &[5.0, 50.0, 95.0]);
    }
}

#[test]
fn the_quality_plane_is_an_integer_formula() {
    for hundredths in 0..=10_000u16 {
        let quality = Quality::from_hundredths(hundredths).expect("in range");
        let plane = codec_image::models::wpmr::quality::quality_plane(quality.unit());
        assert_eq!(i64::from(plane), passes::quality_plane(hundredths.into()));
    }
}
