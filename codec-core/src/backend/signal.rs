//! What networks over signals `[n, c, t]` are made of.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::flex::{contiguous, floats, tensor};
use super::{Activation, Border, Walk, plain_on_gpu, signal_plain as plain};
use crate::kernels::conv::BiasActivation;
use crate::kernels::network;
use crate::kernels::recurrent::{self, LstmShape, LstmWeights};
use crate::kernels::residual;
use crate::kernels::signal::{self, SignalShape};
use crate::kernels::signal_transposed::{self, TransposedSignalShape};

/// Weights of one layer of long short-term memory. The gates are the input's, the forget gate, the cell's and the output's.
#[derive(Debug, Clone)]
pub struct LstmParams<B: Backend> {
    /// `[4 units, inputs]`.
    pub input: Tensor<B, 2>,
    /// `[4 units, units]`.
    pub recurrent: Tensor<B, 2>,
    /// `[4 units]`.
    pub bias: Tensor<B, 1>,
}

/// `activation(shortcut(x) + second(inside(first(inside(x)))))` of convolutions, the second and the shortcut with one tap.
#[derive(Debug, Clone)]
pub struct ResidualUnit<B: Backend> {
    /// Weights `[h, ci, k]` and bias `[h]`.
    pub first: (Tensor<B, 3>, Tensor<B, 1>),
    /// How the first convolution walks: it keeps the length.
    pub walk: Walk,
    /// What it sees beyond the ends of the signal.
    pub border: Border,
    /// Weights `[co, h]` and bias `[co]`.
    pub second: (Tensor<B, 2>, Tensor<B, 1>),
    /// Weights `[co, ci]` and bias `[co]`; the input itself where there is none.
    pub shortcut: Option<(Tensor<B, 2>, Tensor<B, 1>)>,
    /// Before both convolutions.
    pub inside: Activation,
    /// Of the result.
    pub activation: Activation,
}

/// Operators over signals. All have gradients.
pub trait SignalOps: Backend {
    /// `activation(conv(x) + bias)`.
    ///
    /// # Shapes
    /// x `[n, ci, t]`, weight `[co, ci, k]`, bias `[co]`, to `[n, co, t']` with [`Walk::outputs`] samples
    ///
    /// # Panics
    /// If the shapes disagree, the signal is too short for its border, or with it shorter than the taps reach.
    fn signal_conv(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
        walk: Walk,
        border: Border,
        activation: Activation,
    ) -> Tensor<Self, 3> {
        plain::conv1d(x, weight, bias, walk, border, activation)
    }

    /// Two convolutions and what is added to them.
    ///
    /// # Shapes
    /// x `[n, ci, t]`, to `[n, co, t]`
    ///
    /// # Panics
    /// If the shapes disagree or the signal is too short for its border.
    fn residual_unit(x: Tensor<Self, 3>, unit: ResidualUnit<Self>) -> Tensor<Self, 3> {
        plain::residual_unit(x, unit)
    }

    /// Convolution with one odd kernel a channel, zeros outside.
    ///
    /// # Shapes
    /// x `[n, c, t]`, weight `[c, 1, k]`, bias `[c]`, to `[n, c, t]`
    ///
    /// # Panics
    /// If the shapes disagree.
    fn depthwise_conv1d_same(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 3> {
        plain::depthwise_conv1d_same(x, weight, bias)
    }

    /// `activation(transposed conv(x) + bias)` without the first and last samples that `cut` says.
    ///
    /// # Shapes
    /// x `[n, ci, t]`, weight `[ci, co, k]`, bias `[co]`, to `[n, co, stride (t - 1) + k - cut]`
    ///
    /// # Panics
    /// If the shapes disagree or nothing is left.
    fn conv1d_transposed(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
        stride: usize,
        cut: [usize; 2],
        activation: Activation,
    ) -> Tensor<Self, 3> {
        plain::conv1d_transposed(x, weight, bias, stride, cut, activation)
    }

    /// The signal with so many samples of its border before and after it.
    ///
    /// # Panics
    /// If it is too short for its border.
    fn extend(x: Tensor<Self, 3>, sides: [usize; 2], border: Border) -> Tensor<Self, 3> {
        plain::extend(x, sides, border)
    }

    /// Exponential linear unit: `x` where positive, `e^x - 1` elsewhere.
    fn elu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        super::plain::activate(x, Activation::Elu)
    }

