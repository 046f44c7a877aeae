//! Training of learned codecs: recipes, the loop, checkpoints with exact resume, and metrics.
//!
//! A [`Recipe`] (TOML) names the model, the data, the stages and the optimizer; [`train`] runs it on any backend and
//! leaves checkpoints, a log and exported weights in a run folder. A model family takes part by implementing
//! [`task::Task`] and by its name in [`family`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod average;
mod checkpoint;
mod data;
mod error;
mod events;
pub mod family;
mod fault;
mod gradients;
mod history;
mod init;
pub mod losses;
mod measures;
mod networks;
mod objective;
mod optim;
mod options;
mod parameters;
mod pattern;
mod plan;
pub mod plots;
mod recipe;
mod recorder;
pub mod samples;
mod step;
mod storage;
pub mod task;
pub mod tensorboard;
mod trainer;

pub use data::Item;
pub use error::TrainError;
pub use events::{Event, Metrics, Observer, Sample, SampleData, StepMetrics, ValidationPoint};
pub use gradients::{Alone, Exchange};
pub use history::{History, HistoryStep, HistoryValidation};
pub use measures::{Measure, MeasureKind};
pub use options::{BEST, Outcome, Resume, RunOptions, WEIGHTS};
pub use plan::{Plan, plan};
pub use recipe::{
    Auxiliary, Checkpoints, Compute, Data, Ema, Optim, OptimKind, QualitySampling, Recipe,
    Sampling, Schedule, Stage, StagePrecision, StageRounding, Validation,
};
pub use recorder::Recorder;
pub use trainer::{train, train_with};
