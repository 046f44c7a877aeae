//! Between tensors of the Flex backend and slices, and linear maps with a hand-written gradient.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Bytes, DType, Shape, Tensor, TensorPrimitive};
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn_backend::tensor::FloatTensor;
use burn_flex::{Flex, FlexTensor, Layout};
use std::fmt::Debug;

/// The tensor behind the typed wrapper, without quantization.
pub(crate) fn primitive<B: Backend, const D: usize>(x: Tensor<B, D>) -> FloatTensor<B> {
    x.into_primitive().tensor()
}

/// The typed wrapper around a tensor of the back end.
pub(crate) fn wrap<B: Backend, const D: usize>(x: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(x))
}

/// The same values in row-major order in a buffer of their own size.
pub(crate) fn contiguous(x: FlexTensor) -> FlexTensor {
    x.to_contiguous()
}

/// The values of a contiguous tensor. Tensors of other element types than `f32` are a programming error, as in Burn.
pub(crate) fn values(x: &FlexTensor) -> &[f32] {
    x.storage::<f32>()
}

/// A tensor of `values`, which are as many as `shape` says.
pub(crate) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}

/// A linear map of one tensor; its gradient is its transpose.
pub(crate) trait LinearMap: Debug + Clone + Send + 'static {
    /// The map.
    fn apply(&self, x: FlexTensor) -> FlexTensor;
    /// The transposed map.
    fn transposed(&self, gradient: FlexTensor) -> FlexTensor;
}

/// Applies `map` to `x`.
pub(crate) fn apply_flex<L: LinearMap, const D: usize>(
    map: &L,
    x: Tensor<Flex, D>,
) -> Tensor<Flex, D> {
    wrap(map.apply(primitive(x)))
}

/// Applies `map` to `x` and registers its gradient.
pub(crate) fn apply_autodiff<C: CheckpointStrategy, L: LinearMap, const D: usize>(
    map: L,
    x: Tensor<Autodiff<Flex, C>, D>,
) -> Tensor<Autodiff<Flex, C>, D> {
    let x = primitive(x);
    let step = LinearStep::<L>(std::marker::PhantomData);
    let output = map.apply(x.primitive);
    wrap(
        match step.prepare::<C>([x.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(map, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        },
    )
}

#[derive(Debug)]
struct LinearStep<L>(std::marker::PhantomData<L>);

impl<L: LinearMap> Backward<Flex, 1> for LinearStep<L> {
    type State = L;

    fn backward(self, ops: Ops<L, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            ops.state.transposed(gradient)
        });
    }
}
