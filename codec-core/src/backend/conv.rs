//! Convolutions with fused bias and activation.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::{Flex, FlexTensor};

use super::flex::{contiguous, floats, primitive, tensor};
use super::{Activation, plain, plain_on_gpu};
use crate::kernels::activation::channel_sums;
use crate::kernels::conv::{self, BiasActivation, ConvShape};
use crate::kernels::conv_gradient;
use crate::kernels::depthwise::{self, DepthwiseShape};
use crate::kernels::strided::{self, StridedShape};
use crate::kernels::transposed::{self, TransposedShape};

/// Convolutions with bias and activation: square kernels, zero padding. `same` keeps the size: stride 1, odd kernels.
pub trait ConvOps: Backend {
    /// `activation(conv(x) + bias)`.
    ///
    /// # Shapes
    /// - x: `[N, Ci, H, W]`
    /// - weight: `[Co, Ci, k, k]`
    /// - bias: `[Co]`
    /// - output: `[N, Co, H, W]`
    ///
    /// # Panics
    /// If the shapes disagree or the kernel is even or not square.
    fn conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        plain::conv2d_same(x, weight, bias, activation)
    }

    /// `activation(conv(x) + bias)` with one kernel for each channel.
    ///
    /// # Shapes
    /// - x: `[N, C, H, W]`
    /// - weight: `[C, 1, k, k]`
    /// - bias: `[C]`
    /// - output: `[N, C, H, W]`
    ///
    /// # Panics
    /// If the shapes disagree or the kernel is even or not square.
    fn depthwise_conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        plain::depthwise_conv2d_same(x, weight, bias, activation)
    }

    /// `activation(conv(x) + bias)` at every `stride`-th position, zeros outside.
    ///
    /// # Shapes
    /// - x: `[N, Ci, H, W]`
    /// - weight: `[Co, Ci, k, k]`
    /// - bias: `[Co]`
    /// - output: `[N, Co, ceil(H / stride), ceil(W / stride)]`; output `o` sees inputs `stride * o - before ..` of each axis
    ///
    /// # Panics
    /// If the shapes disagree or the kernel is not square.
    fn conv2d_strided(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        stride: usize,
        before: usize,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        plain::conv2d_strided(x, weight, bias, stride, before, activation)
    }

    /// `activation(transposed conv(x) + bias)` that multiplies the size by `stride`: PyTorch's with padding `k / 2` and output
    /// padding `stride - 1`, odd kernels.
    ///
    /// # Shapes
    /// - x: `[N, Ci, H, W]`
    /// - weight: `[Ci, Co, k, k]`
    /// - bias: `[Co]`
    /// - output: `[N, Co, stride * H, stride * W]`
    ///
    /// # Panics
    /// If the shapes disagree or the kernel is even or not square.
    fn conv2d_transposed(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        stride: usize,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        plain::conv2d_transposed(x, weight, bias, stride, activation)
    }
}

plain_on_gpu!(ConvOps);

impl ConvOps for Flex {
    fn conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::conv2d_same(x, weight, bias, activation);
        }
        let layer = Layer::Dense(ConvShape::new(x.dims(), weight.dims()));
        let out = layer.forward(
            &contiguous(x),
            &contiguous(weight),
            &contiguous(bias),
            activation,
        );
        Tensor::from_primitive(TensorPrimitive::Float(out))
    }

    fn depthwise_conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::depthwise_conv2d_same(x, weight, bias, activation);
        }
        let layer = Layer::Depthwise(DepthwiseShape::new(x.dims(), weight.dims()));
        let out = layer.forward(
            &contiguous(x),
            &contiguous(weight),
            &contiguous(bias),
            activation,
        );
        Tensor::from_primitive(TensorPrimitive::Float(out))
    }

    fn conv2d_strided(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        stride: usize,
        before: usize,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::conv2d_strided(x, weight, bias, stride, before, activation);
        }
        let shape = StridedShape::new(x.dims(), weight.dims(), stride, before);
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let epilogue = BiasActivation::new(floats(&bias), shape.outputs, activation);
        let out = strided::conv2d_strided(&shape, floats(&x), floats(&weight), &epilogue);
        tensor(out, shape.output_dims())
    }

    fn conv2d_transposed(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        stride: usize,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::conv2d_transposed(x, weight, bias, stride, activation);
        }
        let shape = TransposedShape::new(x.dims(), weight.dims(), stride);
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let epilogue = BiasActivation::new(floats(&bias), shape.outputs, activation);
        let out = transposed::conv2d_transposed(&shape, floats(&x), floats(&weight), &epilogue);
        tensor(out, shape.output_dims())
    }
}

