//! Sounds on the command line: files, pipes, folders of both kinds, codes.
//!
//! With the small models of the parity fixtures, one that streams and one that takes recordings whole.

use codec::Limits;
use codec::sound::{Depth, FileFormat, Sound, read, write};
use codec_tests::data;
use codec_tests::picture::photo;
use codec_tests::program::Sandbox;

/// A sweep that differs between channels.
fn sound(rate: u32, channels: usize, samples: usize) -> Sound {
    let value = |c: usize, i: usize| {
        let t = i as f32 / rate as f32;
        0.5 * (t * (900.0 + 200.0 * c as f32 + 3000.0 * t)).sin()
    };
    let channels = (0..channels)
        .map(|c| (0..samples).map(|i| value(c, i)).collect())
        .collect();
    Sound::new(rate, channels, Depth::Int16).expect("a sound")
}

fn put(sandbox: &Sandbox, name: &str, sound: &Sound) {
    let format = if name.ends_with("flac") {
        FileFormat::Flac
    } else {
        FileFormat::Wav
    };
    sandbox.put(
        name,
        &write(sound, format, sound.depth).expect("can be written"),
    );
}

fn get(sandbox: &Sandbox, name: &str) -> Sound {
    read(sandbox.get(name), &Limits::default()).expect("a sound")
}

/// A folder with the models `dac` and `encodec`; nothing, with a printed reason, where there are no fixtures.
fn with_models() -> Option<Sandbox> {
    let Some(fixtures) =
        data::fixtures().filter(|f| f.join("dac").is_dir() && f.join("encodec").is_dir())
    else {
        println!("skipped: no fixtures");
        return None;
    };
    let fixtures = fixtures.canonicalize().expect("a folder");
    let sandbox = crate::sandbox();
    for (model, file) in [("dac", "weights.pth"), ("encodec", "encodec.th")] {
        let folder = fixtures.join(model);
        let (file, config) = (folder.join(file), folder.join("config.json"));
        let (file, config) = (file.display(), config.display());
        sandbox
            .run(&format!(
                "models import {file} --config {config} --family {model} --name {model}"
            ))
            .ends_in(0);
    }
    Some(sandbox)
}

#[test]
fn files_come_back_with_rate_channels_and_length() {
    let Some(sandbox) = with_models() else { return };
    for (index, (rate, channels, samples, name)) in [
        (16_000, 1, 8000, "a.wav"),
        (44_100, 2, 9001, "a.flac"),
        (48_000, 1, 1, "a.wav"),
        (24_000, 1, 0, "a.wav"),
        (8000, 8, 400, "a.wav"),
    ]
    .into_iter()
    .enumerate()
    {
        put(&sandbox, name, &sound(rate, channels, samples));
        for model in ["dac", "encodec"] {
            let line = format!("encode {name} -o {model}{index}.bin -m {model} --verify --json");
            let run = sandbox.run(&line).ends_in(0);
            assert_eq!(run.json()[0]["samples"], samples);
            sandbox
                .run(&format!("decode {model}{index}.bin -o b.wav -f"))
                .ends_in(0);
            let back = get(&sandbox, "b.wav");
            assert_eq!(
                (back.rate, back.channels.len(), back.samples()),
                (rate, channels, samples)
            );
            assert_eq!(back.depth, Depth::Int16);
            let info = sandbox
                .run(&format!("info {model}{index}.bin --json"))
                .ends_in(0);
            let info = &info.json()[0];
            assert_eq!(
                (&info["media"], &info["samples"]),
                (&"audio".into(), &samples.into())
            );
            assert_eq!(info["streaming"], model == "dac");
            sandbox.run(&format!("info {model}{index}.bin")).ends_in(0);
        }
    }
    sandbox
        .run("decode dac0.bin -o c.flac --bits 24")
        .ends_in(0);
    assert_eq!(get(&sandbox, "c.flac").depth, Depth::Int24);
    sandbox.run("decode dac0.bin -o c.png").ends_in(2);
    sandbox
        .run("decode dac0.bin -o d.wav --limit-seconds 0")
        .ends_in(6);
    // Without a name, the built-in model of speech.
    sandbox.run("encode a.wav -o x.bin").ends_in(0);
    sandbox
        .run("encode a.wav -o y.bin -m dac --bpp 1")
        .ends_in(2);
}

