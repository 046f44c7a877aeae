//! Files of random models. Parity with the authors' reference is tested with that of the other families.

use burn::tensor::Tensor;
use burn_flex::Flex;
use codec_core::container::ModelId;
use codec_core::layers::Rounding;
use codec_core::tokens::Alphabet;
use codec_core::weights::{HostTensor, Tensors};
use codec_core::{Depth, Limits};
use serde_json::json;

use super::*;
use crate::io::Sound;
use crate::models::testing::{random_model, recording, slices};
use crate::tokens::{self, Layout, Media, Tokens};

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

/// Tokens hold the integers of a file of one chunk, and give its sound.
#[test]
fn latents_return_as_the_sound_of_a_file() {
    let device = Default::default();
    for channels in [1, 2] {
        let model = random_model::<Walloc1d>(config(channels, 4, channels == 1));
        let coder = Walloc1d::coder::<Flex>(&model, &device).unwrap();
        let id = ModelId {
            name: model.name.clone(),
            digest: model.digest,
            profile: Profile::Portable,
        };
        for samples in [0, 1, 16, 17, 300] {
            let values = recording(channels, samples);
            let sound = Sound::new(16_000, values, Depth::Int16).unwrap();
            let found = tokens::tokenize(coder.as_ref(), &id, &sound, None).unwrap();
            let frames = samples.div_ceil(16);
            assert_eq!(found.shape(), [6, frames.max(5) + 2]);
            assert_eq!(found.alphabet(), Alphabet::Latents { limit: 31 });
            if samples > 0 {
                let bytes = coder.encode_chunk(&sound.slices(), 0).unwrap();
                let columns = found.shape()[1];
                let held = codec_entropy::decode_planes(&bytes, [6, 1, columns], 31).unwrap();
                assert_eq!(held, found.latents());
                let wanted = coder.decode_chunk(&bytes, frames, 0).unwrap();
                let back = tokens::detokenize(coder.as_ref(), &found, &Limits::default()).unwrap();
                assert_eq!(back.samples(), samples);
                for (back, wanted) in back.channels.iter().zip(&wanted) {
                    assert_eq!(back, &wanted[..samples]);
                }
            }
            for format in ["npy", "safetensors", "jsonl"] {
                let format: tokens::TokenFormat = format.parse().unwrap();
                let file = format.write(&found, Layout::Time).unwrap();
                assert_eq!(tokens::TokenFormat::read(&file).unwrap(), found);
            }
        }
        // Another rate and other channels.
        let sound = Sound::new(44_100, recording(3, 3001), Depth::Int16).unwrap();
        let found = tokens::tokenize(coder.as_ref(), &id, &sound, None).unwrap();
        let back = tokens::detokenize(coder.as_ref(), &found, &Limits::default()).unwrap();
        assert_eq!((back.rate, back.samples()), (44_100, 3001));
        assert_eq!(back.channels.len(), 1);
        assert!(tokens::tokenize(coder.as_ref(), &id, &sound, Some(1)).is_err());
        let batch = tokens::tokenize_batch(coder.as_ref(), &id, &[&sound], None, 60.0);
        assert_eq!(batch[0].as_ref().unwrap(), &found);
    }
}

