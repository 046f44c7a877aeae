//! Checkpoints: everything that a run needs to go on exactly where it stood.
//!
//! A checkpoint is a folder `checkpoints/step-NNNNNNNN` that is written under a temporary name and renamed, so that it is
//! there as a whole or not at all. `state.json` holds the digest of every other file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codec_core::Digest;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::parameters::{NamedTensor, Parameters};
use crate::storage::{Storage, replace_folder};

const STATE: &str = "state.json";
/// Averaged parameters by name; also what `--init` reads.
pub(crate) const AVERAGE: &str = "average.safetensors";

/// Counters of a run. Randomness is a function of the seed and these, so there is no generator to save.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Steps done.
    pub step: u64,
    /// Batches used. Checkpoints of version 0.1 do not have it: there it is `step`.
    #[serde(default)]
    pub batches: Option<u64>,
    /// The best validation so far.
    #[serde(default)]
    pub best: Option<Best>,
    /// The resolved recipe.
    pub recipe: String,
    /// Digests of the other files.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
}

/// The best validation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// Steps done then.
    pub step: u64,
    /// Its score; lower is better.
    pub score: f64,
}

fn folder(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:08}"))
}

/// Steps done of a checkpoint folder, by its name.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_prefix("step-")?
        .parse()
        .ok()
}

/// All checkpoints of a run, oldest first.
pub fn list(run: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(run.join("checkpoints"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter_map(|path| Some((step_of(&path)?, path)))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Writes a checkpoint, and removes all but the newest `keep` and the best one.
pub(crate) fn save(
    storage: &dyn Storage,
    run: &Path,
    mut state: State,
    mut files: Vec<(String, Vec<u8>)>,
    keep: usize,
) -> Result<(), TrainError> {
    let target = folder(run, state.step);
    state.digests = files
        .iter()
        .map(|(name, bytes)| (name.clone(), Digest::of(bytes).to_string()))
        .collect();
    let text = serde_json::to_vec_pretty(&state).map_err(|e| TrainError::Checkpoint {
        path: target.clone(),
        reason: e.to_string(),
    })?;
    files.push((STATE.to_owned(), text));
    replace_folder(storage, &target, &files)?;
    let all = list(run);
    let best = state.best.map(|best| folder(run, best.step));
    for old in all.iter().take(all.len().saturating_sub(keep)) {
        if Some(old) != best.as_ref() {
            fs::remove_dir_all(old).map_err(TrainError::io(old))?;
        }
    }
    Ok(())
}

/// Reads a checkpoint's state and checks all its files against their digests.
pub(crate) fn verify(path: &Path) -> Result<State, TrainError> {
    let bad = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let text = fs::read_to_string(path.join(STATE)).map_err(TrainError::io(path.join(STATE)))?;
    let state: State = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    for (name, expected) in &state.digests {
        let bytes = fs::read(path.join(name)).map_err(TrainError::io(path.join(name)))?;
        if Digest::of(&bytes).to_string() != *expected {
            return Err(bad(format!("{name} is damaged: its digest is wrong")));
        }
    }
    Ok(state)
}

/// Renames a checkpoint so that the run no longer sees it.
pub(crate) fn set_aside(path: &Path, extension: &str) -> Result<(), TrainError> {
    let to = path.with_extension(extension);
    if to.exists() {
        fs::remove_dir_all(&to).map_err(TrainError::io(&to))?;
    }
    fs::rename(path, &to).map_err(TrainError::io(path))
}

/// Sets aside the checkpoints of a run after `step`.
pub(crate) fn set_aside_after(run: &Path, step: u64) -> Result<(), TrainError> {
    for path in list(run) {
        if step_of(&path).is_some_and(|s| s > step) {
            set_aside(&path, "superseded")?;
        }
    }
    Ok(())
}

/// Parameters by name (safetensors).
pub(crate) fn parameter_file(parameters: &Parameters) -> Result<Vec<u8>, TrainError> {
    let bad = |e: &dyn std::fmt::Display| TrainError::Checkpoint {
        path: AVERAGE.into(),
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
    safetensors::serialize(views, None).map_err(|e| bad(&e))
}

/// Reads parameters by name, in 32-bit floats as checkpoints have them, or in 16.
pub(crate) fn read_parameters(path: &Path) -> Result<Parameters, TrainError> {
    let bad = |reason: String| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason,
    };
    let bytes = fs::read(path).map_err(TrainError::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => data
                .chunks_exact(4)
                .filter_map(|c| c.try_into().ok().map(f32::from_le_bytes))
                .collect(),
            Dtype::F16 => data
                .chunks_exact(2)
                .filter_map(|c| c.try_into().ok().map(half::f16::from_le_bytes))
                .map(f32::from)
                .collect(),
            other => {
                return Err(bad(format!(
                    "{name} is in {other:?}, not in 32 or 16-bit floats"
                )));
            }
        };
        tensors.push(NamedTensor {
            name,
            shape: view.shape().to_vec(),
            values,
        });
    }
    Ok(Parameters::from_tensors(tensors))
}
