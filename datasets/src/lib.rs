//! Data sets for training and evaluating codecs: pictures and sound.
//!
//! - [`Dataset`] opens a folder, tar shards, a manifest or a pattern of these, and decodes items when they are needed;
//! - [`Sampler`] draws random crops or segments from it and changes them as [`Augment`] says;
//! - [`Prefetcher`] prepares batches on other threads while the network works;
//! - [`Scan`], [`Stats`], [`verify()`] and [`write_shards`] are behind `codec datasets`.
//!
//! The `k`-th batch is a pure function of the data, the seed and `k`: a run that resumes at step `k` sees exactly the data
//! that an uninterrupted run would have seen, whatever the number of workers, the cache, or damaged files on the way.
//!
//! ```no_run
//! use codec_datasets::{Augment, Dataset, DatasetOptions, Prefetcher, SampleConfig, Sampler};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), codec_datasets::DatasetError> {
//! let data = Arc::new(Dataset::open("images/train", &DatasetOptions::default())?);
//! let augment = Augment { rescale: Some((0.6, 1.0)), ..Augment::default() };
//! let config = SampleConfig { size: 256, batch: 8, seed: 1, augment, ..SampleConfig::default() };
//! let sampler = Arc::new(Sampler::new(data.clone(), config)?);
//! let mut batches = Prefetcher::spawn(sampler, 0, 2, 4)?;
//! while let Some(batch) = batches.next() {
//!     let batch = batch?;
//!     assert_eq!(batch.shape, [8, 3, 256, 256]);
//!     println!("step {}: waited {:.0}%", batch.index, 100.0 * batches.waited());
//! }
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod augment;
mod cache;
mod checksums;
mod color;
mod crops;
mod dataset;
mod error;
mod manifest;
mod media;
mod options;
mod pattern;
mod picture;
mod prefetch;
mod resample;
mod rng;
mod sampler;
mod scan;
mod section;
mod shards;
mod sound;
mod split;
mod stats;
mod verify;
mod write;

pub use augment::Augment;
pub use checksums::Checksums;
pub use dataset::Dataset;
pub use error::{DatasetError, Fault};
pub use manifest::write_manifest;
pub use media::{Info, Kind, Media};
pub use options::{DataLimits, DatasetOptions};
pub use picture::{Picture, SkipReason, Skipped};
pub use prefetch::{BatchSource, Prefetcher};
pub use rng::SplitMix64;
pub use sampler::{Batch, SampleConfig, Sampler};
pub use scan::{Entry, Location, Report, Scan};
pub use sound::Sound;
pub use split::{Assigned, Split};
pub use stats::{AudioStats, Bin, ImageStats, Problem, Stats};
pub use verify::{Verification, verify};
pub use write::{Shard, write_shards};
