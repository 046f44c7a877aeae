//! What can go wrong with a data set.

use std::path::PathBuf;

/// Errors of this crate. A single bad file is not one: it is skipped and listed
/// ([`Dataset::skipped`](crate::Dataset::skipped)).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A folder or file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// An output is there already, and overwriting was not asked for.
    #[error("output {path} exists")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// Nothing usable was found.
    #[error("no usable picture or sound in {path} ({skipped} files skipped)")]
    Empty {
        /// What was searched.
        path: PathBuf,
        /// Files that were found but not used.
        skipped: usize,
    },
    /// One set holds both kinds of media and no kind was chosen.
    #[error(
        "mixed data: {pictures} pictures such as {picture} and {sounds} sounds such as {sound}; choose a kind or separate them"
    )]
    Mixed {
        /// Number of pictures.
        pictures: usize,
        /// One of them.
        picture: String,
        /// Number of sounds.
        sounds: usize,
        /// One of them.
        sound: String,
    },
    /// Sounds have different sample rates and no rate was chosen.
    #[error(
        "mixed sample rates: {first} has {first_rate} Hz, {second} has {second_rate} Hz; choose a rate"
    )]
    MixedRates {
        /// The first sound.
        first: String,
        /// Its rate in Hz.
        first_rate: u32,
        /// One that differs.
        second: String,
        /// Its rate in Hz.
        second_rate: u32,
    },
    /// Sounds have different channel counts and no count was chosen.
    #[error(
        "mixed channels: {first} has {first_channels}, {second} has {second_channels}; choose a channel count"
    )]
    MixedChannels {
        /// The first sound.
        first: String,
        /// Its channels.
        first_channels: u16,
        /// One that differs.
        second: String,
        /// Its channels.
        second_channels: u16,
    },
    /// An item was asked for as a picture and is a sound, or the other way round.
    #[error("{name} is not a {expected}")]
    WrongKind {
        /// The item.
        name: String,
        /// `picture` or `sound`.
        expected: &'static str,
    },
    /// A line of a manifest makes no sense.
    #[error("{path}, line {line}: {reason}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A brace or glob pattern is malformed or matches nothing.
    #[error("pattern {pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A size from outside exceeds a limit.
    #[error("{what} {actual} exceeds the limit {limit}")]
    Limit {
        /// What was measured, with its owner.
        what: String,
        /// Its size.
        actual: u64,
        /// The limit.
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
    /// No sound is long enough and has the rate and channels that were asked for.
    #[error(
        "no sound has {size} samples at {rate} (longest: {longest}; {other} at other rates or channel counts)"
    )]
    SoundsTooShort {
        /// Samples per channel that a segment has.
        size: usize,
        /// The rate that was asked for.
        rate: String,
        /// Length of the longest sound of this rate.
        longest: u64,
        /// Sounds left out for their rate or channels.
        other: usize,
    },
    /// Draw after draw met files that cannot be decoded.
    #[error(
        "{attempts} files drawn in a row for batch {batch} are unreadable ({skipped} known to be)"
    )]
    Unreadable {
        /// Batch that was being made.
        batch: u64,
        /// Draws.
        attempts: u64,
        /// Unreadable items met so far.
        skipped: usize,
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
    /// The caller raised the stop flag.
    #[error("interrupted")]
    Interrupted,
    /// A worker thread cannot be started.
    #[error("cannot start a worker thread")]
    Spawn(#[source] std::io::Error),
}

/// Whose fault a [`DatasetError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Reading or writing failed.
    Io,
    /// What was read is not usable.
    Data,
    /// A limit was exceeded.
    Limit,
    /// A parameter of the caller is wrong.
    Parameter,
    /// The output exists.
    Exists,
    /// The caller asked to stop.
    Interrupted,
}

impl DatasetError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io { .. } | Self::Write { .. } | Self::Spawn(_) => Fault::Io,
            Self::Exists { .. } => Fault::Exists,
            Self::Interrupted => Fault::Interrupted,
            Self::Limit { .. } => Fault::Limit,
            Self::BadParameter { .. } | Self::Pattern { .. } => Fault::Parameter,
            Self::Empty { .. }
            | Self::Mixed { .. }
            | Self::MixedRates { .. }
            | Self::MixedChannels { .. }
            | Self::WrongKind { .. }
            | Self::Manifest { .. }
            | Self::PicturesTooSmall { .. }
            | Self::SoundsTooShort { .. }
            | Self::Unreadable { .. } => Fault::Data,
        }
    }

    /// A read error at `path`, for `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A write error at `path`, for `map_err`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}
