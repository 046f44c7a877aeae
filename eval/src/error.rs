//! What can go wrong in an evaluation.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Two pictures that should be compared differ in size.
    #[error("pictures differ in size: {}x{} and {}x{}", first.0, first.1, second.0, second.1)]
    SizeMismatch {
        /// Width and height of the first.
        first: (u32, u32),
        /// Width and height of the second.
        second: (u32, u32),
    },
    /// The picture is too small for the metric.
    #[error("picture {width}x{height} is too small for {metric} (smallest side {min_side})")]
    PictureTooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Name of the metric.
        metric: &'static str,
        /// Smallest side it takes.
        min_side: u32,
    },
    /// Two sounds that should be compared differ in rate, channels or length.
    #[error("sounds differ: {first} and {second}")]
    SoundMismatch {
        /// Rate, channels and length of the first.
        first: String,
        /// Rate, channels and length of the second.
        second: String,
    },
    /// The sound is too short for the metric, or has nothing in it that the metric could look at.
    #[error("the sound is too short or too quiet for {metric}")]
    SoundTooShort {
        /// Name of the metric.
        metric: &'static str,
    },
    /// A sample rate that the metric does not take.
    #[error("{metric} does not take sound at {rate} Hz")]
    SampleRate {
        /// Name of the metric.
        metric: &'static str,
        /// Samples a second.
        rate: u32,
    },
    /// A metric's or task's own model, labels or features cannot be used.
    #[error("{what}: {reason}")]
    Unusable {
        /// The file or model.
        what: String,
        /// Why.
        reason: String,
    },
    /// A task cannot be done.
    #[error(transparent)]
    Task(#[from] crate::tasks::TaskError),
    /// A part of a data set that does not exist.
    #[error("invalid shard {i}/{n} (expected i in 1..=n)")]
    BadShard {
        /// Part, counted from 1.
        i: usize,
        /// Parts.
        n: usize,
    },
    /// Reports that are not parts of one whole.
    #[error("cannot merge the reports of {name}: {reason}")]
    Merge {
        /// Name of the curve.
        name: String,
        /// Why.
        reason: String,
    },
    /// A curve has too few points.
    #[error("the {curve} curve has {count} points (at least {min} needed)")]
    TooFewPoints {
        /// `anchor` or `test`.
        curve: &'static str,
        /// Points it has.
        count: usize,
        /// Points it needs.
        min: usize,
    },
    /// A value of a curve is missing, not finite or not positive.
    #[error("the {curve} curve has an unusable {what} at point {index}: {value}")]
    BadPoint {
        /// `anchor` or `test`.
        curve: &'static str,
        /// `rate` or the metric.
        what: String,
        /// Point, counted from 0 in order of rate.
        index: usize,
        /// The value.
        value: f64,
    },
    /// The metric does not rise with the rate.
    #[error(
        "the {curve} curve is not monotone: {what} goes from {before:.4} to {after:.4} while the rate goes from {rate_before:.4} to {rate_after:.4}"
    )]
    NotMonotone {
        /// `anchor` or `test`.
        curve: &'static str,
        /// The metric.
        what: String,
        /// Metric at the lower rate.
        before: f64,
        /// Metric at the higher rate.
        after: f64,
        /// Lower rate.
        rate_before: f64,
        /// Higher rate.
        rate_after: f64,
    },
    /// The curves share too little of their quality range.
    #[error("the curves share {share:.2} of the narrower quality range (at least {min} needed)")]
    LittleOverlap {
        /// Common interval over the narrower of the two ranges; 0 when they do not meet.
        share: f64,
        /// Least share accepted.
        min: f64,
    },
    /// A command-line tool is not installed.
    #[error("`{tool}` is not installed (Debian package `{package}`)")]
    MissingTool {
        /// Program.
        tool: &'static str,
        /// Debian package that holds it.
        package: &'static str,
    },
    /// A command-line tool failed.
    #[error("`{tool}` failed ({status}): {message}")]
    Tool {
        /// Program.
        tool: &'static str,
        /// Exit status.
        status: String,
        /// Last line of its standard error.
        message: String,
    },
    /// A quality setting that the codec does not have.
    #[error("invalid quality {quality} for {codec} (expected a whole number in {min}..={max})")]
    BadQuality {
        /// Codec.
        codec: &'static str,
        /// Setting that was asked for.
        quality: f64,
        /// Lowest.
        min: u32,
        /// Highest.
        max: u32,
    },
    /// There is nothing to evaluate.
    #[error("nothing to evaluate: {files} files, {qualities} qualities")]
    Nothing {
        /// Number of files.
        files: usize,
        /// Number of quality settings.
        qualities: usize,
    },
    /// A picture cannot be read or written.
    #[error("cannot read picture {path}")]
    Picture {
        /// The file; empty for a picture in memory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: image::ImageError,
    },
    /// A file or pipe cannot be read or written.
    #[error("cannot access {path}")]
    Io {
        /// File, folder or program.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A report is not valid JSON or has the wrong shape.
    #[error("malformed report")]
    Report(#[source] serde_json::Error),
    /// The lists in a report differ in length.
    #[error("malformed report {name}: `{field}` has {count} values (expected {expected})")]
    ReportLength {
        /// Name of the curve.
        name: String,
        /// The list.
        field: String,
        /// Its length.
        count: usize,
        /// Length of the list of rates.
        expected: usize,
    },
    /// A plot cannot be drawn.
    #[error("cannot draw the plot: {0}")]
    Plot(String),
}

impl EvalError {
    /// Whether the cause is a tool that is not installed, so that an anchor can be left out rather than fail.
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::MissingTool { .. })
    }
}
