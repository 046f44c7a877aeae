//! What goes wrong is said clearly, and what is there is kept.

use super::sandbox;

#[test]
fn numbers_that_are_not_finite_leave_a_report() {
    let sandbox = sandbox();
    let run = sandbox
        .run("train recipe.toml --out run --set optim.lr=1e30 --set optim.warmup=0 --set checkpoints.every=1")
        .ends_in(1);
    assert!(run.stderr.contains("not finite"), "{}", run.stderr);
    let report = sandbox.get("run/fault/report.json");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
    assert!(
        report["message"]
            .as_str()
            .is_some_and(|m| m.contains("not finite"))
    );
    assert!(sandbox.has("run/fault/batch.safetensors"));
}

#[test]
fn data_that_cannot_be_used_are_named() {
    let sandbox = sandbox();
    let run = sandbox
        .run("train recipe.toml --out run --data nowhere")
        .ends_in(1);
    assert!(run.stderr.contains("nowhere"), "{}", run.stderr);
    sandbox.put("empty/notes.txt", b"nothing");
    let run = sandbox
        .run("train recipe.toml --out run --data empty")
        .ends_in(1);
    assert!(run.stderr.contains("empty"), "{}", run.stderr);
}

#[test]
fn wrong_entries_are_usage_errors_with_a_suggestion() {
    let sandbox = sandbox();
    for (line, part) in [
        ("--set optim.lrr=1", "did you mean 'lr'?"),
        ("--set optim.lr=-1", "lr -1"),
        ("--set compute=bf16", "bf16"),
        ("--freeze nonsense", "covers no parameter"),
    ] {
        let run = sandbox.run(&format!("train recipe.toml --out run {line}"));
        assert!(run.stderr.contains(part), "{line}: {}", run.stderr);
        let status = run.status;
        assert!([1, 2].contains(&status), "{line}: {status}");
    }
    sandbox
        .run("train recipe.toml --out run --set optim.lrr=1")
        .ends_in(2);
}

#[test]
fn a_run_is_not_overwritten() {
    let sandbox = sandbox();
    sandbox
        .run("train recipe.toml --out run --max-steps 5")
        .ends_in(0);
    let before = sandbox.get("run/weights.safetensors");
    let run = sandbox.run("train recipe.toml --out run").ends_in(1);
    assert!(run.stderr.contains("--resume auto"), "{}", run.stderr);
    assert!(sandbox.get("run/weights.safetensors") == before);
}

/// Only where a small file system can be mounted; `a_run_that_met_a_full_disk_anywhere_goes_on_exactly` in `codec-train` runs
/// everywhere.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    use std::process::Command;
    let sandbox = sandbox();
    sandbox.put("small/.keep", b"");
    let folder = sandbox.path("small");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
        .arg(&folder)
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("no file system can be mounted here");
        return;
    }
    let run = sandbox.run("train recipe.toml --out small/run --set checkpoints.keep=100");
    let names: Vec<String> = std::fs::read_dir(folder.join("run/checkpoints"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let unmounted = Command::new("umount").arg(&folder).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let run = run.ends_in(1);
    assert!(run.stderr.contains("disk is full"), "{}", run.stderr);
    assert!(
        !names.is_empty() && names.iter().all(|n| !n.ends_with("partial")),
        "{names:?}"
    );
}
