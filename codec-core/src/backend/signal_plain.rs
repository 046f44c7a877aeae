//! The definitions of [`super::SignalOps`] in plain Burn operators.

use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::backend::Backend;
use burn::tensor::module::{conv_transpose1d, conv1d as convolve};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Shape, Tensor};

use super::plain::activate;
use super::signal::{LstmParams, ResidualUnit};
use super::{Activation, Border, Walk};

/// See [`super::SignalOps::signal_conv`].
pub(crate) fn conv1d<B: Backend>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    walk: Walk,
    border: Border,
    activation: Activation,
) -> Tensor<B, 3> {
    let x = extend(x, [walk.before, walk.after], border);
    let options = ConvOptions::new([walk.stride], [0], [walk.dilation], 1);
    activate(convolve(x, weight, Some(bias), options), activation)
}

/// See [`super::SignalOps::residual_unit`].
pub(crate) fn residual_unit<B: Backend>(x: Tensor<B, 3>, unit: ResidualUnit<B>) -> Tensor<B, 3> {
    let seen = activate(x.clone(), unit.inside);
    let (weight, bias) = unit.first;
    let inside = conv1d(seen, weight, bias, unit.walk, unit.border, unit.inside);
    let pointwise = |x: Tensor<B, 3>, (weight, bias): (Tensor<B, 2>, Tensor<B, 1>)| {
        let weight = weight.unsqueeze_dim(2);
        conv1d(
            x,
            weight,
            bias,
            Walk::PLAIN,
            Border::Zeros,
            Activation::None,
        )
    };
    let inside = pointwise(inside, unit.second);
    let own = match unit.shortcut {
        Some(shortcut) => pointwise(x, shortcut),
        None => x,
    };
    activate(own + inside, unit.activation)
}

/// See [`super::SignalOps::depthwise_conv1d_same`].
pub(crate) fn depthwise_conv1d_same<B: Backend>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 3>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 3> {
    let [channels, _, kernel] = weight.dims();
    let options = ConvOptions::new([1], [kernel / 2], [1], channels);
    convolve(x, weight, Some(bias), options)
}

/// See [`super::SignalOps::conv1d_transposed`].
pub(crate) fn conv1d_transposed<B: Backend>(
    x: Tensor<B, 3>,
    weight: Tensor<B, 3>,
    bias: Tensor<B, 1>,
    stride: usize,
    cut: [usize; 2],
    activation: Activation,
) -> Tensor<B, 3> {
    let options = ConvTransposeOptions::new([stride], [0], [0], [1], 1);
    let whole = conv_transpose1d(x, weight, Some(bias), options);
    let length = whole.dims()[2];
    let left = whole.narrow(2, cut[0], length - cut[0] - cut[1]);
    activate(left, activation)
}

/// See [`super::SignalOps::extend`].
pub(crate) fn extend<B: Backend>(
    x: Tensor<B, 3>,
    [before, after]: [usize; 2],
    border: Border,
) -> Tensor<B, 3> {
    if before + after == 0 {
        return x;
    }
    let mode = match border {
        Border::Zeros => PadMode::Constant(0.0),
        Border::Reflect => PadMode::Reflect,
        Border::Edge => PadMode::Edge,
    };
    x.pad([(before, after)], mode)
}

/// See [`super::SignalOps::snake`].
pub(crate) fn snake<B: Backend>(
    x: Tensor<B, 3>,
    alpha: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 3> {
    let alpha = alpha.reshape([1, -1, 1]);
    let sine = (x.clone() * alpha.clone()).sin();
    x + sine.clone() * sine / alpha.add_scalar(epsilon)
}

/// See [`super::SignalOps::lstm`].
pub(crate) fn lstm<B: Backend>(x: Tensor<B, 3>, params: LstmParams<B>) -> Tensor<B, 3> {
    let [batch, time, inputs] = x.dims();
    let [gates, units] = params.recurrent.dims();
    let device = x.device();
    let projected = x
        .reshape([batch * time, inputs])
        .matmul(params.input.transpose())
        + params.bias.reshape([1, gates]);
    let projected = projected.reshape([batch, time, gates]);
    let recurrent = params.recurrent.transpose();
    let mut state = Tensor::<B, 2>::zeros(Shape::new([batch, units]), &device);
    let mut cell = state.clone();
    let steps = (0..time).map(|at| {
        let own = projected.clone().narrow(1, at, 1).reshape([batch, gates]);
        let sums = own + state.clone().matmul(recurrent.clone());
        let gate = |number: usize| sums.clone().narrow(1, number * units, units);
        let (enter, forget) = (sigmoid(gate(0)), sigmoid(gate(1)));
        let (change, leave) = (tanh(gate(2)), sigmoid(gate(3)));
        cell = forget * cell.clone() + enter * change;
        state = leave * tanh(cell.clone());
        state.clone().reshape([batch, 1, units])
    });
    let steps: Vec<Tensor<B, 3>> = steps.collect();
    Tensor::cat(steps, 1)
}
