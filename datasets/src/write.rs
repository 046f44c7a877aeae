//! Writing tar shards.

use crate::checksums::hex;
use crate::scan::Report;
use crate::split::key_of;
use crate::{DatasetError, Entry};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Unit of tar files in bytes.
const BLOCK: u64 = 512;
/// Longest name that a plain header holds.
const SHORT_NAME: usize = 100;
/// Most shards; their numbers have six digits.
const MAX_SHARDS: usize = 1_000_000;

/// A shard that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Members.
    pub items: usize,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// Writes items into tar shards `shard-000000.tar`, `shard-000001.tar`, ... of the folder `dir`, in the layout of
/// WebDataset: members named `key.extension`, in the order of their keys, as they are, without recoding.
///
/// A shard has at most `size` bytes unless a single item is larger. The bytes depend on the keys and contents alone: times
/// and owners are 0. Each shard is written under a temporary name and then renamed. With `overwrite`, older shards in
/// `dir` are replaced or, if there are fewer now, removed; without it they are an error.
///
/// # Errors
/// [`DatasetError::Exists`], I/O errors, two items of one name, a key that a shard would change (with a dot in its last
/// part), [`DatasetError::Interrupted`] once `stop` is raised.
pub fn write_shards(
    entries: &[Entry],
    dir: &Path,
    size: u64,
    overwrite: bool,
    stop: &AtomicBool,
    report: Report<'_>,
) -> Result<Vec<Shard>, DatasetError> {
    if size == 0 {
        return Err(DatasetError::BadParameter {
            name: "shard size",
            value: size.to_string(),
            expected: "at least 1 byte",
        });
    }
    let members = members(entries)?;
    let plan = plan(&members, size)?;
    let old = existing(dir)?;
    if let Some(path) = old.first().filter(|_| !overwrite) {
        return Err(DatasetError::Exists { path: path.clone() });
    }
    let mut done = 0;
    let mut shards = Vec::with_capacity(plan.len());
    for (number, members) in plan.into_iter().enumerate() {
        let path = dir.join(format!("shard-{number:06}.tar"));
        let temporary = tempfile::Builder::new()
            .prefix(".codec-")
            .suffix(".tmp")
            .tempfile_in(dir)
            .map_err(DatasetError::write(&path))?;
        let mut builder = tar::Builder::new(Hashing::new(BufWriter::new(temporary)));
        for (name, entry) in members {
            if stop.load(Ordering::Relaxed) {
                return Err(DatasetError::Interrupted);
            }
            let bytes = entry.read()?;
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            builder
                .append_data(&mut header, name, bytes.as_slice())
                .map_err(DatasetError::write(&path))?;
            done += 1;
            report(done, entries.len());
        }
        let hashing = builder.into_inner().map_err(DatasetError::write(&path))?;
        let (bytes, sha256) = (hashing.bytes, hex(&hashing.state.finalize()));
        let temporary = hashing
            .inner
            .into_inner()
            .map_err(|error| error.into_error())
            .map_err(DatasetError::write(&path))?;
        set_permissions(temporary.as_file()).map_err(DatasetError::write(&path))?;
        temporary
            .persist(&path)
            .map_err(|error| error.error)
            .map_err(DatasetError::write(&path))?;
        shards.push(Shard {
            path,
            bytes,
            items: members.len(),
            sha256,
        });
    }
    for path in old {
        if shards.iter().all(|shard| shard.path != path) {
            std::fs::remove_file(&path).map_err(DatasetError::write(&path))?;
        }
    }
    Ok(shards)
}

/// Readable by everybody, as other new files mostly are; temporary files are private.
#[cfg(unix)]
fn set_permissions(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_permissions(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Names of all members with their items, sorted.
fn members(entries: &[Entry]) -> Result<Vec<(String, &Entry)>, DatasetError> {
    let mut members: Vec<(String, &Entry)> = entries
        .iter()
        .map(|entry| {
            let extension = entry.extension();
            let name = if extension.is_empty() {
                entry.key().to_owned()
            } else {
                format!("{}.{extension}", entry.key())
            };
            let strange = |part: &str| matches!(part, "" | "." | "..");
            if key_of(&name) != entry.key() || entry.key().split('/').any(strange) {
                return Err(DatasetError::BadParameter {
                    name: "key",
                    value: entry.key().to_owned(),
                    expected: "a relative path whose last part has no dot",
                });
            }
            Ok((name, entry))
        })
        .collect::<Result<_, _>>()?;
    members.sort_by(|a, b| (a.1.key(), &a.0).cmp(&(b.1.key(), &b.0)));
    let mut names = BTreeSet::new();
    if let Some((name, _)) = members.iter().find(|(name, _)| !names.insert(name)) {
        return Err(DatasetError::BadParameter {
            name: "items",
            value: format!("two are named {name}"),
            expected: "different names",
        });
    }
    Ok(members)
}

/// Cuts the list where a shard is full.
fn plan<'a, 'b>(
    members: &'a [(String, &'b Entry)],
    size: u64,
) -> Result<Vec<&'a [(String, &'b Entry)]>, DatasetError> {
    let padded = |bytes: u64| bytes.saturating_add(BLOCK - 1) / BLOCK * BLOCK;
    let end = 2 * BLOCK;
    let (mut shards, mut first, mut total) = (Vec::new(), 0, end);
    for (at, (name, entry)) in members.iter().enumerate() {
        let mut needed = BLOCK.saturating_add(padded(entry.bytes()));
        if name.len() > SHORT_NAME {
            needed = needed.saturating_add(BLOCK + padded(name.len() as u64 + 1));
        }
        if at > first && total.saturating_add(needed) > size {
            shards.extend(members.get(first..at));
            (first, total) = (at, end);
        }
        total = total.saturating_add(needed);
    }
    shards.extend(members.get(first..).filter(|rest| !rest.is_empty()));
    if shards.len() > MAX_SHARDS {
        return Err(DatasetError::Limit {
            what: "number of shards".to_owned(),
            actual: shards.len() as u64,
            limit: MAX_SHARDS as u64,
        });
    }
    Ok(shards)
}

/// Numbered shards that are in the folder, sorted.
fn existing(dir: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(DatasetError::io(dir))? {
        let entry = entry.map_err(DatasetError::io(dir))?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("shard-")?.strip_suffix(".tar"));
        if number.is_some_and(|n| n.len() == 6 && n.bytes().all(|b| b.is_ascii_digit())) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Counts and hashes what is written.
struct Hashing<W> {
    inner: W,
    state: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            state: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.state.update(buffer.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
