//! Checkpoints: everything that a run needs to go on exactly where it stood.

use std::fs;
use std::path::{Path, PathBuf};

use burn::record::{BinFileRecorder, FullPrecisionSettings, Record, Recorder};
use burn::tensor::backend::Backend;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::parameters::{NamedTensor, Parameters};

const STATE: &str = "state.json";
const MODEL: &str = "model";
/// Averaged parameters by name; also what `--init` reads.
pub(crate) const AVERAGE: &str = "average.safetensors";
const OPTIMIZER: &str = "optimizer";

/// Counters of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Steps done.
    pub step: u64,
    /// The resolved recipe.
    pub recipe: String,
}

fn folder(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:08}"))
}

/// All checkpoints of a run, oldest first.
pub(crate) fn list(run: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(run.join("checkpoints"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("step-"))
        })
        .filter(|path| path.join(STATE).is_file())
        .collect();
    found.sort();
    found
}

/// Writes a checkpoint under a temporary name, renames it, and removes all but the last `keep`.
///
/// The model goes through Burn's recorder because the optimizer's state refers to its parameter ids.
pub(crate) fn save<B: Backend, M: Record<B>, R: Record<B>>(
    run: &Path,
    state: &State,
    model: M,
    average: &Parameters,
    optimizer: R,
    keep: usize,
) -> Result<(), TrainError> {
    let target = folder(run, state.step);
    let partial = target.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(TrainError::io(&partial))?;
    }
    fs::create_dir_all(&partial).map_err(TrainError::io(&partial))?;
    let bad = |reason: String| TrainError::Checkpoint {
        path: partial.clone(),
        reason,
    };
    let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
    recorder
        .record(model, partial.join(MODEL))
        .map_err(|e| bad(e.to_string()))?;
    recorder
        .record(optimizer, partial.join(OPTIMIZER))
        .map_err(|e| bad(e.to_string()))?;
    write_parameters(&partial.join(AVERAGE), average)?;
    let text = serde_json::to_string_pretty(state).map_err(|e| bad(e.to_string()))?;
    fs::write(partial.join(STATE), text).map_err(TrainError::io(&partial))?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(TrainError::io(&target))?;
    }
    fs::rename(&partial, &target).map_err(TrainError::io(&target))?;
    let all = list(run);
    for old in all.iter().take(all.len().saturating_sub(keep)) {
        fs::remove_dir_all(old).map_err(TrainError::io(old))?;
    }
    Ok(())
}

/// A checkpoint in memory.
pub(crate) struct Loaded<M, R> {
    pub state: State,
    pub model: M,
    pub average: Parameters,
    pub optimizer: R,
}

/// Reads a checkpoint folder.
pub(crate) fn load<B, BO, M, R>(
    path: &Path,
    device: &B::Device,
    optimizer_device: &BO::Device,
) -> Result<Loaded<M, R>, TrainError>
where
    B: Backend,
    BO: Backend,
    M: Record<B>,
    R: Record<BO>,
{
    let bad = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let text = fs::read_to_string(path.join(STATE)).map_err(TrainError::io(path.join(STATE)))?;
    let state: State = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
    let model = recorder
        .load(path.join(MODEL), device)
        .map_err(|e| bad(e.to_string()))?;
    let optimizer = Recorder::<BO>::load(&recorder, path.join(OPTIMIZER), optimizer_device)
        .map_err(|e| bad(e.to_string()))?;
    Ok(Loaded {
        state,
        model,
        average: read_parameters(&path.join(AVERAGE))?,
        optimizer,
    })
}

/// Writes parameters by name (safetensors).
fn write_parameters(path: &Path, parameters: &Parameters) -> Result<(), TrainError> {
    let bad = |e: &dyn std::fmt::Display| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason: e.to_string(),
    };
    let bytes: Vec<Vec<u8>> = parameters
        .tensors()
        .iter()
        .map(|tensor| tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (tensor, bytes) in parameters.tensors().iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(|e| bad(&e))?;
        views.push((tensor.name.clone(), view));
    }
    let file = safetensors::serialize(views, None).map_err(|e| bad(&e))?;
    fs::write(path, file).map_err(TrainError::io(path))
}

/// Reads parameters by name.
pub(crate) fn read_parameters(path: &Path) -> Result<Parameters, TrainError> {
    let bad = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let bytes = fs::read(path).map_err(TrainError::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(bad(format!("{name} is not in 32-bit floats")));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .filter_map(|c| c.try_into().ok().map(f32::from_le_bytes))
            .collect();
        tensors.push(NamedTensor {
            name,
            shape: view.shape().to_vec(),
            values,
        });
    }
    Ok(Parameters::from_tensors(tensors))
}
