//! What can go wrong in a task.

use std::path::PathBuf;

/// Errors of tasks: models, labels and commands come from users and are not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// An option that the task cannot do without.
    #[error("the task {task} needs {what}")]
    Missing {
        /// The task.
        task: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A task for pictures was asked of sounds, or the other way round.
    #[error("the task {task} is not defined for {medium}")]
    Medium {
        /// The task.
        task: &'static str,
        /// `pictures` or `sounds`.
        medium: &'static str,
    },
    /// A name that is no task.
    #[error("unknown task `{name}` (expected one of {known})")]
    UnknownTask {
        /// The name.
        name: String,
        /// All tasks.
        known: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot access {path}")]
    Access {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A configuration, label or vocabulary file that is not as it should be.
    #[error("malformed {path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A setting that cannot be.
    #[error("invalid {name} {value} (expected {expected})")]
    BadSetting {
        /// Name in the configuration.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// More than what is taken on.
    #[error("{what} is too large: {actual} (at most {limit})")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        actual: usize,
        /// Limit.
        limit: usize,
    },
    /// An ONNX file that cannot be loaded.
    #[error("cannot load the model {path}{}: {reason}", at_node(node.as_deref()))]
    Load {
        /// The file.
        path: PathBuf,
        /// Node of the graph, where one is to blame.
        node: Option<String>,
        /// Why.
        reason: String,
    },
    /// The model has no such input or output, or not the only one expected.
    #[error("the model has no {what} `{name}` (it has {known})")]
    NoNode {
        /// `input` or `output`.
        what: &'static str,
        /// The name asked for; empty where there should be just one.
        name: String,
        /// Names it has.
        known: String,
    },
    /// The model does not take what it should be given.
    #[error("the input `{name}` of the model is {expected}, and cannot take {given}")]
    Input {
        /// Name of the input.
        name: String,
        /// Type or shape of the input; `?` stands for any size.
        expected: String,
        /// What should go in.
        given: String,
    },
    /// The model failed.
    #[error("the model failed{}: {reason}", at_node(node.as_deref()))]
    Run {
        /// Node of the graph, where one is to blame.
        node: Option<String>,
        /// Why, with the operator.
        reason: String,
    },
    /// The model gave something else than the task reads.
    #[error("the output `{name}` of the model has shape {shape:?} (expected {expected})")]
    Output {
        /// Name of the output.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Shape expected.
        expected: String,
    },
    /// The model gave something that is no number.
    #[error("the output `{name}` of the model is not finite")]
    NotFinite {
        /// Name of the output.
        name: String,
    },
    /// A file without label.
    #[error("there is no label for {file}")]
    NoLabel {
        /// The file.
        file: String,
    },
    /// A command that cannot be run.
    #[error("cannot run `{program}`: {reason}")]
    Command {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
}

fn at_node(node: Option<&str>) -> String {
    node.map(|node| format!(" at node `{node}`"))
        .unwrap_or_default()
}

impl TaskError {
    pub(super) fn access(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Access { path, source }
    }

    pub(super) fn malformed(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        }
    }
}

/// Reads a text file of limited size.
pub(super) fn read_text(path: &std::path::Path) -> Result<String, TaskError> {
    const LIMIT: usize = 64 << 20;
    let length = std::fs::metadata(path)
        .map_err(TaskError::access(path))?
        .len() as usize;
    if length > LIMIT {
        return Err(TaskError::TooLarge {
            what: "text file",
            actual: length,
            limit: LIMIT,
        });
    }
    std::fs::read_to_string(path).map_err(TaskError::access(path))
}
