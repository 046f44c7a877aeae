//! Named tensors on the host.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use bytes::Bytes;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::floats::Floats;
use crate::Error;

/// Elements of a [`HostTensor`], in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Real numbers; half precision is widened when read.
    Floats(Floats),
    /// Integers and truth values.
    Integers(Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Floats(v) => v.len(),
            Self::Integers(v) => v.len(),
        }
    }
}

/// A tensor without a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    shape: Vec<usize>,
    values: Values,
}

impl HostTensor {
    /// A tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are more or fewer values than the shape says.
    pub fn new(shape: Vec<usize>, values: Values) -> Result<Self, Error> {
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(values.len()) {
            return Err(Error::malformed(format!(
                "a tensor of shape {shape:?} with {} values",
                values.len()
            )));
        }
        Ok(Self { shape, values })
    }

    /// Real numbers of this shape.
    ///
    /// # Errors
    /// As [`HostTensor::new`].
    pub fn floats(shape: &[usize], values: Vec<f32>) -> Result<Self, Error> {
        Self::new(shape.to_vec(), Values::Floats(values.into()))
    }

    /// Integers of this shape.
    ///
    /// # Errors
    /// As [`HostTensor::new`].
    pub fn integers(shape: &[usize], values: Vec<i64>) -> Result<Self, Error> {
        Self::new(shape.to_vec(), Values::Integers(values))
    }

    /// Copies a tensor from its device.
    ///
    /// # Errors
    /// [`Error::Device`] if the device gives no result.
    pub fn from_device<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Self, Error> {
        let shape = tensor.dims().to_vec();
        let data = tensor.into_data().convert::<f32>();
        let values = data.into_vec().map_err(|e| Error::Device {
            device: std::any::type_name::<B>().into(),
            reason: format!("no result: {e:?}"),
        })?;
        Self::new(shape, Values::Floats(Floats::from(values)))
    }

    /// Puts the tensor on a device; integers become real numbers.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of dimensions.
    pub fn to_device<B: Backend, const D: usize>(
        &self,
        device: &B::Device,
    ) -> Result<Tensor<B, D>, Error> {
        let shape: [usize; D] = self.shape.as_slice().try_into().map_err(|_| {
            Error::malformed(format!(
                "a tensor of shape {:?} where {D} dimensions are expected",
                self.shape
            ))
        })?;
        let data = match &self.values {
            Values::Floats(v) => v.to_data(shape),
            Values::Integers(v) => {
                TensorData::new(v.iter().map(|&v| v as f32).collect::<Vec<_>>(), shape)
            }
        };
        Ok(Tensor::from_data(data, device))
    }

    /// Lengths of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Real numbers, if it holds such.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(v) => Some(v),
            Values::Integers(_) => None,
        }
    }

    /// Integers, if it holds such.
    pub fn as_integers(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Integers(v) => Some(v),
            Values::Floats(_) => None,
        }
    }
}

/// Tensors by name, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors(BTreeMap<String, HostTensor>);

impl Tensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: HostTensor) {
        self.0.insert(name.into(), tensor);
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<HostTensor> {
        self.0.remove(name)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.0.get(name)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Shape of the tensor of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(HostTensor::shape)
    }

    /// Names and tensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HostTensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of values in all tensors together.
    pub fn parameters(&self) -> usize {
        self.0.values().map(|t| t.values.len()).sum()
    }

    /// Keeps only names for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// Gives every tensor the name that `rename` makes of it.
    ///
    /// # Errors
    /// [`Error::Malformed`] if two tensors get the same name.
    pub fn rename(self, mut rename: impl FnMut(String) -> String) -> Result<Self, Error> {
        let mut renamed = BTreeMap::new();
        for (name, tensor) in self.0 {
            let name = rename(name);
            if renamed.insert(name.clone(), tensor).is_some() {
                return Err(Error::malformed(format!("two tensors are called '{name}'")));
            }
        }
        Ok(Self(renamed))
    }