impl<C: CheckpointStrategy> ConvOps for Autodiff<Flex, C> {
    fn conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::conv2d_same(x, weight, bias, activation);
        }
        let layer = Layer::Dense(ConvShape::new(x.dims(), weight.dims()));
        tracked(layer, x, weight, bias, activation)
    }

    fn depthwise_conv2d_same(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        activation: Activation,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::depthwise_conv2d_same(x, weight, bias, activation);
        }
        let layer = Layer::Depthwise(DepthwiseShape::new(x.dims(), weight.dims()));
        tracked(layer, x, weight, bias, activation)
    }
}

/// The two kinds of convolution behind one set of steps.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Dense(ConvShape),
    Depthwise(DepthwiseShape),
}

impl Layer {
    fn forward(
        &self,
        x: &FlexTensor,
        weight: &FlexTensor,
        bias: &FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let (channels, _) = self.output();
        let epilogue = BiasActivation::new(floats(bias), channels, activation);
        let (x, weight) = (floats(x), floats(weight));
        match self {
            Self::Dense(s) => primitive(conv::conv2d(s, x, weight, &epilogue), s.output_dims()),
            Self::Depthwise(s) => {
                primitive(depthwise::depthwise(s, x, weight, &epilogue), s.dims())
            }
        }
    }

    fn input_gradient(&self, gradient: &[f32], weight: &FlexTensor) -> FlexTensor {
        match self {
            Self::Dense(s) => primitive(
                conv_gradient::conv2d_input_gradient(s, gradient, floats(weight)),
                [s.batch, s.inputs, s.height, s.width],
            ),
            Self::Depthwise(s) => primitive(
                depthwise::depthwise_input_gradient(s, gradient, floats(weight)),
                s.dims(),
            ),
        }
    }

    fn weight_gradient(&self, x: &FlexTensor, gradient: &[f32]) -> FlexTensor {
        match self {
            Self::Dense(s) => primitive(
                conv_gradient::conv2d_weight_gradient(s, floats(x), gradient),
                [s.outputs, s.inputs, s.kernel, s.kernel],
            ),
            Self::Depthwise(s) => primitive(
                depthwise::depthwise_weight_gradient(s, floats(x), gradient),
                [s.channels, 1, s.kernel, s.kernel],
            ),
        }
    }

    /// Output channels and their size.
    fn output(&self) -> (usize, usize) {
        match self {
            Self::Dense(s) => (s.outputs, s.plane()),
            Self::Depthwise(s) => (s.channels, s.plane()),
        }
    }
}

/// What the gradients need. The output is kept only where the activation needs it.
#[derive(Clone, Debug)]
struct Saved {
    layer: Layer,
    x: FlexTensor,
    weight: FlexTensor,
    output: Option<FlexTensor>,
    activation: Activation,
}

#[derive(Debug)]
struct ConvBackward;

impl Backward<Flex, 3> for ConvBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [x, weight, bias] = ops.parents;
        let Saved {
            layer,
            x: input,
            weight: filters,
            output,
            activation,
        } = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (channels, plane) = layer.output();
        let output = output.as_ref().map_or(&[][..], floats);
        let gradient = activation.backward(output, floats(&gradient), plane);
        if let Some(node) = x {
            grads.register::<Flex>(node.id, layer.input_gradient(&gradient, &filters));
        }
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, layer.weight_gradient(&input, &gradient));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(
                node.id,
                primitive(channel_sums(&gradient, channels, plane), [channels]),
            );
        }
    }
}

