//! Reading tar shards in the layout of WebDataset: the members of one sample follow each other and share the part of the
//! name before its first dot, which is the key.

use crate::scan::{Candidate, Found, Location};
use crate::split::key_of;
use crate::{DatasetError, SkipReason, Skipped};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Lists the regular members of a shard; contents are not read. What is behind a damaged header is lost, and said to be.
pub(crate) fn index(path: &Path, found: &mut Found) -> Result<(), DatasetError> {
    walk(path, &mut found.skipped, |shard, member, start, size| {
        found.candidates.push(Candidate {
            key: key_of(member).to_owned(),
            location: Location::Member {
                shard: shard.clone(),
                member: member.to_owned(),
                start,
            },
            bytes: size,
            assigned: None,
        });
    })
}

/// Where the members of one shard are, by name.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) shard: Arc<Path>,
    places: HashMap<String, (u64, u64)>,
}

impl Members {
    pub(crate) fn of(path: &Path, skipped: &mut Vec<Skipped>) -> Result<Self, DatasetError> {
        let mut places = HashMap::new();
        walk(path, skipped, |_, member, start, size| {
            places.insert(member.to_owned(), (start, size));
        })?;
        Ok(Self {
            shard: path.into(),
            places,
        })
    }

    /// First byte and size.
    pub(crate) fn get(&self, member: &str) -> Option<(u64, u64)> {
        self.places.get(member).copied()
    }
}

fn walk(
    path: &Path,
    skipped: &mut Vec<Skipped>,
    mut visit: impl FnMut(&Arc<Path>, &str, u64, u64),
) -> Result<(), DatasetError> {
    let file = File::open(path).map_err(DatasetError::io(path))?;
    let length = file.metadata().map_err(DatasetError::io(path))?.len();
    let shard: Arc<Path> = path.into();
    let mut members = 0;
    let mut damage = None;
    let mut archive = tar::Archive::new(file);
    for entry in archive
        .entries_with_seek()
        .map_err(DatasetError::io(path))?
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                damage = Some(error.to_string());
                break;
            }
        };
        let kind = entry.header().entry_type();
        let (start, size) = (entry.raw_file_position(), entry.size());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if start.checked_add(size).is_none_or(|end| end > length) {
            damage = Some(format!("{name} is cut"));
            break;
        }
        if kind.is_file() || kind.is_contiguous() {
            visit(
                &shard,
                name.strip_prefix("./").unwrap_or(&name),
                start,
                size,
            );
            members += 1;
        }
    }
    // A file of this name that is no archive at all looks like an empty one to the reader of archives.
    if members == 0 && damage.is_none() && length > 0 && length % 512 != 0 {
        damage = Some("not a tar archive".to_owned());
    }
    if let Some(reason) = damage {
        skipped.push(Skipped {
            path: path.to_path_buf(),
            reason: SkipReason::Shard { members, reason },
        });
    }
    Ok(())
}
