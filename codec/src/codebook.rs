//! Smaller codebooks from a model's codebook.

pub use codec_train::losses::CodebookHealth;

use std::collections::BTreeMap;

use codec_core::clustering::nested;
use codec_core::error::Error;
use codec_core::npy;
use codec_core::weights::{Checkpoint, HostTensor, Tensors, WeightsFile};

pub use codec_core::clustering::{Clustering, KMeans};

use crate::model::AnyModel;

/// The rows of a codebook.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    rows: HostTensor,
    /// The weights file that they are from, if it is one.
    weights: Option<WeightsFile>,
}

/// Clusterings of one codebook, each a coarsening of the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Values of a row.
    pub width: usize,
    /// From the largest to the smallest.
    pub levels: Vec<Clustering>,
}

impl Codebook {
    /// Takes the codebook out of a file: a weights file of a model that has one, an npy array, or a checkpoint, in which
    /// `tensor` names the matrix unless it holds a single one.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there is no codebook or it has to be named, and those of reading the file.
    pub fn read(bytes: &[u8], tensor: Option<&str>) -> Result<Self, Error> {
        if npy::is_npy(bytes) {
            return Self::new(npy::read(bytes)?.0, None);
        }
        if WeightsFile::family(bytes).is_ok() {
            let model = AnyModel::from_bytes(bytes)?;
            if let (Some(rows), None) = (model.codebook()?, tensor) {
                return Self::new(rows, Some(WeightsFile::from_bytes(bytes)?));
            }
        }
        let tensors = Checkpoint::from_bytes(bytes)?.tensors;
        if let Some(name) = tensor {
            let rows = tensors
                .get(name)
                .ok_or_else(|| Error::bad_parameter(format!("no tensor '{name}'")))?;
            return Self::new(rows.clone(), None);
        }
        let mut matrices = tensors.iter().filter(|(_, t)| t.shape().len() == 2);
        match (matrices.next(), matrices.next()) {
            (Some((_, rows)), None) => Self::new(rows.clone(), None),
            (None, _) => Err(Error::bad_parameter("no codebook: no tensor is a matrix")),
            (Some((a, _)), Some((b, _))) => Err(Error::bad_parameter(format!(
                "which of the matrices is the codebook ('{a}', '{b}', ...)?"
            ))),
        }
    }

    fn new(rows: HostTensor, weights: Option<WeightsFile>) -> Result<Self, Error> {
        match (rows.shape(), rows.as_floats()) {
            (&[codes, width], Some(_)) if codes > 0 && width > 0 => Ok(Self { rows, weights }),
            (shape, _) => Err(Error::bad_parameter(format!(
                "a codebook of shape {shape:?} (expected real numbers, [codes, width])"
            ))),
        }
    }

    /// Number of rows and their width.
    pub fn dims(&self) -> [usize; 2] {
        match self.rows.shape() {
            &[codes, width] => [codes, width],
            _ => [0, 0],
        }
    }

    /// Clusters the rows into each of `sizes`, the smaller ones by joining clusters of the larger ones. Rows count by `counts`,
    /// how often each was used, if given.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sizes beyond the number of rows and for counts that do not fit.
    pub fn cluster(
        &self,
        sizes: &[usize],
        counts: Option<&[f64]>,
        options: KMeans,
    ) -> Result<Clusters, Error> {
        let [_, width] = self.dims();
        let rows = self.rows.as_floats().unwrap_or_default();
        let levels = nested(rows, width, counts, sizes, options)?;
        Ok(Clusters { width, levels })
    }

    /// The weights file with smaller codebooks inside, for variable rate.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the codebook is not from a weights file, [`Error::Unsupported`] or [`Error::Malformed`] if the
    /// model cannot have them.
    pub fn attach(&self, clusters: &Clusters) -> Result<Vec<u8>, Error> {
        let mut file = self.weights.clone().ok_or_else(|| {
            Error::bad_parameter("smaller codebooks go into weights files of models only")
        })?;
        for (name, tensor) in clusters.tensors()?.iter() {
            file.tensors.insert(name, tensor.clone());
        }
        let bytes = file.to_bytes()?;
        AnyModel::from_bytes(&bytes)?;
        Ok(bytes)
    }
}

impl Clusters {
    fn tensors(&self) -> Result<Tensors, Error> {
        let mut tensors = Tensors::new();
        for level in &self.levels {
            let size = level.mass.len();
            let centers = HostTensor::floats(&[size, self.width], level.centers.clone())?;
            tensors.insert(format!("codebook.{size}"), centers);
            let assignment: Vec<i64> = level.assignment.iter().map(|&c| c.into()).collect();
            let assignment = HostTensor::integers(&[assignment.len()], assignment)?;
            tensors.insert(format!("assignment.{size}"), assignment);
        }
        Ok(tensors)
    }

    /// A safetensors file: for every size N `codebook.N` `[N, width]` and `assignment.N` `[codes]`, the cluster of each
    /// code.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, Error> {
        let sizes = self.levels.iter().map(|level| level.mass.len().to_string());
        let distortions = self.levels.iter().map(|level| level.distortion.to_string());
        let metadata = BTreeMap::from([
            ("format".to_owned(), "codec-codebooks/1".to_owned()),
            ("sizes".to_owned(), sizes.collect::<Vec<_>>().join(",")),
            (
                "distortions".to_owned(),
                distortions.collect::<Vec<_>>().join(","),
            ),
        ]);
        self.tensors()?.to_safetensors(&metadata)
    }
}

/// How often each of `codes` codes occurs: from an npy array with one count a code, or from files of tokens, one after the
/// other.
///
/// # Errors
/// [`Error::BadParameter`] for counts of another codebook, and those of reading.
pub fn counts(files: &[Vec<u8>], codes: usize) -> Result<Vec<f64>, Error> {
    let mut counts = vec![0.0; codes];
    for bytes in files {
        match codec_core::tokens::Format::read(bytes) {
            Ok(tokens) => {
                for &code in tokens.expect_codes()? {
                    let count = counts.get_mut(code as usize).ok_or_else(|| {
                        Error::bad_parameter(format!("code {code} of a codebook of {codes}"))
                    })?;
                    *count += 1.0;
                }
            }
            Err(_) if npy::is_npy(bytes) => {
                let (array, _) = npy::read(bytes)?;
                let values: Vec<f64> = match (array.as_floats(), array.as_integers()) {
                    (Some(v), _) => v.iter().map(|&v| v.into()).collect(),
                    (None, v) => v.unwrap_or_default().iter().map(|&v| v as f64).collect(),
                };
                if values.len() != codes {
                    return Err(Error::bad_parameter(format!(
                        "{} counts for {codes} codes",
                        values.len()
                    )));
                }
                for (count, value) in counts.iter_mut().zip(values) {
                    *count += value;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}
