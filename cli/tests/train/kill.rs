//! Runs that are killed or interrupted go on exactly where they stood.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use codec_tests::program::Sandbox;

use super::{EVERY, STEPS, sandbox};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

fn start(sandbox: &Sandbox, line: &str) -> Child {
    let mut command = sandbox.command(line);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

/// Waits until `condition` holds or the program has ended; tells which.
fn wait_for(child: &mut Child, condition: &dyn Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        assert!(begin.elapsed() < PATIENCE, "nothing happens");
    }
}

/// Whether something is being written: a checkpoint folder or a file under its temporary name.
fn writing(run: &Path) -> bool {
    [run.to_path_buf(), run.join("checkpoints")]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|e| e == "partial"))
}

fn checkpoint(step: u64) -> String {
    format!("checkpoints/step-{step:08}")
}

/// Weights and the averaged parameters of the last checkpoint.
fn results(sandbox: &Sandbox, run: &str) -> (Vec<u8>, Vec<u8>) {
    let last = checkpoint(STEPS);
    (
        sandbox.get(&format!("{run}/weights.safetensors")),
        sandbox.get(&format!("{run}/{last}/average.safetensors")),
    )
}

/// Whether a run folder has come to the point of a kill.
type Reached = Box<dyn Fn(&Path) -> bool>;

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let sandbox = sandbox();
    sandbox.run("train recipe.toml --out whole").ends_in(0);
    let run = sandbox.path("killed");
    let has = |name: String| move |run: &Path| run.join(&name).exists();
    // Before the first checkpoint, right after one, while something is being written, and late.
    let points: [(&str, Reached); 6] = [
        ("the log exists", Box::new(has("metrics.jsonl".into()))),
        ("something is written", Box::new(writing)),
        ("the first checkpoint", Box::new(has(checkpoint(EVERY)))),
        ("something is written again", Box::new(writing)),
        ("half of the steps", Box::new(has(checkpoint(STEPS / 2)))),
        ("the second stage", Box::new(has(checkpoint(STEPS - EVERY)))),
    ];
    let mut kills = 0;
    for (name, condition) in points {
        let mut child = start(&sandbox, "train recipe.toml --out killed --resume auto");
        if wait_for(&mut child, &|| condition(&run)) {
            child.kill().expect("a running child");
            kills += 1;
            eprintln!("killed at: {name}");
        }
        child.wait().expect("a child");
    }
    assert!(kills >= 4, "only {kills} runs were killed");
    sandbox
        .run("train recipe.toml --out killed --resume auto")
        .ends_in(0);
    assert!(results(&sandbox, "whole") == results(&sandbox, "killed"));
    assert!(!writing(&run), "temporary files are left");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_goes_on_bit_for_bit() {
    let sandbox = sandbox();
    sandbox.run("train recipe.toml --out whole").ends_in(0);
    let interrupt = |child: &Child| {
        let status = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(status.expect("kill exists").success());
    };
    let run = sandbox.path("stopped");
    let mut child = start(&sandbox, "train recipe.toml --out stopped");
    assert!(wait_for(&mut child, &|| run
        .join(checkpoint(EVERY))
        .exists()));
    interrupt(&child);
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    assert!(sandbox.has("stopped/weights.safetensors"));

    // Two interrupts end it at once, whatever it is doing.
    let mut child = start(&sandbox, "train recipe.toml --out stopped --resume auto");
    assert!(wait_for(&mut child, &|| run
        .join(checkpoint(2 * EVERY))
        .exists()));
    interrupt(&child);
    interrupt(&child);
    assert_eq!(child.wait().expect("a child").code(), Some(130));

    sandbox
        .run("train recipe.toml --out stopped --resume auto")
        .ends_in(0);
    assert!(results(&sandbox, "whole") == results(&sandbox, "stopped"));
}
