//! How machines see what was coded: tasks that models solve on originals and on decoded files.
//!
//! A task is a [`Measure`]; its keys begin with `task.`. Models are ONNX files, and what they expect stands in a file beside
//! them ([`TaskConfig`]); commands read text. `docs/machine-perception.md` describes each task.
//!
//! ```no_run
//! use codec_eval::tasks::{TaskKind, TaskOptions, open_pictures};
//! # fn main() -> Result<(), codec_eval::EvalError> {
//! let options = TaskOptions {
//!     model: Some("scenes.onnx".into()),
//!     labels: Some("labels.csv".into()),
//!     ..TaskOptions::default()
//! };
//! let measure = open_pictures(TaskKind::Classification, &options, None)?;
//! # Ok(())
//! # }
//! ```

mod classification;
mod command;
mod config;
mod ctc;
mod detection;
mod embedding;
mod error;
mod labels;
mod network;
pub mod onnx;
mod picture;
mod resample;
mod score;
mod segmentation;
mod separation;
mod sound;
mod text;

pub use config::{Ctc, Detection, TaskConfig};
pub use error::TaskError;
pub use labels::Labels;
pub use network::Subject;
pub use picture::{Filter, Order, Patches, Preprocess, Resize};
pub use sound::SoundPreprocess;

use crate::metrics::{Better, Measure, Metric};
use crate::{Dataset, EvalError, Sound};
use image::RgbImage;
use std::path::PathBuf;

/// What is asked of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// `task.top1`, `task.top1.original`, `task.agreement`: which class is it?
    Classification,
    /// `task.miou`, `task.miou.original`, `task.pixel-agreement`: which class is each pixel?
    Segmentation,
    /// `task.box-f1`: where are things, and which?
    Detection,
    /// `task.cosine`, `task.retrieval`: does it still look or sound like itself?
    Embedding,
    /// `task.score`, `task.score.original`: how good is it?
    Score,
    /// `task.wer`, `task.wer.original`: what is said?
    Recognition,
    /// `task.sdr`: which sources are mixed?
    Separation,
    /// `task.cer`, `task.cer.original`: what is written?
    Ocr,
}

impl TaskKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Classification,
        Self::Segmentation,
        Self::Detection,
        Self::Embedding,
        Self::Score,
        Self::Recognition,
        Self::Separation,
        Self::Ocr,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Segmentation => "segmentation",
            Self::Detection => "detection",
            Self::Embedding => "embedding",
            Self::Score => "score",
            Self::Recognition => "recognition",
            Self::Separation => "separation",
            Self::Ocr => "ocr",
        }
    }
}

impl std::str::FromStr for TaskKind {
    type Err = TaskError;

    fn from_str(name: &str) -> Result<Self, TaskError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| TaskError::UnknownTask {
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// What a task works with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskOptions {
    /// ONNX model.
    pub model: Option<PathBuf>,
    /// Configuration; `model.json` or `model.toml` beside the model unless given.
    pub config: Option<PathBuf>,
    /// CSV file of `file,label` (class or transcript); a folder of label maps for segmentation.
    pub labels: Option<PathBuf>,
    /// Command that prints the text of the file `{input}`.
    pub command: Option<String>,
}

/// A task for pictures. `originals` are all pictures of the data set, also where a run takes only a shard of them: the
/// gallery of [`TaskKind::Embedding`] is made of them once; without them there is no `task.retrieval`.
///
/// # Errors
/// [`EvalError::Task`] for options that are missing or wrong; a missing tool.
pub fn open_pictures(
    kind: TaskKind,
    options: &TaskOptions,
    originals: Option<&Dataset<RgbImage>>,
) -> Result<Box<dyn Measure<RgbImage>>, EvalError> {
    Ok(match kind {
        TaskKind::Segmentation => Box::new(segmentation::Segmentation::open(options)?),
        TaskKind::Detection => Box::new(detection::Detection::open(options)?),
        TaskKind::Ocr => Box::new(text::Text::open(
            kind.name(),
            text::Unit::Characters,
            options,
        )?),
        other => common(other, options, originals)?,
    })
}

/// A task for sounds; see [`open_pictures`].
///
/// # Errors
/// As [`open_pictures`].
pub fn open_sounds(
    kind: TaskKind,
    options: &TaskOptions,
    originals: Option<&Dataset<Sound>>,
) -> Result<Box<dyn Measure<Sound>>, EvalError> {
    Ok(match kind {
        TaskKind::Separation => Box::new(separation::Separation::open(options)?),
        TaskKind::Recognition => {
            Box::new(text::Text::open(kind.name(), text::Unit::Words, options)?)
        }
        other => common(other, options, originals)?,
    })
}

/// Tasks for pictures and sounds alike.
fn common<M: Subject + 'static>(
    kind: TaskKind,
    options: &TaskOptions,
    originals: Option<&Dataset<M>>,
) -> Result<Box<dyn Measure<M>>, EvalError> {
    Ok(match kind {
        TaskKind::Classification => Box::new(classification::Classification::open(options)?),
        TaskKind::Embedding => Box::new(embedding::Embedding::open(options, originals)?),
        TaskKind::Score => Box::new(score::Score::open(options)?),
        other => {
            return Err(TaskError::Medium {
                task: other.name(),
                medium: M::NAME,
            }
            .into());
        }
    })
}

fn higher(key: &str, label: &str) -> Metric {
    Metric::new(key, label, Better::Higher)
}

fn lower(key: &str, label: &str) -> Metric {
    Metric::new(key, label, Better::Lower)
}

#[cfg(test)]
mod tests;
