//! Whole runs of a tiny model on tiny pictures. They have a process of their own, since the seeded generator of the CPU
//! backend is the whole process's.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::backend::{Autodiff, Flex};

use codec_audio::models::AudioModel;
use codec_core::weights::WeightsFile;
use codec_image::models::ImageModel;
use codec_train::internals::{Disk, Storage, averages, checkpoints, train_stored, verify};
use codec_train::{
    Alone, Event, Observer, Outcome, Recipe, Resume, RunOptions, TrainError, WEIGHTS,
};

const RECIPE: &str = r#"
    name = "wpmr/test"
    family = "wpmr"
    seed = 5
    [model]
    analysis_width = 4
    analysis_refine_width = 4
    synthesis_width = 4
    synthesis_refine_width = 4
    synthesis_blocks = 1
    hyper_analysis_width = 4
    hyper_latents = 2
    hyper_width = 4
    entry_width = 4
    context_width = 4
    [data]
    train = "DATA"
    validation = "DATA"
    [validation]
    every = 3
    pictures = 1
    qualities = [50.0]
    [checkpoints]
    every = 2
    [[stages]]
    name = "float"
    steps = 4
    patch = 32
    batch = 1
    [[stages]]
    name = "integer"
    steps = 2
    patch = 32
    batch = 2
    rounding = "optimized"
    precision = "integer"
    freeze = ["analysis", "*.analysis", "steps"]
"#;

/// A folder with pictures, and a recipe for them.
struct Place {
    folder: tempfile::TempDir,
    recipe: Recipe,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        for i in 0..3usize {
            let mut file = b"P6 48 40 255\n".to_vec();
            file.extend((0..48 * 40 * 3).map(|j| ((j / 7 + i * j / 97) % 256) as u8));
            fs::write(data.join(format!("{i}.ppm")), file).unwrap();
        }
        let text = RECIPE.replace("DATA", data.to_str().unwrap());
        Self {
            folder,
            recipe: Recipe::parse(&text).unwrap(),
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, name: &str) -> RunOptions {
        RunOptions {
            out: self.out(name),
            resume: Resume::Auto,
            init: None,
            max_steps: None,
            prefetch: 2,
        }
    }

    fn run(&self, name: &str) -> Result<(Outcome, Vec<Event>), TrainError> {
        run(&self.recipe, &self.options(name), &Disk)
    }

    fn weights(&self, name: &str) -> Vec<u8> {
        fs::read(self.out(name).join(WEIGHTS)).unwrap()
    }
}

#[derive(Default)]
struct Events(Vec<Event>);

impl Observer for Events {
    fn event(&mut self, event: &Event) {
        self.0.push(event.clone());
    }
}

fn run(
    recipe: &Recipe,
    options: &RunOptions,
    storage: &dyn Storage,
) -> Result<(Outcome, Vec<Event>), TrainError> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut events = Events::default();
    let outcome = train_stored::<Autodiff<Flex>, _>(
        recipe,
        options,
        storage,
        &Default::default(),
        &AtomicBool::new(false),
        &mut events,
        &mut Alone,
    )?;
    Ok((outcome, events.0))
}

/// A disk that gets full, in the middle of the `left`-th file.
struct Full {
    left: Cell<usize>,
}

impl Storage for Full {
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let Some(left) = self.left.get().checked_sub(1) else {
            Disk.write(path, &bytes[..bytes.len() / 2])?;
            return Err(std::io::ErrorKind::StorageFull.into());
        };
        self.left.set(left);
        Disk.write(path, bytes)
    }
}

