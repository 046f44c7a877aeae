//! From storages and views of them to tensors.

use std::borrow::Cow;

use super::arena::{StorageRef, TensorRef};
use crate::Error;
use crate::weights::tensors::{HostTensor, Values};

/// Tensors may take this many times the bytes of the file: 64-bit integers from bytes do.
const GROWTH: u64 = 8;
/// Bytes of tensors that any file may have.
const FLOOR: u64 = 1 << 20;
/// More dimensions than any network has.
const DIMENSIONS: usize = 16;

/// Where the bytes of storages are.
pub(super) trait Storages<'a> {
    /// The bytes of a storage; `len` is what its reference says, and the result has at least as many.
    fn bytes(&mut self, key: &str, len: u64) -> Result<Cow<'a, [u8]>, Error>;
}

/// Element types with a plain number in Rust.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    U16,
    U32,
}

impl Element {
    /// By the class of the storage or the name of the type.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" | "float64" | "double" => Self::F64,
            "FloatStorage" | "float32" | "float" => Self::F32,
            "HalfStorage" | "float16" | "half" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::Bf16,
            "LongStorage" | "int64" | "long" => Self::I64,
            "IntStorage" | "int32" | "int" => Self::I32,
            "ShortStorage" | "int16" | "short" => Self::I16,
            "CharStorage" | "int8" => Self::I8,
            // A storage without a type counts its elements in bytes.
            "ByteStorage" | "BoolStorage" | "UntypedStorage" | "uint8" | "bool" => Self::U8,
            "uint16" => Self::U16,
            "uint32" => Self::U32,
            _ => return None,
        })
    }

    /// No values of this type.
    fn none(self) -> Values {
        match self {
            Self::F64 | Self::F32 | Self::F16 | Self::Bf16 => Values::Floats(Vec::new().into()),
            _ => Values::Integers(Vec::new()),
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }
}

/// Bytes in one element of a storage of this class.
pub(super) fn element_size(class: &str) -> Option<u64> {
    Element::named(class).map(Element::size)
}

/// Makes tensors of views, within a budget that the file's size gives.
pub(super) struct Builder<S> {
    storages: S,
    budget: u64,
}

impl<'a, S: Storages<'a>> Builder<S> {
    /// For a file of `len` bytes.
    pub fn new(storages: S, len: u64) -> Self {
        Self {
            storages,
            budget: len.saturating_mul(GROWTH).saturating_add(FLOOR),
        }
    }

