//! A data set: the items of a scan, decoded when they are asked for.

use crate::cache::Cache;
use crate::media::{Format, HEAD, sniff};
use crate::picture::decode_picture;
use crate::scan::{Location, Report};
use crate::{
    DataLimits, DatasetError, DatasetOptions, Entry, Info, Kind, Media, Picture, Scan, SkipReason,
    Skipped, Sound, sound,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Warnings about single files; the rest is summed up.
const MAX_WARNINGS: usize = 20;

/// Pictures or sounds from a folder, tar shards, a manifest or a pattern of these ([`Scan::new`] lists what is
/// understood), all of one kind.
///
/// Headers are read when the set is opened; contents are decoded then if they all fit the cache, else when they are first
/// asked for. Neither choice changes what a [`Sampler`](crate::Sampler) draws. Pictures are 8-bit RGB: alpha is dropped,
/// deeper samples are rounded, gray is repeated and EXIF orientation is not applied.
///
/// ```no_run
/// use codec_datasets::{Dataset, DatasetOptions, Prefetcher, SampleConfig, Sampler, Split};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), codec_datasets::DatasetError> {
/// let options = DatasetOptions { split: Some(Split::Train), ..DatasetOptions::default() };
/// let data = Arc::new(Dataset::open("shards/shard-{000000..000012}.tar", &options)?);
/// let config = SampleConfig { size: 256, batch: 8, seed: 1, ..SampleConfig::default() };
/// let sampler = Arc::new(Sampler::new(data.clone(), config)?);
/// for batch in Prefetcher::spawn(sampler, 0, 2, 4)?.take(1000) {
///     assert_eq!(batch?.shape, [8, 3, 256, 256]);
/// }
/// println!("{} files skipped", data.skipped().len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dataset {
    kind: Kind,
    entries: Vec<Entry>,
    limits: DataLimits,
    cache: Cache,
    skips: Mutex<Skips>,
}

#[derive(Debug, Default)]
struct Skips {
    list: Vec<Arc<Skipped>>,
    /// Items that turned out to be unusable; the value tells whether they cannot be decoded at all.
    items: BTreeMap<usize, bool>,
    warned: usize,
}

impl Skips {
    fn add(&mut self, skipped: Arc<Skipped>) {
        self.warned += 1;
        if self.warned <= MAX_WARNINGS {
            tracing::warn!("{}: skipped: {}", skipped.path.display(), skipped.reason);
        } else if self.warned == MAX_WARNINGS + 1 {
            tracing::warn!("more files are skipped; no more of them are named");
        }
        self.list.push(skipped);
    }
}

impl Dataset {
    /// Opens a folder, a tar shard, a manifest, or a pattern.
    ///
    /// # Errors
    /// As [`Scan::new`] and [`Dataset::from_scan`].
    pub fn open(source: impl AsRef<Path>, options: &DatasetOptions) -> Result<Self, DatasetError> {
        Self::open_all(&[source.as_ref().to_path_buf()], options)
    }

    /// Opens several sources as one set.
    ///
    /// # Errors
    /// As [`Scan::new`] and [`Dataset::from_scan`].
    pub fn open_all(sources: &[PathBuf], options: &DatasetOptions) -> Result<Self, DatasetError> {
        Self::from_scan(
            Scan::new(sources, options, &|_, _| ())?,
            options,
            &|_, _| (),
        )
    }