/// Forward pass that registers [`ConvBackward`] if a gradient is wanted.
fn tracked<C: CheckpointStrategy>(
    layer: Layer,
    x: Tensor<Autodiff<Flex, C>, 4>,
    weight: Tensor<Autodiff<Flex, C>, 4>,
    bias: Tensor<Autodiff<Flex, C>, 1>,
    activation: Activation,
) -> Tensor<Autodiff<Flex, C>, 4> {
    let x = x.into_primitive().tensor();
    let weight = weight.into_primitive().tensor();
    let bias = bias.into_primitive().tensor();
    let (input, filters) = (
        x.primitive.to_contiguous(),
        weight.primitive.to_contiguous(),
    );
    let output = layer.forward(
        &input,
        &filters,
        &bias.primitive.to_contiguous(),
        activation,
    );
    let prepared = ConvBackward
        .prepare::<C>([x.node.clone(), weight.node.clone(), bias.node.clone()])
        .compute_bound()
        .stateful();
    let output = match prepared {
        OpsKind::Tracked(step) => {
            let saved = Saved {
                layer,
                x: input,
                weight: filters,
                output: (activation != Activation::None).then(|| output.clone()),
                activation,
            };
            step.finish(saved, output)
        }
        OpsKind::UnTracked(step) => step.finish(output),
    };
    Tensor::from_primitive(TensorPrimitive::Float(output))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    type Ad = Autodiff<Flex>;
    type Layer4<B> = fn(Tensor<B, 4>, Tensor<B, 4>, Tensor<B, 1>, Activation) -> Tensor<B, 4>;

    const ACTIVATIONS: [Activation; 5] = [
        Activation::None,
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::ClampedRelu(0.75),
        Activation::Elu,
    ];

    fn random<const D: usize>(dims: [usize; D]) -> Tensor<Flex, D> {
        Tensor::random(dims, Distribution::Uniform(-1.0, 1.0), &Default::default())
    }

    fn close<const D: usize>(got: Tensor<Flex, D>, want: Tensor<Flex, D>) {
        let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-4);
        got.into_data()
            .assert_approx_eq(&want.into_data(), tolerance);
    }

    /// Value and gradients of two implementations agree, also through a view that is not contiguous.
    fn compare(
        x: [usize; 4],
        w: [usize; 4],
        fast: Layer4<Ad>,
        slow: Layer4<Ad>,
        inference: Layer4<Flex>,
    ) {
        let (x, w, b) = (
            random([x[0], x[1], x[3], x[2]]).swap_dims(2, 3),
            random(w),
            random([w[0]]),
        );
        let mut gradient = None;
        for activation in ACTIVATIONS {
            let run = |layer: Layer4<Ad>, gradient: &mut Option<Tensor<Flex, 4>>| {
                let x = Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
                let w = Tensor::<Ad, 4>::from_inner(w.clone()).require_grad();
                let b = Tensor::<Ad, 1>::from_inner(b.clone()).require_grad();
                let y = layer(x.clone(), w.clone(), b.clone(), activation);
                let g = gradient.get_or_insert_with(|| random(y.dims())).clone();
                let grads = (y.clone() * Tensor::from_inner(g)).sum().backward();
                (
                    y.inner(),
                    x.grad(&grads).unwrap(),
                    w.grad(&grads).unwrap(),
                    b.grad(&grads).unwrap(),
                )
            };
            let (got, want) = (run(fast, &mut gradient), run(slow, &mut gradient));
            close(
                inference(x.clone(), w.clone(), b.clone(), activation),
                want.0.clone(),
            );
            close(got.0, want.0);
            close(got.1, want.1);
            close(got.2, want.2);
            close(got.3, want.3);
        }
    }

    #[test]
    fn dense_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 7);
        for (x, w) in [
            ([1, 1, 1, 1], [1, 1, 1, 1]),
            ([1, 1, 1, 1], [2, 1, 3, 3]),
            ([2, 3, 5, 7], [4, 3, 3, 3]),
            ([2, 3, 5, 7], [4, 3, 1, 1]),
            ([2, 2, 6, 3], [3, 2, 5, 5]),
            ([1, 33, 12, 17], [18, 33, 3, 3]),
            ([2, 70, 9, 8], [24, 70, 1, 1]),
            ([1, 300, 20, 15], [130, 300, 3, 3]),
        ] {
            compare(x, w, Ad::conv2d_same, plain::conv2d_same, Flex::conv2d_same);
        }
    }

    #[test]
    fn depthwise_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 8);
        for (x, w) in [
            ([1, 1, 1, 1], [1, 1, 3, 3]),
            ([2, 3, 5, 7], [3, 1, 3, 3]),
            ([2, 4, 9, 37], [4, 1, 5, 5]),
            ([1, 2, 3, 20], [2, 1, 7, 7]),
        ] {
            let inference = Flex::depthwise_conv2d_same;
            compare(
                x,
                w,
                Ad::depthwise_conv2d_same,
                plain::depthwise_conv2d_same,
                inference,
            );
        }
    }

    #[test]
    fn strided_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 9);
        for (x, w, stride, before) in [
            ([1, 1, 1, 1], [1, 1, 1, 1], 1, 0),
            ([1, 3, 16, 24], [8, 3, 5, 5], 2, 2),
            ([2, 3, 7, 9], [4, 3, 5, 5], 2, 2),
            ([2, 3, 8, 6], [4, 3, 3, 3], 2, 0),
            ([1, 5, 9, 4], [70, 5, 1, 1], 2, 0),
            ([2, 2, 5, 7], [3, 2, 4, 4], 1, 1),
            ([1, 2, 7, 5], [3, 2, 3, 3], 3, 1),
            ([1, 2, 6, 3], [3, 2, 2, 2], 4, 0),
            ([1, 4, 16, 16], [4, 4, 4, 4], 4, 0),
            ([1, 2, 3, 2], [3, 2, 9, 9], 2, 4),
            ([1, 130, 24, 20], [70, 130, 5, 5], 2, 2),
        ] {
            let x = random([x[0], x[1], x[3], x[2]]).swap_dims(2, 3);
            let (w, b) = (random(w), random([w[0]]));
            for activation in ACTIVATIONS {
                let run = |layer: fn(_, _, _, _, _, _) -> _| {
                    layer(x.clone(), w.clone(), b.clone(), stride, before, activation)
                };
                close(run(Flex::conv2d_strided), run(plain::conv2d_strided));
            }
        }
    }

    #[test]
    fn transposed_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 10);
        for (x, w, stride) in [
            ([1, 1, 1, 1], [1, 1, 1, 1], 1),
            ([1, 3, 6, 8], [3, 4, 5, 5], 2),
            ([2, 3, 7, 5], [3, 4, 3, 3], 2),
            ([2, 3, 7, 5], [3, 4, 5, 5], 1),
            ([1, 2, 3, 4], [2, 3, 5, 5], 3),
            ([1, 2, 4, 3], [2, 3, 5, 5], 4),
            ([1, 2, 4, 3], [2, 3, 3, 3], 5),
            ([1, 2, 4, 3], [2, 3, 1, 1], 2),
            ([1, 130, 9, 40], [130, 140, 5, 5], 2),
        ] {
            let x = random([x[0], x[1], x[3], x[2]]).swap_dims(2, 3);
            let (b, w) = (random([w[1]]), random(w));
            for activation in ACTIVATIONS {
                let run = |layer: fn(_, _, _, _, _) -> _| {
                    layer(x.clone(), w.clone(), b.clone(), stride, activation)
                };
                close(run(Flex::conv2d_transposed), run(plain::conv2d_transposed));
            }
        }
    }

    #[test]
    fn gradients_only_where_wanted() {
        let device = Default::default();
        let x = Tensor::<Ad, 4>::ones([1, 2, 3, 3], &device);
        let w = Tensor::<Ad, 4>::ones([2, 2, 3, 3], &device).require_grad();
        let b = Tensor::<Ad, 1>::zeros([2], &device);
        let grads = Ad::conv2d_same(x.clone(), w.clone(), b.clone(), Activation::Relu)
            .sum()
            .backward();
        assert!(x.grad(&grads).is_none());
        assert!(b.grad(&grads).is_none());
        assert_eq!(w.grad(&grads).unwrap().sum().into_scalar(), 196.0);
    }
}
