//! The two containers of `torch.save`: a zip archive (since 1.6), and before that pickles followed by storages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::arena::{Arena, Node, StorageRef, Value};
use super::pickle;
use super::storage::{Storages, element_size};
use crate::Error;

/// `0x1950a86a20f9469cfc6c`, the integer that files before 1.6 begin with, as a pickle holds it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Version of the container before 1.6.
const LEGACY: i64 = 1001;
/// Largest deflated entry, as a multiple of the file; `torch.save` itself never deflates.
const INFLATION: u64 = 64;

fn bad(reason: impl std::fmt::Display) -> Error {
    Error::malformed(format!("checkpoint: {reason}"))
}

/// A zip archive of `torch.save`.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Folder that all entries are in, with its slash.
    folder: String,
}

impl<'a> Archive<'a> {
    /// Whether the bytes begin as a zip archive does.
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04")
    }

    pub fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(format!("zip: {e}")))?;
        let pickled = zip.file_names().find_map(|name| {
            let folder = name.strip_suffix("data.pkl")?;
            (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_owned())
        });
        let folder = pickled.ok_or_else(|| bad("a zip archive without data.pkl"))?;
        let mut archive = Self { bytes, zip, folder };
        if archive.contains("constants.pkl") {
            return Err(Error::unsupported(
                "a TorchScript program (a checkpoint is needed)",
            ));
        }
        if archive.contains("byteorder") && archive.entry("byteorder")?.as_ref() != b"little" {
            return Err(Error::unsupported("a checkpoint with big-endian numbers"));
        }
        Ok(archive)
    }

    /// The pickle with the structure of the file.
    pub fn pickle(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.entry("data.pkl")
    }

    fn contains(&self, name: &str) -> bool {
        self.zip
            .index_for_name(&format!("{}{name}", self.folder))
            .is_some()
    }

    fn entry(&mut self, name: &str) -> Result<Cow<'a, [u8]>, Error> {
        let path = format!("{}{name}", self.folder);
        let failed = |e: &dyn std::fmt::Display| bad(format!("entry {name}: {e}"));
        let index = self.zip.index_for_name(&path);
        let index = index.ok_or_else(|| failed(&"missing"))?;
        let mut entry = self.zip.by_index(index).map_err(|e| failed(&e))?;
        let size = entry.size();
        if entry.compression() != CompressionMethod::Stored {
            let limit = (self.bytes.len() as u64).saturating_mul(INFLATION);
            crate::limits::at_most("inflated entry in bytes", limit, size)?;
            // Grows with what there is: the size in the header is only a claim.
            let mut data = Vec::new();
            let read = entry.by_ref().take(size).read_to_end(&mut data);
            read.map_err(|e| failed(&e))?;
            return Ok(Cow::Owned(data));
        }
        let start = entry.data_start().and_then(|at| usize::try_from(at).ok());
        let data = start
            .zip(usize::try_from(size).ok())
            .and_then(|(start, size)| self.bytes.get(start..)?.get(..size))
            .ok_or_else(|| failed(&"beyond the end of the file"))?;
        let (expected, actual) = (entry.crc32(), crc32fast::hash(data));
        if expected != actual {
            return Err(Error::CheckFailed {
                what: path,
                expected,
                actual,
            });
        }
        Ok(Cow::Borrowed(data))
    }
}

impl<'a> Storages<'a> for Archive<'a> {
    fn bytes(&mut self, key: &str, len: u64) -> Result<Cow<'a, [u8]>, Error> {
        let data = self.entry(&format!("data/{key}"))?;
        if (data.len() as u64) < len {
            return Err(bad(format!(
                "storage {key} has {} bytes (expected {len})",
                data.len()
            )));
        }
        Ok(data)
    }
}

/// A file from before 1.6.
pub(super) struct Legacy<'a> {
    bytes: &'a [u8],
    /// Where each storage's elements are.
    storages: HashMap<&'a str, Range<usize>>,
}

impl<'a> Legacy<'a> {
    /// Whether the bytes begin as such a file does.
    pub fn is(bytes: &[u8]) -> bool {
        let mut arena = Arena::default();
        bytes.starts_with(&[0x80])
            && matches!(
                pickle::read(bytes.get(..32).unwrap_or(bytes), &mut arena),
                Ok((Value::Long(magic), _)) if magic == MAGIC
            )
    }

    /// Reads the structure into `arena`, and where the storages are.
    pub fn open(bytes: &'a [u8], arena: &mut Arena<'a>) -> Result<(Self, Value<'a>), Error> {
        let mut at = 0;
        let mut next = || {
            let rest = bytes.get(at..).unwrap_or(&[]);
            let (value, len) = pickle::read(rest, arena)?;
            at += len;
            Ok::<_, Error>(value)
        };
        let (_magic, version, system, root, keys) = (next()?, next()?, next()?, next()?, next()?);
        if version != Value::Int(LEGACY) {
            return Err(Error::unsupported(format!(
                "version {version:?} of the old checkpoint format (expected {LEGACY})"
            )));
        }
        if arena.entry(system, "little_endian") == Some(Value::Bool(false)) {
            return Err(Error::unsupported("a checkpoint with big-endian numbers"));
        }

        let classes: HashMap<&str, &str> = arena.storages().map(|s| (s.key, s.class)).collect();
        let keys = arena.sequence(keys).ok_or_else(|| bad("no storage keys"))?;
        let mut storages = HashMap::new();
        for &key in keys {
            let Value::Text(key) = key else {
                return Err(bad("a storage key that is not text"));
            };
            let class = classes.get(key).copied().unwrap_or_default();
            let unit = element_size(class);
            let unit =
                unit.ok_or_else(|| Error::unsupported(format!("storage {key} of type {class}")))?;
            let count = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
            let from = at.saturating_add(8);
            let end = count.and_then(|&count| {
                let len = u64::from_le_bytes(count).checked_mul(unit)?;
                from.checked_add(usize::try_from(len).ok()?)
            });
            let end = end.filter(|&end| end <= bytes.len());
            at = end.ok_or(Error::Truncated {
                needed: end.unwrap_or(from).max(bytes.len() + 1) as u64,
                available: bytes.len() as u64,
            })?;
            storages.insert(key, from..at);
        }
        Ok((Self { bytes, storages }, root))
    }
}

impl<'a> Storages<'a> for Legacy<'a> {
    fn bytes(&mut self, key: &str, len: u64) -> Result<Cow<'a, [u8]>, Error> {
        let range = self.storages.get(key).cloned();
        let data = range.and_then(|range| self.bytes.get(range));
        let data = data.filter(|data| data.len() as u64 >= len);
        data.map(Cow::Borrowed)
            .ok_or_else(|| bad(format!("storage {key} is missing or too short")))
    }
}

impl<'a> Arena<'a> {
    fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.nodes().iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}