    /// A data set of the items of a scan that `options` ask for. `report` is told about items decoded ahead.
    ///
    /// # Errors
    /// Nothing usable, both kinds of media without a choice, an I/O error.
    pub fn from_scan(
        scan: Scan,
        options: &DatasetOptions,
        report: Report<'_>,
    ) -> Result<Self, DatasetError> {
        options.check()?;
        let mut entries = scan.entries;
        if let Some(split) = options.split {
            entries.retain(|entry| entry.split(options.validation_share) == Some(split));
        }
        if let Some(kind) = options.kind {
            entries.retain(|entry| entry.info.kind() == kind);
        }
        let kind = one_kind(&entries)?.ok_or_else(|| DatasetError::Empty {
            path: scan.sources.first().cloned().unwrap_or_default(),
            skipped: scan.skipped.len(),
        })?;
        let dataset = Self::new(kind, entries, options);
        for skipped in scan.skipped {
            dataset.skips().add(Arc::new(skipped));
        }
        let needed = dataset.decoded_bytes();
        if options.preload && needed <= options.cache {
            let done = std::sync::atomic::AtomicUsize::new(0);
            (0..dataset.len()).into_par_iter().try_for_each(|index| {
                dataset.load(index)?;
                report(
                    done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1,
                    dataset.len(),
                );
                Ok(())
            })?;
            if dataset.unreadable() == dataset.len() {
                return Err(DatasetError::Empty {
                    path: scan.sources.first().cloned().unwrap_or_default(),
                    skipped: dataset.skips().list.len(),
                });
            }
        }
        Ok(dataset)
    }

    /// A data set of pictures that are in memory already, in the given order; their keys are their paths.
    pub fn from_pictures(pictures: Vec<Picture>) -> Self {
        let media = pictures
            .into_iter()
            .map(|p| {
                (
                    p.path().to_string_lossy().into_owned(),
                    Media::Image(Arc::new(p)),
                )
            })
            .collect();
        Self::in_memory(Kind::Image, media)
    }

    /// A data set of sounds that are in memory already, in the given order; their keys are their numbers.
    pub fn from_sounds(sounds: Vec<Sound>) -> Self {
        let media = sounds
            .into_iter()
            .enumerate()
            .map(|(index, sound)| (index.to_string(), Media::Audio(Arc::new(sound))))
            .collect();
        Self::in_memory(Kind::Audio, media)
    }

    fn in_memory(kind: Kind, media: Vec<(String, Media)>) -> Self {
        let options = DatasetOptions {
            cache: u64::MAX,
            ..DatasetOptions::default()
        };
        let entry = |(key, media): &(String, Media)| Entry {
            key: key.clone(),
            location: Location::Memory,
            bytes: 0,
            info: media.info(),
            assigned: None,
        };
        let dataset = Self::new(kind, media.iter().map(entry).collect(), &options);
        for (index, (_, media)) in media.iter().enumerate() {
            dataset.cache.put(index, media);
        }
        dataset
    }

    fn new(kind: Kind, entries: Vec<Entry>, options: &DatasetOptions) -> Self {
        Self {
            kind,
            entries,
            limits: options.limits.clone(),
            cache: Cache::new(options.cache),
            skips: Mutex::default(),
        }
    }

