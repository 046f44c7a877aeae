//! Finding items: folders, tar shards, manifests and patterns become one list, with sizes from the headers.

use crate::media::{Format, HEAD, claims_media, sniff};
use crate::picture::{collect_files, probe_picture};
use crate::section::Section;
use crate::split::{Assigned, key_of};
use crate::{
    DataLimits, DatasetError, DatasetOptions, Info, SkipReason, Skipped, Split, manifest, pattern,
    shards, sound,
};
use rayon::prelude::*;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Told (done, total) from several threads.
pub type Report<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Where the bytes of an item are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// A member of a tar shard.
    Member {
        /// The shard.
        shard: Arc<Path>,
        /// Path in the shard.
        member: String,
        /// First byte in the shard.
        start: u64,
    },
    /// Nowhere but in memory.
    Memory,
}

/// One item: what its header says and where it is.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) key: String,
    pub(crate) location: Location,
    pub(crate) bytes: u64,
    pub(crate) info: Info,
    pub(crate) assigned: Option<Assigned>,
}

impl Entry {
    /// Key: the path in its source up to the first dot of the name, or what a manifest says. Decides the split.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where its bytes are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Path for people; members follow their shard's.
    pub fn path(&self) -> PathBuf {
        self.location.path()
    }

    /// Bytes of the file or member.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Size by its header.
    pub fn info(&self) -> Info {
        self.info
    }

    /// Side that a manifest gives it, if one does.
    pub fn assigned(&self) -> Option<Assigned> {
        self.assigned
    }

    /// Side: the manifest's, or by the hash of the key; `None` when a manifest has put it on neither side.
    pub fn split(&self, validation_share: f64) -> Option<Split> {
        match self.assigned {
            None => Some(Split::of(&self.key, validation_share)),
            Some(Assigned::To(split)) => Some(split),
            Some(Assigned::Neither) => None,
        }
    }

    /// Extension of its file or member without the dot, from the first dot of the name on; may be empty.
    pub fn extension(&self) -> String {
        let name = match &self.location {
            Location::File(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            Location::Member { member, .. } => member.clone(),
            Location::Memory => String::new(),
        };
        let stem = key_of(&name).len();
        name.get(stem + 1..).unwrap_or_default().to_owned()
    }

    /// All its bytes, which [`Entry::bytes`] bounded when it was found.
    ///
    /// # Errors
    /// [`DatasetError::Io`]; an item that exists in memory only has no bytes.
    pub fn read(&self) -> Result<Vec<u8>, DatasetError> {
        let path = self.path();
        self.location
            .open(self.bytes)
            .and_then(|mut section| {
                let mut bytes = Vec::new();
                bytes
                    .try_reserve_exact(usize::try_from(self.bytes).unwrap_or(usize::MAX))
                    .map_err(std::io::Error::other)?;
                section.read_to_end(&mut bytes)?;
                if bytes.len() as u64 != self.bytes {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                Ok(bytes)
            })
            .map_err(DatasetError::io(path))
    }
}

impl Location {
    fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Member { shard, member, .. } => shard.join(member.trim_start_matches('/')),
            Self::Memory => PathBuf::new(),
        }
    }

    fn open(&self, bytes: u64) -> std::io::Result<Section> {
        match self {
            Self::File(path) => Section::open(path, 0, bytes),
            Self::Member { shard, start, .. } => Section::open(shard, *start, bytes),
            Self::Memory => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }
}

/// An item before its header is read.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) key: String,
    pub(crate) location: Location,
    pub(crate) bytes: u64,
    pub(crate) assigned: Option<Assigned>,
}

/// What sources hold.
#[derive(Debug)]
pub struct Scan {
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) ignored: usize,
}