#[test]
fn a_run_that_met_a_full_disk_anywhere_goes_on_exactly() {
    let place = Place::new();
    assert_eq!(place.run("whole").unwrap().0, Outcome::Finished);
    let expected = place.weights("whole");
    for left in 0.. {
        let name = format!("full-{left}");
        let disk = Full {
            left: Cell::new(left),
        };
        match run(&place.recipe, &place.options(&name), &disk) {
            Ok(_) => {
                assert!(left > 10, "only {left} files are written");
                break;
            }
            Err(TrainError::DiskFull { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        let run_folder = place.out(&name);
        for folder in [run_folder.join("checkpoints"), run_folder.clone()] {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                assert!(path.extension().is_none_or(|e| e != "partial"), "{path:?}");
            }
        }
        for path in checkpoints(&run_folder) {
            verify(&path).unwrap();
        }
        assert_eq!(place.run(&name).unwrap().0, Outcome::Finished);
        assert!(place.weights(&name) == expected, "after {left} files");
    }
}

/// A discriminator that starts to play in the middle.
const GAME: &str = "adversary=[{discriminator = {kind = 'patch', channels = 2, layers = 1}, weight = 0.1, \
                    feature_matching = 0.1, start = 2}]";

#[test]
fn discriminators_play_from_their_first_step_on() {
    let place = Place::new();
    let train = |name: &str, changes: &[&str]| {
        let mut recipe = place.recipe.clone();
        for change in changes {
            recipe = recipe.set(change).unwrap();
        }
        let (_, events) = run(&recipe, &place.options(name), &Disk).unwrap();
        (place.weights(name), events)
    };
    // The recipe lies in the weights file: what is compared are tensors.
    let tensors = |bytes: &[u8]| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + length..].to_vec()
    };
    let never = GAME.replace("start = 2", "start = 100");
    let (plain, _) = train("plain", &[]);
    let (waits, _) = train("waits", &[&never]);
    assert!(tensors(&plain) == tensors(&waits));
    let losses = "loss=[{kind = 'model', term = 'rate'}, {kind = 'mse'}]";
    let adaptive = GAME.replace("start = 2", "start = 2, adaptive = true, name = 'critic'");
    for (name, changes) in [
        ("fixed", vec![GAME]),
        ("adaptive", vec![losses, adaptive.as_str()]),
        ("accumulated", vec![GAME, "optim.accumulate=2"]),
    ] {
        let (weights, events) = train(name, &changes);
        assert!(tensors(&plain) != tensors(&weights), "{name}");
        let critic = if name == "adaptive" {
            "critic"
        } else {
            "patch"
        };
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::Checkpoint { step: 6 }))
        );
        let newest = checkpoints(&place.out(name)).pop().unwrap();
        for file in ["", "-optimizer"] {
            let path = newest.join(format!("discriminator-{critic}{file}.bin"));
            assert!(path.exists(), "{path:?}");
        }
    }
    let alone = place.recipe.set(&adaptive).unwrap();
    let error = run(&alone, &place.options("alone"), &Disk).unwrap_err();
    assert!(error.to_string().contains("[[loss]] has none"), "{error}");
    for (wrong, says) in [
        (
            GAME.replace("weight = 0.1", "weight = -1.0"),
            "invalid weight -1",
        ),
        (GAME.replace("start = 2", "name = 'a/b'"), "letters, digits"),
        (GAME.replace("start = 2", "optim = {lr = 0.0}"), "optim.lr"),
    ] {
        let error = place.recipe.set(&wrong).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn every_optimizer_goes_on_exactly() {
    let place = Place::new();
    for (i, change) in [
        "optim.kind=adam",
        "optim.kind=adamw",
        "optim.kind=adan",
        "optim.kind=sgd",
        "optim.kind=rmsprop",
        "optim.kind=muon",
        "optim.kind=soap",
        "optim.accumulate=2",
        "optim.aux={lr = 1e-2, kind = 'sgd'}",
        "ema.decay=0.0",
        "loss=[{kind = 'model', term = 'rate'}, {kind = 'charbonnier', weight = 0.1}]",
        GAME,
    ]
    .into_iter()
    .enumerate()
    {
        let recipe = place.recipe.set(change).unwrap();
        let (whole, parts) = (format!("whole-{i}"), format!("parts-{i}"));
        run(&recipe, &place.options(&whole), &Disk).unwrap();
        for max_steps in [Some(3), Some(5), None] {
            let options = RunOptions {
                max_steps,
                ..place.options(&parts)
            };
            let (outcome, _) = run(&recipe, &options, &Disk).unwrap();
            assert_eq!(
                outcome == Outcome::Finished,
                max_steps.is_none(),
                "{change}"
            );
        }
        assert!(place.weights(&whole) == place.weights(&parts), "{change}");
        let metrics = fs::read_to_string(place.out(&parts).join("metrics.jsonl")).unwrap();
        let steps: Vec<u64> = metrics
            .lines()
            .filter(|line| line.contains("\"validation\""))
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64())
            .map(Option::unwrap)
            .collect();
        assert_eq!(steps, [3, 6], "{change}");
    }
}

