//! What a run tells its surroundings, and its log file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::TrainError;
use crate::validate::ValidationPoint;

/// Averages over the steps since the last report.
#[derive(Debug, Clone, Serialize)]
pub struct StepMetrics {
    /// Steps done.
    pub step: u64,
    /// Name of the stage.
    pub stage: String,
    /// Weighted rate-distortion loss.
    pub loss: f64,
    /// Bits per pixel, hyperlatents included, averaged over qualities.
    pub bpp: f64,
    /// Of these, hyperlatents.
    pub hyper_bpp: f64,
    /// Mean over pictures of the PSNR, in dB.
    pub psnr: f64,
    /// Norm of the whole gradient.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Crops per second.
    pub crops_per_second: f64,
    /// Share of the time spent waiting for data.
    pub waiting: f64,
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
        /// Training pictures.
        pictures: usize,
        /// Pictures that could not be used.
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
        /// Mean over qualities of the logarithm of `bpp + lambda * mse`; a difference of -0.01 is about one percent.
        log_cost: f64,
        /// One point a quality.
        points: Vec<ValidationPoint>,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Steps done.
        step: u64,
    },
}

/// Receives the events of a run.
pub trait Observer {
    /// Called for each event.
    fn event(&mut self, event: &Event);
}

/// `metrics.jsonl` of a run folder.
pub(crate) struct MetricsFile {
    file: File,
}

impl MetricsFile {
    pub(crate) fn append(path: &Path) -> Result<Self, TrainError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(TrainError::io(path))?;
        Ok(Self { file })
    }

    pub(crate) fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        let mut line =
            serde_json::to_string(event).map_err(|e| TrainError::Recipe(e.to_string()))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(TrainError::io("metrics.jsonl"))
    }
}
