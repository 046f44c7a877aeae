//! Every task with tiny models; `eval/tests/data/make_models.py` says what they do.

use super::onnx::Onnx;
use super::*;
use crate::metrics::{Outcome, share};
use std::path::Path;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DATA).join(name)
}

pub(super) fn model(name: &str) -> Onnx {
    Onnx::load(&path(name), None).unwrap()
}

/// Options with a model, a configuration and labels, each as text.
fn options(dir: &Path, name: &str, config: &str, labels: Option<&str>) -> TaskOptions {
    let file = |end: &str, text: &str| {
        let path = dir.join(end);
        std::fs::write(&path, text).unwrap();
        path
    };
    TaskOptions {
        model: Some(path(name)),
        config: Some(file("config.json", config)),
        labels: labels.map(|text| file("labels.csv", text)),
        command: None,
    }
}

fn plain(red: u8, green: u8, blue: u8) -> RgbImage {
    RgbImage::from_pixel(8, 6, image::Rgb([red, green, blue]))
}

fn tone(samples: &[f32]) -> Sound {
    Sound {
        sample_rate: 8000,
        channels: vec![samples.to_vec()],
    }
}

fn found<M>(task: &dyn Measure<M>, file: &str, original: &M, decoded: &M) -> Outcome {
    let outcome = task
        .reference(file, original)
        .unwrap()
        .measure(decoded)
        .unwrap();
    let keys: Vec<String> = task
        .metrics()
        .into_iter()
        .map(|metric| metric.key)
        .collect();
    for key in outcome.values.keys().chain(outcome.counts.keys()) {
        assert!(keys.contains(key), "{key}");
        assert_eq!(Metric::of_key(key).better, {
            let metrics = task.metrics();
            metrics.iter().find(|m| m.key == *key).unwrap().better
        });
    }
    outcome
}

#[test]
fn classification() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"{"classes": ["red", "green", "blue"]}"#;
    let labels = Some("file,label\na.png,green\nb.png,0\n");
    let options = |config, labels| options(dir.path(), "colour.onnx", config, labels);
    let task = open_pictures(TaskKind::Classification, &options(config, labels), None).unwrap();
    let (red, green) = (plain(200, 100, 0), plain(100, 200, 0));
    let outcome = found(&*task, "a.png", &green, &red);
    let values = |outcome: &Outcome| outcome.values.values().copied().collect::<Vec<_>>();
    // agreement, top1, top1.original
    assert_eq!(values(&outcome), [0.0, 0.0, 1.0]);
    assert_eq!(
        values(&found(&*task, "b.png", &green, &red)),
        [0.0, 1.0, 0.0]
    );
    assert!(matches!(
        task.reference("c.png", &red).err(),
        Some(EvalError::Task(TaskError::NoLabel { .. }))
    ));
    let task = open_pictures(TaskKind::Classification, &options("{}", None), None).unwrap();
    assert_eq!(values(&found(&*task, "c.png", &red, &red)), [1.0]);
    for labels in ["a.png,violet", "a.png,3", "a.png", ""] {
        let bad = options(config, Some(labels));
        assert!(
            open_pictures(TaskKind::Classification, &bad, None).is_err(),
            "{labels}"
        );
    }
    let two = options(r#"{"classes": ["red", "green"]}"#, None);
    let two = open_pictures(TaskKind::Classification, &two, None).unwrap();
    assert!(matches!(
        two.reference("a", &red).err(),
        Some(EvalError::Task(TaskError::Output { .. }))
    ));
    let mut no_number = options("{}", None);
    no_number.model = Some(path("no_number.onnx"));
    let no_number = open_pictures(TaskKind::Classification, &no_number, None).unwrap();
    assert!(matches!(
        no_number.reference("a", &red).err(),
        Some(EvalError::Task(TaskError::NotFinite { .. }))
    ));
}

