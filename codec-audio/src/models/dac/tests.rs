use burn_flex::{Flex, FlexDevice};

use super::*;
use crate::coder::{AudioCoder, Codes, Reach};
use crate::models::testing::{batches, random_model, recording, round_trips, slices};

fn config(rates: [usize; 2]) -> DacConfig {
    DacConfig {
        encoder_dim: 4,
        encoder_rates: rates.to_vec(),
        latent_dim: 12,
        decoder_dim: 16,
        decoder_rates: rates.iter().rev().copied().collect(),
        n_codebooks: 3,
        codebook_size: 32,
        codebook_dim: 3,
        quantizer_dropout: 0.5,
        sample_rate: 16_000,
    }
}

fn coder(rates: [usize; 2]) -> Box<dyn AudioCoder> {
    let model = random_model::<Dac>(config(rates));
    Dac::coder::<Flex>(&model, &FlexDevice).unwrap()
}

#[test]
fn files_keep_their_length() {
    round_trips(coder([2, 4]).as_ref(), &[1, 7, 8, 9, 300]);
    // An odd stride gives a few samples less; they are zeros.
    round_trips(coder([5, 2]).as_ref(), &[1, 10, 11, 300]);
}

#[test]
fn batches_are_the_recordings() {
    for rates in [[2, 4], [5, 2]] {
        let model = random_model::<Dac>(config(rates));
        batches(&model, &[300, 1, 8, 0, 9, 301, 2000, 300]);
        batches(&model, &[77, 77]);
    }
}

#[test]
fn the_configuration_follows_from_the_tensors() {
    let model = random_model::<Dac>(config([5, 2]));
    let given =
        serde_json::json!({"metadata": {"kwargs": {"sample_rate": 16000, "latent_dim": null}}});
    let found = Dac::configure(&model.tensors, Some(&given)).unwrap();
    assert_eq!(found, model.config);
    let wrong = serde_json::json!({"encoder_rates": [2, 5]});
    assert!(Dac::configure(&model.tensors, Some(&wrong)).is_err());
}

/// Codes of the middle of a recording need no more around it than the reach says, and neither do samples.
#[test]
fn the_reach_is_as_far_as_networks_see() {
    for rates in [[2, 4], [5, 2]] {
        let coder = coder(rates);
        let (tokenizer, hop) = (coder.tokenizer().unwrap(), coder.format().hop as usize);
        let Reach::Limited {
            before,
            after,
            frames_before,
            frames_after,
        } = tokenizer.reach()
        else {
            panic!("a convolutional model");
        };
        let sound = recording(1, 220 * hop);
        let whole = tokenizer.tokenize(&slices(&sound), 3).unwrap();
        let (first, count) = (100, 20);
        let lead = (before as usize).div_ceil(hop);
        let end = (first + count) * hop + after as usize;
        let part = [sound[0][(first - lead) * hop..end].to_vec()];
        let part = tokenizer.tokenize(&slices(&part), 3).unwrap();
        for book in 0..3 {
            let own = &part.values[book * part.frames() + lead..][..count];
            assert_eq!(own, &whole.values[book * whole.frames() + first..][..count]);
        }
        let samples = tokenizer.detokenize(&whole).unwrap();
        let (lead, tail) = (frames_before as usize, frames_after as usize);
        let books = whole.values.chunks(whole.frames());
        let part = Codes {
            values: books
                .flat_map(|book| book[first - lead..first + count + tail].to_vec())
                .collect(),
            codebooks: 3,
        };
        let part = tokenizer.detokenize(&part).unwrap();
        let own = &part[0][lead * hop..][..count * hop];
        let want = &samples[0][first * hop..][..count * hop];
        let differences = own.iter().zip(want).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst < 1e-5, "{rates:?}: {worst}");
    }
}