#[test]
fn a_damaged_checkpoint_is_set_aside() {
    let place = Place::new();
    place.run("whole").unwrap();
    let options = RunOptions {
        max_steps: Some(5),
        ..place.options("hurt")
    };
    run(&place.recipe, &options, &Disk).unwrap();
    let newest = checkpoints(&place.out("hurt")).pop().unwrap();
    let file = newest.join("optimizer.bin");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (outcome, events) = place.run("hurt").unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let warning = events.iter().find_map(|event| match event {
        Event::Warning { message } => Some(message.clone()),
        _ => None,
    });
    let warning = warning.expect("a warning");
    assert!(warning.contains("optimizer.bin is damaged"), "{warning}");
    assert!(newest.with_extension("damaged").is_dir());
    assert!(place.weights("whole") == place.weights("hurt"));
}

#[test]
fn numbers_that_are_not_finite_stop_the_run_with_a_report() {
    let place = Place::new();
    let recipe = place
        .recipe
        .set("optim.lr=1e30")
        .and_then(|r| r.set("checkpoints.every=1"))
        .and_then(|r| r.set("optim.warmup=0"))
        .unwrap();
    let out = place.out("fault");
    let error = run(&recipe, &place.options("fault"), &Disk).unwrap_err();
    let TrainError::NotFinite { layer, folder, .. } = &error else {
        panic!("{error}")
    };
    assert!(!layer.is_empty() && folder.starts_with(&out), "{error}");
    let report = fs::read(folder.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["stage"], "float");
    assert!(report["batch"].is_u64() && !report["largest"].as_array().unwrap().is_empty());
    let batch = fs::read(folder.join("batch.safetensors")).unwrap();
    let batch = safetensors::SafeTensors::deserialize(&batch).unwrap();
    assert_eq!(batch.tensor("input").unwrap().shape(), [1, 3, 32, 32]);
    for path in checkpoints(&out) {
        verify(&path).unwrap();
        let mut values = averages(&path).unwrap().into_values().flatten();
        assert!(values.all(|v| v.is_finite()), "{path:?}");
    }
}

#[test]
fn frozen_parts_stay_and_the_rest_learns() {
    let place = Place::new();
    place.run("base").unwrap();
    let base = place.out("base").join(WEIGHTS);
    let last = |name: &str| {
        let newest = checkpoints(&place.out(name)).pop().unwrap();
        averages(&newest).unwrap()
    };
    for (part, others) in [("encoder", "synthesis."), ("decoder", "analysis.")] {
        let recipe = place.recipe.clone();
        let mut recipe = recipe.freeze(&[part.to_owned()]).unwrap();
        recipe.stages.truncate(1);
        recipe.stages[0]
            .freeze
            .retain(|p| part == "encoder" || !p.contains("analysis"));
        for (from, name) in [(base.clone(), "weights"), (place.out("base"), "run")] {
            let name = format!("{part}-{name}");
            let options = RunOptions {
                init: Some(from),
                ..place.options(&name)
            };
            run(&recipe, &options, &Disk).unwrap();
            let (before, after) = (last("base"), last(&name));
            let changed = |prefix: &str| {
                let mut named = before.iter().filter(|(name, _)| name.starts_with(prefix));
                named.any(|(name, values)| Some(values) != after.get(name))
            };
            assert!(changed(others), "{name}");
            // From a checkpoint, values are exact; exported weights are rounded.
            if name.ends_with("run") {
                let frozen = if part == "encoder" {
                    "analysis."
                } else {
                    "synthesis."
                };
                assert!(!changed(frozen), "{name}");
            }
        }
    }
    let nothing = place.recipe.clone().freeze(&["nonsense".into()]).unwrap();
    let error = run(&nothing, &place.options("nothing"), &Disk).unwrap_err();
    assert!(error.to_string().contains("covers no parameter"), "{error}");
}

#[test]
fn a_run_is_not_overwritten_and_can_go_on_elsewhere() {
    let place = Place::new();
    place.run("a").unwrap();
    let again = RunOptions {
        resume: Resume::No,
        ..place.options("a")
    };
    let error = run(&place.recipe, &again, &Disk).unwrap_err();
    assert!(matches!(error, TrainError::Exists(_)), "{error}");
    let from = place.out("a").join("checkpoints").join("step-00000004");
    let elsewhere = RunOptions {
        resume: Resume::From(from),
        ..place.options("b")
    };
    run(&place.recipe, &elsewhere, &Disk).unwrap();
    assert!(place.weights("a") == place.weights("b"));
}

fn vqgan(quantizer: &str) -> String {
    format!(
        r#"
            name = "vqgan/test"
            family = "vqgan"
            seed = 5
            [model]
            quantizer = "{quantizer}"
            n_embed = 24
            embed_dim = 6
            [model.ddconfig]
            double_z = false
            z_channels = 5
            resolution = 32
            in_channels = 3
            out_ch = 3
            ch = 32
            ch_mult = [1, 2]
            num_res_blocks = 1
            attn_resolutions = [16]
        "#
    )
}

