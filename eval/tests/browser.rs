//! The report in a real browser: `browser.mjs` uses it as a reader would. It waits for a browser that others may slow down, so it
//! runs only where `CODEC_TEST_BROWSER` is set; Chromium or Node missing is a failure then.

#[path = "../examples/report_demo.rs"]
mod report_demo;

use std::path::Path;
use std::process::{Command, Stdio};

/// The first of some programs that runs.
fn find<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let runs = |program: &&&str| {
        let mut command = Command::new(**program);
        command.arg("--version").stdout(Stdio::null());
        command
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    programs.iter().find(runs).copied()
}

/// `CODEC_REPORT_SCREENS` names a folder that gets pictures of the screen.
#[test]
fn a_reader_can_use_it() {
    if std::env::var_os("CODEC_TEST_BROWSER").is_none() {
        eprintln!("skipped: CODEC_TEST_BROWSER is not set");
        return;
    }
    let chromium = find(&["chromium", "chromium-browser", "google-chrome", "chrome"]);
    let chromium = chromium.expect("Chromium is installed");
    let node = find(&["node"]).expect("Node is installed");
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html");
    std::fs::write(&report, report_demo::demo().unwrap()).unwrap();
    let mut command = Command::new(node);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser.mjs"));
    command.arg(chromium).arg(&report);
    command.args(std::env::var_os("CODEC_REPORT_SCREENS"));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{told}");
}
