//! Compares WAV files and prints one line of JSON for each pair.
//!
//! `cargo run --release -p codec-eval --example sound_metrics -- original.wav decoded.wav [original.wav decoded.wav ...]`
//!
//! A line holds `original`, `decoded`, the metrics by key (those that are not defined for the pair are left out), and in
//! `seconds` the time of each. `data/validate_sound.py` compares them with other implementations.

use codec_eval::metrics::sound;
use codec_eval::{Kind, Metric, Sound};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn read(path: &str) -> Result<Sound, Failure> {
    let mut reader = hound::WavReader::open(path).map_err(|error| format!("{path}: {error}"))?;
    let spec = reader.spec();
    if spec.sample_format != hound::SampleFormat::Int || spec.bits_per_sample != 16 {
        return Err(format!("{path}: not of 16 bits").into());
    }
    let mut channels = vec![Vec::new(); usize::from(spec.channels)];
    let count = channels.len().max(1);
    for (i, sample) in reader.samples::<i16>().enumerate() {
        channels[i % count].push(f32::from(sample?) / 32_768.0);
    }
    Ok(Sound {
        sample_rate: spec.sample_rate,
        channels,
    })
}

fn main() -> Result<(), Failure> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    for pair in paths.chunks(2) {
        let [original, decoded] = pair else {
            return Err("expected pairs of files".into());
        };
        let (a, b) = (read(original)?, read(decoded)?);
        let mut line = serde_json::json!({ "original": original, "decoded": decoded });
        let mut seconds = serde_json::Map::new();
        for key in Metric::known(Kind::Audio) {
            let Some(measure) = sound::of_key(key) else {
                continue;
            };
            let clock = Instant::now();
            let found = measure.reference(original, &a)?.measure(&b)?;
            seconds.insert(key.to_owned(), clock.elapsed().as_secs_f64().into());
            for (key, value) in found.values {
                line[key] = value.into();
            }
        }
        line["seconds"] = seconds.into();
        println!("{line}");
    }
    Ok(())
}