#[test]
fn classification_of_sounds_in_windows() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"{"classes": ["loud", "quiet"], "sound": {"samples": 4}}"#;
    let options = options(dir.path(), "loudness.onnx", config, None);
    let task = open_sounds(TaskKind::Classification, &options, None).unwrap();
    let (loud, quiet) = (tone(&[0.5; 8]), tone(&[0.5, 0.0, 0.0, 0.0, 0.0, 0.0]));
    assert_eq!(
        found(&*task, "a", &loud, &quiet).values["task.agreement"],
        0.0
    );
    assert_eq!(
        found(&*task, "a", &quiet, &quiet).values["task.agreement"],
        1.0
    );
    // Every window for itself: the second one of the original is quiet.
    let each = config.replace("}}", "}, \"each\": true}");
    let options = self::options(
        dir.path(),
        "loudness.onnx",
        &each,
        Some("file,label\na,loud\n"),
    );
    let task = open_sounds(TaskKind::Classification, &options, None).unwrap();
    let outcome = found(
        &*task,
        "a",
        &tone(&[0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]),
        &loud,
    );
    assert_eq!(outcome.counts["task.agreement"], [[1.0, 2.0]]);
    assert_eq!(outcome.counts["task.top1"], [[2.0, 2.0]]);
    assert_eq!(outcome.counts["task.top1.original"], [[1.0, 2.0]]);
    assert!(outcome.values.is_empty());
    // A model for sound is none for pictures.
    let task = open_pictures(TaskKind::Classification, &options, None).unwrap();
    assert!(task.reference("a", &plain(0, 0, 0)).is_err());
}