    /// Reads a safetensors file: its tensors and the metadata of its header.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else, [`Error::Unsupported`] for element types without a plain number in Rust.
    pub fn from_safetensors(bytes: &[u8]) -> Result<(Self, HashMap<String, String>), Error> {
        Self::read_safetensors(bytes, |_| None)
    }

    /// The same without copying real numbers of 32 bits: these tensors keep the file in memory.
    ///
    /// # Errors
    /// As [`Tensors::from_safetensors`].
    pub fn from_shared(bytes: &Bytes) -> Result<(Self, HashMap<String, String>), Error> {
        Self::read_safetensors(bytes, |part| Floats::shared(bytes.slice_ref(part)))
    }

    fn read_safetensors(
        bytes: &[u8],
        share: impl Fn(&[u8]) -> Option<Floats>,
    ) -> Result<(Self, HashMap<String, String>), Error> {
        let bad = |e: &dyn std::fmt::Display| Error::malformed(format!("safetensors: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| bad(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes).map_err(|e| bad(&e))?;
        let mut tensors = Self::new();
        for (name, view) in file.iter() {
            let shared = match view.dtype() {
                Dtype::F32 => share(view.data()),
                _ => None,
            };
            let values = match shared {
                Some(floats) => Values::Floats(floats),
                None => read(name, &view)?,
            };
            tensors.insert(name, HostTensor::new(view.shape().to_vec(), values)?);
        }
        Ok((tensors, metadata))
    }

    /// The same with every real number rounded to 16 bits, which [`Tensors::to_compact_safetensors`] keeps.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a number that is too large.
    pub fn halved(&self) -> Result<Self, Error> {
        let mut halved = Self::new();
        for (name, tensor) in self.iter() {
            let tensor = match &tensor.values {
                Values::Floats(values) => {
                    let half = |&v: &f32| half::f16::from_f32(v).to_f32();
                    let rounded: Vec<f32> = values.iter().map(half).collect();
                    if let Some(value) = values
                        .iter()
                        .zip(&rounded)
                        .find(|(v, r)| v.is_finite() && !r.is_finite())
                    {
                        return Err(Error::bad_parameter(format!(
                            "{name}: {} does not fit 16 bits",
                            value.0
                        )));
                    }
                    HostTensor::floats(tensor.shape(), rounded)?
                }
                Values::Integers(_) => tensor.clone(),
            };
            halved.insert(name, tensor);
        }
        Ok(halved)
    }

    /// Writes a safetensors file, real numbers in 32 bits, integers in 64. The same tensors and metadata give the same bytes.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn to_safetensors(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
        self.write(metadata, |_| false)
    }

    /// The same, with 16 bits for every tensor whose real numbers all fit them exactly.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the format does not allow it.
    pub fn to_compact_safetensors(
        &self,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, Error> {
        let exact = |v: &f32| half::f16::from_f32(*v).to_f32().to_bits() == v.to_bits();
        self.write(metadata, |values| values.iter().all(exact))
    }

    fn write(
        &self,
        metadata: &BTreeMap<String, String>,
        short: impl Fn(&[f32]) -> bool,
    ) -> Result<Vec<u8>, Error> {
        let bad = |e: &dyn std::fmt::Display| Error::bad_parameter(format!("safetensors: {e}"));
        let mut views = Vec::with_capacity(self.len());
        let data: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self
            .iter()
            .map(|(name, tensor)| match &tensor.values {
                Values::Floats(v) if short(v) => (
                    name,
                    Dtype::F16,
                    tensor.shape(),
                    bytes_of(v, |v| half::f16::from_f32(v).to_le_bytes()),
                ),
                Values::Floats(v) => (
                    name,
                    Dtype::F32,
                    tensor.shape(),
                    bytes_of(v, f32::to_le_bytes),
                ),
                Values::Integers(v) => (
                    name,
                    Dtype::I64,
                    tensor.shape(),
                    bytes_of(v, i64::to_le_bytes),
                ),
            })
            .collect();
        for (name, dtype, shape, bytes) in &data {
            let view = TensorView::new(*dtype, shape.to_vec(), bytes).map_err(|e| bad(&e))?;
            views.push(((*name).to_owned(), view));
        }
        // The header lists metadata in the order of a hash map, which differs from run to run: one entry keeps it fixed.
        let text = serde_json::to_string(metadata).map_err(|e| bad(&e))?;
        let header = HashMap::from([(METADATA.to_owned(), text)]);
        safetensors::serialize(views, Some(header)).map_err(|e| bad(&e))
    }
}

/// The one entry of a written header: all metadata as a JSON object.
pub(super) const METADATA: &str = "codec";

fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| bytes(v)).collect()
}