    /// `x + sin(alpha x)^2 / (alpha + epsilon)` with one alpha a channel (Ziyin et al. 2020).
    ///
    /// # Shapes
    /// x `[n, c, t]`, alpha `[c]`
    fn snake(x: Tensor<Self, 3>, alpha: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 3> {
        plain::snake(x, alpha, epsilon)
    }

    /// One layer of long short-term memory, from a state of zeros.
    ///
    /// # Shapes
    /// x `[n, t, inputs]`, to `[n, t, units]`; at least one position
    fn lstm(x: Tensor<Self, 3>, params: LstmParams<Self>) -> Tensor<Self, 3> {
        plain::lstm(x, params)
    }
}

impl SignalOps for Flex {
    fn signal_conv(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
        walk: Walk,
        border: Border,
        activation: Activation,
    ) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return plain::conv1d(x, weight, bias, walk, border, activation);
        }
        let shape = SignalShape::new(x.dims(), weight.dims(), walk);
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let epilogue = BiasActivation::new(floats(&bias), shape.outputs, activation);
        let out = signal::conv1d(&shape, border, floats(&x), floats(&weight), &epilogue);
        tensor(out, shape.output_dims())
    }

    fn residual_unit(x: Tensor<Self, 3>, unit: ResidualUnit<Self>) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return plain::residual_unit(x, unit);
        }
        let shape = SignalShape::new(x.dims(), unit.first.0.dims(), unit.walk);
        let [outputs, _] = unit.second.0.dims();
        let (shortcut, bias) = match unit.shortcut {
            Some((weight, bias)) => (Some(contiguous(weight)), unit.second.1 + bias),
            None => (None, unit.second.1),
        };
        let (x, bias) = (contiguous(x), contiguous(bias));
        let (first, first_bias) = (contiguous(unit.first.0), contiguous(unit.first.1));
        let second = contiguous(unit.second.0);
        let unit = residual::Unit {
            shape,
            border: unit.border,
            outputs,
            first: floats(&first),
            first_bias: floats(&first_bias),
            second: floats(&second),
            bias: floats(&bias),
            shortcut: shortcut.as_ref().map(floats),
            inside: unit.inside,
            activation: unit.activation,
        };
        let out = residual::residual_unit(&unit, floats(&x));
        tensor(out, [shape.input[0], outputs, shape.time])
    }

    fn depthwise_conv1d_same(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return plain::depthwise_conv1d_same(x, weight, bias);
        }
        let (dims, [channels, _, kernel]) = (x.dims(), weight.dims());
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let epilogue = BiasActivation::new(floats(&bias), channels, Activation::None);
        let out = signal::depthwise1d(dims, kernel, floats(&x), floats(&weight), &epilogue);
        tensor(out, dims)
    }

    fn conv1d_transposed(
        x: Tensor<Self, 3>,
        weight: Tensor<Self, 3>,
        bias: Tensor<Self, 1>,
        stride: usize,
        cut: [usize; 2],
        activation: Activation,
    ) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return plain::conv1d_transposed(x, weight, bias, stride, cut, activation);
        }
        let shape = TransposedSignalShape::new(x.dims(), weight.dims(), stride, cut);
        let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
        let epilogue = BiasActivation::new(floats(&bias), shape.outputs, activation);
        let out =
            signal_transposed::conv1d_transposed(&shape, floats(&x), floats(&weight), &epilogue);
        tensor(out, shape.output_dims())
    }

    fn extend(x: Tensor<Self, 3>, sides: [usize; 2], border: Border) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 || sides == [0, 0] {
            return plain::extend(x, sides, border);
        }
        let [n, c, t] = x.dims();
        let out = signal::extend(floats(&contiguous(x)), t, sides, border);
        tensor(out, [n, c, sides[0] + t + sides[1]])
    }

    fn elu(x: Tensor<Self, 3>) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return super::plain::activate(x, Activation::Elu);
        }
        let dims = x.dims();
        tensor(network::elu(floats(&contiguous(x))), dims)
    }

    fn snake(x: Tensor<Self, 3>, alpha: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 3> {
        let dims = x.dims();
        if x.dtype() != DType::F32 {
            return plain::snake(x, alpha, epsilon);
        }
        assert_eq!(alpha.dims(), [dims[1]], "alpha does not fit the channels");
        let (x, alpha) = (contiguous(x), contiguous(alpha));
        let out = network::snake(floats(&x), dims[2], floats(&alpha), epsilon as f32);
        tensor(out, dims)
    }

    fn lstm(x: Tensor<Self, 3>, params: LstmParams<Self>) -> Tensor<Self, 3> {
        if x.dtype() != DType::F32 {
            return plain::lstm(x, params);
        }
        let [batch, time, inputs] = x.dims();
        let units = params.recurrent.dims()[1];
        let shape = LstmShape {
            batch,
            time,
            inputs,
            units,
        };
        let (x, input) = (contiguous(x), contiguous(params.input));
        let (recurrent, bias) = (contiguous(params.recurrent), contiguous(params.bias));
        let weights = LstmWeights {
            input: floats(&input),
            recurrent: floats(&recurrent),
            bias: floats(&bias),
        };
        let out = recurrent::lstm(&shape, floats(&x), weights);
        tensor(out, [batch, time, units])
    }
}