#[test]
fn pipes_carry_what_files_hold() {
    let Some(sandbox) = with_models() else { return };
    put(&sandbox, "a.wav", &sound(44_100, 2, 30_000));
    for options in [
        "-m dac --chunk 0.1",
        "-m dac --stereo mid-side --chunk 0.2",
        "-m encodec",
    ] {
        sandbox
            .run(&format!("encode a.wav -o a.ncx -f {options}"))
            .ends_in(0);
        let piped = sandbox
            .feed(&format!("encode - -o - {options}"), &sandbox.get("a.wav"))
            .ends_in(0);
        assert!(piped.stdout == sandbox.get("a.ncx"), "{options}");
        sandbox.run("decode a.ncx -f").ends_in(0);
        let decoded = sandbox
            .feed("decode - -o -", &piped.stdout)
            .ends_in(0)
            .stdout;
        let decoded = read(decoded, &Limits::default()).expect("a sound");
        assert_eq!(decoded, get(&sandbox, "a.wav"));
        put(&sandbox, "a.wav", &sound(44_100, 2, 30_000));
    }
}

#[test]
fn rates_go_to_the_nearest_step() {
    let Some(sandbox) = with_models() else { return };
    put(&sandbox, "a.wav", &sound(24_000, 1, 24_000));
    let step = |options: &str| {
        let line = format!("encode a.wav -o a.bin -f -m encodec --json {options}");
        sandbox.run(&line).ends_in(0).json()[0]["step"].clone()
    };
    let (most, least) = (step(""), step("--quality 0"));
    assert!(most.as_u64() > least.as_u64());
    assert_eq!(step("--kbps 0.01"), least);
    assert_eq!(step("-b 1000"), most);
}

#[test]
fn folders_hold_both_kinds_and_names_do_not_matter() {
    let Some(sandbox) = with_models() else { return };
    put(&sandbox, "in/a.wav", &sound(24_000, 1, 5000));
    put(&sandbox, "in/deep/b.flac", &sound(24_000, 2, 5000));
    sandbox.put_picture("in/c.png", &photo(40, 30));
    // A sound that calls itself a picture.
    put(&sandbox, "in/d.png", &sound(24_000, 1, 100));
    let run = sandbox.run("encode in -d files -m dac --json").ends_in(1);
    let errors = run
        .json()
        .iter()
        .filter(|line| line["error"].is_string())
        .count();
    assert_eq!(
        errors, 1,
        "only the picture has another model: {}",
        run.stderr
    );
    sandbox
        .run("encode in/c.png -d files --weights tiny.safetensors")
        .ends_in(0);
    sandbox
        .run("decode files -d out --weights tiny.safetensors")
        .ends_in(1);
    // The picture is there already; the sounds find their model.
    sandbox.run("decode files -d out -n").ends_in(0);
    assert!(sandbox.has("out/a.wav") && sandbox.has("out/deep/b.wav"));
    assert!(sandbox.has("out/d.wav") && sandbox.has("out/c.png"));
}

#[test]
fn codes_return_as_sound() {
    let Some(sandbox) = with_models() else { return };
    put(&sandbox, "in/a.wav", &sound(24_000, 1, 20_000));
    put(&sandbox, "in/b.wav", &sound(44_100, 2, 9000));
    for model in ["dac", "encodec"] {
        let line = format!("tokenize in -d {model}-codes -m {model} --manifest {model}.jsonl");
        sandbox.run(&format!("{line} --shard 1/2")).ends_in(0);
        assert!(
            sandbox.has(&format!("{model}-codes/a.npy"))
                && !sandbox.has(&format!("{model}-codes/b.npy"))
        );
        let run = sandbox.run(&format!("{line} -n")).ends_in(0);
        assert!(run.stderr.contains("hours an hour"), "{}", run.stderr);
        let manifest = String::from_utf8(sandbox.get(&format!("{model}.jsonl"))).expect("text");
        assert_eq!(manifest.lines().count(), 2);
        sandbox
            .run(&format!("detokenize {model}-codes -d {model}-out"))
            .ends_in(0);
        let back = get(&sandbox, &format!("{model}-out/b.wav"));
        assert_eq!(
            (back.rate, back.channels.len(), back.samples()),
            (44_100, 1, 9000)
        );
        // One channel at all codebooks: a file holds the same codes.
        sandbox
            .run(&format!("encode in/a.wav -o {model}.bin -m {model}"))
            .ends_in(0);
        sandbox
            .run(&format!("decode {model}.bin -o {model}.wav"))
            .ends_in(0);
        let (a, b) = (format!("{model}.wav"), format!("{model}-out/a.wav"));
        assert_eq!(get(&sandbox, &a).channels, get(&sandbox, &b).channels);
    }
    sandbox
        .run("tokenize in -d x -m dac --shard 3/2")
        .ends_in(2);
}