fn each<const N: usize, T>(data: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.chunks_exact(N)
        .filter_map(|chunk| chunk.try_into().ok().map(&of))
        .collect()
}

fn read(name: &str, view: &TensorView<'_>) -> Result<Values, Error> {
    let data = view.data();
    let integer = |v: i64| v;
    let floats = |v: Vec<f32>| Values::Floats(v.into());
    Ok(match view.dtype() {
        Dtype::F64 => floats(each(data, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F32 => floats(each(data, f32::from_le_bytes)),
        Dtype::F16 => floats(each(data, |b| half::f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => floats(each(data, |b| half::bf16::from_le_bytes(b).to_f32())),
        Dtype::I64 => Values::Integers(each(data, i64::from_le_bytes)),
        Dtype::I32 => Values::Integers(each(data, |b| integer(i32::from_le_bytes(b).into()))),
        Dtype::I16 => Values::Integers(each(data, |b| integer(i16::from_le_bytes(b).into()))),
        Dtype::I8 => Values::Integers(each(data, |b| integer(i8::from_le_bytes(b).into()))),
        Dtype::U8 | Dtype::BOOL => Values::Integers(each(data, |[b]: [u8; 1]| integer(b.into()))),
        Dtype::U16 => Values::Integers(each(data, |b| integer(u16::from_le_bytes(b).into()))),
        Dtype::U32 => Values::Integers(each(data, |b| integer(u32::from_le_bytes(b).into()))),
        other => {
            return Err(Error::unsupported(format!(
                "tensor {name} of type {other:?}"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_from_their_file_and_files_are_reproducible() {
        let mut tensors = Tensors::new();
        tensors.insert("b", HostTensor::floats(&[2, 1], vec![1.5, -2.0]).unwrap());
        tensors.insert("a.c", HostTensor::integers(&[], vec![7]).unwrap());
        let metadata: BTreeMap<_, _> = (0..9).map(|i| (i.to_string(), "x".to_owned())).collect();
        let bytes = tensors.to_safetensors(&metadata).unwrap();
        assert_eq!(bytes, tensors.to_safetensors(&metadata).unwrap());
        assert_eq!(Tensors::from_safetensors(&bytes).unwrap().0, tensors);
        assert!(Tensors::from_safetensors(&bytes[..20]).is_err());
        let compact = tensors.to_compact_safetensors(&metadata).unwrap();
        assert_eq!(Tensors::from_safetensors(&compact).unwrap().0, tensors);
        assert_eq!(compact.len() + 4, bytes.len());
        tensors.insert("b", HostTensor::floats(&[2, 1], vec![1.5, 0.1]).unwrap());
        let mixed = tensors.to_compact_safetensors(&metadata).unwrap();
        assert_eq!(Tensors::from_safetensors(&mixed).unwrap().0, tensors);
        assert_eq!(tensors.parameters(), 3);
    }

    #[test]
    fn shapes_and_values_agree() {
        assert!(HostTensor::floats(&[2, 2], vec![0.0; 3]).is_err());
        assert!(HostTensor::floats(&[usize::MAX, 2], vec![]).is_err());
        let mut tensors = Tensors::new();
        tensors.insert("a", HostTensor::floats(&[0], vec![]).unwrap());
        tensors.insert("b", HostTensor::floats(&[0], vec![]).unwrap());
        assert!(tensors.clone().rename(|_| "c".into()).is_err());
        assert_eq!(
            tensors
                .rename(|n| n + "x")
                .unwrap()
                .get("ax")
                .unwrap()
                .shape(),
            [0]
        );
    }
}
