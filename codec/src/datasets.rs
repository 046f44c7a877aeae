//! Data sets: pictures and sound in folders, tar shards and manifests.
//!
//! This is the crate `codec-datasets` under another name.

pub use codec_datasets::*;
