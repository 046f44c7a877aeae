//! What is evaluated.

use crate::EvalError;

/// Cause of a failure inside a codec under evaluation.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A codec from media to whole files and back.
pub trait Codec<M>: Send + Sync {
    /// Short name for tables.
    fn name(&self) -> &str;

    /// Tool or model, and settings, in full.
    fn description(&self) -> String;

    /// Version of the tool or digest of the model.
    ///
    /// # Errors
    /// [`EvalError::MissingTool`].
    fn version(&self) -> Result<String, EvalError>;

    /// Settings that cover the useful range of rates, in rising order.
    fn qualities(&self) -> Vec<f64>;

    /// Whether one file is coded by all threads of the machine, so that files have to come one after the other.
    fn uses_all_threads(&self) -> bool {
        false
    }

    /// Encodes to a whole file.
    ///
    /// # Errors
    /// A quality that the codec does not have, a missing tool or one that fails.
    fn encode(&self, original: &M, quality: f64) -> Result<Vec<u8>, Cause>;

    /// Decodes a whole file to the extent of the original.
    ///
    /// # Errors
    /// A missing tool or one that fails, which damaged input causes.
    fn decode(&self, bytes: &[u8]) -> Result<M, Cause>;
}
