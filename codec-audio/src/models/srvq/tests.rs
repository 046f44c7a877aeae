use burn_flex::Flex;
use codec_core::Digest;
use codec_core::weights::WeightsFile;

use super::*;
use crate::models::testing::batches;

fn config() -> SrvqConfig {
    SrvqConfig {
        rate: 8000,
        hop: 64,
        lowest: 100.0,
        highest: 400.0,
        pitches: 20,
        bands: 10,
        width: 12,
        expansion: 2,
        kernel: 3,
        encoder_blocks: 2,
        decoder_blocks: 2,
        latent: 5,
        codebooks: 3,
        codes: 20,
        steps: vec![1, 3],
        context: None,
    }
}

fn model() -> Model<Srvq> {
    let config = config();
    let fresh = Fresh::new(&config, 4).unwrap();
    let network = fresh.init::<Flex>(&Default::default());
    let file = WeightsFile {
        family: Srvq::NAME.into(),
        name: "test/speech".into(),
        config: serde_json::to_value(&config).unwrap(),
        source: "test".into(),
        tensors: fresh.export(&network).unwrap(),
    };
    let bytes = file.to_bytes().unwrap();
    Model::new(WeightsFile::from_bytes(&bytes).unwrap(), Digest::of(&bytes)).unwrap()
}

fn sound(length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| 0.4 * (i as f32 * 0.37).sin() + 0.2 * ((i * i) as f32 * 0.001).sin())
        .collect()
}

#[test]
fn every_length_comes_back_in_whole_frames() {
    let model = model();
    let tokenizer = tokenizer::<Flex>(&model, &Default::default()).unwrap();
    for length in [0, 1, 63, 64, 65, 640] {
        let x = sound(length);
        for codebooks in 1..=4 {
            let codes = tokenizer.tokenize(&[&x], codebooks).unwrap();
            assert_eq!(codes.frames(), length.div_ceil(64));
            let y = tokenizer.detokenize(&codes).unwrap();
            assert_eq!(y[0].len(), codes.frames() * 64);
            assert!(y[0].iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn batches_are_the_recordings() {
    batches(&model(), &[640, 1, 64, 0, 65, 1000, 6400, 640]);
    batches(&model(), &[77, 77]);
}

/// What the model says it depends on is all that it depends on.
#[test]
fn the_reach_is_that_of_the_networks() {
    let model = model();
    let tokenizer = tokenizer::<Flex>(&model, &Default::default()).unwrap();
    let Reach::Limited {
        before,
        after,
        frames_before,
        frames_after,
    } = tokenizer.reach()
    else {
        panic!("it streams");
    };
    let (hop, length) = (64, 64 * 400);
    // Pauses end what pulses depend on.
    let paused = |at: usize, v: f32| if at / hop % 50 < 6 { 0.0 } else { v };
    let paused = |x: Vec<f32>| -> Vec<f32> {
        let values = x.into_iter().enumerate();
        values.map(|(at, v)| paused(at, v)).collect()
    };
    let x = paused(sound(length));
    let codes = tokenizer.tokenize(&[&x], 4).unwrap();
    let frame = 315;
    // Only what reaches frame 12 stays as it is.
    let (from, to) = (
        frame * hop - before as usize,
        (frame + 1) * hop + after as usize,
    );
    let mut other: Vec<f32> = sound(length).iter().map(|v| -0.5 * v).collect();
    other[from..to].copy_from_slice(&x[from..to]);
    let changed = tokenizer.tokenize(&[&other], 4).unwrap();
    let at = |codes: &Codes| {
        (0..4)
            .map(|q| codes.values[q * 400 + frame])
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&codes), at(&changed));
    assert_ne!(codes, changed);

    let samples = tokenizer.detokenize(&codes).unwrap();
    let mut other = codes.clone();
    for (place, code) in other.values.iter_mut().enumerate() {
        let distance = (place % 400) as i64 - frame as i64;
        if !(-i64::from(frames_before)..=i64::from(frames_after)).contains(&distance) {
            *code = (*code + 7) % 20;
        }
    }
    let changed = tokenizer.detokenize(&other).unwrap();
    for i in frame * hop..(frame + 1) * hop {
        assert!((samples[0][i] - changed[0][i]).abs() < 1e-5);
    }
    assert_ne!(samples, changed);
}

#[test]
fn codebooks_follow_their_latents() {
    let config = config();
    let fresh = Fresh::new(&config, 1).unwrap();
    let device = Default::default();
    let mut network = fresh.init::<Flex>(&device);
    let transforms = Transforms::<Flex>::new(&config, &device).unwrap();
    let x =
        Tensor::<Flex, 1>::from_floats(sound(64 * 60).as_slice(), &device).reshape([2, 1, 1920]);
    let error = |network: &Autoencoder<Flex>| {
        let pass = network
            .forward_training(&transforms, x.clone(), &[4, 4])
            .unwrap();
        pass.commitment.mean().into_scalar()
    };
    let before = error(&network);
    for step in 0..3 {
        let pass = network
            .forward_training(&transforms, x.clone(), &[2, 4])
            .unwrap();
        assert_eq!(pass.reconstruction.dims(), [2, 1, 1920]);
        network = network.settle(pass.latents, pass.codes, step).unwrap();
    }
    let after = error(&network);
    assert!(after < 0.6 * before, "{after} {before}");
    // Fewer codebooks quantize more coarsely.
    let pass = network.forward_training(&transforms, x, &[2, 4]).unwrap();
    let each: Vec<f32> = pass.commitment.into_data().into_vec().unwrap();
    assert!(each[0] > each[1]);
}

#[test]
fn sizes_are_checked() {
    for wrong in [
        SrvqConfig { hop: 0, ..config() },
        SrvqConfig {
            hop: 30,
            ..config()
        },
        SrvqConfig {
            lowest: f64::NAN,
            ..config()
        },
        SrvqConfig {
            highest: 50.0,
            ..config()
        },
        SrvqConfig {
            pitches: 1,
            ..config()
        },
        SrvqConfig {
            codes: 1 << 20,
            ..config()
        },
        SrvqConfig {
            steps: vec![1, 2],
            ..config()
        },
        SrvqConfig {
            steps: vec![0, 3],
            ..config()
        },
        SrvqConfig {
            steps: vec![3, 3],
            ..config()
        },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
    assert!(SrvqConfig::default().check().is_ok());
}
