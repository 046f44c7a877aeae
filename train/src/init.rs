//! `--init`: parameters to start from.

use std::path::Path;

use crate::TrainError;
use crate::checkpoint::{AVERAGE, read_parameters};
use crate::parameters::Parameters;

/// Reads a checkpoint folder or its `average.safetensors`.
pub(crate) fn read(path: &Path) -> Result<Parameters, TrainError> {
    if path.is_dir() {
        return read_parameters(&path.join(AVERAGE));
    }
    read_parameters(path)
}
