//! `--init`: parameters to start from.

use std::fs;
use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use codec_core::backend::CodecBackend;
use safetensors::tensor::SafeTensors;

use crate::TrainError;
use crate::checkpoint::{AVERAGE, read_parameters};
use crate::parameters::Parameters;
use crate::task::Task;

/// Reads an exported weights file, a checkpoint folder or its `average.safetensors`, or a run folder.
pub(crate) fn read<B, T>(task: &T, path: &Path) -> Result<Parameters, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    if path.is_dir() {
        // Averages are exact, weights are rounded: of a run, its newest checkpoint is best.
        let newest = crate::checkpoint::list(path).pop();
        let folder = newest.as_deref().unwrap_or(path);
        return read_parameters(&folder.join(AVERAGE));
    }
    let bytes = fs::read(path).map_err(TrainError::io(path))?;
    let bad = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let exported = header
        .metadata()
        .as_ref()
        .is_some_and(|metadata| metadata.contains_key("format"));
    if exported {
        return task.import(&bytes);
    }
    read_parameters(path)
}
