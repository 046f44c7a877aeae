use burn_flex::Flex;
use codec_core::Digest;
use codec_core::weights::WeightsFile;

use super::*;

fn config() -> SrvqConfig {
    SrvqConfig {
        rate: 8000,
        hop: 16,
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
    for length in [0, 1, 15, 16, 17, 160] {
        let x = sound(length);
        for codebooks in 1..=3 {
            let codes = tokenizer.tokenize(&[&x], codebooks).unwrap();
            assert_eq!(codes.frames(), length.div_ceil(16));
            let y = tokenizer.detokenize(&codes).unwrap();
            assert_eq!(y[0].len(), codes.frames() * 16);
            assert!(y[0].iter().all(|v| v.is_finite()));
        }
    }
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
    let (hop, length) = (16, 16 * 30);
    let x = sound(length);
    let codes = tokenizer.tokenize(&[&x], 3).unwrap();
    let frame = 12;
    // Only what reaches frame 12 stays as it is.
    let (from, to) = (
        frame * hop - before as usize,
        (frame + 1) * hop + after as usize,
    );
    let mut other: Vec<f32> = sound(length).iter().map(|v| -0.5 * v).collect();
    other[from..to].copy_from_slice(&x[from..to]);
    let changed = tokenizer.tokenize(&[&other], 3).unwrap();
    let at = |codes: &Codes| {
        (0..3)
            .map(|q| codes.values[q * 30 + frame])
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&codes), at(&changed));
    assert_ne!(codes, changed);

    let samples = tokenizer.detokenize(&codes).unwrap();
    let mut other = codes.clone();
    for (place, code) in other.values.iter_mut().enumerate() {
        let distance = (place % 30) as i64 - frame as i64;
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
    let transforms = Transforms::<Flex>::new(&config, &device);
    let x = Tensor::<Flex, 1>::from_floats(sound(16 * 60).as_slice(), &device).reshape([2, 1, 480]);
    let error = |network: &Autoencoder<Flex>| {
        let pass = network.forward_training(&transforms, x.clone(), &[3, 3]);
        pass.commitment.mean().into_scalar()
    };
    let before = error(&network);
    for step in 0..3 {
        let pass = network.forward_training(&transforms, x.clone(), &[1, 3]);
        assert_eq!(pass.reconstruction.dims(), [2, 1, 480]);
        network = network.settle(pass.latents, pass.codes, step).unwrap();
    }
    let after = error(&network);
    assert!(after < 0.6 * before, "{after} {before}");
    // Fewer codebooks quantize more coarsely.
    let pass = network.forward_training(&transforms, x, &[1, 3]);
    let each: Vec<f32> = pass.commitment.into_data().into_vec().unwrap();
    assert!(each[0] > each[1]);
}

#[test]
fn sizes_are_checked() {
    for wrong in [
        SrvqConfig { hop: 0, ..config() },
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
