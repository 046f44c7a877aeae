//! Evaluation on the command line: reports, shards, files that fail, comparisons.

use codec::sound::{Depth, FileFormat, Sound, write};
use codec_tests::picture::photo;
use codec_tests::program::Sandbox;
use serde_json::Value;

fn pictures() -> Sandbox {
    let sandbox = crate::sandbox();
    for (name, width, height) in [("a", 48, 40), ("b", 33, 65), ("sub/c", 64, 32)] {
        sandbox.put_picture(&format!("set/{name}.png"), &photo(width, height));
    }
    sandbox
}

fn report(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_slice(&sandbox.get(name)).expect("a report")
}

/// All numbers of the first curve but times.
fn results(report: &Value) -> Vec<(String, Value)> {
    let lists = report[0]["results"].as_object().expect("results");
    let lists = lists.iter().filter(|(key, _)| !key.ends_with("time"));
    lists
        .map(|(key, list)| (key.clone(), list.clone()))
        .collect()
}

#[test]
fn shards_merge_to_the_whole_and_reports_are_written() {
    let sandbox = pictures();
    let line = "eval set --quality 10,40,70,95 --metrics psnr-rgb,psnr-y";
    sandbox
        .tiny(&format!("{line} -o whole.json --report out --samples 1"))
        .ends_in(0);
    for i in 1..=2 {
        sandbox
            .tiny(&format!("{line} -o part{i}.json --shard {i}/2"))
            .ends_in(0);
    }
    sandbox
        .run("eval merge part1.json part2.json -o all.json")
        .ends_in(0);
    let (whole, all) = (report(&sandbox, "whole.json"), report(&sandbox, "all.json"));
    assert_eq!(results(&whole), results(&all));
    assert_eq!(whole[0]["per_file"].as_array().map(Vec::len), Some(12));
    assert_eq!(whole[0]["per_file"][8]["file"], "sub/c.png");
    let page = String::from_utf8(sandbox.get("out/report.html")).expect("text");
    assert!(page.contains("sub/c.png") && page.contains("codec eval: set"));
    for name in [
        "results.json",
        "tables.md",
        "points.csv",
        "files.csv",
        "psnr-rgb.svg",
    ] {
        assert!(sandbox.has(&format!("out/{name}")), "{name}");
    }
    // A file cannot be in two shards.
    sandbox
        .run("eval merge part1.json part1.json -o twice.json")
        .ends_in(1);
    assert!(!sandbox.has("twice.json"));
    let compared = sandbox
        .run("eval compare whole.json all.json --metrics psnr-y --json")
        .ends_in(0);
    let compared = &compared.json()[0]["comparisons"][0];
    // Random weights need not get better with the rate; where they do, a curve saves nothing against itself.
    if let Some(percent) = compared["bd_rate_percent"].as_f64() {
        assert!(percent.abs() < 1e-9, "{percent}");
    }
}

#[test]
fn a_bad_file_is_told_and_left_out() {
    let sandbox = pictures();
    sandbox.put("set/bad.png", b"no picture");
    let run = sandbox
        .tiny("eval set --quality 50 --metrics psnr-rgb -o r.json")
        .ends_in(1);
    assert!(run.stderr.contains("bad.png"), "{}", run.stderr);
    let report = report(&sandbox, "r.json");
    assert_eq!(report[0]["failures"][0]["file"], "bad.png");
    assert_eq!(report[0]["per_file"].as_array().map(Vec::len), Some(3));
    // What was done is taken from the journal: the pictures are not needed again.
    sandbox.remove("set/a.png");
    sandbox.put("set/a.png", b"gone");
    let line = "eval set --quality 50 --metrics psnr-rgb -o r.json --resume";
    sandbox.tiny(line).ends_in(1);
    let again: Value = serde_json::from_slice(&sandbox.get("r.json")).expect("a report");
    assert_eq!(again[0]["per_file"], report[0]["per_file"]);
    sandbox.tiny("eval none --quality 50").ends_in(1);
    sandbox.tiny("eval set --metrics loveliness").ends_in(2);
    sandbox.tiny("eval set --against gif").ends_in(2);
    sandbox.tiny("eval set --quality 101").ends_in(2);
}

#[test]
fn sound_is_measured_in_kilobits() {
    let sandbox = crate::sandbox();
    let samples = (0..36_000).map(|i| {
        let t = i as f32 / 24_000.0;
        0.3 * (t * (700.0 + 2000.0 * t)).sin() + 0.1 * (t * 5000.0).sin()
    });
    let sound = Sound::new(24_000, vec![samples.collect()], Depth::Int16).expect("a sound");
    let bytes = write(&sound, FileFormat::Wav, Depth::Int16).expect("can be written");
    sandbox.put("a.wav", &bytes);
    let line =
        "eval a.wav -m default --quality 3.6 --metrics mel-distance,si-sdr -o r.json --device cpu";
    sandbox.run(line).ends_in(0);
    let report = report(&sandbox, "r.json");
    let row = &report[0]["per_file"][0];
    assert_eq!(
        (&row["samples"], &row["sample_rate"]),
        (&36_000.into(), &24_000.into())
    );
    let kilobits = row["bytes"].as_f64().expect("bytes") * 8.0 / 1.5 / 1000.0;
    assert!((row["kbps"].as_f64().expect("a rate") - kilobits).abs() < 1e-9);
    assert!(row["mel-distance"].as_f64().is_some_and(f64::is_finite));
    sandbox.run("eval a.wav --metrics ssimulacra2").ends_in(2);
}