#[test]
fn scores_of_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let score = options(
        dir.path(),
        "score.onnx",
        r#"{"sound": {"samples": 4}}"#,
        None,
    );
    let task = open_sounds(TaskKind::Score, &score, None).unwrap();
    // Two windows, of which one is silent.
    let half = tone(&[0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
    let outcome = found(&*task, "a", &tone(&[0.5; 8]), &half);
    assert_eq!(outcome.values["task.score"], 0.125);
    assert_eq!(outcome.values["task.score.original"], 0.25);
    let classes = options(dir.path(), "loudness.onnx", "{}", None);
    let task = open_sounds(TaskKind::Score, &classes, None).unwrap();
    assert!(
        task.reference("a", &tone(&[0.5; 8])).is_err(),
        "two numbers"
    );
}

#[test]
fn patches_of_pictures_count_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"{"classes": ["red", "green", "blue"], "each": true, "picture": {"size": [4, 4], "patches": {"step": 6}}}"#;
    let options = options(
        dir.path(),
        "colour.onnx",
        config,
        Some("file,label\na,green\n"),
    );
    let task = open_pictures(TaskKind::Classification, &options, None).unwrap();
    // Corners at 0 and 6 across, at 0 down: what is left holds no patch.
    let original = RgbImage::from_fn(13, 9, |x, _| {
        image::Rgb(if x < 5 { [200, 0, 0] } else { [0, 200, 0] })
    });
    let decoded = RgbImage::from_pixel(13, 9, image::Rgb([0, 200, 0]));
    let outcome = found(&*task, "a", &original, &decoded);
    assert_eq!(outcome.counts["task.agreement"], [[1.0, 2.0]]);
    assert_eq!(outcome.counts["task.top1"], [[2.0, 2.0]]);
    assert_eq!(outcome.counts["task.top1.original"], [[1.0, 2.0]]);
    let config = config.replace(r#""step""#, r#""first": 3, "step""#);
    let options = self::options(dir.path(), "colour.onnx", &config, None);
    let task = open_pictures(TaskKind::Classification, &options, None).unwrap();
    let outcome = found(&*task, "a", &original, &decoded);
    assert_eq!(
        outcome.counts["task.agreement"],
        [[1.0, 2.0]],
        "corners at 3 and 9"
    );
    assert!(
        task.reference("a", &RgbImage::new(3, 3)).is_err(),
        "smaller than a patch"
    );
}

#[test]
fn segmentation() {
    let dir = tempfile::tempdir().unwrap();
    let half = |left: [u8; 3], right: [u8; 3]| {
        RgbImage::from_fn(8, 6, |x, _| image::Rgb(if x < 4 { left } else { right }))
    };
    let (red, green) = ([200, 0, 0], [0, 200, 0]);
    let (original, decoded) = (half(red, green), half(red, red));
    for name in ["segments.onnx", "segments_whole.onnx"] {
        let mut options = options(dir.path(), name, "{}", None);
        let task = open_pictures(TaskKind::Segmentation, &options, None).unwrap();
        let outcome = found(&*task, "a.webp", &original, &decoded);
        assert_eq!(
            outcome.counts["task.miou"][..2],
            [[24.0, 48.0], [0.0, 24.0]]
        );
        assert_eq!(share(&outcome.counts["task.miou"]), Some(0.25));
        assert_eq!(outcome.counts["task.pixel-agreement"], [[24.0, 48.0]]);
        // Label maps of half the size; what is 255 is left out.
        let map = image::GrayImage::from_fn(4, 3, |x, y| {
            image::Luma([if y == 0 { 255 } else { u8::from(x == 0) }])
        });
        map.save(dir.path().join("a.png")).unwrap();
        options.labels = Some(dir.path().to_path_buf());
        let task = open_pictures(TaskKind::Segmentation, &options, None).unwrap();
        let outcome = found(&*task, "a.webp", &original, &decoded);
        assert_eq!(outcome.counts["task.miou"][..2], [[6.0, 8.0], [0.0, 2.0]]);
        assert_eq!(
            outcome.counts["task.miou.original"][..2],
            [[2.0, 8.0], [0.0, 6.0]]
        );
        for file in ["b.png", "../a.png"] {
            assert!(matches!(
                task.reference(file, &original).err(),
                Some(EvalError::Task(TaskError::NoLabel { .. }))
            ));
        }
        original.save(dir.path().join("colour.png")).unwrap();
        assert!(task.reference("colour.png", &original).is_err());
        options.labels = Some(dir.path().join("a.png"));
        assert!(open_pictures(TaskKind::Segmentation, &options, None).is_err());
    }
    let wrong = options(dir.path(), "colour.onnx", "{}", None);
    let wrong = open_pictures(TaskKind::Segmentation, &wrong, None).unwrap();
    let text = wrong.reference("a", &original).err().unwrap().to_string();
    assert!(text.contains("shape"), "{text}");
}

#[test]
fn detection() {
    let dir = tempfile::tempdir().unwrap();
    let f1 = |config: &str, original: &RgbImage, decoded: &RgbImage| {
        let options = options(dir.path(), "boxes.onnx", config, None);
        let task = open_pictures(TaskKind::Detection, &options, None).unwrap();
        found(&*task, "a", original, decoded).counts["task.box-f1"][0]
    };
    let (all, one, none) = (plain(200, 200, 200), plain(0, 200, 0), plain(9, 9, 9));
    assert_eq!(f1("{}", &all, &all), [6.0, 6.0]);
    assert_eq!(f1("{}", &all, &one), [2.0, 4.0]);
    assert_eq!(f1("{}", &none, &none), [0.0, 0.0]);
    assert_eq!(
        f1(r#"{"detection": {"score": 0.01}}"#, &none, &none),
        [6.0, 6.0]
    );
    let named = r#"{"detection": {"boxes": "boxes", "scores": "scores", "classes": "labels"}}"#;
    assert_eq!(f1(named, &all, &one), [2.0, 4.0]);
    // Scores that are classes, boxes that are none.
    let swapped = r#"{"detection": {"boxes": "scores"}}"#;
    for (model, config) in [("boxes.onnx", swapped), ("colour.onnx", "{}")] {
        let options = options(dir.path(), model, config, None);
        let task = open_pictures(TaskKind::Detection, &options, None).unwrap();
        assert!(task.reference("a", &all).is_err());
    }
    let unknown = options(
        dir.path(),
        "boxes.onnx",
        r#"{"detection": {"boxes": "b"}}"#,
        None,
    );
    assert!(open_pictures(TaskKind::Detection, &unknown, None).is_err());
}

#[test]
fn embeddings_and_their_gallery() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let (red, green) = (plain(200, 10, 0), plain(10, 200, 0));
    red.save(pictures.join("red.png")).unwrap();
    green.save(pictures.join("green.png")).unwrap();
    std::fs::write(pictures.join("torn.png"), "no picture").unwrap();
    let data = Dataset::pictures(&pictures).unwrap();
    let options = options(dir.path(), "colour.onnx", "{}", None);
    let task = open_pictures(TaskKind::Embedding, &options, Some(&data)).unwrap();
    let same = found(&*task, "red.png", &red, &red).values;
    assert!((same["task.cosine"] - 1.0).abs() < 1e-6 && same["task.retrieval"] == 1.0);
    let other = found(&*task, "red.png", &red, &green).values;
    assert!(other["task.cosine"] < 0.2 && other["task.retrieval"] == 0.0);
    let alone = open_pictures(TaskKind::Embedding, &options, None).unwrap();
    assert_eq!(found(&*alone, "red.png", &red, &red).values.len(), 1);
}

#[test]
fn recognition_by_command_and_by_model() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("v.txt"), "<pad>\nhe\n|\n").unwrap();
    let config = r#"{"ctc": {"vocabulary": "v.txt"}}"#;
    let mut options = options(dir.path(), "spell.onnx", config, Some("a,he he hehe"));
    let (a, b, z) = (0.5, -0.5, 0.0);
    let original = tone(&[a, b, z, a, a, b, a, z, a]);
    let decoded = tone(&[a, z, b, a, z, a]);
    let task = open_sounds(TaskKind::Recognition, &options, None).unwrap();
    let counts = found(&*task, "a", &original, &decoded).counts;
    assert_eq!(counts["task.wer"], [[1.0, 3.0]]);
    assert_eq!(counts["task.wer.original"], [[0.0, 3.0]]);
    assert!(task.reference("b", &original).is_err());
    options.labels = None;
    options.command = Some("sh -c 'test $(wc -c < $0) -gt 60 && echo One, two || echo one'".into());
    let task = open_sounds(TaskKind::Recognition, &options, None).unwrap();
    let counts = found(&*task, "a", &original, &decoded).counts;
    assert_eq!(counts["task.wer"], [[1.0, 2.0]]);
    options.command = Some("false".into());
    let task = open_sounds(TaskKind::Recognition, &options, None).unwrap();
    assert!(matches!(
        task.reference("a", &original).err(),
        Some(EvalError::Task(TaskError::Command { .. }))
    ));
    options.command = None;
    options.config = None;
    assert!(matches!(
        open_sounds(TaskKind::Recognition, &options, None).err(),
        Some(EvalError::Task(TaskError::Missing { .. }))
    ));
}