#[test]
fn batches_write_the_codes_of_every_file() {
    let sandbox = crate::sandbox();
    for (name, rate, channels, samples) in [
        ("in/a.wav", 24_000, 1, 20_000),
        ("in/b.flac", 44_100, 2, 9000),
        ("in/c.wav", 24_000, 1, 0),
        ("in/d.wav", 8000, 1, 80_000),
        ("in/deep/e.wav", 24_000, 1, 19_999),
        ("in/f.wav", 24_000, 1, 24_000),
    ] {
        put(&sandbox, name, &sound(rate, channels, samples));
    }
    let names = ["a", "b", "c", "d", "deep/e", "f"];
    sandbox.run("tokenize in -d alone").ends_in(0);
    // A file of ten seconds does not fit into a batch of three, and goes alone.
    for (options, folder) in [("3", "three"), ("3600", "all"), ("0.01", "none")] {
        let line = format!("tokenize in -d {folder} --batch-seconds {options} --json");
        let run = sandbox.run(&line).ends_in(0);
        let inputs: Vec<_> = run
            .json()
            .iter()
            .map(|line| line["input"].clone())
            .collect();
        assert_eq!(inputs.len(), names.len());
        for (input, name) in inputs.iter().zip(["a", "b", "c", "d", "e", "f"]) {
            let input = input.as_str().expect("a path");
            let stem = std::path::Path::new(input).file_stem();
            assert_eq!(stem.and_then(|stem| stem.to_str()), Some(name), "{input}");
        }
        assert!(run.stderr.contains("hours an hour"), "{}", run.stderr);
        for name in names {
            let (alone, batch) = (format!("alone/{name}.npy"), format!("{folder}/{name}.npy"));
            assert!(
                sandbox.get(&alone) == sandbox.get(&batch),
                "{folder}/{name}"
            );
        }
    }
    // Bad files are told, files that are there stay, and the others go on.
    sandbox.put("in/e.wav", b"RIFF\0\0\0\0WAVEfmt ");
    sandbox.remove("all/b.npy");
    sandbox.remove("all/f.npy");
    sandbox.put("all/a.npy", b"kept");
    let line = "tokenize in -d all --batch-seconds 60 -n --json --manifest m.jsonl";
    let run = sandbox.run(line).ends_in(1);
    let failed = |line: &&serde_json::Value| line["error"].is_string();
    assert_eq!(
        run.json().iter().filter(failed).count(),
        1,
        "{}",
        run.stderr
    );
    assert_eq!(sandbox.get("all/a.npy"), b"kept");
    for name in ["b", "f"] {
        let (alone, batch) = (format!("alone/{name}.npy"), format!("all/{name}.npy"));
        assert!(sandbox.get(&alone) == sandbox.get(&batch), "{name}");
    }
    let manifest = String::from_utf8(sandbox.get("m.jsonl")).expect("text");
    assert_eq!(manifest.lines().count(), 2);
    let line = "tokenize in/a.wav -o x.npy --batch-seconds 60 --codebooks 99";
    sandbox.run(line).ends_in(2);
    let line = "tokenize - -o x.npy --batch-seconds 60";
    sandbox.feed(line, &sandbox.get("in/a.wav")).ends_in(0);
    assert!(sandbox.get("x.npy") == sandbox.get("alone/a.npy"));
}

#[test]
fn damage_is_told() {
    let Some(sandbox) = with_models() else { return };
    put(&sandbox, "a.wav", &sound(24_000, 1, 5000));
    sandbox
        .run("encode a.wav -o a.bin -m dac --chunk 0.05")
        .ends_in(0);
    let file = sandbox.get("a.bin");
    for length in [0, 3, 30, file.len() / 2, file.len() - 1] {
        sandbox.put("cut.bin", &file[..length]);
        sandbox.run("decode cut.bin -o b.wav").ends_in(3);
        sandbox.feed("decode - -o -", &file[..length]).ends_in(3);
    }
    let mut wave = sandbox.get("a.wav");
    wave.truncate(2000);
    sandbox.put("cut.wav", &wave);
    sandbox.run("encode cut.wav -o b.bin -m dac").ends_in(3);
    assert!(!sandbox.has("b.wav") && !sandbox.has("b.bin"));
}
