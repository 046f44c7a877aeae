//! Reading the checkpoints that authors publish, without Python and without running anything in them.
//!
//! Files are recognised by their content: safetensors, `torch.save` since 1.6 (a zip archive) and before. The tensors of
//! the network are found in whatever dictionary the training script put them (`state_dict`, `model`, ...); what else the
//! file says (configuration, epoch) comes as JSON. Classes that we do not know become their attributes.

mod arena;
mod constructors;
mod fold;
mod pickle;
mod pytorch;
mod storage;
mod tree;

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use self::arena::{Arena, Value};
use self::pytorch::{Archive, Legacy};
use self::storage::{Builder, Storages};
use super::tensors::Tensors;
use crate::Error;

/// Largest file that is read.
const LARGEST: u64 = 16 << 30;
/// Entries that hold the configuration of a network, in order of preference.
const CONFIGURATIONS: [&str; 8] = [
    "config",
    "cfg",
    "xp.cfg",
    "args",
    "hyper_parameters",
    "hparams",
    "kwargs",
    "metadata",
];

/// What a checkpoint holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Tensors of the network under their authors' names, without what `DataParallel` and `torch.compile` put in front.
    ///
    /// A file of several state dictionaries (a generator, an encoder, a quantizer) has the part's name in front.
    pub tensors: Tensors,
    /// Everything else but the state of the training: configuration, epoch and so on; what JSON cannot say is null.
    pub entries: Map<String, Json>,
}

impl Checkpoint {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::LimitExceeded`] for a file above 16 GiB; otherwise as [`Checkpoint::from_bytes`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let length = std::fs::metadata(path)?.len();
        crate::limits::at_most("checkpoint in bytes", LARGEST, length)?;
        Self::from_bytes(&std::fs::read(path)?)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Truncated`] or [`Error::CheckFailed`] for a file that is none or is damaged;
    /// [`Error::Unsupported`] for element types without a plain number in Rust, for TorchScript and for big-endian files;
    /// [`Error::LimitExceeded`] for tensors that are much larger than the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let len = bytes.len() as u64;
        if Archive::is(bytes) {
            let mut archive = Archive::open(bytes)?;
            let pickled = archive.pickle()?;
            let mut arena = Arena::default();
            let (root, _) = pickle::read(&pickled, &mut arena)?;
            Self::build(&arena, root, archive, len)
        } else if Legacy::is(bytes) {
            let mut arena = Arena::default();
            let (file, root) = Legacy::open(bytes, &mut arena)?;
            Self::build(&arena, root, file, len)
        } else if bytes.get(8) == Some(&b'{') {
            let (tensors, metadata) = Tensors::from_safetensors(bytes)?;
            Ok(Self {
                tensors,
                entries: from_metadata(metadata),
            })
        } else {
            Err(Error::malformed(
                "not a checkpoint (expected safetensors or a file of torch.save)",
            ))
        }
    }

    fn build<'a, 's>(
        arena: &Arena<'a>,
        root: Value<'a>,
        storages: impl Storages<'s>,
        len: u64,
    ) -> Result<Self, Error> {
        let (named, sources) = tree::network(arena, root)?;
        let mut builder = Builder::new(storages, len);
        let mut tensors = Tensors::new();
        for (name, view) in named {
            let tensor = builder.tensor(&name, view)?;
            tensors.insert(name, tensor);
        }
        Ok(Self {
            tensors,
            entries: tree::settings(arena, root, &sources),
        })
    }

    /// The configuration that the file names, if any: the first object under a usual name (`config`, `args`,
    /// `hyper_parameters`, `metadata`, ...).
    pub fn config(&self) -> Option<&Json> {
        let mut found = CONFIGURATIONS
            .iter()
            .filter_map(|name| self.entries.get(*name));
        found.find(|entry| entry.is_object())
    }
}

/// Entries of a safetensors header, which are all text; those with JSON objects in them are read.
fn from_metadata(metadata: HashMap<String, String>) -> Map<String, Json> {
    let entries = metadata.into_iter().map(|(name, text)| {
        let parsed = text.starts_with('{').then(|| serde_json::from_str(&text));
        let value = parsed.and_then(Result::ok);
        (name, value.unwrap_or(Json::String(text)))
    });
    entries.collect()
}

#[cfg(test)]
mod tests;