#[test]
fn latents_that_do_not_fit_are_refused() {
    let model = random_model::<Walloc1d>(config(1, 4, true));
    let coder = Walloc1d::coder::<Flex>(&model, &Default::default()).unwrap();
    let status = |shape: [usize; 2], value: i32, limit: u32, samples: u64| {
        let media = Media::Audio {
            rate: 16_000,
            samples,
            channels: 1,
            hop: 16,
        };
        let values = vec![value; shape[0] * shape[1]];
        let name = model.name.clone();
        let made = Tokens::of_latents(values, shape.to_vec(), limit, name, model.digest, media);
        match tokens::detokenize(coder.as_ref(), &made.unwrap(), &Limits::default()) {
            Ok(sound) => {
                assert_eq!(sound.samples() as u64, samples);
                0
            }
            Err(error) => error.kind().exit_status(),
        }
    };
    assert_eq!(status([6, 12], 31, 31, 160), 0);
    assert_eq!(status([6, 12], 32, 32, 160), 3);
    assert_eq!(status([6, 11], 1, 31, 160), 3);
    assert_eq!(status([12, 6], 1, 31, 160), 3);
    assert_eq!(status([6, 12], 1, 31, u64::MAX), 6);
    // More than a model sees at once.
    assert_eq!(status([6, 12], 1, 31, 16_000 * 700), 6);
    let media = Media::Audio {
        rate: 16_000,
        samples: 160,
        channels: 1,
        hop: 16,
    };
    let codes = Tokens::new(
        vec![0; 72],
        vec![6, 12],
        32,
        "a".into(),
        model.digest,
        media,
    );
    let refused = tokens::detokenize(coder.as_ref(), &codes.unwrap(), &Limits::default());
    assert_eq!(refused.unwrap_err().kind().exit_status(), 3);
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

/// Ratio of a recording's power to that of an error, dB.
fn ratio(x: &[Vec<f32>], y: &[Vec<f32>]) -> f32 {
    let pairs = || x.iter().flatten().zip(y.iter().flatten());
    let error: f32 = pairs().map(|(x, y)| (x - y) * (x - y)).sum();
    let power: f32 = pairs().map(|(x, _)| x * x).sum();
    10.0 * (power / error).log10()
}

#[test]
fn training_begins_with_a_linear_codec_and_ends_with_its_weights() {
    let device = Default::default();
    for (channels, full) in [(2, false), (2, true), (1, false)] {
        let config = Walloc1dConfig {
            latent_dim: channels << 4,
            latent_bits: 10,
            encoder_width: full.then_some(2 * (channels << 4)),
            decoder_width: 2 * (channels << 4) + 3,
            ..config(channels, 4, full)
        };
        let fresh = Fresh::new(&config, 3).unwrap();
        let network = fresh.init::<Flex>(&device);
        let sound = recording(channels, 40 * 16);
        let back = |coder: &dyn AudioCoder| {
            let bytes = coder.encode_chunk(&slices(&sound), 0).unwrap();
            let back = coder.decode_chunk(&bytes, 40, 0).unwrap();
            (bytes.len(), back)
        };
        let (bytes, decoded) = back(&fresh.coder(network.clone(), &device).unwrap());
        let snr = ratio(&sound, &decoded);
        assert!(snr > 25.0, "{channels} channels, full {full}: {snr} dB");

        // The pass of training with rounding is the codec, and its estimate of the rate is near.
        let all: Vec<f32> = sound.concat();
        let x = Tensor::<Flex, 1>::from_floats(all.as_slice(), &device);
        let x = x.reshape([1, channels, 40 * 16]);
        let pass = fresh.forward(&network, x.clone(), Rounding::StraightThrough);
        let pass = pass.unwrap();
        let values: Vec<f32> = pass.reconstruction.into_data().into_vec().unwrap();
        let same = values.iter().zip(decoded.iter().flatten());
        assert!(same.clone().all(|(a, b)| (a - b).abs() < 1e-4));
        let kilobits = 8.0 * bytes as f32 * 16.0 / (40.0 * 16.0);
        let estimate = pass.rate.into_scalar() / kilobits;
        assert!((0.5..2.0).contains(&estimate), "{estimate}");
        let noisy = fresh.forward(&network, x, Rounding::Noise).unwrap();
        let noisy: Vec<f32> = noisy.reconstruction.into_data().into_vec().unwrap();
        assert!(noisy.iter().zip(&values).any(|(a, b)| a != b));

        // What is exported codes as the network in training did, and goes back into it.
        let file = codec_core::weights::WeightsFile {
            family: Walloc1d::NAME.into(),
            name: "test/music".into(),
            config: serde_json::to_value(&config).unwrap(),
            source: "test".into(),
            tensors: fresh.export(&network).unwrap(),
        };
        let model = Model::<Walloc1d>::new(file, codec_core::Digest([7; 8])).unwrap();
        let coder = Walloc1d::coder::<Flex>(&model, &device).unwrap();
        let (_, exported) = back(coder.as_ref());
        assert!((ratio(&sound, &exported) - snr).abs() < 0.5);
        let again = fresh.adopt::<Flex>(&model, &device).unwrap();
        assert_eq!(fresh.export(&again).unwrap(), *model.tensors);
    }
}

#[test]
fn sizes_that_no_model_has_are_refused() {
    let good = Walloc1dConfig::default();
    assert!(good.check().is_ok());
    for bad in [
        Walloc1dConfig {
            channels: 3,
            ..good.clone()
        },
        Walloc1dConfig {
            levels: 13,
            ..good.clone()
        },
        Walloc1dConfig {
            latent_dim: 0,
            ..good.clone()
        },
        Walloc1dConfig {
            latent_bits: 17,
            ..good.clone()
        },
        Walloc1dConfig {
            decoder_width: 64,
            ..good.clone()
        },
        Walloc1dConfig {
            lightweight_encode: false,
            ..good.clone()
        },
        Walloc1dConfig {
            encoder_width: Some(128),
            ..good.clone()
        },
        Walloc1dConfig {
            post_filter: true,
            post_taps: 8,
            ..good.clone()
        },
        Walloc1dConfig {
            sample_rate: 10,
            ..good.clone()
        },
    ] {
        let error = Fresh::new(&bad, 1).unwrap_err();
        assert_eq!(error.kind().exit_status(), 2, "{bad:?}");
    }
}
