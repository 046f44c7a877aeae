//! Training of learned codecs: recipes, the loop, checkpoints with exact resume, and metrics.
//!
//! A [`Recipe`] (TOML) names the model, the data, the stages and the optimizer; [`train`] runs it on any backend and
//! leaves checkpoints, a log and exported weights in a run folder.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod checkpoint;
mod error;
mod gradients;
mod log;
pub mod losses;
mod parameters;
mod recipe;
mod trainer;
mod validate;

pub use error::TrainError;
pub use log::{Event, Observer, StepMetrics};
pub use recipe::{Data, Optimizer, Recipe, Stage, Validation};
pub use trainer::{Outcome, RunOptions, WEIGHTS, train};
pub use validate::ValidationPoint;
