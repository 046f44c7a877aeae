//! Models with random weights for the tests of families, and what every coder must do.

use burn::backend::Autodiff;
use burn_flex::Flex;
use codec_core::Digest;
use codec_core::backend::CodecBackend;
use codec_core::weights::{HostTensor, Loader, Tensors};

use super::family::{AudioFamily, Model};
use crate::coder::AudioCoder;

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

/// A model with random weights.
pub(crate) fn random_model<F: AudioFamily>(config: F::Config) -> Model<F> {
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
            .map(|_| match name.ends_with("alpha") {
                true => 1.5 + random.next(),
                false => random.next() * (3.0 / fan_in).sqrt(),
            })
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

/// A wave with some noise, differently in every channel.
pub(crate) fn recording(channels: usize, samples: usize) -> Vec<Vec<f32>> {
    let mut random = Random(samples as u64);
    (0..channels)
        .map(|channel| {
            (0..samples)
                .map(|i| (i as f32 / (9.0 + channel as f32)).sin() * 0.4 + 0.1 * random.next())
                .collect()
        })
        .collect()
}

pub(crate) fn slices(channels: &[Vec<f32>]) -> Vec<&[f32]> {
    channels.iter().map(Vec::as_slice).collect()
}

/// Codes of a batch, whether padded in one tensor or side by side, are those of every recording alone.
pub(crate) fn batches<F: AudioFamily>(model: &Model<F>, lengths: &[usize]) {
    let device = Default::default();
    let alone = F::coder::<Flex>(model, &device).expect("a model");
    // Autodiff has the processor's kernels and the other devices' way with batches.
    let padded = F::coder::<Autodiff<Flex>>(model, &device).expect("a model");
    const { assert!(Flex::SIDE_BY_SIDE && !Autodiff::<Flex>::SIDE_BY_SIDE) };
    same_batches(alone.as_ref(), padded.as_ref(), lengths);
}

/// The same with models on their devices.
pub(crate) fn same_batches(alone: &dyn AudioCoder, padded: &dyn AudioCoder, lengths: &[usize]) {
    let channels = alone.format().channels.into();
    let sounds: Vec<_> = lengths.iter().map(|&n| recording(channels, n)).collect();
    let batch: Vec<_> = sounds.iter().map(|sound| slices(sound)).collect();
    let alone = alone.tokenizer().expect("a tokenizer");
    let padded = padded.tokenizer().expect("a tokenizer");
    let all = alone.format().codebooks.len();
    for codebooks in [1, all] {
        let wanted: Vec<_> = batch
            .iter()
            .map(|channels| alone.tokenize(channels, codebooks).expect("codes"))
            .collect();
        for (way, tokenizer) in [("side by side", alone), ("padded", padded)] {
            let found = tokenizer.tokenize_batch(&batch, codebooks).expect("codes");
            assert!(found == wanted, "{way}, {codebooks} codebooks");
        }
        let found = padded.tokenize_batch(&[], codebooks).expect("codes");
        assert!(found.is_empty());
    }
    for tokenizer in [alone, padded] {
        assert!(tokenizer.tokenize_batch(&batch, all + 1).is_err());
        assert!(tokenizer.tokenize_batch(&[vec![], vec![]], 1).is_err());
    }
}

/// Every length and rate comes back with its length, twice the same way; damage is noticed or decoded, never a panic.
pub(crate) fn round_trips(coder: &dyn AudioCoder, lengths: &[usize]) {
    let format = coder.format().clone();
    let hop = format.hop as usize;
    for &samples in lengths {
        let sound = recording(format.channels.into(), samples);
        for step in 0..format.steps.len() {
            let bytes = coder.encode_chunk(&slices(&sound), step).expect("encodes");
            let again = coder.encode_chunk(&slices(&sound), step).expect("encodes");
            assert_eq!(again, bytes, "{samples} samples, step {step}");
            let frames = samples.div_ceil(hop);
            let decoded = coder.decode_chunk(&bytes, frames, step).expect("decodes");
            assert_eq!(decoded.len(), usize::from(format.channels));
            for channel in &decoded {
                assert_eq!(channel.len(), frames * hop);
                assert!(channel.iter().all(|v| v.is_finite()));
            }
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                let error = coder.decode_chunk(&bytes[..cut], frames, step);
                let status = error.expect_err("an error").kind().exit_status();
                assert_eq!(status, 3, "{samples} samples cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(coder.decode_chunk(&longer, frames, step).is_err());
        }
        assert!(
            coder
                .encode_chunk(&slices(&sound), format.steps.len())
                .is_err()
        );
        assert!(coder.encode_chunk(&[], 0).is_err());
    }
}