    /// The tensor `name`.
    pub fn tensor(&mut self, name: &str, view: &TensorRef<'_>) -> Result<HostTensor, Error> {
        let bad = |reason: &str| Error::malformed(format!("checkpoint: tensor {name}: {reason}"));
        let StorageRef {
            key,
            class,
            elements,
            start,
        } = view.storage;
        let kind = view.dtype.unwrap_or(class);
        let unknown = || Error::unsupported(format!("tensor {name} of type {kind}"));
        let element = Element::named(kind).ok_or_else(unknown)?;
        let unit = element_size(class).ok_or_else(unknown)?;

        if view.shape.len() > DIMENSIONS {
            return Err(bad("too many dimensions"));
        }
        let shape = view.shape.iter().map(|&d| usize::try_from(d).ok());
        let shape: Option<Vec<usize>> = shape.collect();
        let count = view.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        let (shape, count) = shape
            .zip(count)
            .ok_or_else(|| bad("a shape beyond all memory"))?;
        let needed = count.saturating_mul(8.max(element.size()));
        self.budget = self
            .budget
            .checked_sub(needed)
            .ok_or(Error::LimitExceeded {
                what: "size of all tensors in bytes",
                limit: self.budget,
                actual: needed,
            })?;
        if count == 0 {
            return HostTensor::new(shape, element.none());
        }

        let len = elements
            .checked_mul(unit)
            .ok_or_else(|| bad("a storage beyond all memory"))?;
        let bytes = self.storages.bytes(key, len)?;
        let first = start
            .checked_mul(unit)
            .zip(view.offset.checked_mul(element.size()))
            .and_then(|(start, offset)| start.checked_add(offset))
            .ok_or_else(|| bad("an offset beyond its storage"))?;
        let last = view.shape.iter().zip(&view.stride);
        let last = last.fold(0u64, |at, (&d, &stride)| {
            at.saturating_add((d - 1).saturating_mul(stride))
        });
        let end = last
            .saturating_add(1)
            .saturating_mul(element.size())
            .saturating_add(first);
        let data = usize::try_from(first)
            .ok()
            .zip(usize::try_from(end.min(len)).ok())
            .filter(|_| end <= len)
            .and_then(|(first, end)| bytes.get(first..end))
            .ok_or_else(|| bad("a view beyond its storage"))?;

        let order = Order::new(&view.shape, &view.stride, count);
        let floats = |v: Vec<f32>| Values::Floats(v.into());
        let values = match element {
            Element::F64 => floats(order.read(data, |b| f64::from_le_bytes(b) as f32)),
            Element::F32 => floats(order.read(data, f32::from_le_bytes)),
            Element::F16 => floats(order.read(data, |b| half::f16::from_le_bytes(b).to_f32())),
            Element::Bf16 => floats(order.read(data, |b| half::bf16::from_le_bytes(b).to_f32())),
            Element::I64 => Values::Integers(order.read(data, i64::from_le_bytes)),
            Element::I32 => Values::Integers(order.read(data, |b| i32::from_le_bytes(b).into())),
            Element::I16 => Values::Integers(order.read(data, |b| i16::from_le_bytes(b).into())),
            Element::I8 => Values::Integers(order.read(data, |b| i8::from_le_bytes(b).into())),
            Element::U8 => Values::Integers(order.read(data, |b| u8::from_le_bytes(b).into())),
            Element::U16 => Values::Integers(order.read(data, |b| u16::from_le_bytes(b).into())),
            Element::U32 => Values::Integers(order.read(data, |b| u32::from_le_bytes(b).into())),
        };
        HostTensor::new(shape, values)
    }
}

/// The order in which a view reads its storage.
struct Order<'v> {
    shape: &'v [u64],
    stride: &'v [u64],
    count: usize,
}

