//! Training of learned codecs: recipes, the loop, checkpoints with exact resume, and metrics.
//!
//! A [`Recipe`] (TOML) names the model, the data, the stages and the optimizer; [`train`] runs it on any backend and
//! leaves checkpoints, a log and exported weights in a run folder. A model family takes part by implementing
//! [`task::Task`] and by its name in [`family`].
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod adversary;
mod average;
mod bench;
mod checkpoint;
pub mod collective;
mod data;
mod error;
mod events;
pub mod family;
mod fault;
mod gradients;
mod history;
mod hold;
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
mod record;
mod recorder;
pub mod samples;
mod step;
mod storage;
pub mod task;
pub mod tensorboard;
mod trainer;

pub use bench::{BenchOptions, BenchReport, StepTimes, bench};
pub use collective::CollectiveError;
pub use data::{Content, Item};
pub use error::TrainError;
pub use events::{Event, Metrics, Observer, Sample, SampleData, StepMetrics, ValidationPoint};
pub use gradients::{Alone, Exchange};
pub use history::{History, HistoryStep, HistoryValidation};
pub use measures::{Measure, MeasureKind};
pub use options::{BEST, Outcome, Resume, RunOptions, WEIGHTS};
pub use parameters::{NamedTensor, Parameters};
pub use plan::{Plan, plan};
pub use recipe::{
    Auxiliary, Checkpoints, Compute, Data, Ema, Optim, OptimKind, Paths, QualitySampling, Recipe,
    Sampling, Schedule, Stage, StagePrecision, StageRounding, Validation,
};
pub use recorder::Recorder;
#[cfg(feature = "distributed")]
pub use trainer::train_on;
pub use trainer::{train, train_with};

/// For this crate's own tests of whole runs.
#[doc(hidden)]
pub mod internals {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::TrainError;
    use crate::checkpoint::{self, AVERAGE};

    pub use crate::checkpoint::list as checkpoints;
    pub use crate::storage::{Disk, Storage};
    pub use crate::trainer::train_stored;

    /// Checks a checkpoint against its digests.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn verify(path: &Path) -> Result<(), TrainError> {
        checkpoint::verify(path).map(|_| ())
    }

    /// The averaged parameters of a checkpoint by name.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn averages(path: &Path) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
        let parameters = checkpoint::read_parameters(&path.join(AVERAGE))?;
        let tensors = parameters.tensors().iter();
        Ok(tensors
            .map(|t| (t.name.clone(), t.values.clone()))
            .collect())
    }
}