/// Families without a rate term train, stop and go on in the same way, and what they export is a model.
#[test]
fn other_families_train_and_resume() {
    let walloc = r#"
        name = "walloc/test"
        family = "walloc"
        seed = 5
        [model]
        J = 2
        Nd = 32
        latent_dim = 4
    "#;
    for (family, model) in [
        ("walloc", walloc.to_owned()),
        ("vqgan", vqgan("sim")),
        ("vqgan", vqgan("straight")),
    ] {
        trains_and_resumes(family, &model);
    }
}

/// An exported weights file is a place to start from, for every family whose parameters it has.
#[test]
fn exported_weights_are_a_start() {
    let weights = trains_and_resumes("vqgan", &vqgan("sim"));
    let mut place = Place::new();
    let init = place.out("init.safetensors");
    fs::write(&init, weights).unwrap();
    let data = place.out("data");
    let text = format!(
        "{}{}",
        vqgan("sim"),
        DATA.replace("DATA", data.to_str().unwrap())
    );
    place.recipe = Recipe::parse(&text).unwrap();
    let mut options = place.options("again");
    options.init = Some(init);
    let (_, events) = run(&place.recipe, &options, &Disk).unwrap();
    let afresh =
        |event: &Event| matches!(event, Event::Warning { message } if message.contains("afresh"));
    assert!(!events.iter().any(afresh), "{events:?}");
}

