//! The weights file of an imported model: safetensors with the authors' key names and a descriptor.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use safetensors::tensor::SafeTensors;

use super::tensors::{METADATA, Tensors};
use crate::{Digest, Error};

/// Value of the entry `format`.
pub const FORMAT: &str = "codec-weights/1";

/// A model's tensors with what is needed to build it.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsFile {
    /// Family, for instance `hyperprior`.
    pub family: String,
    /// Name of the model, `family/variant` or what the user calls it.
    pub name: String,
    /// Hyperparameters of the family, as JSON.
    pub config: serde_json::Value,
    /// Where it comes from, free text.
    pub source: String,
    /// Tensors under their authors' names.
    pub tensors: Tensors,
}

impl WeightsFile {
    /// Family named in a weights file of any kind, without reading its tensors.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a weights file of ours.
    pub fn family(bytes: &[u8]) -> Result<String, Error> {
        let metadata = metadata(bytes)?;
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            return Err(Error::malformed(
                "not a weights file (codec models import makes one)",
            ));
        }
        metadata
            .get("family")
            .cloned()
            .ok_or_else(|| Error::malformed("weights: no family"))
    }

    /// Reads a weights file.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes, |bytes| Ok(Tensors::from_safetensors(bytes)?.0))
    }

    fn read(
        bytes: &[u8],
        tensors: impl FnOnce(&[u8]) -> Result<Tensors, Error>,
    ) -> Result<Self, Error> {
        let family = Self::family(bytes)?;
        let mut metadata = metadata(bytes)?;
        let mut entry = |key: &str| {
            metadata
                .remove(key)
                .ok_or_else(|| Error::malformed(format!("weights: no entry '{key}'")))
        };
        let config = serde_json::from_str(&entry("config")?)
            .map_err(|e| Error::malformed(format!("weights: config: {e}")))?;
        Ok(Self {
            family,
            name: entry("name")?,
            config,
            source: entry("source")?,
            tensors: tensors(bytes)?,
        })
    }

    /// Reads a weights file, whose memory its tensors then share, and its digest at the same time.
    ///
    /// # Errors
    /// As [`WeightsFile::from_bytes`].
    pub fn with_digest(bytes: &Bytes) -> Result<(Self, Digest), Error> {
        std::thread::scope(|scope| {
            let digest = scope.spawn(|| Digest::of(bytes));
            let file = Self::read(bytes, |_| Ok(Tensors::from_shared(bytes)?.0))?;
            Ok((file, digest.join().unwrap_or_else(|_| Digest::of(bytes))))
        })
    }

    /// Writes the file, with 16 bits for tensors that fit them exactly. The same model gives the same bytes, and so the same
    /// digest.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let entries = [
            ("format", FORMAT.to_owned()),
            ("family", self.family.clone()),
            ("name", self.name.clone()),
            ("config", self.config.to_string()),
            ("source", self.source.clone()),
        ];
        let metadata: BTreeMap<String, String> =
            entries.map(|(key, value)| (key.to_owned(), value)).into();
        self.tensors.to_compact_safetensors(&metadata)
    }

    /// Digest of the file that [`WeightsFile::to_bytes`] writes.
    ///
    /// # Errors
    /// As [`WeightsFile::to_bytes`].
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(Digest::of(&self.to_bytes()?))
    }
}

/// Metadata of a weights file: one JSON entry, or plain entries as the first families have them.
fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let bad = |e: &dyn std::fmt::Display| Error::malformed(format!("weights: {e}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| bad(&e))?;
    let plain = header.metadata().clone().unwrap_or_default();
    match plain.get(METADATA) {
        Some(text) => serde_json::from_str(text).map_err(|e| bad(&e)),
        None => Ok(plain.into_iter().collect()),
    }
}

/// An entry of the metadata that [`Tensors::from_safetensors`] returned, wherever it stands.
pub(crate) fn metadata_entry(plain: &HashMap<String, String>, key: &str) -> Option<String> {
    let joined = plain.get(METADATA).map(|text| serde_json::from_str(text));
    let joined: Option<BTreeMap<String, String>> = joined.and_then(Result::ok);
    let found = joined.and_then(|mut entries| entries.remove(key));
    found.or_else(|| plain.get(key).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::HostTensor;

    #[test]
    fn a_weights_file_comes_back() {
        let mut tensors = Tensors::new();
        tensors.insert("g_a.0.bias", HostTensor::floats(&[1], vec![0.25]).unwrap());
        let file = WeightsFile {
            family: "hyperprior".into(),
            name: "hyperprior/test".into(),
            config: serde_json::json!({"N": 1}),
            source: "made here".into(),
            tensors,
        };
        let bytes = file.to_bytes().unwrap();
        assert_eq!(WeightsFile::family(&bytes).unwrap(), "hyperprior");
        assert_eq!(WeightsFile::from_bytes(&bytes).unwrap(), file);
        assert_eq!(file.digest().unwrap(), Digest::of(&bytes));
        assert!(WeightsFile::family(b"not safetensors").is_err());
    }
}
