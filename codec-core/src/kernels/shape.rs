//! Errors of the operators that depend on the size of their input.

use thiserror::Error;

/// The size of an input does not suit the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// Height or width is zero or no multiple of what the operator halves.
    #[error("invalid size {height}x{width} (height and width: positive multiples of {multiple})")]
    Side {
        /// Height of the input.
        height: usize,
        /// Width of the input.
        width: usize,
        /// What both must be a multiple of.
        multiple: usize,
    },
    /// The channel count is no multiple of what the operator groups.
    #[error("invalid channel count {channels} (expected a multiple of {multiple})")]
    Channels {
        /// Channels of the input.
        channels: usize,
        /// What they must be a multiple of.
        multiple: usize,
    },
    /// A channel index points behind the last channel.
    #[error("channel index {index} out of range (channels: {channels})")]
    Index {
        /// The index asked for.
        index: usize,
        /// Channels of the input.
        channels: usize,
    },
    /// More levels than any image can have.
    #[error("invalid number of levels {levels} (limit: {limit})")]
    Levels {
        /// The levels asked for.
        levels: usize,
        /// The largest number accepted.
        limit: usize,
    },
}
