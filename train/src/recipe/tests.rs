//! Tests of recipes.

use super::*;

const TEXT: &str = r#"
    name = "wpmr/test"
    family = "wpmr"
    [model]
    synthesis_width = 32
    [data]
    train = "a"
    validation = "b"
    [[stages]]
    name = "float"
    steps = 10
    patch = 64
    batch = 2
    lr = 1e-3
    [[stages]]
    name = "integer"
    steps = 5
    patch = 64
    batch = 2
    precision = "integer"
    optim = { clip_norm = 0.5 }
"#;

fn recipe() -> Recipe {
    Recipe::parse(TEXT).expect("parse")
}

fn message(result: Result<Recipe, TrainError>) -> String {
    result.expect_err("an error").to_string()
}

#[test]
fn overrides_reach_into_tables_and_lists() {
    let changed = recipe()
        .set("stages.0.lr=0.5")
        .and_then(|r| r.set("model.synthesis_blocks=3"))
        .and_then(|r| r.set("optim.lr=1e-4"))
        .and_then(|r| r.set("optim.kind=muon"))
        .expect("set");
    let optims: Vec<Optim> = changed
        .stages
        .iter()
        .map(|stage| changed.optim_in(stage).expect("optim"))
        .collect();
    assert_eq!((optims[0].lr, optims[1].lr), (0.5, 1e-4));
    assert_eq!((optims[0].clip_norm, optims[1].clip_norm), (1.0, 0.5));
    assert_eq!(optims[1].kind, OptimKind::Muon);
    assert!(recipe().set("stages.7.lr=0.5").is_err());
}

#[test]
fn wrong_keys_suggest_the_nearest() {
    for (assignment, hint) in [
        ("optim.lrr=1", "did you mean 'lr'?"),
        ("model.synthesis_widht=3", "did you mean 'synthesis_width'?"),
        ("checkpoint.every=3", "did you mean 'checkpoints'?"),
        ("optim.kind=adamm", "did you mean 'adam"),
        ("stages.0.rouding=noise", "did you mean 'rounding'?"),
        ("stages.1.optim.clipnorm=1", "did you mean 'clip_norm'?"),
        ("family=wpnr", "did you mean 'wpmr'?"),
    ] {
        let text = message(recipe().set(assignment));
        assert!(text.contains(hint), "{assignment}: {text}");
    }
    let text = message(Recipe::parse(
        &TEXT.replace("[data]", "[optimizer]\nlr = 1\n[data]"),
    ));
    assert!(text.contains("did you mean 'optim'?"), "{text}");
}

#[test]
fn an_override_without_effect_is_an_error() {
    let all = recipe().set("stages.1.lr=1e-5").expect("set");
    let text = message(all.set("optim.lr=1e-4"));
    assert!(text.contains("every stage has its own lr"), "{text}");
}

#[test]
fn what_is_set_is_checked_and_not_what_it_replaces() {
    let text = TEXT.replacen("patch = 64", "patch = 60", 1);
    assert!(Recipe::parse(&text).is_err(), "{text}");
    let set = ["stages.0.patch=64".to_owned()];
    let change = |recipe: &mut Recipe| recipe.seed = 7;
    let recipe = Recipe::parse_with(&text, change, &set).expect("set");
    assert_eq!((recipe.seed, recipe.stages[0].patch), (7, 64));
}

#[test]
fn values_out_of_range_are_named() {
    for (assignment, part) in [
        ("stages.0.patch=60", "patch 60"),
        ("stages.0.batch=0", "batch 0"),
        ("optim.accumulate=0", "accumulate 0"),
        ("optim.betas=[0.9, 1.0]", "betas"),
        ("ema.decay=1.0", "ema.decay 1"),
        ("checkpoints.keep=0", "checkpoints.keep 0"),
        ("validation.qualities=[101.0]", "validation.qualities 101"),
        ("quality.sampling=list", "quality.values"),
        ("stages.1.warmup=6", "warmup 6"),
    ] {
        let text = message(recipe().set(assignment));
        assert!(text.contains(part), "{assignment}: {text}");
    }
}

#[test]
fn a_written_recipe_reads_the_same() {
    let text = recipe().to_toml().expect("write");
    let again = Recipe::parse(&text)
        .expect("parse")
        .to_toml()
        .expect("write");
    assert_eq!(text, again);
}

#[test]
fn stages_follow_each_other() {
    let recipe = recipe();
    assert_eq!(recipe.stage_at(9), Some((0, 9)));
    assert_eq!(recipe.stage_at(10), Some((1, 0)));
    assert_eq!(recipe.stage_at(15), None);
    let crop = 64 * 64;
    assert_eq!(recipe.pixels_seen(3), 3 * 2 * crop);
    assert_eq!(recipe.pixels_seen(99), 15 * 2 * crop);
    let accumulating = recipe.set("optim.accumulate=4").expect("set");
    assert_eq!(accumulating.pixels_seen(3), 4 * 3 * 2 * crop);
    let optim = recipe.optim_in(&recipe.stages[0]).expect("optim");
    assert!(optim.learning_rate(0, 10) > optim.learning_rate(9, 10));
}
