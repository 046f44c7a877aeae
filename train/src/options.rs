//! How a run is started, and how it ended.

use std::path::PathBuf;

/// Exported weights in the run folder, averaged, as of the newest checkpoint.
pub const WEIGHTS: &str = "weights.safetensors";
/// The same as of the best validation, if the recipe keeps it.
pub const BEST: &str = "best.safetensors";

/// How a run is started.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Run folder.
    pub out: PathBuf,
    /// Where to go on.
    pub resume: Resume,
    /// Parameters to start from instead of random ones: a weights file, a checkpoint folder or its
    /// `average.safetensors`. Layers that the file lacks start afresh; layers that have got more inputs start as if they
    /// had not.
    pub init: Option<PathBuf>,
    /// Stop after this step, checkpointed.
    pub max_steps: Option<u64>,
    /// Batches prepared ahead.
    pub prefetch: usize,
}

/// Where a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// Nowhere: the run folder must not hold a run.
    No,
    /// At the newest sound checkpoint of the run folder, or at the start if there is none.
    Auto,
    /// At this checkpoint, or at the newest of this run.
    From(PathBuf),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// `max_steps` was reached.
    Paused,
    /// The stop flag was raised; a checkpoint was written.
    Interrupted,
}
