//! Tensors of a PyTorch or safetensors file by name.

use std::path::{Path, PathBuf};

use codec_core::weights::{Checkpoint, Tensors};

use crate::losses::LossError;

/// A file of named tensors: safetensors or PyTorch (zip or legacy), recognised by its content.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    tensors: Tensors,
}

impl WeightsFile {
    /// Reads all tensors.
    ///
    /// # Errors
    /// [`LossError::Weights`] if the file cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<Self, LossError> {
        let checkpoint = Checkpoint::read(path).map_err(|error| LossError::Weights {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            tensors: checkpoint.tensors,
        })
    }

    /// Values of the tensors of these names and shapes, in this order.
    ///
    /// # Errors
    /// [`LossError::MissingKeys`] with all that are not there; [`LossError::WeightShape`] for the first of a wrong shape;
    /// [`LossError::Weights`] for values that are no finite real numbers.
    pub fn take(&self, wanted: &[(String, Vec<usize>)]) -> Result<Vec<Vec<f32>>, LossError> {
        let missing: Vec<String> = wanted
            .iter()
            .filter(|(key, _)| !self.tensors.contains(key))
            .map(|(key, _)| key.clone())
            .collect();
        if !missing.is_empty() {
            return Err(LossError::MissingKeys {
                path: self.path.clone(),
                keys: missing,
            });
        }
        let found = wanted.iter().filter_map(|(key, shape)| {
            let tensor = self.tensors.get(key)?;
            Some((key, shape, tensor))
        });
        found
            .map(|(key, shape, tensor)| {
                if tensor.shape() != shape.as_slice() {
                    return Err(LossError::WeightShape {
                        path: self.path.clone(),
                        key: key.clone(),
                        found: tensor.shape().to_vec(),
                        expected: shape.clone(),
                    });
                }
                let finite = tensor
                    .as_floats()
                    .filter(|v| v.iter().all(|v| v.is_finite()));
                finite
                    .map(<[f32]>::to_vec)
                    .ok_or_else(|| LossError::Weights {
                        path: self.path.clone(),
                        reason: format!("`{key}`: values that are no finite real numbers"),
                    })
            })
            .collect()
    }
}
