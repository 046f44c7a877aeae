//! The same symbols everywhere: files made on one backend decode on all others, with any number of threads.
//!
//! A single wrong probability table leaves the entropy decoder in a wrong final state, which is an error. Pixels come from
//! float layers and may differ by 1 of 255.
//!
//! Few distinct shapes: on a software driver each costs seconds, or minutes with the embedded model.

use codec::{Codec, Device, EncodeOptions, Limits, Picture, Quality, RateGoal};
use codec_tests::picture::{largest_difference, photo, psnr};
use codec_tests::{data, devices, model};

const QUALITIES: [f32; 3] = [8.0, 50.0, 97.0];

/// A model on a device.
struct Side {
    name: String,
    codec: Codec,
}

impl Side {
    fn open(device: &Device, weights: Option<&[u8]>) -> Self {
        Self {
            name: device.choice().to_string(),
            codec: Codec::open(None, weights, device).expect("the model opens"),
        }
    }

    fn encode(&self, picture: &Picture, quality: f32) -> Vec<u8> {
        let goal = RateGoal::Quality(Quality::new(quality).expect("in range"));
        let file = self
            .codec
            .encode(picture, goal, &EncodeOptions::default(), &mut |_, _| ());
        file.unwrap_or_else(|error| panic!("encoding on {}: {error}", self.name))
            .bytes
    }

    fn decode(&self, bytes: &[u8], from: &str) -> Picture {
        let decoded = self.codec.decode(bytes, &Limits::default(), &mut |_, _| ());
        let name = &self.name;
        decoded
            .unwrap_or_else(|error| panic!("decoding on {name} what {from} encoded: {error}"))
            .picture
    }
}

/// Every side encodes, every side decodes.
fn exchange(sides: &[Side], picture: &Picture, qualities: &[f32]) {
    for &quality in qualities {
        for from in sides {
            let bytes = from.encode(picture, quality);
            let reference = sides[0].decode(&bytes, &from.name);
            let psnr = psnr(picture, &reference);
            println!(
                "quality {quality}, encoded on {}: {} bytes, {psnr:.2} dB",
                from.name,
                bytes.len()
            );
            for to in &sides[1..] {
                let difference = largest_difference(&reference, &to.decode(&bytes, &from.name));
                let name = &to.name;
                assert!(
                    difference <= 1,
                    "quality {quality}: {name} and the CPU differ by {difference} of 255"
                );
            }
        }
    }
}

/// The CPU first.
fn sides(weights: Option<&[u8]>) -> Vec<Side> {
    let cpu = std::iter::once(devices::cpu());
    cpu.chain(devices::gpus())
        .map(|device| Side::open(&device, weights))
        .collect()
}

#[test]
fn a_tiny_model_on_all_backends() {
    exchange(&sides(Some(model::tiny())), &photo(90, 60), &QUALITIES);
}

#[test]
fn the_embedded_model_on_all_backends() {
    let picture = match data::kodak(3) {
        Some(picture) => data::crop(&picture, 200, 120, 128, 128),
        None => {
            println!("no Kodak pictures: a generated one instead");
            photo(128, 128)
        }
    };
    // One quality: what depends on it is data, not kernels.
    exchange(&sides(None), &picture, &QUALITIES[1..2]);
}

#[test]
fn any_number_of_threads() {
    let picture = photo(300, 211);
    for weights in [Some(model::tiny()), None] {
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| {
                let side = Side::open(&devices::cpu(), weights);
                let bytes = side.encode(&picture, 60.0);
                let decoded = side.decode(&bytes, "it");
                (bytes, decoded)
            })
        };
        let one = with_threads(1);
        for threads in [2, 3, 8] {
            let many = with_threads(threads);
            assert!(one.0 == many.0, "{threads} threads give other bytes");
            assert!(one.1 == many.1, "{threads} threads give other pixels");
        }
    }
}
