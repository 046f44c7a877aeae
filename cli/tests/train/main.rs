//! `codec train` as its users meet it: killed, interrupted, on bad data, on a full disk, and what comes out of it.

mod faults;
mod kill;
mod results;

use codec_tests::picture::photo;
use codec_tests::program::Sandbox;

/// Steps and checkpoints of the recipe.
const STEPS: u64 = 40;
const EVERY: u64 = 5;

/// A sandbox with pictures in `data` and a recipe of seconds.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_codec"));
    for i in 0..3 {
        sandbox.put_picture(&format!("data/{i}.png"), &photo(96 + 16 * i, 80));
    }
    let recipe = format!(
        r#"
        name = "wpmr/small"
        family = "wpmr"
        seed = 7
        [model]
        analysis_width = 8
        analysis_refine_width = 8
        synthesis_width = 8
        synthesis_refine_width = 8
        synthesis_blocks = 1
        hyper_analysis_width = 8
        hyper_latents = 4
        hyper_width = 8
        entry_width = 8
        context_width = 16
        [data]
        train = "data"
        validation = "data"
        [optim]
        lr_end = 1e-4
        warmup = 5
        [validation]
        every = 10
        pictures = 1
        qualities = [50.0]
        [checkpoints]
        every = {EVERY}
        [[stages]]
        name = "float"
        steps = {float}
        patch = 64
        batch = 2
        [[stages]]
        name = "integer"
        steps = 10
        patch = 64
        batch = 2
        rounding = "optimized"
        precision = "integer"
        freeze = ["analysis", "entropy.analysis", "steps"]
        "#,
        float = STEPS - 10,
    );
    sandbox.put("recipe.toml", recipe.as_bytes());
    sandbox
}
