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
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong; part of the message, so it is no `source`.
        reason: std::io::Error,
    },
    /// The disk of the run folder is full.
    #[error("{path}: the disk is full; the last checkpoint is kept, make room and resume")]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// A checkpoint does not fit the recipe or is damaged.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder holds a run already.
    #[error("{0} holds a run already; go on with --resume auto, or choose another folder")]
    Exists(PathBuf),
    /// A validation sample cannot be written.
    #[error("sample {name}: {reason}")]
    Sample {
        /// Name of the sample.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A plot of the run cannot be drawn.
    #[error("plot {name}: {reason}")]
    Plot {
        /// Name of the plot.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// The training or validation data cannot be used.
    #[error(transparent)]
    Data(#[from] codec_datasets::DatasetError),
    /// A term of the loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] crate::losses::LossError),
    /// The threads that prepare batches have died.
    #[error("the data workers stopped; the last checkpoint is kept")]
    WorkersStopped,
    /// The model refused its input or parameters.
    #[error(transparent)]
    Model(#[from] codec_core::Error),
    /// The device has not enough memory for the batch.
    #[error(
        "{device} is out of memory ({reason}); the last checkpoint is kept: lower stages.N.batch or patch, and raise optim.accumulate instead"
    )]
    DeviceMemory {
        /// The device.
        device: String,
        /// In its own words.
        reason: String,
    },
    /// The replicas of a run over several devices did not stay together.
    #[error(transparent)]
    Collective(#[from] crate::CollectiveError),
    /// The device cannot do what the recipe asks for.
    #[error("compute = \"{asked}\" is not supported on {device}: {reason}")]
    Compute {
        /// The recipe's word.
        asked: &'static str,
        /// The device.
        device: String,
        /// Why.
        reason: &'static str,
    },
    /// Loss, gradient or parameters are no longer finite numbers.
    #[error(
        "step {step}: {what} is not finite, first in {layer}; the batch and a report are in {folder}, the last checkpoint is kept"
    )]
    NotFinite {
        /// Steps done before.
        step: u64,
        /// Loss, gradient or parameters.
        what: &'static str,
        /// Term, layer or parameter that is to blame.
        layer: String,
        /// Where batch and report lie.
        folder: PathBuf,
    },
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |reason| match reason.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path }
            }
            _ => Self::Io { path, reason },
        }
    }
}
