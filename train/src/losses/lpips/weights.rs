//! Tensors of a PyTorch or safetensors file by name.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use burn_store::pytorch::PytorchReader;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::losses::LossError;

/// Largest file: VGG16 with its classifier is 553 MB.
const LARGEST: u64 = 4 << 30;

/// A file of named tensors. `.safetensors` by its name, else PyTorch (zip or legacy), which is read without running
/// anything.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    tensors: HashMap<String, TensorData>,
}

impl WeightsFile {
    /// Reads all tensors of 32-bit (or half precision, which is widened) floats.
    ///
    /// # Errors
    /// [`LossError::Weights`] if the file cannot be read, is larger than 4 GiB or damaged.
    pub fn open(path: &Path) -> Result<Self, LossError> {
        let bad = |reason: String| LossError::Weights {
            path: path.to_owned(),
            reason,
        };
        let length = File::open(path)
            .and_then(|file| file.metadata())
            .map_err(|error| bad(error.to_string()))?
            .len();
        if length > LARGEST {
            return Err(bad(format!("{length} bytes (limit {LARGEST})")));
        }
        let tensors = if path.extension().is_some_and(|e| e == "safetensors") {
            let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
            let file = SafeTensors::deserialize(&bytes).map_err(|error| bad(error.to_string()))?;
            file.iter()
                .filter_map(|(name, view)| {
                    let data = view.data();
                    let values = floats(view.dtype(), data)?;
                    let shape = view.shape().to_vec();
                    Some((name.to_owned(), TensorData::new(values, shape)))
                })
                .collect()
        } else {
            let reader = PytorchReader::new(path).map_err(|error| bad(error.to_string()))?;
            let mut tensors = HashMap::with_capacity(reader.len());
            for (name, snapshot) in reader.into_tensors() {
                if !snapshot.dtype.is_float() {
                    continue;
                }
                let data = snapshot.to_data().map_err(|error| bad(error.to_string()))?;
                tensors.insert(name, data.convert::<f32>());
            }
            tensors
        };
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    /// Values of the tensors of these names and shapes, in this order.
    ///
    /// # Errors
    /// [`LossError::MissingKeys`] with all that are not there; [`LossError::WeightShape`] for the first of a wrong shape;
    /// [`LossError::Weights`] for values that are not finite.
    pub fn take(&self, wanted: &[(String, Vec<usize>)]) -> Result<Vec<Vec<f32>>, LossError> {
        let missing: Vec<String> = wanted
            .iter()
            .filter(|(key, _)| !self.tensors.contains_key(key))
            .map(|(key, _)| key.clone())
            .collect();
        if !missing.is_empty() {
            return Err(LossError::MissingKeys {
                path: self.path.clone(),
                keys: missing,
            });
        }
        let found = wanted.iter().filter_map(|(key, shape)| {
            let data = self.tensors.get(key)?;
            Some((key, shape, data))
        });
        found
            .map(|(key, shape, data)| {
                if data.shape.as_slice() != shape.as_slice() {
                    return Err(LossError::WeightShape {
                        path: self.path.clone(),
                        key: key.clone(),
                        found: data.shape.to_vec(),
                        expected: shape.clone(),
                    });
                }
                let bad = |reason: String| LossError::Weights {
                    path: self.path.clone(),
                    reason: format!("`{key}`: {reason}"),
                };
                let values: Vec<f32> = data.to_vec().map_err(|error| bad(format!("{error:?}")))?;
                if values.iter().any(|v| !v.is_finite()) {
                    return Err(bad("values that are not finite".into()));
                }
                Ok(values)
            })
            .collect()
    }
}

/// Values of a tensor of a safetensors file; nothing for types that are no floats.
fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let halves = || data.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Some(
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        ),
        Dtype::F16 => Some(
            halves()
                .map(|b| half::f16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        Dtype::BF16 => Some(
            halves()
                .map(|b| half::bf16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}