impl<C: CheckpointStrategy> SignalOps for Autodiff<Flex, C> {}
plain_on_gpu!(SignalOps);

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    fn random<const D: usize>(dims: [usize; D]) -> Tensor<Flex, D> {
        Tensor::random(dims, Distribution::Uniform(-1.0, 1.0), &Default::default())
    }

    fn close<const D: usize>(got: Tensor<Flex, D>, want: Tensor<Flex, D>) {
        let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-5);
        got.into_data()
            .assert_approx_eq(&want.into_data(), tolerance);
    }

    const BORDERS: [Border; 3] = [Border::Zeros, Border::Reflect, Border::Edge];

    #[test]
    fn convolutions_agree_with_plain_operators() {
        Flex::seed(&Default::default(), 21);
        for (x, w, [stride, dilation, before, after]) in [
            ([1, 1, 1], [1, 1, 1], [1, 1, 0, 0]),
            ([2, 3, 17], [4, 3, 7], [1, 1, 6, 0]),
            ([1, 3, 17], [4, 3, 7], [1, 9, 27, 27]),
            ([1, 5, 40], [6, 5, 10], [5, 1, 3, 2]),
            ([1, 5, 43], [6, 5, 4], [2, 1, 0, 0]),
            ([1, 2, 23], [3, 2, 3], [4, 2, 1, 6]),
            ([2, 4, 19], [3, 4, 1], [1, 1, 2, 3]),
            ([1, 4, 19], [3, 4, 1], [3, 1, 0, 0]),
            ([1, 70, 1500], [33, 70, 3], [1, 1, 1, 1]),
        ] {
            for activation in [Activation::None, Activation::Elu] {
                let walk = Walk {
                    stride,
                    dilation,
                    before,
                    after,
                };
                let time = x[2];
                let x = random([x[0], time, x[1]]).swap_dims(1, 2);
                let (w, b) = (random(w), random([w[0]]));
                for border in BORDERS {
                    if border == Border::Reflect && before.max(after) >= time {
                        continue;
                    }
                    let run = |f: fn(_, _, _, _, _, _) -> _| {
                        f(x.clone(), w.clone(), b.clone(), walk, border, activation)
                    };
                    close(run(Flex::signal_conv), run(plain::conv1d));
                }
            }
        }
    }

    #[test]
    fn residual_units_agree_with_plain_operators() {
        Flex::seed(&Default::default(), 25);
        for ([n, ci, t], [h, co, k], [dilation, before, after]) in [
            ([1, 1, 1], [1, 1, 1], [1, 0, 0]),
            ([2, 4, 17], [2, 4, 3], [1, 2, 0]),
            ([1, 4, 60], [9, 6, 3], [9, 9, 9]),
            ([1, 6, 2000], [3, 6, 5], [2, 1, 7]),
            ([1, 200, 90], [100, 200, 3], [1, 2, 0]),
        ] {
            let x = random([n, t, ci]).swap_dims(1, 2).mul_scalar(3.0);
            let walk = Walk {
                dilation,
                before,
                after,
                ..Walk::PLAIN
            };
            for (border, own, activation) in [
                (Border::Reflect, false, Activation::Elu),
                (Border::Zeros, true, Activation::None),
                (Border::Edge, ci == co, Activation::None),
            ] {
                let spread = |inputs: usize| 1.0 / (inputs as f64).sqrt();
                let pointwise = |inputs: usize| {
                    let weight = random([co, inputs]).mul_scalar(spread(inputs));
                    (weight, random([co]))
                };
                let shortcut = (own || ci != co).then(|| pointwise(ci));
                let first = random([h, ci, k]).mul_scalar(spread(ci * k));
                let unit = ResidualUnit {
                    first: (first, random([h])),
                    walk,
                    border,
                    second: pointwise(h),
                    shortcut,
                    inside: Activation::Elu,
                    activation,
                };
                close(
                    Flex::residual_unit(x.clone(), unit.clone()),
                    plain::residual_unit(x.clone(), unit),
                );
            }
        }
    }

    #[test]
    fn transposed_convolutions_agree_with_plain_operators() {
        Flex::seed(&Default::default(), 22);
        for (x, w, stride, cut) in [
            ([1, 1, 1], [1, 1, 1], 1, [0, 0]),
            ([2, 3, 7], [3, 4, 4], 2, [0, 2]),
            ([1, 3, 7], [3, 4, 10], 5, [3, 3]),
            ([1, 3, 7], [3, 4, 16], 8, [0, 0]),
            ([1, 3, 5], [3, 4, 3], 2, [0, 0]),
            ([1, 3, 5], [3, 4, 2], 3, [1, 0]),
            ([1, 3, 5], [3, 4, 6], 2, [5, 1]),
            ([1, 40, 900], [40, 70, 8], 4, [2, 2]),
        ] {
            let (x, b) = (random(x), random([w[1]]));
            let w = random(w);
            let activation = Activation::None;
            let got =
                Flex::conv1d_transposed(x.clone(), w.clone(), b.clone(), stride, cut, activation);
            close(
                got,
                plain::conv1d_transposed(x, w, b, stride, cut, activation),
            );
        }
    }

    #[test]
    fn other_operators_agree_with_plain_ones() {
        Flex::seed(&Default::default(), 23);
        for ([n, c, t], k) in [([1, 1, 1], 1), ([2, 3, 5], 7), ([1, 8, 70], 3)] {
            let (x, w, b) = (random([n, c, t]), random([c, 1, k]), random([c]));
            let want = plain::depthwise_conv1d_same(x.clone(), w.clone(), b.clone());
            close(Flex::depthwise_conv1d_same(x.clone(), w, b), want);
            let alpha = random([c]).mul_scalar(20.0);
            let want = plain::snake(x.clone(), alpha.clone(), 1e-9);
            close(Flex::snake(x.clone(), alpha, 1e-9), want);
            close(
                Flex::elu(x.clone().mul_scalar(4.0)),
                super::super::plain::activate(x.clone().mul_scalar(4.0), Activation::Elu),
            );
            for border in BORDERS {
                let sides = if border == Border::Reflect {
                    [t / 2, t.saturating_sub(1)]
                } else {
                    [3, 9]
                };
                close(
                    Flex::extend(x.clone(), sides, border),
                    plain::extend(x.clone(), sides, border),
                );
            }
        }
    }

    #[test]
    fn memory_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 24);
        for [n, t, c, h] in [[1, 1, 1, 1], [2, 7, 3, 5], [1, 90, 40, 36], [1, 4, 8, 300]] {
            let x = random([n, c, t]).swap_dims(1, 2);
            let spread = 1.0 / (h as f64).sqrt();
            let params = LstmParams {
                input: random([4 * h, c]),
                recurrent: random([4 * h, h]).mul_scalar(spread),
                bias: random([4 * h]),
            };
            close(
                Flex::lstm(x.clone(), params.clone()),
                plain::lstm(x, params),
            );
        }
    }
}
