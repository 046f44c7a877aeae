//! A whole run on two CPU devices: both hold the same, it resumes exactly, and a stop reaches all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use codec_train::{Event, Observer, Outcome, Recipe, Resume, RunOptions, TrainError, train_on};

/// Runs take turns: Burn keeps one collective server a backend and process.
static TURN: Mutex<()> = Mutex::new(());

/// A noise stage, then integers with the encoder's symbols, against a discriminator from step 2 on; steps 3 and 6 leave
/// checkpoints.
fn recipe(folder: &Path) -> Recipe {
    for part in ["train", "val"] {
        let pictures = folder.join(part);
        std::fs::create_dir_all(&pictures).expect("folder");
        for n in 0..3u32 {
            let picture = image::RgbImage::from_fn(96, 80, |x, y| {
                let wave = |c: u32| (60.0 * ((x * (n + 1) + y * c) as f32 / 17.0).sin()) as i32;
                image::Rgb([1, 2, 3].map(|c| (128 + wave(c)) as u8))
            });
            picture
                .save(pictures.join(format!("{n}.png")))
                .expect("png");
        }
    }
    let stage = |rest: &str| {
        format!("[[stages]]\nname = \"s\"\nsteps = 4\npatch = 64\nbatch = 2\nlr = 1e-3\n{rest}\n")
    };
    let text = format!(
        "name = \"wpmr/test\"\nfamily = \"wpmr\"\nseed = 3\n[data]\ntrain = {:?}\nvalidation = {:?}\n\
         [validation]\nevery = 6\npictures = 1\nqualities = [50.0]\n[checkpoints]\nevery = 3\n\
         [[adversary]]\nweight = 0.1\nstart = 2\n\
         discriminator = {{ kind = \"patch\", channels = 4, layers = 1, norm = \"instance\" }}\n{}{}",
        folder.join("train"),
        folder.join("val"),
        stage("rounding = \"noise\"\nprecision = \"float\""),
        stage("rounding = \"optimized\"\nprecision = \"integer\""),
    );
    Recipe::parse(&text).expect("recipe")
}

#[derive(Default)]
struct Count(usize);

impl Observer for Count {
    fn event(&mut self, event: &Event) {
        self.0 += usize::from(matches!(event, Event::Validation { .. }));
    }
}

fn train(
    recipe: &Recipe,
    out: &Path,
    max_steps: Option<u64>,
    stop: &AtomicBool,
) -> (Result<Outcome, TrainError>, usize) {
    let options = RunOptions {
        out: out.to_path_buf(),
        resume: Resume::Auto,
        init: None,
        max_steps,
        prefetch: 2,
    };
    let mut count = Count::default();
    let outcome = train_on::<Autodiff<Flex>>(
        recipe,
        &options,
        &[FlexDevice, FlexDevice],
        None,
        Duration::from_secs(120),
        stop,
        &mut count,
    );
    (outcome, count.0)
}

/// Exported tensors by name. Not the file: the order of its metadata is that of a hash map.
fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(run.join(codec_train::WEIGHTS)).expect("weights");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    file.iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec()))
        .collect()
}

#[test]
fn two_devices_resume_exactly() {
    let _turn = TURN.lock();
    let folder = tempfile::tempdir().expect("folder");
    let recipe = recipe(folder.path());
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let stop = AtomicBool::new(false);
    let (outcome, validations) = train(&recipe, &whole, None, &stop);
    assert_eq!(outcome.expect("whole"), Outcome::Finished);
    assert_eq!(
        validations, 2,
        "one replica validates, at step 6 and at the end"
    );
    let first = train(&recipe, &parts, Some(3), &stop).0;
    assert_eq!(first.expect("first part"), Outcome::Paused);
    stop.store(true, Ordering::Relaxed);
    let second = train(&recipe, &parts, None, &stop).0;
    assert_eq!(second.expect("second part"), Outcome::Interrupted);
    stop.store(false, Ordering::Relaxed);
    let third = train(&recipe, &parts, None, &stop).0;
    assert_eq!(third.expect("third part"), Outcome::Finished);
    assert!(
        weights(&whole) == weights(&parts),
        "resumed weights differ from those of an uninterrupted run"
    );
}

#[test]
fn a_batch_that_cannot_be_split_is_refused() {
    let _turn = TURN.lock();
    let folder = tempfile::tempdir().expect("folder");
    let recipe = recipe(folder.path()).set("stages.0.batch=3").expect("set");
    let out = folder.path().join("run");
    let error = train(&recipe, &out, None, &AtomicBool::new(false)).0;
    let message = error.expect_err("3 is odd").to_string();
    assert!(message.contains("batch of 3"), "{message}");
}
