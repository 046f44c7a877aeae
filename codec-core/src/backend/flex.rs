//! Between Flex tensors and slices.

use burn::tensor::{DType, Shape, Tensor, TensorPrimitive};
use burn_backend::Bytes;
use burn_flex::{Flex, FlexTensor, Layout};

/// The tensor's primitive with its elements in order and nothing around them.
pub(super) fn contiguous<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    tensor.into_primitive().tensor().to_contiguous()
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
