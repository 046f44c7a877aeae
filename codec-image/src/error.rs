//! The error type of picture input and output.

use codec_core::ErrorKind;

/// Everything that can go wrong between files and pixels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Container, limits, parameters, weights, devices.
    #[error(transparent)]
    Core(#[from] codec_core::Error),
    /// The first bytes are those of no format that is known.
    #[error("not a picture in a known format (reads png, jpeg, webp, tiff, bmp, gif, pnm, qoi)")]
    UnknownFormat,
    /// A picture file breaks the rules of its format.
    #[error("malformed {format} picture: {reason}")]
    Malformed {
        /// Name of the format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A picture file ends too early.
    #[error("truncated {format} picture: {reason}")]
    Truncated {
        /// Name of the format.
        format: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A valid picture that cannot be read without changing it.
    #[error("{format} picture with {what} is not supported: {advice}")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The feature.
        what: String,
        /// What the user can do.
        advice: &'static str,
    },
    /// A format that cannot hold this picture without changing it.
    #[error("{format} cannot hold {what}: {advice}")]
    CannotWrite {
        /// Name of the format.
        format: &'static str,
        /// The property of the picture.
        what: String,
        /// What the user can do.
        advice: &'static str,
    },
    /// A decoder would need more memory than the limits allow.
    #[error("{format} picture exceeds the limits: {reason}")]
    Limit {
        /// Name of the format.
        format: &'static str,
        /// Which limit.
        reason: String,
    },
    /// An encoder of the `image` crate failed.
    #[error("writing {format} failed: {reason}")]
    Encoder {
        /// Name of the format.
        format: &'static str,
        /// What it said.
        reason: String,
    },
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(error) => error.kind(),
            Self::Malformed { .. } | Self::Truncated { .. } => ErrorKind::Malformed,
            Self::UnknownFormat | Self::Unsupported { .. } | Self::CannotWrite { .. } => {
                ErrorKind::Unsupported
            }
            Self::Limit { .. } => ErrorKind::Limit,
            Self::Encoder { .. } => ErrorKind::Io,
        }
    }

    /// Whether the data only end too early.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        match self {
            Self::Core(error) => error.is_truncated(),
            Self::Truncated { .. } => true,
            _ => false,
        }
    }
}
