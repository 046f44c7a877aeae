//! The error type of the losses.

use std::path::PathBuf;

use super::Domain;

/// Everything that can be wrong with a loss term or its inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// No loss has this name.
    #[error("unknown loss `{kind}` (known: {known})")]
    UnknownKind {
        /// The name as given.
        kind: String,
        /// All names, comma-separated.
        known: String,
    },
    /// A parameter is unknown, missing, of the wrong type or out of range.
    #[error("loss `{term}`: {reason}")]
    Parameter {
        /// Name of the term.
        term: String,
        /// What is wrong.
        reason: String,
    },
    /// A loss for sound among those for pictures, or the other way round.
    #[error("loss `{term}` is for {works_on}, but the model's output is {domain}")]
    WrongDomain {
        /// Name of the term.
        term: String,
        /// What the loss works on.
        works_on: Domain,
        /// What the model makes.
        domain: Domain,
    },
    /// Two terms have the same name.
    #[error("two losses are named `{name}`: give one another `name`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Output and target differ in shape, or a dimension is not what the loss works on.
    #[error("loss `{term}`: output {output:?} and target {target:?}, expected {expected}")]
    Shape {
        /// Name of the term.
        term: String,
        /// Shape of the model's output.
        output: Vec<usize>,
        /// Shape of the target.
        target: Vec<usize>,
        /// What is expected.
        expected: &'static str,
    },
    /// The input is too small for the loss.
    #[error("loss `{term}`: {what} is {found}, but at least {smallest} is needed")]
    TooSmall {
        /// Name of the term.
        term: String,
        /// The dimension.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The smallest that works.
        smallest: usize,
    },
    /// A term reads a value that the model did not hand over.
    #[error("loss `{term}`: the model gives no `{name}` (it gives: {given})")]
    MissingModelTerm {
        /// Name of the term.
        term: String,
        /// Name of the value.
        name: String,
        /// What the model gives, comma-separated.
        given: String,
    },
    /// A weights file cannot be read.
    #[error("weights {path}: {reason}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A weights file lacks tensors.
    #[error("weights {path}: missing {}", keys.join(", "))]
    MissingKeys {
        /// The file.
        path: PathBuf,
        /// All keys that are not there.
        keys: Vec<String>,
    },
    /// A tensor of a weights file has the wrong shape.
    #[error("weights {path}: `{key}` has shape {found:?}, expected {expected:?}")]
    WeightShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
}
