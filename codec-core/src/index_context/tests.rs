use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn_flex::Flex;

use super::*;
use crate::Error;
use crate::layers::Precision;
use crate::weights::{Loader, Tensors};

type Learning = Autodiff<Flex>;

/// Indexes in which each follows from the one to its left, with some noise.
fn indexes(grid: IndexGrid, codes: &[usize], seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut next = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut values = Vec::new();
    for q in 0..grid.codebooks {
        let codes = codes[q];
        for place in 0..grid.height * grid.width {
            let left = if place % grid.width == 0 {
                0
            } else {
                values[values.len() - 1] as usize
            };
            let value = if next(10) == 0 {
                next(codes)
            } else {
                (left * 5 + 3) % codes
            };
            values.push(value as u32);
        }
    }
    values
}

fn grid(codebooks: usize, height: usize, width: usize) -> IndexGrid {
    IndexGrid {
        codebooks,
        height,
        width,
    }
}

/// A network after some steps on such indexes, its ranks and counts.
fn trained(
    config: &ContextConfig,
    size: IndexGrid,
    steps: usize,
) -> (ContextNetwork<Flex>, IndexContext) {
    let device = Default::default();
    <Flex as burn::tensor::backend::Backend>::seed(&device, 3);
    let ranks: Vec<Vec<u32>> = config
        .codes
        .iter()
        .map(|&codes| {
            (0..codes as u32)
                .map(|code| (code * 7 + 1) % codes as u32)
                .collect()
        })
        .collect();
    let mut network = ContextNetwork::<Learning>::init(config, &device);
    let mut optimizer = AdamConfig::new().init();
    for step in 0..steps {
        let values = indexes(size, &config.codes, step as u64);
        let mut loss = None;
        for q in 0..size.codebooks {
            let mut sampled = Sampled::default();
            sampled.add(config, &ranks[q], q, &values, size, || true);
            let bits = network
                .bits(config, q, &sampled, Precision::Float)
                .unwrap()
                .mean()
                + network.static_bits(q, &sampled).unwrap().mean();
            loss = Some(loss.map_or(bits.clone(), |sum| sum + bits));
        }
        let gradients = GradientsParams::from_grads(loss.unwrap().backward(), &network);
        network = optimizer.step(0.02, network, gradients);
    }
    let network = network.valid();
    let model = network.export(config, &ranks).unwrap();
    (network, model)
}

fn small(codes: Vec<usize>, rows: usize) -> ContextConfig {
    ContextConfig {
        codes,
        rows,
        columns: 2,
        embedding: 6,
        width: 16,
    }
}

#[test]
fn what_is_learned_saves_bits_and_training_knows_how_many() {
    let size = grid(1, 24, 24);
    let config = small(vec![40], 1);
    let (network, model) = trained(&config, size, 60);
    let size = grid(1, 60, 80);
    let values = indexes(size, &config.codes, 999);
    let bytes = model.encode(&values, size).unwrap();
    let plain = codec_entropy::encode_indexes(&values, 40).unwrap();
    assert!(
        2 * bytes.len() < plain.len(),
        "{} of {}",
        bytes.len(),
        plain.len()
    );
    assert_eq!(model.decode(&bytes, size).unwrap(), values);

    let ranks: Vec<u32> = (0..40).map(|code| (code * 7 + 1) % 40).collect();
    let mut sampled = Sampled::default();
    sampled.add(&config, &ranks, 0, &values, size, || true);
    let expected = network
        .bits(&config, 0, &sampled, Precision::Integer)
        .unwrap();
    let expected = expected.sum().into_scalar() / 8.0;
    let ratio = bytes.len() as f32 / expected;
    assert!((ratio - 1.0).abs() < 0.03, "{} of {expected}", bytes.len());
}

