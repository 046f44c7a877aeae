//! What comes out of a run.

use codec_tests::picture::{photo, psnr};

use super::{STEPS, sandbox};

#[test]
fn a_trained_model_encodes_and_can_be_tuned() {
    let sandbox = sandbox();
    sandbox.run("train recipe.toml --out run").ends_in(0);
    let picture = photo(100, 70);
    sandbox.put_picture("a.png", &picture);
    sandbox.run("encode a.png -o a.ncx -m run").ends_in(0);
    sandbox
        .run("decode a.ncx -o b.png --weights run")
        .ends_in(0);
    assert!(psnr(&sandbox.get_picture("b.png"), &picture) > 20.0);
    for init in ["run", "run/weights.safetensors", "run/best.safetensors"] {
        let out = format!("tuned-{}", init.len());
        let run = sandbox
            .run(&format!(
                "train recipe.toml --out {out} --init {init} --freeze encoder --max-steps 5"
            ))
            .ends_in(0);
        // Exported weights have the tables of the prior, not its parameters.
        let afresh = run.stderr.contains("entropy.prior");
        assert_eq!(afresh, init != "run", "{}", run.stderr);
    }
    sandbox.run("encode a.png -o c.ncx -m tuned-3").ends_in(0);
}

#[test]
fn metrics_and_plan_are_json() {
    let sandbox = sandbox();
    let plan = sandbox
        .run("train recipe.toml --out run --dry-run --json")
        .ends_in(0);
    let plan = plan.json().remove(0);
    assert_eq!(plan["steps"], STEPS);
    assert!(plan["parameters"].as_u64().is_some_and(|n| n > 10_000));
    assert!(plan["step"]["loss"].as_f64().is_some_and(f64::is_finite));
    assert!(!sandbox.has("run"), "a dry run writes nothing");

    let run = sandbox
        .run("train recipe.toml --out run --json --max-steps 20")
        .ends_in(0);
    let events: Vec<String> = run
        .json()
        .iter()
        .filter_map(|event| event["event"].as_str().map(str::to_owned))
        .collect();
    for name in ["start", "step", "validation", "checkpoint"] {
        assert!(events.iter().any(|event| event == name), "{events:?}");
    }
    let log = String::from_utf8(sandbox.get("run/metrics.jsonl")).expect("text");
    assert_eq!(log.lines().count(), events.len());
    let step = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .find(|event| event["event"] == "step")
        .expect("a step");
    for figure in ["loss", "bpp", "psnr", "gradient_norm", "lr", "waiting"] {
        assert!(step[figure].is_number(), "{figure}: {step}");
    }
}
