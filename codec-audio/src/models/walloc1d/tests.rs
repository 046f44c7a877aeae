//! Files of random models. Parity with the authors' reference is tested with that of the other families.

use burn_flex::Flex;
use codec_core::weights::{HostTensor, Tensors};
use serde_json::json;

use super::*;
use crate::models::testing::{random_model, recording, slices};

fn config(channels: usize, levels: usize, full: bool) -> Walloc1dConfig {
    Walloc1dConfig {
        channels,
        levels,
        encoder_width: full.then_some(25),
        decoder_width: 26,
        latent_dim: 6,
        latent_bits: 6,
        lightweight_encode: !full,
        post_filter: channels == 2,
        post_taps: if channels == 2 { 9 } else { 0 },
        sample_rate: 16_000,
    }
}

#[test]
fn recordings_of_every_length_are_coded() {
    let device = Default::default();
    for (channels, levels, full) in [(2, 4, false), (1, 3, true), (1, 0, false)] {
        let model = random_model::<Walloc1d>(config(channels, levels, full));
        let coder = Walloc1d::coder::<Flex>(&model, &device).unwrap();
        let hop = 1 << levels;
        for samples in [1, hop, hop + 1, 7 * hop + 3, 300] {
            let sound = recording(channels, samples);
            let bytes = coder.encode_chunk(&slices(&sound), 0).unwrap();
            assert_eq!(coder.encode_chunk(&slices(&sound), 0).unwrap(), bytes);
            let frames = samples.div_ceil(hop);
            let back = coder.decode_chunk(&bytes, frames, 0).unwrap();
            assert_eq!(back.len(), channels);
            for channel in back {
                assert_eq!(channel.len(), frames * hop);
                assert!(channel.iter().all(|v| v.abs() <= 1.0));
            }
            for cut in [0, bytes.len() / 2, bytes.len() - 1] {
                let error = coder.decode_chunk(&bytes[..cut], frames, 0).unwrap_err();
                assert_eq!(error.kind().exit_status(), 3);
            }
            assert!(coder.encode_chunk(&slices(&sound), 1).is_err());
        }
        assert!(coder.decode_chunk(&[1, 2, 3], usize::MAX, 0).is_err());
    }
}

#[test]
fn shapes_tell_what_is_not_given_and_contradictions_are_errors() {
    let expected = config(2, 4, false);
    let tensors = (*random_model::<Walloc1d>(expected.clone()).tensors).clone();
    let of = |given: serde_json::Value| Walloc1dConfig::of(&tensors, Some(&given));
    let least = json!({"latent_bits": 6.0, "sample_rate": 16_000});
    let found = of(least).unwrap();
    assert_eq!(
        (found.channels, found.levels, found.decoder_width),
        (2, 4, 24)
    );
    for given in [
        json!({}),
        json!({"latent_bits": 1}),
        json!({"latent_bits": 6, "J": 3}),
        json!({"latent_bits": 6, "J": 99}),
        json!({"latent_bits": 6, "channels": 0, "J": 4}),
        json!({"latent_bits": 6, "latent_dim": 5}),
        json!({"latent_bits": 6, "Nd": 64}),
        json!({"latent_bits": 6, "post_filter": false}),
        json!({"latent_bits": 6, "lightweight_encode": false}),
        json!({"latent_bits": 6, "sample_rate": 0}),
    ] {
        assert!(of(given.clone()).is_err(), "{given}");
    }
    assert!(Walloc1dConfig::of(&Tensors::new(), None).is_err());
    let mut other = tensors.clone();
    other.insert(
        "wt.h0",
        HostTensor::floats(&[1, 1, 10], vec![0.1; 10]).unwrap(),
    );
    let config = json!({"latent_bits": 6});
    let error = Model::<Walloc1d>::import(other, Some(&config), "a", "b").unwrap_err();
    assert_eq!(error.kind().exit_status(), 4);
}
