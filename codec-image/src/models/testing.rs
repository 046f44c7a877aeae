//! Checkpoints with random weights for the tests of families: the loader's account of an empty one says what is needed.

use burn::backend::Flex;
use codec_core::Digest;
use codec_core::weights::{HostTensor, Loader, Tensors};

use super::family::{ImageFamily, Model};
use crate::coder::{Quality, RgbTile, TileOptions};

/// Numbers in -1..1 that are the same on every run (SplitMix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// A model with random weights; `value` may set those of a tensor whose name it knows.
pub(crate) fn random_model<F: ImageFamily>(
    config: F::Config,
    value: impl Fn(&str, &mut Random) -> Option<f32>,
) -> Model<F> {
    let device = Default::default();
    let empty = Tensors::new();
    let loader = Loader::<Flex>::new(&empty, &device);
    F::build(&config, &loader).expect("builds without weights");
    let mut random = Random(7);
    let mut tensors = Tensors::new();
    for (name, shape) in loader.report().missing {
        let count = shape.iter().product::<usize>();
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let values = (0..count)
            .map(|_| value(&name, &mut random).unwrap_or_else(|| random.next() / fan_in.sqrt()))
            .collect();
        tensors.insert(name, HostTensor::floats(&shape, values).expect("fits"));
    }
    Model {
        name: "test/random".into(),
        digest: Digest([7; 8]),
        config,
        tensors: tensors.into(),
    }
}

/// Smooth colours with some noise.
pub(crate) fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut random = Random(width as u64 * 7919 + height as u64);
    (0..3 * width * height)
        .map(|i| {
            let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
            let wave = ((x + 2 * y) as f32 / 9.0 + c as f32).sin() * 90.0;
            (128.0 + wave + 12.0 * random.next()) as u8
        })
        .collect()
}

/// Every size comes back with its size, twice the same way; damage and other weights are noticed.
pub(crate) fn round_trips<F: ImageFamily>(
    model: &Model<F>,
    other: &Model<F>,
    sizes: &[(usize, usize)],
) {
    let device = Default::default();
    let coder = F::coder::<Flex>(model, &device).expect("a coder");
    let other = F::coder::<Flex>(other, &device).expect("a coder");
    let options = TileOptions {
        quality: Quality::FIXED,
        effort: 7,
    };
    for &(width, height) in sizes {
        let samples = picture(width, height);
        let tile = RgbTile {
            width,
            height,
            samples: &samples,
        };
        let encoded = coder.encode_tile(tile, options).expect("encodes");
        assert_eq!(
            coder.encode_tile(tile, options).expect("encodes").bytes,
            encoded.bytes
        );
        let decode = |bytes: &[u8]| coder.decode_tile(bytes, width, height, Quality::FIXED);
        let decoded = decode(&encoded.bytes).expect("decodes").samples;
        assert_eq!(decoded.len(), samples.len());
        assert_eq!(decode(&encoded.bytes).expect("decodes").samples, decoded);
        let status = |result: Result<_, codec_core::Error>| {
            result
                .map(|_: crate::coder::DecodedTile| ())
                .map_err(|e| e.kind().exit_status())
        };
        for cut in [0, 3, encoded.bytes.len() / 2, encoded.bytes.len() - 1] {
            assert_eq!(
                status(decode(&encoded.bytes[..cut])),
                Err(3),
                "cut at {cut}"
            );
        }
        let mut damaged = encoded.bytes.clone();
        damaged[encoded.bytes.len() / 2] ^= 0x10;
        assert_eq!(status(decode(&damaged)), Err(3));
        assert_eq!(
            status(other.decode_tile(&encoded.bytes, width, height, Quality::FIXED)),
            Err(3),
            "{width}x{height}: tables of other weights"
        );
        assert!(
            coder
                .decode_tile(&encoded.bytes, 0, height, Quality::FIXED)
                .is_err()
        );
    }
}
