//! Exit statuses, a stable part of the interface, and the failures that only a command line knows.

use std::fmt;
use std::path::PathBuf;

use codec::ErrorKind;
use codec::datasets::Fault;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything done, or the reader of our output went away.
    Done,
    /// Input or output failed, or some file of a batch did.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A stream is malformed, truncated or fails a check.
    BadStream,
    /// A version or model is not known, or weights are missing or wrong.
    Unsupported,
    /// The output exists.
    Exists,
    /// A limit was exceeded.
    Limit,
    /// Interrupted, with everything saved that is worth saving.
    Interrupted,
}

impl Status {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::BadStream => 3,
            Self::Unsupported => 4,
            Self::Exists => 5,
            Self::Limit => 6,
            Self::Interrupted => INTERRUPTED as u8,
        }
    }

    /// The status that an error ends in.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return failure.status();
            }
            if let Some(error) = cause.downcast_ref::<codec::Error>() {
                return Self::of_kind(error.kind());
            }
            if let Some(error) = cause.downcast_ref::<codec::datasets::DatasetError>() {
                return Self::of_fault(error.fault());
            }
            if let Some(error) = cause.downcast_ref::<codec::PictureError>() {
                return Self::of_kind(error.kind());
            }
        }
        Self::Failed
    }

    fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::Limit => Self::Limit,
            Fault::Parameter => Self::Usage,
            Fault::Exists => Self::Exists,
            Fault::Interrupted => Self::Interrupted,
            _ => Self::Failed,
        }
    }

    fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Malformed => Self::BadStream,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Limit => Self::Limit,
            ErrorKind::Parameter => Self::Usage,
            _ => Self::Failed,
        }
    }
}

/// Status of an interrupted run, as shells count signals.
pub const INTERRUPTED: i32 = 130;

/// Failures that the library does not know.
#[derive(Debug)]
pub enum Failure {
    /// Options that do not go together.
    Usage(String),
    /// The output is there already.
    Exists(PathBuf),
    /// `--verify` found a difference.
    Verify(String),
    /// Whoever read our stdout has gone.
    ClosedPipe,
}

impl Failure {
    fn status(&self) -> Status {
        match self {
            Self::Usage(_) => Status::Usage,
            Self::Exists(_) => Status::Exists,
            Self::Verify(_) => Status::BadStream,
            Self::ClosedPipe => Status::Done,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Exists(path) => {
                write!(
                    f,
                    "output {} exists (use --force to overwrite, --skip-existing to skip)",
                    path.display()
                )
            }
            Self::Verify(message) => write!(f, "verification failed: {message}"),
            Self::ClosedPipe => f.write_str("the reader of the output has gone"),
        }
    }
}

impl std::error::Error for Failure {}

/// A usage error.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::Usage(message.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_documentation() {
        for (failure, code) in [
            (Failure::Usage("no".into()), 2),
            (Failure::Exists("a".into()), 5),
            (Failure::Verify("no".into()), 3),
            (Failure::ClosedPipe, 0),
        ] {
            assert_eq!(
                Status::of(&anyhow::Error::new(failure).context("while doing")).code(),
                code
            );
        }
        assert_eq!(Status::of(&anyhow::anyhow!("anything")).code(), 1);
        assert_eq!(Status::of(&std::io::Error::other("disk").into()).code(), 1);
        for (kind, code) in [
            (ErrorKind::Malformed, 3),
            (ErrorKind::Unsupported, 4),
            (ErrorKind::Limit, 6),
            (ErrorKind::Parameter, 2),
        ] {
            assert_eq!(Status::of_kind(kind).code(), code);
        }
        for (fault, code) in [
            (Fault::Io, 1),
            (Fault::Data, 1),
            (Fault::Parameter, 2),
            (Fault::Exists, 5),
            (Fault::Limit, 6),
            (Fault::Interrupted, 130),
        ] {
            assert_eq!(Status::of_fault(fault).code(), code);
        }
    }
}
