//! Data sets for training and evaluating codecs.
//!
//! [`ImageFolder`] decodes a folder of photographs once into memory, [`CropSampler`] draws random crops from it, and
//! [`Prefetcher`] prepares batches on other threads while the network works.
//!
//! The `k`-th batch is a pure function of the seed and `k`: a run that resumes at step `k` sees exactly the data that
//! an uninterrupted run would have seen, whatever the number of workers.
//!
//! ```no_run
//! use codec_datasets::{CropConfig, CropSampler, ImageFolder, Prefetcher};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), codec_datasets::DatasetError> {
//! let folder = Arc::new(ImageFolder::open("images/train")?);
//! let config = CropConfig { size: 256, batch: 8, seed: 1, rescale: Some((0.6, 1.0)), ..CropConfig::default() };
//! let sampler = Arc::new(CropSampler::new(folder, config)?);
//! for batch in Prefetcher::spawn(sampler, 0, 2, 4)?.take(1000) {
//!     assert_eq!(batch.data.len(), 8 * 3 * 256 * 256);
//! }
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod crops;
mod error;
mod folder;
mod prefetch;
mod resample;
mod rng;

pub use crops::{CropConfig, CropSampler, ImageBatch};
pub use error::DatasetError;
pub use folder::{FolderOptions, ImageFolder, Picture, SkipReason, Skipped};
pub use prefetch::Prefetcher;
pub use rng::SplitMix64;
