//! Any bytes are a checkpoint or a typed error, and take no more memory than they have a right to.
#![no_main]

use codec_core::weights::{Checkpoint, WeightsFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = Checkpoint::from_bytes(bytes) {
        let folded = checkpoint.tensors.fold_weight_norm();
        drop(folded);
    }
    drop(WeightsFile::from_bytes(bytes));
});
