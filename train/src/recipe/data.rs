//! Data of a run.

use std::path::PathBuf;

use codec_datasets::Augment;
use serde::{Deserialize, Serialize};

use super::suggest::invalid;
use crate::TrainError;

/// Training and validation data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folders (searched recursively), tar shards, manifests or patterns of training files.
    pub train: Paths,
    /// The same of validation files; without it, a share of the training files is held out, chosen by a hash of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Paths>,
    /// Share that is held out.
    #[serde(default = "share")]
    pub validation_share: f64,
    /// Worker threads that prepare batches.
    #[serde(default = "one")]
    pub workers: usize,
    /// Most memory for decoded files, in MiB; what does not fit is decoded when it is drawn.
    #[serde(default = "cache")]
    pub cache_mib: u64,
    /// Sound: samples per second; files at other rates are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Sound: channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// Random changes.
    #[serde(default)]
    pub augment: Augment,
}

/// One path or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct Paths(Vec<PathBuf>);

/// As a recipe writes it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl From<OneOrMany> for Paths {
    fn from(paths: OneOrMany) -> Self {
        Self(match paths {
            OneOrMany::One(path) => vec![path],
            OneOrMany::Many(paths) => paths,
        })
    }
}

impl From<Paths> for OneOrMany {
    fn from(paths: Paths) -> Self {
        match <[PathBuf; 1]>::try_from(paths.0) {
            Ok([path]) => Self::One(path),
            Err(paths) => Self::Many(paths),
        }
    }
}

impl From<PathBuf> for Paths {
    fn from(path: PathBuf) -> Self {
        Self(vec![path])
    }
}

impl Paths {
    /// All of them.
    pub fn as_slice(&self) -> &[PathBuf] {
        &self.0
    }
}

fn one() -> usize {
    1
}

fn share() -> f64 {
    0.05
}

fn cache() -> u64 {
    4096
}

impl Data {
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        if self.train.as_slice().is_empty() {
            return Err(invalid("data.train", &"[]", "at least one path"));
        }
        if !(self.validation_share > 0.0 && self.validation_share < 1.0) {
            let value = self.validation_share;
            return Err(invalid("data.validation_share", &value, "0 < x < 1"));
        }
        if !(1..=1 << 24).contains(&self.cache_mib) {
            return Err(invalid("data.cache_mib", &self.cache_mib, "1..=2^24"));
        }
        Ok(())
    }
}
