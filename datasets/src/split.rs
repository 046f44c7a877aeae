//! Training and validation sides, by a hash of the key.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One side of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What it is judged by.
    Validation,
}

impl Split {
    /// The side of an item: validation when the first 64 bits of the SHA-256 of its key, as a fraction of 2^64, are
    /// below `share`.
    ///
    /// This depends on nothing else: not on the machine, the order, or other items. Items that are added later leave
    /// the sides of the old ones alone, and a larger share only moves items from training to validation.
    pub fn of(key: &str, share: f64) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let first = digest
            .iter()
            .take(8)
            .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        // 53 bits are what f64 holds exactly.
        if ((first >> 11) as f64) < share * (1u64 << 53) as f64 {
            Self::Validation
        } else {
            Self::Train
        }
    }

    /// Name in manifests and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

/// The side that a manifest gives to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// One of the two sides.
    To(Split),
    /// A side of another name, such as `test`: neither trained on nor validated with.
    Neither,
}

impl Assigned {
    pub(crate) fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Self::To(Split::Train),
            "val" | "valid" | "validation" | "dev" => Self::To(Split::Validation),
            _ => Self::Neither,
        }
    }
}

/// Key of a path relative to its source: `/` between folders, the name cut before its first dot. This is the grouping
/// of WebDataset, so a folder and the shards made from it have the same keys, and thus the same split.
pub(crate) fn key_of(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    // A leading dot belongs to the name.
    let dot = path
        .char_indices()
        .skip_while(|&(at, _)| at <= name)
        .find(|&(_, c)| c == '.');
    dot.and_then(|(at, _)| path.get(..at)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_name() {
        for (path, key) in [
            ("a.png", "a"),
            ("v1.2/a.b.png", "v1.2/a"),
            ("dir/.hidden.png", "dir/.hidden"),
            ("plain", "plain"),
            ("d/", "d/"),
            ("é/ü.x", "é/ü"),
            ("", ""),
        ] {
            assert_eq!(key_of(path), key, "{path}");
        }
    }

    /// The sides of these keys are part of the interface: a change would leak validation items into training.
    #[test]
    fn sides_never_change() {
        let held: Vec<usize> = (0..100)
            .filter(|i| Split::of(&format!("dir/{i:03}"), 0.1) == Split::Validation)
            .collect();
        assert_eq!(held, HELD);
    }

    /// Computed with another implementation (Python).
    const HELD: [usize; 3] = [24, 72, 85];

    #[test]
    fn shares_are_met_and_nested() {
        let held = |share: f64| -> Vec<usize> {
            (0..20_000)
                .filter(|i| Split::of(&format!("key-{i}"), share) == Split::Validation)
                .collect()
        };
        assert!(held(0.0).is_empty());
        assert_eq!(held(1.0).len(), 20_000);
        let (small, large) = (held(0.05), held(0.2));
        // Standard deviations 31 and 57.
        assert!(small.len().abs_diff(1000) < 190, "{}", small.len());
        assert!(large.len().abs_diff(4000) < 340, "{}", large.len());
        assert!(small.iter().all(|i| large.binary_search(i).is_ok()));
    }

    #[test]
    fn names_of_sides() {
        assert_eq!(Assigned::parse("val"), Assigned::To(Split::Validation));
        assert_eq!(Assigned::parse("Train"), Assigned::To(Split::Train));
        assert_eq!(Assigned::parse("test"), Assigned::Neither);
    }
}
