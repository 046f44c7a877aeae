//! Between Flex tensors and slices.

use burn::tensor::{DType, Shape, Tensor, TensorPrimitive};
use burn_backend::Bytes;
use burn_flex::{Flex, FlexTensor, Layout};

use crate::kernels::unfold::transpose_all;

/// The tensor's primitive with its elements in order and nothing around them.
///
/// Matrices that were transposed are copied in parallel; Flex copies them element by element in one thread.
pub(super) fn contiguous<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    let dims = tensor.dims();
    let x = tensor.into_primitive().tensor();
    let layout = x.layout();
    let strides = Layout::contiguous(Shape::new(swapped(dims)))
        .strides()
        .to_vec();
    let transposed = D >= 2 && x.dtype() == DType::F32 && !layout.is_contiguous() && {
        let mut own = layout.strides().to_vec();
        own.swap(D - 2, D - 1);
        own == strides
    };
    if !transposed {
        return x.to_contiguous();
    }
    let count = dims.iter().product();
    let stored = x.storage::<f32>().get(layout.start_offset()..);
    match stored.and_then(|stored| stored.get(..count)) {
        Some(stored) => primitive(transpose_all(stored, dims[D - 1], dims[D - 2]), dims),
        None => x.to_contiguous(),
    }
}

/// The last two dimensions exchanged.
fn swapped<const D: usize>(mut dims: [usize; D]) -> [usize; D] {
    if D >= 2 {
        dims.swap(D - 2, D - 1);
    }
    dims
}

/// The elements of a contiguous `f32` primitive.
pub(super) fn floats(primitive: &FlexTensor) -> &[f32] {
    primitive.storage::<f32>()
}

/// A primitive of the given shape.
pub(super) fn primitive<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(Shape::new(dims)),
        DType::F32,
    )
}

/// A tensor of the given shape.
pub(super) fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive(values, dims)))
}
