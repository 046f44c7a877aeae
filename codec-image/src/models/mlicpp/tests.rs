//! Models with random weights: what fixtures of published ones cannot show.

use std::sync::Arc;

use burn::backend::Flex;

use super::*;
use crate::coder::{ImageCoder, Quality, RgbTile, TileOptions};
use crate::models::family::{Family, ImageFamily, Model};
use crate::models::testing::{Random, picture, random_model, round_trips};

fn config(variant: Variant) -> MlicppConfig {
    MlicppConfig {
        width: 8,
        latents: 24,
        slice_num: 3,
        context_window: 3,
        local_heads: 2,
        global_head_dim: 4,
        variant,
        entropy_hidden: vec![10, 9],
        channel_hidden: vec![7],
        lrp_hidden: match variant {
            Variant::New => vec![11],
            Variant::Old => Vec::new(),
        },
        token_mixing: 0,
        first_slice_context: false,
    }
}

/// The parts of MLICv2, each alone and both.
fn second() -> [MlicppConfig; 3] {
    [(2, false), (0, true), (1, true)].map(|(token_mixing, first_slice_context)| MlicppConfig {
        token_mixing,
        first_slice_context,
        ..config(Variant::New)
    })
}

/// A small model whose latents spread over a few symbols, the more the larger `spread`.
fn model(variant: Variant, spread: f32) -> Model<Mlicpp> {
    model_of(config(variant), spread)
}

fn model_of(config: MlicppConfig, spread: f32) -> Model<Mlicpp> {
    random_model(config, |name, random: &mut Random| {
        let value = random.next();
        if name.ends_with("beta") || name.ends_with("gamma") {
            return Some(0.3 + 0.2 * value);
        }
        if name.ends_with("quantiles") {
            return Some(0.0);
        }
        if name.starts_with("g_a.analysis_transform.6.weight") {
            return Some(value);
        }
        if name.contains(".fusion.4.weight") {
            return Some(spread * value);
        }
        None
    })
}

#[test]
fn tiles_of_any_size_come_back_and_damage_is_noticed() {
    for variant in [Variant::New, Variant::Old] {
        let sizes = [(1, 1), (64, 64), (65, 130)];
        round_trips(&model(variant, 1.0), &model(variant, 1.5), &sizes);
    }
}

#[test]
fn tiles_of_the_second_version_come_back() {
    for config in second() {
        let models = [1.0, 1.5].map(|spread| model_of(config.clone(), spread));
        round_trips(&models[0], &models[1], &[(1, 1), (65, 130)]);
    }
}

#[test]
fn the_second_version_is_known_by_its_tensors() {
    for expected in second() {
        let model = model_of(expected.clone(), 1.0);
        let given = serde_json::json!({ "global_head_dim": 4 });
        let found = Mlicpp::configure(&model.tensors, Some(&given)).unwrap();
        assert_eq!(found, expected);
        let given = serde_json::to_value(&expected).unwrap();
        assert_eq!(
            Mlicpp::configure(&model.tensors, Some(&given)).unwrap(),
            expected
        );
        for (key, value) in [
            ("token_mixing", serde_json::json!(expected.token_mixing + 1)),
            (
                "first_slice_context",
                serde_json::json!(!expected.first_slice_context),
            ),
        ] {
            let mut given = given.clone();
            given[key] = value;
            assert!(
                Mlicpp::configure(&model.tensors, Some(&given)).is_err(),
                "{key}"
            );
        }
    }
    // What MLIC++ does not have is not in its configuration.
    let text = serde_json::to_string(&config(Variant::New)).unwrap();
    assert!(!text.contains("token_mixing") && !text.contains("first_slice"));
    let old = MlicppConfig {
        token_mixing: 1,
        ..config(Variant::Old)
    };
    assert!(Mlicpp::configure(&model_of(old, 1.0).tensors, None).is_err());
}