impl Scan {
    /// Lists `sources` and reads all headers, in parallel. Each source is one of
    /// - a folder, searched recursively in the order of paths; tar shards in it are opened too,
    /// - a tar shard in the layout of WebDataset, or any single picture or sound,
    /// - a manifest, `*.jsonl`,
    /// - a pattern of these, with `{000..012}`, `{a,b}`, `*`, `?` and `[...]`.
    ///
    /// The order is that of the sources and of the items in each; it does not depend on threads. Files that are neither
    /// picture nor sound, by name and content, are counted and passed over.
    ///
    /// # Errors
    /// A source that cannot be read, a malformed manifest or pattern, more items than the limit.
    pub fn new(
        sources: &[PathBuf],
        options: &DatasetOptions,
        report: Report<'_>,
    ) -> Result<Self, DatasetError> {
        options.check()?;
        let mut found = Found::default();
        for source in sources {
            for source in pattern::expand(source)? {
                found.add_source(&source)?;
                let items = found.candidates.len();
                if items > options.limits.max_items {
                    return Err(DatasetError::Limit {
                        what: format!("number of items in {}", source.display()),
                        actual: items as u64,
                        limit: options.limits.max_items as u64,
                    });
                }
            }
        }
        let (total, done) = (found.candidates.len(), AtomicUsize::new(0));
        let probed: Vec<Result<Option<Info>, SkipReason>> = found
            .candidates
            .par_iter()
            .map(|candidate| {
                let info = probe(candidate, options);
                report(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                info
            })
            .collect();
        let mut scan = Self {
            sources: sources.to_vec(),
            entries: Vec::new(),
            skipped: found.skipped,
            ignored: 0,
        };
        for (candidate, info) in found.candidates.into_iter().zip(probed) {
            match info {
                Ok(Some(info)) => scan.entries.push(Entry {
                    key: candidate.key,
                    location: candidate.location,
                    bytes: candidate.bytes,
                    info,
                    assigned: candidate.assigned,
                }),
                Ok(None) => scan.ignored += 1,
                Err(reason) => scan.skipped.push(Skipped {
                    path: candidate.location.path(),
                    reason,
                }),
            }
        }
        Ok(scan)
    }

    /// Forgets the items that `keep` refuses.
    pub fn keep(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.entries.retain(keep);
    }

    /// The items.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Files and members that were found but cannot be used.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Number of files and members that are neither picture nor sound, such as labels.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// What was searched.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }
}

#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) skipped: Vec<Skipped>,
}

impl Found {
    fn add_source(&mut self, source: &Path) -> Result<(), DatasetError> {
        let metadata = std::fs::metadata(source).map_err(DatasetError::io(source))?;
        if metadata.is_dir() {
            let mut files = Vec::new();
            collect_files(source, 0, &mut files)?;
            files.sort();
            for path in files {
                self.add_file(source, path, false)?;
            }
            return Ok(());
        }
        let root = source.parent().unwrap_or(Path::new(""));
        self.add_file(root, source.to_path_buf(), true)
    }

    /// Adds a file, or what is in it. Manifests in folders are not followed: they mostly list that very folder.
    fn add_file(&mut self, root: &Path, path: PathBuf, named: bool) -> Result<(), DatasetError> {
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        match extension.as_str() {
            "tar" => shards::index(&path, self),
            "jsonl" | "ndjson" if named => manifest::read(&path, self),
            _ => {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = relative
                    .components()
                    .map(|part| part.as_os_str().to_string_lossy())
                    .collect();
                let key = key_of(&parts.join("/")).to_owned();
                self.add_path(key, path, None);
                Ok(())
            }
        }
    }

    pub(crate) fn add_path(&mut self, key: String, path: PathBuf, assigned: Option<Assigned>) {
        match std::fs::metadata(&path) {
            Ok(metadata) => self.candidates.push(Candidate {
                key,
                location: Location::File(path),
                bytes: metadata.len(),
                assigned,
            }),
            Err(error) => self.skipped.push(Skipped {
                path,
                reason: SkipReason::Io(error),
            }),
        }
    }
}

/// Size from the header; `None` for what is neither picture nor sound and does not claim to be.
fn probe(candidate: &Candidate, options: &DatasetOptions) -> Result<Option<Info>, SkipReason> {
    let mut section = candidate
        .location
        .open(candidate.bytes)
        .map_err(SkipReason::Io)?;
    let mut head = Vec::with_capacity(HEAD);
    section
        .by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(SkipReason::Io)?;
    let Some(format) = sniff(&head) else {
        let name = candidate.location.path();
        return if claims_media(&name.to_string_lossy()) {
            Err(SkipReason::Unrecognized)
        } else {
            Ok(None)
        };
    };
    let limits: &DataLimits = &options.limits;
    if candidate.bytes > limits.max_entry_bytes {
        return Err(SkipReason::TooManyBytes {
            bytes: candidate.bytes,
            limit: limits.max_entry_bytes,
        });
    }
    section.rewind().map_err(SkipReason::Io)?;
    if format == Format::Image {
        let source = BufReader::new(section);
        let (width, height) = probe_picture(source, options.min_side, limits.max_pixels)?;
        return Ok(Some(Info::Image { width, height }));
    }
    let info = sound::probe(format, section)?;
    sound::check_limit(info, limits)?;
    let min_frames = options.min_frames.max(1);
    if info.extent() < min_frames {
        return Err(SkipReason::TooShort {
            frames: info.extent(),
            min_frames,
        });
    }
    Ok(Some(info))
}
