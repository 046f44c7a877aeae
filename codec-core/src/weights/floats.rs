//! Real numbers that their copies share.

use std::fmt;
use std::ops::Deref;

use burn::tensor::{AllocationProperty, Bytes as TensorBytes, DType, TensorData};
use bytes::Bytes;

/// Real numbers in memory. A clone, a part of a file and a tensor of the CPU use the same memory; whoever writes to it gets a
/// copy of its own first.
#[derive(Clone)]
pub struct Floats(Bytes);

impl Floats {
    /// Little-endian numbers as they lie in a file. None where the machine reads other numbers in them, or needs them to begin
    /// elsewhere.
    pub(super) fn shared(bytes: Bytes) -> Option<Self> {
        let fits = bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok();
        (fits && cfg!(target_endian = "little")).then_some(Self(bytes))
    }

    /// The same numbers for a tensor.
    pub(super) fn to_data<const D: usize>(&self, shape: [usize; D]) -> TensorData {
        let bytes = TensorBytes::from_shared(self.0.clone(), AllocationProperty::Native);
        TensorData::from_bytes(bytes, shape, DType::F32)
    }
}

/// Numbers as the owner of bytes.
struct Owner(Vec<f32>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl From<Vec<f32>> for Floats {
    fn from(values: Vec<f32>) -> Self {
        Self(Bytes::from_owner(Owner(values)))
    }
}

impl FromIterator<f32> for Floats {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        values.into_iter().collect::<Vec<f32>>().into()
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // Both ways to make one see to length and alignment; no bytes may lie anywhere.
        bytemuck::try_cast_slice(&self.0).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Floats {
    type Item = &'a f32;
    type IntoIter = std::slice::Iter<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Floats {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn a_tensor_uses_the_same_memory_until_it_is_written_to() {
        let floats = Floats::from(vec![1.0, -2.5]);
        let data = floats.to_data([2]);
        assert_eq!(data.as_slice::<f32>().unwrap().as_ptr(), floats.as_ptr());
        let tensor = Tensor::<Flex, 1>::from_data(data, &Default::default());
        let sum = tensor.clone().add_scalar(1.0) + tensor;
        assert_eq!(sum.into_data().to_vec::<f32>().unwrap(), [3.0, -4.0]);
        assert_eq!(*floats, [1.0, -2.5]);
    }

    #[test]
    fn bytes_are_shared_only_where_they_are_whole_numbers_at_their_place() {
        let all = Bytes::from_owner(Owner(vec![0.5, 1.5, 2.5]));
        let part = Floats::shared(all.slice(4..12)).unwrap();
        assert_eq!(*part, [1.5, 2.5]);
        assert_eq!(part.as_ptr().cast::<u8>(), all[4..].as_ptr());
        assert!(Floats::shared(all.slice(1..9)).is_none());
        assert!(Floats::shared(all.slice(4..11)).is_none());
        assert!(Floats::from(Vec::new()).is_empty());
    }
}
