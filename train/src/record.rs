//! Modules in checkpoints, through Burn's recorder, because optimizers refer to the ids of parameters.

use std::path::Path;

use burn::module::Module;
use burn::record::{
    BinBytesRecorder, BinFileRecorder, FullPrecisionSettings, Recorder, RecorderError,
};
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::parameters::Parameters;

/// A module as a file.
///
/// # Errors
/// [`TrainError::Checkpoint`].
pub(crate) fn bytes<B: Backend, M: Module<B>>(module: &M) -> Result<Vec<u8>, TrainError> {
    let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
    Recorder::<B>::record(&recorder, module.clone().into_record(), ()).map_err(unwritten)
}

/// Takes over what [`bytes`] has written to `stem.bin` in a checkpoint.
///
/// # Errors
/// [`TrainError::Checkpoint`], also for tensors of other shapes.
pub(crate) fn load<B: Backend, M: Module<B>>(
    module: M,
    checkpoint: &Path,
    stem: &str,
    device: &B::Device,
) -> Result<M, TrainError> {
    let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
    let expected = shapes(&Parameters::of(&module));
    let record = Recorder::<B>::load(&recorder, checkpoint.join(stem), device)
        .map_err(|e| unread(checkpoint, stem, &e))?;
    let module = module.load_record(record);
    // Burn takes over whatever shape the file has.
    let found = shapes(&Parameters::of(&module));
    let other = found.iter().zip(&expected).find(|(f, e)| f != e);
    match other {
        Some(((name, _), _)) => Err(TrainError::Checkpoint {
            path: checkpoint.to_path_buf(),
            reason: format!("{name} has another shape than in the recipe"),
        }),
        None => Ok(module),
    }
}

/// The error of a record that cannot be made.
pub(crate) fn unwritten(error: RecorderError) -> TrainError {
    TrainError::Checkpoint {
        path: "checkpoint".into(),
        reason: error.to_string(),
    }
}

/// The error of a file that cannot be read.
pub(crate) fn unread(checkpoint: &Path, stem: &str, error: &RecorderError) -> TrainError {
    TrainError::Checkpoint {
        path: checkpoint.to_path_buf(),
        reason: format!("{stem}: {error}"),
    }
}

fn shapes(parameters: &Parameters) -> Vec<(String, Vec<usize>)> {
    let tensors = parameters.tensors().iter();
    tensors.map(|t| (t.name.clone(), t.shape.clone())).collect()
}
