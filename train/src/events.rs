//! What a run tells its surroundings, and its log file.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use crate::TrainError;

/// Named figures, such as `bpp`, `psnr`, `kbps`, `perplexity`, `dead_codes`.
pub type Metrics = BTreeMap<String, f64>;

/// Averages over the steps since the last report.
#[derive(Debug, Clone, Serialize)]
pub struct StepMetrics {
    /// Steps done.
    pub step: u64,
    /// Name of the stage.
    pub stage: String,
    /// Loss.
    pub loss: f64,
    /// What the family measures, averaged over samples; for pictures at least `bpp` and `psnr` (dB).
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Shares of the loss by term, weights included; they add up to `loss`.
    pub terms: Metrics,
    /// Norm of the whole gradient.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Crops (pictures) or seconds (sound) per second.
    pub crops_per_second: f64,
    /// Pixels or samples learned from since step 0.
    pub pixels: u64,
    /// Share of the time spent waiting for data.
    pub waiting: f64,
}

/// Averages over the validation files at one quality.
#[derive(Debug, Clone, Serialize)]
pub struct ValidationPoint {
    /// Quality in 0..=100.
    pub quality: f32,
    /// What the family measures; for pictures `bpp`, `psnr` (dB) and `cost` (`bpp + lambda * mse`).
    #[serde(flatten)]
    pub metrics: Metrics,
}

impl ValidationPoint {
    /// A figure by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }
}

/// A signal in memory.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleData {
    /// A picture, 8-bit RGB, interleaved, row by row.
    Picture {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// `3 * width * height` values.
        rgb: Vec<u8>,
    },
    /// Sound.
    Sound {
        /// Samples per second.
        rate: u32,
        /// Samples in -1..=1 by channel.
        channels: Vec<Vec<f32>>,
    },
}

/// A validation file before and after coding.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the file without folder and extension.
    pub name: String,
    /// Quality in 0..=100.
    pub quality: f32,
    /// What went in.
    pub original: SampleData,
    /// What came out.
    pub reconstruction: SampleData,
}

/// Something that happened in a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run starts or goes on.
    Start {
        /// First step to do.
        step: u64,
        /// Steps of the whole recipe.
        total: u64,
        /// Training files.
        files: usize,
        /// Files that could not be used.
        skipped: usize,
        /// Parameters of the model.
        parameters: usize,
    },
    /// Progress.
    Step(StepMetrics),
    /// The averaged weights were validated.
    Validation {
        /// Steps done.
        step: u64,
        /// What is minimized, on a logarithmic scale: the mean over qualities of the logarithm of the cost. A difference of
        /// -0.01 is about one percent.
        score: f64,
        /// Whether no validation of this run was better.
        best: bool,
        /// One point a quality.
        points: Vec<ValidationPoint>,
        /// The first validation file at each quality.
        #[serde(skip)]
        samples: Vec<Sample>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
    },
    /// Something that the user should know; the run goes on.
    Warning {
        /// In one line.
        message: String,
    },
    /// The run cannot go on; what is known lies in a folder.
    Fault {
        /// Steps done.
        step: u64,
        /// What is wrong.
        message: String,
        /// Folder of the report.
        folder: PathBuf,
    },
}

/// Receives the events of a run.
pub trait Observer {
    /// Called for each event.
    fn event(&mut self, event: &Event);
}

/// `metrics.jsonl` of a run folder.
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
    /// Seconds of the run before this process.
    before: f64,
    started: Instant,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    /// Wall seconds since the run began; the time between an interruption and its resumption does not count.
    seconds: f64,
}

impl MetricsFile {
    /// Opens the log to append to. Lines about steps after `step`, which a resumed run does again, are dropped, and so is a
    /// line that a killed run has not finished.
    pub(crate) fn resume(path: &Path, step: u64) -> Result<Self, TrainError> {
        let mut before = 0.0;
        if let Ok(text) = std::fs::read_to_string(path) {
            let kept: String = text
                .split_inclusive('\n')
                .filter(|line| {
                    line.ends_with('\n')
                        && serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| {
                            value
                                .get("step")
                                .and_then(serde_json::Value::as_u64)
                                .is_none_or(|s| s <= step)
                        })
                })
                .collect();
            before = last_seconds(&kept);
            if kept.len() != text.len() {
                crate::storage::replace(&crate::storage::Disk, path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(TrainError::io(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            before,
            started: Instant::now(),
        })
    }

    pub(crate) fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let seconds = self.before + self.started.elapsed().as_secs_f64();
        let line = Line {
            event,
            seconds: (seconds * 1e3).round() / 1e3,
        };
        let mut line =
            serde_json::to_string(&line).map_err(|e| TrainError::Recipe(e.to_string()))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(TrainError::io(&self.path))
    }
}

/// The clock on the last line that has one.
fn last_seconds(log: &str) -> f64 {
    let seconds = |line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        value.get("seconds")?.as_f64()
    };
    log.lines().rev().find_map(seconds).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_cuts_what_will_be_done_again_and_the_clock_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = |kind: &str, step, seconds| {
            format!("{{\"event\":\"{kind}\",\"step\":{step},\"seconds\":{seconds}}}\n")
        };
        let mut text = line("start", 0, 0.5) + &line("step", 20, 5.0);
        text += &line("checkpoint", 40, 11.0);
        text += &line("step", 60, 15.0);
        text += "{\"event\":\"step\",\"st";
        std::fs::write(&path, text).unwrap();
        let mut file = MetricsFile::resume(&path, 40).unwrap();
        file.write(&Event::Checkpoint { step: 60 }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let values: Vec<serde_json::Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let steps: Vec<u64> = values.iter().map(|v| v["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [0, 20, 40, 60]);
        assert!(values[3]["seconds"].as_f64().unwrap() >= 11.0, "{text}");
    }
}
