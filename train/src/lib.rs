//! Training of learned codecs: recipes, the loop, checkpoints with exact resume, and metrics.
//!
//! A [`Recipe`] (TOML) names the model, the data, the stages and the optimizer; [`train`] runs it on any backend and
//! leaves checkpoints, a log and exported weights in a run folder. A model family takes part by implementing
//! [`task::Task`] and by its name in [`family`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod average;
mod bench;
mod checkpoint;
mod data;
mod error;
mod events;
pub mod family;
mod fault;
mod gradients;
mod hold;
mod init;
pub mod losses;
mod networks;
mod objective;
mod optim;
mod options;
mod parameters;
mod pattern;
mod plan;
mod recipe;
mod step;
mod storage;
pub mod task;
mod trainer;

pub use bench::{BenchOptions, BenchReport, StepTimes, bench};
pub use data::Item;
pub use error::TrainError;
pub use events::{Event, Metrics, Observer, Sample, SampleData, StepMetrics, ValidationPoint};
pub use gradients::{Alone, Exchange};
pub use options::{BEST, Outcome, Resume, RunOptions, WEIGHTS};
pub use plan::{Plan, plan};
pub use recipe::{
    Auxiliary, Checkpoints, Compute, Data, Ema, Optim, OptimKind, QualitySampling, Recipe,
    Sampling, Schedule, Stage, StagePrecision, StageRounding, Validation,
};
pub use trainer::{train, train_with};
