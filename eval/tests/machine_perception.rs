//! The models of the two examples, and their accuracy on held-out data and what codecs make of it.
//!
//! `MPQ_TESTS=/tmp/mpq cargo test --release -p codec-eval --test machine_perception -- --ignored --nocapture` prints the
//! figures of `docs/machine-perception.md`; the folder is written by the scripts in `benches/mpq`.

use codec_eval::tasks::{TaskKind, TaskOptions, open_pictures, open_sounds};
use codec_eval::{Cause, Codec, Dataset, EvalError, Plan, RdCurve, RgbImage, Sound, run};
use std::path::{Path, PathBuf};

fn options(model: &str, labels: Option<PathBuf>) -> TaskOptions {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    TaskOptions {
        model: Some(models.join(model)),
        labels,
        ..TaskOptions::default()
    }
}

/// JPEG, or nothing at all at quality 0.
struct Jpeg;

impl Codec<RgbImage> for Jpeg {
    fn name(&self) -> &str {
        "jpeg"
    }

    fn description(&self) -> String {
        "JPEG by the image crate; quality 0 is raw".into()
    }

    fn version(&self) -> Result<String, EvalError> {
        Ok("1".into())
    }

    fn qualities(&self) -> Vec<f64> {
        vec![5.0, 10.0, 20.0, 40.0, 80.0]
    }

    fn uses_all_threads(&self) -> bool {
        false
    }

    fn encode(&self, original: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality as u8)
            .encode_image(original)?;
        Ok(bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        Ok(image::load_from_memory(bytes)?.into_rgb8())
    }
}

/// Reads a WAV file of one channel of 16 bits.
fn wav(bytes: &[u8]) -> Result<Sound, Cause> {
    let rate = bytes.get(24..28).ok_or("no header")?;
    let data = bytes.windows(4).position(|name| name == b"data");
    let data = bytes.get(data.ok_or("no data")? + 8..).ok_or("no data")?;
    let sample = |pair: &[u8]| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
    Ok(Sound {
        sample_rate: u32::from_le_bytes(rate.try_into()?),
        channels: vec![data.chunks_exact(2).map(sample).collect()],
    })
}

fn to_wav(sound: &Sound) -> Vec<u8> {
    let samples = &sound.channels[0];
    let bytes = samples.len() as u32 * 2;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(sound.sample_rate.to_le_bytes());
    wav.extend((sound.sample_rate * 2).to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(
        samples
            .iter()
            .flat_map(|s| ((s * 32_768.0) as i16).to_le_bytes()),
    );
    wav
}

/// Opus by its tools, kbit/s.
struct Opus;

fn tool(name: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, Cause> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, input)?;
    let status = std::process::Command::new(name)
        .args(arguments)
        .args([&from, &to])
        .stderr(std::process::Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("{name}: {status}").into());
    }
    Ok(std::fs::read(&to)?)
}

impl Codec<Sound> for Opus {
    fn name(&self) -> &str {
        "opus"
    }

    fn description(&self) -> String {
        "opusenc".into()
    }

    fn version(&self) -> Result<String, EvalError> {
        Ok("1".into())
    }

    fn qualities(&self) -> Vec<f64> {
        vec![6.0, 8.0, 12.0, 24.0, 48.0]
    }

    fn uses_all_threads(&self) -> bool {
        false
    }

    fn encode(&self, original: &Sound, quality: f64) -> Result<Vec<u8>, Cause> {
        let rate = quality.to_string();
        tool(
            "opusenc",
            &["--quiet", "--bitrate", &rate],
            &to_wav(original),
        )
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sound, Cause> {
        wav(&tool(
            "opusdec",
            &["--quiet", "--rate", "24000", "--force-wav"],
            bytes,
        )?)
    }
}

fn print(curve: &RdCurve) -> Vec<f64> {
    for failure in &curve.failures {
        println!("{failure:?}");
    }
    for point in &curve.points {
        println!(
            "{} rate {:.3}: top-1 {:.3} (originals {:.3}), agreement {:.3}",
            curve.name,
            point.rate,
            point.get("task.top1").unwrap(),
            point.get("task.top1.original").unwrap(),
            point.get("task.agreement").unwrap(),
        );
    }
    let originals = curve.points.iter().map(|p| p.get("task.top1.original"));
    originals.map(Option::unwrap).collect()
}

#[test]
fn models_are_deterministic() {
    let picture = RgbImage::from_fn(120, 80, |x, y| image::Rgb([x as u8, (x * y) as u8, 90]));
    let task = open_pictures(
        TaskKind::Classification,
        &options("scenes.onnx", None),
        None,
    )
    .unwrap();
    let outcome = task.reference("a", &picture).unwrap().measure(&picture);
    assert_eq!(outcome.unwrap().values["task.agreement"], 1.0);
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
    let sound = Sound {
        sample_rate: 24_000,
        channels: vec![(0..30_000).map(noise).collect()],
    };
    let task = open_sounds(
        TaskKind::Classification,
        &options("speakers.onnx", None),
        None,
    )
    .unwrap();
    let outcome = task.reference("a", &sound).unwrap().measure(&sound);
    assert_eq!(outcome.unwrap().values["task.agreement"], 1.0);
}

#[test]
#[ignore = "needs the held-out patches that benches/mpq/train_scenes.py writes"]
fn scenes_through_jpeg() {
    let folder = PathBuf::from(std::env::var("MPQ_TESTS").unwrap()).join("scenes");
    let options = options("scenes.onnx", Some(folder.join("labels.csv")));
    let data = Dataset::pictures(&folder.join("patches")).unwrap();
    let measures = [open_pictures(TaskKind::Classification, &options, None).unwrap()];
    let qualities = <Jpeg as Codec<RgbImage>>::qualities(&Jpeg);
    let curve = run(&Jpeg, &data, &Plan::new(&measures, &qualities)).unwrap();
    let found = print(&curve);
    assert!(found.iter().all(|share| (5.0 / 40.0..1.0).contains(share)));
}

#[test]
#[ignore = "needs the held-out windows that benches/mpq/train_speakers.py writes, and opus-tools"]
fn speakers_through_opus() {
    let folder = PathBuf::from(std::env::var("MPQ_TESTS").unwrap()).join("speakers");
    let options = options("speakers.onnx", Some(folder.join("labels.csv")));
    let data = Dataset::open(
        &folder.join("windows"),
        |path| path.extension().is_some_and(|end| end == "wav"),
        |path| wav(&std::fs::read(path)?),
    )
    .unwrap();
    let measures = [open_sounds(TaskKind::Classification, &options, None).unwrap()];
    let qualities = <Opus as Codec<Sound>>::qualities(&Opus);
    let curve = run(&Opus, &data, &Plan::new(&measures, &qualities)).unwrap();
    let found = print(&curve);
    assert!(found.iter().all(|share| (5.0 / 13.0..1.0).contains(share)));
}
