//! What can go wrong with a data set.

use std::path::PathBuf;

/// Errors of this crate. A single bad picture is not one: it is skipped and listed
/// ([`ImageFolder::skipped`](crate::ImageFolder::skipped)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A folder cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Folder that was being read.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// No usable picture was found.
    #[error("no usable picture in {path} ({skipped} files skipped)")]
    Empty {
        /// Folder that was searched.
        path: PathBuf,
        /// Files that were found but not used.
        skipped: usize,
    },
    /// The decoded pictures would not fit the memory bound.
    #[error("decoded pictures need {needed} bytes (limit {limit})")]
    MemoryLimit {
        /// Bytes of all pictures as 8-bit RGB.
        needed: u64,
        /// The bound from [`FolderOptions::max_bytes`](crate::FolderOptions::max_bytes).
        limit: u64,
    },
    /// Every picture is smaller than the crop.
    #[error("no picture is at least {size}x{size} (smaller side of the largest: {largest})")]
    PicturesTooSmall {
        /// Side of the crop.
        size: usize,
        /// Largest smaller side among all pictures.
        largest: usize,
    },
    /// A parameter is out of its range.
    #[error("invalid {name} {value} (expected {expected})")]
    BadParameter {
        /// Name of the parameter.
        name: &'static str,
        /// Value that was given.
        value: String,
        /// Range that is accepted.
        expected: &'static str,
    },
    /// A worker thread cannot be started.
    #[error("cannot start a worker thread")]
    Spawn(#[source] std::io::Error),
}
