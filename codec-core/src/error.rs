//! The error type of this crate, and the kinds that decide a program's exit status.

use crate::digest::Digest;

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data are damaged, incomplete or against the format (exit status 3).
    Malformed,
    /// The data are valid but need another version, model or weights (exit status 4).
    Unsupported,
    /// The data ask for more than the caller's [`Limits`](crate::limits::Limits) allow (exit status 6).
    Limit,
    /// The caller passed a value out of range (exit status 2).
    Parameter,
    /// Reading or writing failed (exit status 1).
    Io,
    /// A compute device is missing or failed (exit status 1).
    Device,
}

impl ErrorKind {
    /// Exit status that a command-line program should end with.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Io | Self::Device => 1,
            Self::Parameter => 2,
            Self::Malformed => 3,
            Self::Unsupported => 4,
            Self::Limit => 6,
        }
    }
}

/// Everything that can go wrong in `codec-core`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data break a rule of the format.
    #[error("malformed data: {0}")]
    Malformed(String),
    /// The data end too early; more bytes may make them valid.
    #[error("truncated data: {needed} bytes needed, {available} available")]
    Truncated {
        /// Bytes needed from the start of the data to get past this point.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// A stored check value differs from that of the data.
    #[error("check value of {what} is wrong: {actual:#x}, the file says {expected:#x}")]
    CheckFailed {
        /// The part of the file.
        what: String,
        /// Value in the file.
        expected: u32,
        /// Value of the data.
        actual: u32,
    },
    /// The container's format version is not known.
    #[error("format version {found} is not supported (this build reads {supported})")]
    UnsupportedVersion {
        /// Version in the file.
        found: u8,
        /// Newest version that this build reads.
        supported: u8,
    },
    /// The file names a model that this build does not have.
    #[error("unknown model '{name}'")]
    UnknownModel {
        /// Name in the file.
        name: String,
    },
    /// The weights of a known model are not at hand.
    #[error("weights of model '{model}' with digest {digest} are missing")]
    WeightsMissing {
        /// Name of the model.
        model: String,
        /// Digest of the weights that are needed.
        digest: Digest,
    },
    /// The weights at hand are not those that the file was made with.
    #[error("weights of model '{model}' have digest {actual}, the file needs {expected}")]
    WeightsMismatch {
        /// Name of the model.
        model: String,
        /// Digest in the file.
        expected: Digest,
        /// Digest of the weights at hand.
        actual: Digest,
    },
    /// Valid, but this build cannot do it.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// More than the caller allows.
    #[error("{what} is {actual}, the limit is {limit}")]
    LimitExceeded {
        /// What is limited, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The value found.
        actual: u64,
    },
    /// The caller passed a value out of range.
    #[error("{0}")]
    BadParameter(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A compute device is missing or failed.
    #[error("device {device}: {reason}")]
    Device {
        /// Device as the user names it, for instance `wgpu:0`.
        device: String,
        /// What happened.
        reason: String,
    },
}

impl From<crate::kernels::shape::ShapeError> for Error {
    fn from(error: crate::kernels::shape::ShapeError) -> Self {
        Self::BadParameter(error.to_string())
    }
}

impl Error {
    /// Shorthand for [`Error::Malformed`].
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    /// Shorthand for [`Error::Unsupported`].
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    /// Shorthand for [`Error::BadParameter`].
    pub fn bad_parameter(reason: impl Into<String>) -> Self {
        Self::BadParameter(reason.into())
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) | Self::Truncated { .. } | Self::CheckFailed { .. } => {
                ErrorKind::Malformed
            }
            Self::UnsupportedVersion { .. }
            | Self::UnknownModel { .. }
            | Self::WeightsMissing { .. }
            | Self::WeightsMismatch { .. }
            | Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::LimitExceeded { .. } => ErrorKind::Limit,
            Self::BadParameter(_) => ErrorKind::Parameter,
            Self::Io(_) => ErrorKind::Io,
            Self::Device { .. } => ErrorKind::Device,
        }
    }

    /// Whether the data only end too early, so that a caller may wait for more bytes.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_match_the_exit_statuses_of_the_command_line() {
        let digest = Digest([0; 8]);
        let cases = [
            (Error::malformed("x"), 3),
            (
                Error::Truncated {
                    needed: 2,
                    available: 1,
                },
                3,
            ),
            (
                Error::CheckFailed {
                    what: "header".into(),
                    expected: 1,
                    actual: 2,
                },
                3,
            ),
            (
                Error::UnsupportedVersion {
                    found: 9,
                    supported: 1,
                },
                4,
            ),
            (Error::UnknownModel { name: "m".into() }, 4),
            (
                Error::WeightsMissing {
                    model: "m".into(),
                    digest,
                },
                4,
            ),
            (
                Error::WeightsMismatch {
                    model: "m".into(),
                    expected: digest,
                    actual: digest,
                },
                4,
            ),
            (Error::unsupported("x"), 4),
            (
                Error::LimitExceeded {
                    what: "width",
                    limit: 1,
                    actual: 2,
                },
                6,
            ),
            (Error::bad_parameter("x"), 2),
            (Error::Io(std::io::Error::other("x")), 1),
            (
                Error::Device {
                    device: "cuda:0".into(),
                    reason: "no driver".into(),
                },
                1,
            ),
        ];
        for (error, status) in cases {
            assert_eq!(error.kind().exit_status(), status, "{error}");
            assert_eq!(
                error.is_truncated(),
                matches!(error, Error::Truncated { .. })
            );
        }
    }
}
