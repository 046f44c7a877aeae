//! The error type of this crate.

use std::path::PathBuf;

/// Everything that can stop a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe is not valid.
    #[error("invalid recipe: {0}")]
    Recipe(String),
    /// A file of the run folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A checkpoint does not fit the recipe or is damaged.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The training or validation data cannot be used.
    #[error(transparent)]
    Data(#[from] codec_datasets::DatasetError),
    /// The model refused its input or parameters.
    #[error(transparent)]
    Model(#[from] codec_core::Error),
    /// Loss or gradient is no longer a finite number.
    #[error("step {step}: {what} is not finite; the last checkpoint is kept")]
    NotFinite {
        /// The step.
        step: u64,
        /// Loss or gradient norm.
        what: &'static str,
    },
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
