//! `--init`: parameters to start from.

use std::fs;
use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use codec_core::backend::CodecBackend;
use codec_core::weights::WeightsFile;

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
    if WeightsFile::family(&bytes).is_ok() {
        return task.import(&bytes);
    }
    read_parameters(path)
}