/// What learns from a tokenizer's codes trains, stops and goes on, and what it exports is the tokenizer with one part more.
#[test]
fn parts_of_a_tokenizer_train_and_resume() {
    let tokenizer = trains_and_resumes("vqgan", &vqgan("sim"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.safetensors");
    fs::write(&path, &tokenizer).unwrap();
    let before = WeightsFile::from_bytes(&tokenizer).unwrap();
    for (family, sizes) in [
        (
            "index_context",
            "rows = 1\ncolumns = 1\nembedding = 3\nwidth = 8",
        ),
        (
            "index_restorer",
            "side = 16\nwidth = 8\nheads = 2\nblocks = 1",
        ),
    ] {
        let model = format!(
            "name = \"part/test\"\nfamily = \"{family}\"\nseed = 5\n[model]\ntokenizer = {path:?}\n{sizes}\n"
        );
        let after = WeightsFile::from_bytes(&trains_and_resumes("vqgan", &model)).unwrap();
        let kept = before.tensors.iter();
        for (name, tensor) in kept {
            assert_eq!(after.tensors.get(name), Some(tensor), "{name}");
        }
        assert!(after.tensors.len() > before.tensors.len());
    }
}

/// Data and schedule of short runs.
const DATA: &str = r#"
        [data]
        train = "DATA"
        validation = "DATA"
        [validation]
        every = 3
        pictures = 1
        qualities = [50.0]
        [checkpoints]
        every = 2
        [[stages]]
        name = "train"
        steps = 4
        patch = 32
        batch = 2
"#;

/// The codec of speech, whose codebooks follow their latents beside the gradient, trains, stops and goes on exactly, and so does
/// the context model of its codes.
#[test]
fn a_codec_of_speech_trains_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = folder.path().join("sounds");
    fs::create_dir(&sounds).unwrap();
    for file in 0..2u32 {
        fs::write(sounds.join(format!("{file}.wav")), wav(6000, file)).unwrap();
    }
    let model = r#"
        name = "srvq/test"
        family = "srvq"
        seed = 5
        [model]
        rate = 8000
        hop = 64
        lowest = 100.0
        highest = 400.0
        pitches = 16
        bands = 8
        width = 8
        kernel = 3
        encoder_blocks = 1
        decoder_blocks = 1
        latent = 4
        codebooks = 2
        codes = 16
        steps = [1, 2]
        [[loss]]
        kind = "mel"
        sample_rate = 8000
        windows = [64]
        bands = [8]
        [[loss]]
        kind = "model"
        term = "commitment"
    "#;
    let data = DATA
        .replace("DATA", sounds.to_str().unwrap())
        .replace("[validation]", "rate = 8000\nchannels = 1\n[validation]");
    let codec = resumes(&format!(
        "{model}{}",
        data.replace("patch = 32", "patch = 4096")
    ));
    let weights = WeightsFile::from_bytes(&codec).unwrap();
    assert_eq!(weights.family, "srvq");
    AudioModel::from_bytes(&codec).unwrap();

    let path = folder.path().join("codec.safetensors");
    fs::write(&path, &codec).unwrap();
    let context = format!(
        "name = \"part/test\"\nfamily = \"index_context\"\nseed = 5\n[model]\ntokenizer = {path:?}\ncolumns = 1\nembedding = 3\nwidth = 8\n{}",
        data.replace("patch = 32", "patch = 1024")
    );
    let with = resumes(&context);
    AudioModel::from_bytes(&with).unwrap();
    assert!(WeightsFile::from_bytes(&with).unwrap().tensors.len() > weights.tensors.len());
}

/// The codec of music trains, stops and goes on exactly, alone and with the rate in its loss, and what it exports is a place to
/// start from.
#[test]
fn a_codec_of_music_trains_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = folder.path().join("sounds");
    fs::create_dir(&sounds).unwrap();
    for file in 0..2u32 {
        fs::write(sounds.join(format!("{file}.wav")), wav(6000, file)).unwrap();
    }
    let model = r#"
        name = "walloc/test"
        family = "walloc1d"
        seed = 5
        [model]
        channels = 1
        sample_rate = 8000
        J = 4
        latent_dim = 6
        Nd = 12
        post_filter = true
        post_taps = 9
    "#;
    let losses = r#"
        [[loss]]
        kind = "mse"
        weight = 100.0
        [[loss]]
        kind = "model"
        term = "rate"
        weight = 0.01
    "#;
    let data = DATA
        .replace("DATA", sounds.to_str().unwrap())
        .replace("patch = 32", "patch = 1024")
        .replace("[validation]", "rate = 8000\nchannels = 1\n[validation]");
    let paper = resumes(&format!("{model}{data}"));
    let straight = data.replace("batch = 2", "batch = 2\nrounding = \"straight-through\"");
    let rated = resumes(&format!("{model}{losses}{straight}"));
    let tensors = |bytes: &[u8]| WeightsFile::from_bytes(bytes).unwrap().tensors;
    assert_ne!(tensors(&paper), tensors(&rated));
    AudioModel::from_bytes(&rated).unwrap().check().unwrap();

    let mut place = Place::new();
    let init = place.out("init.safetensors");
    fs::write(&init, &rated).unwrap();
    place.recipe = Recipe::parse(&format!("{model}{losses}{straight}")).unwrap();
    let mut options = place.options("again");
    options.init = Some(init);
    let (_, events) = run(&place.recipe, &options, &Disk).unwrap();
    let afresh =
        |event: &Event| matches!(event, Event::Warning { message } if message.contains("afresh"));
    assert!(!events.iter().any(afresh), "{events:?}");

    for (change, says) in [
        ("stages.0.patch=1000", "a multiple of 16, at least 80"),
        ("stages.0.rounding=optimized", "noise or straight-through"),
        ("data.rate=44100", "data.rate"),
        ("data.channels=2", "data.channels"),
        ("model.latent_dim=0", "latent_dim"),
    ] {
        let error = place.recipe.set(change).and_then(|recipe| {
            let options = place.options("wrong");
            run(&recipe, &options, &Disk)
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{change}: {error}");
    }
}

/// A sound at 8 kHz in 16 bits.
fn wav(samples: u32, seed: u32) -> Vec<u8> {
    let bytes = 2 * samples;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8000u32.to_le_bytes());
    file.extend(16000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    let sample = |i: u32| {
        let t = i as f32 / 8000.0;
        let tone = (t * (900.0 + 200.0 * seed as f32) * (1.0 + t)).sin();
        (9000.0 * tone) as i16
    };
    file.extend((0..samples).flat_map(|i| sample(i).to_le_bytes()));
    file
}

fn trains_and_resumes(family: &str, model: &str) -> Vec<u8> {
    let weights = resumes(&format!("{model}{DATA}"));
    assert_eq!(WeightsFile::from_bytes(&weights).unwrap().family, family);
    ImageModel::from_bytes(&weights).unwrap();
    weights
}

/// The weights of a run, the same whether it was stopped on the way or not.
fn resumes(recipe: &str) -> Vec<u8> {
    let mut place = Place::new();
    let data = place.out("data");
    place.recipe = Recipe::parse(&recipe.replace("DATA", data.to_str().unwrap())).unwrap();
    let (_, events) = place.run("whole").unwrap();
    assert!(!events.is_empty());
    let mut options = place.options("parts");
    options.max_steps = Some(2);
    run(&place.recipe, &options, &Disk).unwrap();
    place.run("parts").unwrap();
    assert_eq!(place.weights("whole"), place.weights("parts"));
    place.weights("whole")
}