impl<'v> Order<'v> {
    fn new(shape: &'v [u64], stride: &'v [u64], count: u64) -> Self {
        let count = count as usize;
        Self {
            shape,
            stride,
            count,
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut next = 1;
        self.shape
            .iter()
            .zip(self.stride)
            .rev()
            .all(|(&d, &stride)| {
                let fits = d == 1 || stride == next;
                next *= d;
                fits
            })
    }

    /// Elements in row-major order of the view. `data` begins with its first element and ends with its last.
    fn read<const N: usize, T: Default>(&self, data: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (elements, _) = data.as_chunks::<N>();
        if self.is_contiguous() {
            return elements.iter().take(self.count).map(|&b| of(b)).collect();
        }
        let mut values = Vec::with_capacity(self.count);
        let mut index = [0u64; DIMENSIONS];
        // Wrapping, because the stride of an axis of length 1 is never used but may be anything.
        let mut at = 0u64;
        for _ in 0..self.count {
            let element = elements.get(at as usize);
            values.push(element.map(|&b| of(b)).unwrap_or_default());
            let axes = self.shape.iter().zip(self.stride).zip(&mut index).rev();
            for ((&d, &stride), i) in axes {
                *i += 1;
                at = at.wrapping_add(stride);
                if *i < d {
                    break;
                }
                at = at.wrapping_sub(d.wrapping_mul(stride));
                *i = 0;
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Storages<'static> for Bytes {
        fn bytes(&mut self, _key: &str, _len: u64) -> Result<Cow<'static, [u8]>, Error> {
            Ok(Cow::Owned(self.0.clone()))
        }
    }

    fn build(
        class: &str,
        data: &[u8],
        elements: u64,
        offset: u64,
        shape: &[u64],
        stride: &[u64],
    ) -> Result<HostTensor, Error> {
        let view = TensorRef {
            storage: StorageRef {
                key: "0",
                class,
                elements,
                start: 0,
            },
            dtype: None,
            offset,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        };
        Builder::new(Bytes(data.to_vec()), data.len() as u64).tensor("t", &view)
    }

    #[test]
    fn views_read_their_storage_by_strides() {
        let data: Vec<u8> = (0..12).collect();
        let integers =
            |v: &[i64], shape: &[usize]| HostTensor::integers(shape, v.to_vec()).unwrap();
        let got = |offset, shape: &[u64], stride: &[u64]| {
            build("ByteStorage", &data, 12, offset, shape, stride)
        };
        assert_eq!(
            got(0, &[2, 3], &[3, 1]).unwrap(),
            integers(&[0, 1, 2, 3, 4, 5], &[2, 3])
        );
        // A transposed part, a step, one value spread over an axis, a scalar.
        assert_eq!(
            got(1, &[3, 2], &[1, 4]).unwrap(),
            integers(&[1, 5, 2, 6, 3, 7], &[3, 2])
        );
        assert_eq!(got(3, &[3], &[4]).unwrap(), integers(&[3, 7, 11], &[3]));
        assert_eq!(
            got(2, &[2, 2], &[0, 1]).unwrap(),
            integers(&[2, 3, 2, 3], &[2, 2])
        );
        assert_eq!(
            got(2, &[2, 1, 2], &[5, u64::MAX, 1]).unwrap(),
            integers(&[2, 3, 7, 8], &[2, 1, 2])
        );
        assert_eq!(got(11, &[], &[]).unwrap(), integers(&[11], &[]));
        assert!(got(4, &[3], &[4]).is_err());
        assert!(got(12, &[], &[]).is_err());
        assert!(got(0, &[u64::MAX, 2], &[0, 0]).is_err());
        assert!(got(0, &[1 << 30], &[0]).is_err());
        assert!(got(0, &[2], &[u64::MAX]).is_err());
        assert!(got(u64::MAX, &[2], &[1]).is_err());
        assert!(got(0, &[1; 40], &[1; 40]).is_err());
        // More elements than the storage really holds.
        assert!(build("ByteStorage", &data, 20, 0, &[13], &[1]).is_err());
        assert!(build("ComplexFloatStorage", &data, 1, 0, &[1], &[1]).is_err());
    }

    #[test]
    fn every_type_of_element() {
        for (class, bytes) in [
            ("DoubleStorage", (-3.0f64).to_le_bytes().to_vec()),
            ("FloatStorage", (-3.0f32).to_le_bytes().to_vec()),
            (
                "HalfStorage",
                half::f16::from_f32(-3.0).to_le_bytes().to_vec(),
            ),
            (
                "BFloat16Storage",
                half::bf16::from_f32(-3.0).to_le_bytes().to_vec(),
            ),
        ] {
            let got = build(class, &bytes, 1, 0, &[1], &[1]).unwrap();
            assert_eq!(got.as_floats(), Some(&[-3.0][..]), "{class}");
        }
        for (class, bytes, want) in [
            ("LongStorage", (-3i64).to_le_bytes().to_vec(), -3),
            ("IntStorage", (-3i32).to_le_bytes().to_vec(), -3),
            ("ShortStorage", (-3i16).to_le_bytes().to_vec(), -3),
            ("CharStorage", vec![0xfd], -3),
            ("ByteStorage", vec![0xfd], 253),
            ("BoolStorage", vec![1], 1),
        ] {
            let got = build(class, &bytes, 1, 0, &[1], &[1]).unwrap();
            assert_eq!(got.as_integers(), Some(&[want][..]), "{class}");
        }
    }
}
