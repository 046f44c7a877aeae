//! How a data set is opened.

use crate::{DatasetError, Kind, Split};
use serde::{Deserialize, Serialize};

/// Bounds on what a single file may ask for. Headers are checked against them before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataLimits {
    /// Most pixels of a picture. Default 2^27 (403 MB as RGB).
    pub max_pixels: u64,
    /// Most samples of a sound, all channels together. Default 2^28 (1 GiB as f32).
    pub max_samples: u64,
    /// Most bytes of a file or member of a tar shard. Default 1 GiB.
    pub max_entry_bytes: u64,
    /// Most items of a data set. Default 50 million.
    pub max_items: usize,
}

impl Default for DataLimits {
    fn default() -> Self {
        Self {
            max_pixels: 1 << 27,
            max_samples: 1 << 28,
            max_entry_bytes: 1 << 30,
            max_items: 50_000_000,
        }
    }
}

/// Options of [`Dataset::open`](crate::Dataset::open).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetOptions {
    /// Most bytes of decoded items that are kept. Default 4 GiB. Content never depends on it.
    pub cache: u64,
    /// Decode everything when the set is opened, if it fits `cache`; otherwise items are decoded when they are drawn.
    pub preload: bool,
    /// Pictures with a shorter side are skipped. Default 16.
    pub min_side: u32,
    /// Sounds with fewer samples per channel are skipped. Default 1.
    pub min_frames: u64,
    /// Use this kind only. Without it the kind is detected, and a set with both kinds is an error.
    pub kind: Option<Kind>,
    /// Use this side of the split only.
    pub split: Option<Split>,
    /// Share of the items, 0..=1, that [`Split::Validation`] takes, by a hash of the key; a manifest's `split` wins.
    pub validation_share: f64,
    /// Bounds on single files.
    pub limits: DataLimits,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self {
            cache: 4 << 30,
            preload: true,
            min_side: 16,
            min_frames: 1,
            kind: None,
            split: None,
            validation_share: 0.05,
            limits: DataLimits::default(),
        }
    }
}

impl DatasetOptions {
    /// Options of the tools: nothing is decoded ahead.
    pub fn lazy() -> Self {
        Self {
            preload: false,
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<(), DatasetError> {
        check_share(self.validation_share)
    }
}

/// Checks a validation share.
pub(crate) fn check_share(share: f64) -> Result<(), DatasetError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(DatasetError::BadParameter {
        name: "validation share",
        value: share.to_string(),
        expected: "0..=1",
    })
}
