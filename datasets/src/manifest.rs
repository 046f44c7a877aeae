//! Manifests: one JSON object a line.

use crate::scan::{Candidate, Entry, Found, Location};
use crate::shards::Members;
use crate::split::{Assigned, key_of};
use crate::{DatasetError, Info, SkipReason, Skipped, Split};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

/// Longest line in bytes.
const MAX_LINE: u64 = 1 << 20;

/// The fields that are read; a row may have any others.
#[derive(Debug, Deserialize)]
struct Row {
    path: Option<PathBuf>,
    image: Option<PathBuf>,
    audio: Option<PathBuf>,
    member: Option<String>,
    key: Option<String>,
    split: Option<String>,
}

/// Adds the rows of the manifest at `manifest`.
pub(crate) fn read(manifest: &Path, found: &mut Found) -> Result<(), DatasetError> {
    let root = manifest.parent().unwrap_or(Path::new(""));
    let mut shards: HashMap<PathBuf, Members> = HashMap::new();
    let file = File::open(manifest).map_err(DatasetError::io(manifest))?;
    let mut reader = BufReader::new(file);
    for line in 1.. {
        let fail = |reason: String| DatasetError::Manifest {
            path: manifest.to_path_buf(),
            line,
            reason,
        };
        let mut text = Vec::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut text)
            .map_err(DatasetError::io(manifest))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            return Err(fail(format!("longer than {MAX_LINE} bytes")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_slice(&text).map_err(|error| fail(error.to_string()))?;
        let mut paths = [row.path, row.image, row.audio].into_iter().flatten();
        let (Some(relative), None) = (paths.next(), paths.next()) else {
            return Err(fail("expected exactly one of path, image and audio".into()));
        };
        let assigned = row.split.as_deref().map(Assigned::parse);
        let path = root.join(&relative);
        let Some(member) = row.member else {
            let shown = relative.to_string_lossy().replace('\\', "/");
            let key = row.key.unwrap_or_else(|| key_of(inner(&shown)).to_owned());
            found.add_path(key, path, assigned);
            continue;
        };
        let members = match shards.entry(path) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                let members = Members::of(entry.key(), &mut found.skipped)?;
                entry.insert(members)
            }
        };
        let Some((start, bytes)) = members.get(&member) else {
            found.skipped.push(Skipped {
                path: members.shard.join(&member),
                reason: SkipReason::NoMember,
            });
            continue;
        };
        found.candidates.push(Candidate {
            key: row.key.unwrap_or_else(|| key_of(&member).to_owned()),
            location: Location::Member {
                shard: members.shard.clone(),
                member,
                start,
            },
            bytes,
            assigned,
        });
    }
    Ok(())
}

/// A path without what leads to the folder that both it and the manifest are in.
fn inner(mut path: &str) -> &str {
    while let Some(rest) = ["../", "./", "/"]
        .iter()
        .find_map(|up| path.strip_prefix(up))
    {
        path = rest;
    }
    path
}

/// What is written for an item.
#[derive(Debug, Serialize)]
struct Line<'a> {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    key: &'a str,
    split: &'a str,
    bytes: u64,
    #[serde(flatten)]
    info: Info,
}

/// Writes the manifest of `entries`, all on one side, into the folder `dir`; paths are relative to it.
///
/// # Errors
/// I/O errors; an item that exists in memory only.
pub fn write_manifest<'a>(
    out: &mut dyn Write,
    dir: &Path,
    split: Split,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Result<(), DatasetError> {
    let dir = dir.canonicalize().map_err(DatasetError::io(dir))?;
    for entry in entries {
        let (path, member) = match entry.location() {
            Location::File(path) => (path.as_path(), None),
            Location::Member { shard, member, .. } => (shard.as_ref(), Some(member.as_str())),
            Location::Memory => {
                return Err(DatasetError::BadParameter {
                    name: "item",
                    value: entry.key().to_owned(),
                    expected: "items in files",
                });
            }
        };
        let absolute = path.canonicalize().map_err(DatasetError::io(path))?;
        let line = Line {
            path: relative(&dir, &absolute),
            member,
            key: entry.key(),
            split: split.name(),
            bytes: entry.bytes(),
            info: entry.info(),
        };
        serde_json::to_writer(&mut *out, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(DatasetError::write(&dir))?;
    }
    Ok(())
}

/// The way from a folder to a path, both absolute, with `/`.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component>, Vec<Component>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        // Another drive.
        return to.iter().collect::<PathBuf>().display().to_string();
    }
    let up = from.iter().skip(shared).map(|_| "..".into());
    let down = to
        .iter()
        .skip(shared)
        .map(|part| part.as_os_str().to_string_lossy());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_go_up_and_down() {
        let relative = |a: &str, b: &str| relative(Path::new(a), Path::new(b));
        assert_eq!(relative("/a/b", "/a/b/c.png"), "c.png");
        assert_eq!(relative("/a/b/m", "/a/c/d.png"), "../../c/d.png");
    }
}