    // No code panics while it holds the lock.
    fn skips(&self) -> MutexGuard<'_, Skips> {
        self.skips.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pictures or sounds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The items, in a stable order: by path in a folder, as they stand in shards and manifests.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no item; only a set made from memory can be empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all items once decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| {
            sum.saturating_add(entry.info.decoded_bytes())
        })
    }

    /// Bytes of the decoded items that are kept at the moment.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// What is not used, each with the reason, as far as it is known yet: files found bad when the set was opened, items
    /// found damaged when they were decoded, items that a sampler left out for their size.
    pub fn skipped(&self) -> Vec<Arc<Skipped>> {
        self.skips().list.clone()
    }

    /// Number of items that turned out to be damaged so far.
    pub(crate) fn unreadable(&self) -> usize {
        self.skips().items.values().filter(|&&bad| bad).count()
    }

    /// Item number `index`, from the cache or decoded now; `None` when it cannot be decoded, which is reported once.
    ///
    /// # Errors
    /// [`DatasetError::Io`] when its bytes cannot be read. That is no property of the data, so it must not pass for a
    /// damaged item: the same run would see other data on a better day.
    pub fn load(&self, index: usize) -> Result<Option<Media>, DatasetError> {
        if let Some(media) = self.cache.get(index) {
            return Ok(Some(media));
        }
        let Some(entry) = self.entries.get(index) else {
            return Err(DatasetError::BadParameter {
                name: "item",
                value: index.to_string(),
                expected: "less than the number of items",
            });
        };
        if self.skips().items.get(&index) == Some(&true) {
            return Ok(None);
        }
        match decode(entry, &self.limits)? {
            Ok(media) => {
                self.cache.put(index, &media);
                Ok(Some(media))
            }
            Err(reason) => {
                self.skip(index, reason, true);
                Ok(None)
            }
        }
    }

    /// Reports an item that is not used, unless that was done before.
    pub(crate) fn skip(&self, index: usize, reason: SkipReason, damaged: bool) {
        let Some(entry) = self.entries.get(index) else {
            return;
        };
        let mut skips = self.skips();
        let known = skips.items.get(&index).copied();
        if known == Some(true) || (known == Some(false) && !damaged) {
            return;
        }
        skips.items.insert(index, damaged);
        let path = match entry.location {
            Location::Memory => PathBuf::from(&entry.key),
            _ => entry.path(),
        };
        skips.add(Arc::new(Skipped { path, reason }));
    }

    /// As [`Dataset::load`], for a set of pictures.
    ///
    /// # Errors
    /// As [`Dataset::load`], and [`DatasetError::WrongKind`].
    pub fn picture(&self, index: usize) -> Result<Option<Arc<Picture>>, DatasetError> {
        match self.load(index)? {
            None => Ok(None),
            Some(Media::Image(picture)) => Ok(Some(picture)),
            Some(Media::Audio(_)) => Err(self.wrong_kind(index, "picture")),
        }
    }

    /// As [`Dataset::load`], for a set of sounds.
    ///
    /// # Errors
    /// As [`Dataset::load`], and [`DatasetError::WrongKind`].
    pub fn sound(&self, index: usize) -> Result<Option<Arc<Sound>>, DatasetError> {
        match self.load(index)? {
            None => Ok(None),
            Some(Media::Audio(sound)) => Ok(Some(sound)),
            Some(Media::Image(_)) => Err(self.wrong_kind(index, "sound")),
        }
    }

    fn wrong_kind(&self, index: usize, expected: &'static str) -> DatasetError {
        let key = self.entries.get(index).map(|entry| entry.key.clone());
        DatasetError::WrongKind {
            name: key.unwrap_or_default(),
            expected,
        }
    }
}

/// The kind of all entries.
fn one_kind(entries: &[Entry]) -> Result<Option<Kind>, DatasetError> {
    let of = |kind: Kind| entries.iter().filter(move |e| e.info.kind() == kind);
    match (of(Kind::Image).next(), of(Kind::Audio).next()) {
        (None, None) => Ok(None),
        (Some(_), None) => Ok(Some(Kind::Image)),
        (None, Some(_)) => Ok(Some(Kind::Audio)),
        (Some(picture), Some(sound)) => Err(DatasetError::Mixed {
            pictures: of(Kind::Image).count(),
            picture: picture.path().display().to_string(),
            sounds: of(Kind::Audio).count(),
            sound: sound.path().display().to_string(),
        }),
    }
}

/// Reads and decodes an item. The outer error is about reading, the inner one about the content.
pub(crate) fn decode(
    entry: &Entry,
    limits: &DataLimits,
) -> Result<Result<Media, SkipReason>, DatasetError> {
    Ok(decode_bytes(entry, &entry.read()?, limits))
}

/// Decodes the bytes of an item.
pub(crate) fn decode_bytes(
    entry: &Entry,
    bytes: &[u8],
    limits: &DataLimits,
) -> Result<Media, SkipReason> {
    let head = bytes.get(..HEAD.min(bytes.len())).unwrap_or_default();
    let media = match sniff(head) {
        None => return Err(SkipReason::Unrecognized),
        Some(Format::Image) => {
            let picture = decode_picture(bytes, limits.max_pixels)?;
            Media::Image(Arc::new(picture.with_path(entry.path())))
        }
        Some(format) => Media::Audio(Arc::new(sound::decode(format, bytes, limits)?)),
    };
    let info: Info = media.info();
    if info != entry.info {
        return Err(SkipReason::Changed);
    }
    Ok(media)
}
