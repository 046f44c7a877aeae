//! Published models: their checkpoints become weights files, and weights files become checkpoints again.

use std::collections::BTreeMap;
use std::path::Path;

use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::weights::{Checkpoint, WeightsFile};

pub use codec_core::family::Imported;
pub use codec_core::weights::{Misshaped, Report};

pub use crate::info::built_in;
pub use crate::model::IMPORTED_FAMILIES;
pub use crate::store::{ModelStore, StoredModel};

use crate::model::AnyModel;

/// What a weights file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsInfo {
    /// Name of the model.
    pub name: String,
    /// Family.
    pub family: String,
    /// Digest of the file.
    pub digest: Digest,
    /// Hyperparameters, as JSON.
    pub config: serde_json::Value,
    /// Where it comes from.
    pub source: String,
    /// Name and shape of every tensor.
    pub tensors: Vec<(String, Vec<usize>)>,
}

impl WeightsInfo {
    /// Number of values in all tensors together.
    pub fn parameters(&self) -> usize {
        let sizes = self
            .tensors
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>());
        sizes.sum()
    }
}

/// Reads an author's checkpoint (PyTorch or safetensors) into the form of our weights files. The family is recognized by the
/// names of the tensors unless it is given; `config` is the JSON that came with the checkpoint, for what shapes do not tell.
/// Weight normalization is folded. Nothing in the file is executed.
///
/// # Errors
/// Those of [`Checkpoint::read`] and [`AnyModel::import`]. A checkpoint with tensors missing is no error here:
/// [`Report::check`] tells.
pub fn import(
    checkpoint: &Path,
    family: Option<&str>,
    config: Option<&serde_json::Value>,
    name: &str,
) -> Result<Imported, Error> {
    let file = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let checkpoint = Checkpoint::read(checkpoint)?;
    // What [`export`] wrote knows where it came from.
    let exported = checkpoint.entries.get("codec");
    let entry = |key: &str| exported.and_then(|entries| entries.get(key)?.as_str());
    let source = entry("source").unwrap_or(&file).to_owned();
    let own = match entry("config").map(serde_json::from_str) {
        Some(Ok(config)) => Some(config),
        _ => checkpoint.config().cloned(),
    };
    let tensors = checkpoint.tensors.fold_weight_norm()?;
    AnyModel::import(family, tensors, config.or(own.as_ref()), name, &source)
}

/// Reads a configuration that came with a checkpoint: JSON, or YAML if the file's name says so.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`].
pub fn read_config(path: &Path) -> Result<serde_json::Value, Error> {
    let text = std::fs::read_to_string(path)?;
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let parsed = if is_yaml {
        serde_saphyr::from_str(&text).map_err(|e| e.to_string())
    } else {
        serde_json::from_str(&text).map_err(|e| e.to_string())
    };
    parsed.map_err(|e| Error::malformed(format!("configuration {}: {e}", path.display())))
}

/// Describes a weights file of any family.
///
/// # Errors
/// [`Error::Malformed`] for anything else.
pub fn describe(bytes: &[u8]) -> Result<WeightsInfo, Error> {
    let file = WeightsFile::from_bytes(bytes)?;
    let tensors = file.tensors.iter();
    Ok(WeightsInfo {
        digest: Digest::of(bytes),
        tensors: tensors
            .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec()))
            .collect(),
        name: file.name,
        family: file.family,
        config: file.config,
        source: file.source,
    })
}

/// Builds the model of a weights file on the CPU, and so makes sure that it is whole. Gives its name and digest.
///
/// # Errors
/// [`Error::Malformed`] if anything is missing or out of range.
pub fn verify(bytes: &[u8]) -> Result<(String, Digest), Error> {
    let model = AnyModel::from_bytes(bytes)?;
    model.check()?;
    Ok((model.name().to_owned(), model.digest()))
}

/// The tensors of a weights file under their authors' names, as a safetensors file; importing that gives the same weights file.
///
/// # Errors
/// [`Error::Malformed`] for anything that is no weights file of an imported model.
pub fn export(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let file = WeightsFile::from_bytes(bytes)?;
    if !IMPORTED_FAMILIES.contains(&file.family.as_str()) {
        return Err(Error::bad_parameter(format!(
            "models of family '{}' have no authors' checkpoint to go back to",
            file.family
        )));
    }
    let config = BTreeMap::from([
        ("config".to_owned(), file.config.to_string()),
        ("source".to_owned(), file.source.clone()),
    ]);
    file.tensors.to_safetensors(&config)
}