#[test]
fn separation() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path(), "bands.onnx", "{}", None);
    let task = open_sounds(TaskKind::Separation, &options, None).unwrap();
    let stereo = |left: [f32; 4], right: [f32; 4]| Sound {
        sample_rate: 8000,
        channels: vec![left.to_vec(), right.to_vec()],
    };
    let original = stereo([0.5, 0.1, 0.5, 0.3], [0.1, 0.0, 0.0, 0.0]);
    let sdr = |decoded: &Sound| found(&*task, "a", &original, decoded).values["task.sdr"];
    assert_eq!(sdr(&original), 100.0);
    // Both stems at nine tenths: distortion is a hundredth of the power.
    let mut less = original.clone();
    less.channels.iter_mut().flatten().for_each(|v| *v *= 0.9);
    assert!((sdr(&less) - 20.0).abs() < 1e-3);
    let reference = task.reference("a", &original).unwrap();
    assert!(matches!(
        reference.measure(&tone(&[0.0; 4])),
        Err(EvalError::SoundMismatch { .. })
    ));
    let silence = stereo([0.0; 4], [0.0; 4]);
    assert_eq!(found(&*task, "a", &silence, &original), Outcome::default());
}

#[test]
fn written_text() {
    let mut options = TaskOptions {
        command: Some("sh -c 'wc -c < $0'".into()),
        ..TaskOptions::default()
    };
    let picture = plain(1, 2, 3);
    let task = open_pictures(TaskKind::Ocr, &options, None).unwrap();
    let counts = found(&*task, "a", &picture, &picture).counts;
    assert!(counts["task.cer"][0][0] == 0.0 && counts["task.cer"][0][1] > 1.0);
    options.command = None;
    match open_pictures(TaskKind::Ocr, &options, None) {
        Ok(task) => {
            let letters = bars();
            let counts = found(&*task, "a", &letters, &letters).counts;
            assert_eq!(counts["task.cer"][0][0], 0.0);
        }
        Err(error) => assert!(error.is_missing_tool()),
    }
}

/// Something like letters: I, L and T.
fn bars() -> RgbImage {
    let mut picture = RgbImage::from_pixel(160, 60, image::Rgb([255; 3]));
    for (x, y, width, height) in [
        (20, 10, 6, 40),
        (50, 10, 6, 40),
        (50, 44, 24, 6),
        (90, 10, 30, 6),
        (102, 10, 6, 40),
    ] {
        for (i, j) in (0..width).flat_map(|i| (0..height).map(move |j| (i, j))) {
            picture.put_pixel(x + i, y + j, image::Rgb([0; 3]));
        }
    }
    picture
}

#[test]
fn kinds_and_options() {
    for kind in TaskKind::ALL {
        assert_eq!(kind.name().parse::<TaskKind>().unwrap(), kind);
    }
    assert!("sight".parse::<TaskKind>().is_err());
    let none = TaskOptions::default();
    assert!(matches!(
        open_pictures(TaskKind::Separation, &none, None).err(),
        Some(EvalError::Task(TaskError::Medium { .. }))
    ));
    assert!(open_sounds(TaskKind::Ocr, &none, None).is_err());
    for kind in [
        TaskKind::Classification,
        TaskKind::Detection,
        TaskKind::Segmentation,
        TaskKind::Embedding,
    ] {
        assert!(matches!(
            open_pictures(kind, &none, None).err(),
            Some(EvalError::Task(TaskError::Missing { .. }))
        ));
    }
}