#[test]
fn any_grid_comes_back() {
    for (codes, rows) in [(vec![5, 300, 17], 0), (vec![256, 2], 2), (vec![4097], 1)] {
        let config = small(codes, rows);
        let (_, model) = trained(&config, grid(config.codes.len(), 2, 3), 1);
        for size in [[1, 1], [1, 7], [5, 1], [4, 6]] {
            for codebooks in 0..=config.codes.len() {
                let size = grid(codebooks, size[0], size[1]);
                let values = indexes(size, &config.codes, 1);
                let bytes = model.encode(&values, size).unwrap();
                assert!(IndexContext::made(&bytes));
                assert_eq!(model.decode(&bytes, size).unwrap(), values);
            }
        }
    }
}

#[test]
fn weights_come_back_from_tensors() {
    let config = small(vec![20, 33], 0);
    let (_, model) = trained(&config, grid(2, 1, 9), 2);
    let tensors = model.tensors().unwrap();
    let device = Default::default();
    let load = |tensors: &Tensors| {
        let loader = Loader::<Flex>::new(tensors, &device);
        let found = IndexContext::load(&config, &loader)?;
        loader.finish().map(|report| (found, report))
    };
    let (found, report) = load(&tensors).unwrap();
    assert_eq!(found.as_ref(), Some(&model));
    assert!(report.unused.is_empty());

    for (name, _) in tensors.iter() {
        let mut damaged = tensors.clone();
        damaged.remove(name);
        assert!(load(&damaged).is_err(), "{name}");
    }
    let spoil = |name: &str, value: f32| {
        let tensor = tensors.get(name).unwrap();
        let mut values = tensor.as_floats().unwrap().to_vec();
        values[0] = value;
        let mut damaged = tensors.clone();
        let tensor = crate::weights::HostTensor::floats(tensor.shape(), values).unwrap();
        damaged.insert(name, tensor);
        load(&damaged)
    };
    for (name, value) in [
        ("0.embedding", 0.5),
        ("0.embedding", 256.0),
        ("0.embedding", f32::NAN),
        ("0.counts", 0.0),
        ("0.counts", -1.0),
        ("0.counts", 1e6),
        ("1.ranks", 40.0),
        ("1.first.weight", 30_000.0),
        ("1.first.fraction", 200.0),
        ("1.digit.1.bias", 5000.0),
    ] {
        assert!(spoil(name, value).is_err(), "{name} {value}");
    }
}

#[test]
fn damage_is_refused_or_gives_other_indexes() {
    let config = small(vec![40], 1);
    let size = grid(1, 8, 8);
    let (_, model) = trained(&config, size, 5);
    let values = indexes(size, &config.codes, 2);
    let bytes = model.encode(&values, size).unwrap();
    for length in 0..bytes.len() {
        assert!(model.decode(&bytes[..length], size).is_err());
    }
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x41;
        if let Ok(other) = model.decode(&damaged, size) {
            assert!(other.iter().all(|&code| code < 40));
        }
    }
    assert!(model.encode(&values[1..], size).is_err());
    assert!(model.encode(&[40], grid(1, 1, 1)).is_err());
    assert!(model.decode(&bytes, grid(2, 8, 8)).is_err());
    assert!(model.decode(&bytes, grid(1, usize::MAX, 8)).is_err());
}

#[test]
fn sizes_are_limited() {
    let good = ContextConfig::pictures(1024);
    assert!(good.check().is_ok());
    assert!(ContextConfig::sound(vec![1024; 32]).check().is_ok());
    for bad in [
        ContextConfig {
            codes: vec![],
            ..good.clone()
        },
        ContextConfig {
            codes: vec![1],
            ..good.clone()
        },
        ContextConfig {
            codes: vec![1 << 17],
            ..good.clone()
        },
        ContextConfig {
            width: 0,
            ..good.clone()
        },
        ContextConfig {
            rows: 100,
            ..good.clone()
        },
        ContextConfig {
            rows: 16,
            columns: 16,
            embedding: 1024,
            ..good.clone()
        },
    ] {
        assert!(
            matches!(bad.check(), Err(Error::BadParameter(_))),
            "{bad:?}"
        );
    }
}