/// Which cells of the latents the scales and means of the first slice depend on: none for its anchors, anchors anywhere for
/// the others once there is a global context.
#[test]
fn the_first_slices_context_is_global_and_causal() {
    let device = Default::default();
    let (height, width) = (12, 16);
    for (config, reaches) in [(config(Variant::New), false), (second()[1].clone(), true)] {
        let model = model_of(config, 1.0);
        let network = model.network::<Flex>(&device).unwrap();
        let mut random = Random(3);
        let mut plane = |channels: usize| {
            let count = channels * height * width;
            let values: Vec<f32> = (0..count).map(|_| 3.0 * random.next()).collect();
            let data = burn::tensor::TensorData::new(values, [1, channels, height, width]);
            burn::tensor::Tensor::<Flex, 4>::from_data(data, &device)
        };
        let (y, features) = (plane(24), plane(48));
        let scales = |y: &burn::tensor::Tensor<Flex, 4>| {
            let coded = network.encode(y, features.clone(), None).unwrap();
            let group = 8 * height * width / 2;
            let (anchors, rest) = coded.scales.split_at(group);
            (anchors.to_vec(), rest[..group].to_vec())
        };
        let (anchors, others) = scales(&y);
        // Another anchor in one corner (its row and column add up to an odd number), another of the others beside it.
        let at = |row: usize, column: usize| {
            let moved = y
                .clone()
                .slice([0..1, 0..1, row..row + 1, column..column + 1]);
            let ranges = [0..1, 0..1, row..row + 1, column..column + 1];
            scales(&y.clone().slice_assign(ranges, moved + 5.0))
        };
        let (anchors_then, others_then) = at(0, 1);
        assert_eq!(anchors_then, anchors);
        assert_ne!(others_then, others);
        // The opposite corner is out of reach of windows and residual prediction.
        let last = others.len() - 1;
        assert_eq!(others_then[last] != others[last], reaches);
        let (anchors_then, others_then) = at(0, 0);
        assert_eq!((anchors_then, others_then), (anchors, others));
    }
}

/// Annealing descends through every part and never costs more.
#[test]
fn latents_of_the_second_version_are_annealed() {
    let model = model_of(second()[2].clone(), 1.0);
    let coder = Coder::<Flex>::new(&model, &Default::default()).unwrap();
    let samples = picture(64, 64);
    let tile = RgbTile {
        width: 64,
        height: 64,
        samples: &samples,
    };
    let encode = |effort| {
        let quality = Quality::FIXED;
        coder
            .encode_tile(tile, TileOptions { quality, effort })
            .unwrap()
    };
    let (plain, annealed) = (encode(7), encode(9));
    assert_ne!(plain.bytes, annealed.bytes);
    let decoded = coder.decode_tile(&annealed.bytes, 64, 64, Quality::FIXED);
    assert_eq!(decoded.unwrap().samples.len(), samples.len());
}

#[test]
fn shapes_tell_the_configuration() {
    for variant in [Variant::New, Variant::Old] {
        let model = model(variant, 1.0);
        let expected = config(variant);
        let given = serde_json::to_value(&expected).unwrap();
        let found = Mlicpp::configure(&model.tensors, Some(&given)).unwrap();
        assert_eq!(found, expected);
        // Nothing given: heads as wide as a slice.
        let found = Mlicpp::configure(&model.tensors, None).unwrap();
        assert_eq!(found.global_head_dim, 8);
        for (key, value) in [
            ("N", serde_json::json!(9)),
            ("slice_num", serde_json::json!(4)),
            ("variant", serde_json::json!("other")),
            ("entropy_hidden", serde_json::json!([10])),
            ("global_head_dim", serde_json::json!(0)),
            ("global_head_dim", serde_json::json!(9)),
        ] {
            let mut given = given.clone();
            given[key] = value;
            assert!(
                Mlicpp::configure(&model.tensors, Some(&given)).is_err(),
                "{key}"
            );
        }
    }
}

#[test]
fn a_checkpoint_without_parts_is_refused_by_name() {
    let mut model = model(Variant::New, 1.0);
    Arc::make_mut(&mut model.tensors)
        .remove("global_intra_context.2.mlp.4.bias")
        .unwrap();
    let error = Mlicpp::coder::<burn::backend::Flex>(&model, &Default::default())
        .err()
        .expect("incomplete");
    assert!(
        error
            .to_string()
            .contains("global_intra_context.2.mlp.4.bias"),
        "{error}"
    );
    Arc::make_mut(&mut model.tensors).remove("local_context.1.qkv_proj.weight");
    // One slice is left, which the latents' channels still divide into, and whose widths do not fit.
    let config = Mlicpp::configure(&model.tensors, None).unwrap();
    assert_eq!(config.slice_num, 1);
    model.config = config;
    assert!(Mlicpp::coder::<burn::backend::Flex>(&model, &Default::default()).is_err());
}
