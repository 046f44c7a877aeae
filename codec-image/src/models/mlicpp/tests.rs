//! Models with random weights: what fixtures of published ones cannot show.

use std::sync::Arc;

use super::*;
use crate::models::family::{Family, ImageFamily, Model};
use crate::models::testing::{Random, random_model, round_trips};

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
    }
}

/// A small model whose latents spread over a few symbols, the more the larger `spread`.
fn model(variant: Variant, spread: f32) -> Model<Mlicpp> {
    random_model(config(variant), |name, random: &mut Random| {
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
