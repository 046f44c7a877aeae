//! Elementwise work on planes as operators of the back ends.
//!
//! Each is a chain of Burn operators that on the CPU costs as much as a convolution (one thread, strided broadcasting);
//! here it is one parallel pass forward and one backward.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn_flex::{Flex, FlexTensor};

use super::slices::{LinearMap, contiguous, primitive, tensor, values, wrap};
use crate::kernels::fresh::zeros;
use crate::kernels::plane as kernel;

/// A term of [`PlaneOps::clamp_sum`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClampTerm {
    /// Values are clamped to this magnitude.
    pub limit: f32,
    /// Slope within.
    pub slope: f32,
}

/// Fused elementwise operators.
pub trait PlaneOps: Backend {
    /// `sum_i slope_i clamp(x, -limit_i, limit_i)`: a piecewise linear compression of the range.
    fn clamp_sum(x: Tensor<Self, 4>, terms: [ClampTerm; 3]) -> Tensor<Self, 4> {
        let [a, b, c] = terms.map(|t| x.clone().clamp(-t.limit, t.limit).mul_scalar(t.slope));
        a + b + c
    }

    /// Multiplies each channel by a factor of its own.
    ///
    /// # Shapes
    /// `[n, c, h, w]` and `[m, c, 1, 1]` with `m` = `n` or 1, to `[n, c, h, w]`.
    fn scale_channels(x: Tensor<Self, 4>, factors: Tensor<Self, 4>) -> Tensor<Self, 4> {
        x * factors
    }

    /// Joins channels.
    ///
    /// # Shapes
    /// `[n, a, h, w]` and `[n, b, h, w]` to `[n, a + b, h, w]`.
    fn concat_channels(a: Tensor<Self, 4>, b: Tensor<Self, 4>) -> Tensor<Self, 4> {
        Tensor::cat(vec![a, b], 1)
    }

    /// Sum over everything but the first dimension.
    ///
    /// # Shapes
    /// `[n, c, h, w]` to `[n]`.
    fn sum_per_picture(x: Tensor<Self, 4>) -> Tensor<Self, 1> {
        let n = x.dims()[0];
        x.reshape([n as i32, -1]).sum_dim(1).reshape([n])
    }
}

super::plain_on_gpu!(PlaneOps);

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

/// A tensor like `x` filled by `fill`.
fn filled(x: &FlexTensor, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut out = zeros(values(x).len());
    fill(&mut out);
    tensor(out, x.layout().shape().clone())
}

#[inline(always)]
fn compress(x: f32, [a, b, c]: &[ClampTerm; 3]) -> f32 {
    a.value(x) + b.value(x) + c.value(x)
}

#[inline(always)]
fn slope(x: f32, [a, b, c]: &[ClampTerm; 3]) -> f32 {
    a.slope_at(x) + b.slope_at(x) + c.slope_at(x)
}

impl ClampTerm {
    #[inline(always)]
    fn value(&self, x: f32) -> f32 {
        x.max(-self.limit).min(self.limit) * self.slope
    }

    #[inline(always)]
    fn slope_at(&self, x: f32) -> f32 {
        if x >= -self.limit && x <= self.limit {
            self.slope
        } else {
            0.0
        }
    }
}

fn clamp_sum(x: &FlexTensor, terms: &[ClampTerm; 3]) -> FlexTensor {
    filled(x, |out| {
        kernel::map(
            values(x),
            out,
            #[inline(always)]
            |x| compress(x, terms),
        )
    })
}

fn scale(x: &FlexTensor, factors: &[f32]) -> FlexTensor {
    let [_, _, h, w] = dims(x);
    filled(x, |out| kernel::scale(values(x), factors, out, h * w))
}

/// One factor a plane, repeated over pictures where there is one row for all.
fn by_plane(x: &FlexTensor, factors: &FlexTensor) -> Vec<f32> {
    let [n, c, _, _] = dims(x);
    let [m, k, _, _] = dims(factors);
    assert!(
        k == c && (m == n || m == 1),
        "factors {m}x{k} do not fit {n}x{c} planes"
    );
    values(factors)
        .iter()
        .copied()
        .cycle()
        .take(n * c)
        .collect()
}

fn concat(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    let ([n, left, h, w], [m, right, i, j]) = (dims(a), dims(b));
    assert!(
        (n, h, w) == (m, i, j),
        "pictures {n}x{h}x{w} and {m}x{i}x{j} do not join"
    );
    let mut out = zeros(n * (left + right) * h * w);
    kernel::concat(values(a), values(b), &mut out, left * h * w, right * h * w);
    tensor(out, [n, left + right, h, w].into())
}

/// Sum by picture; the transposed map spreads one value over a picture.
#[derive(Debug, Clone)]
struct PictureSum([usize; 4]);

impl LinearMap for PictureSum {
    fn apply(&self, x: FlexTensor) -> FlexTensor {
        let x = contiguous(x);
        let [n, c, h, w] = self.0;
        let mut out = vec![0.0; n];
        kernel::sum(values(&x), &mut out, c * h * w);
        tensor(out, [n].into())
    }

    fn transposed(&self, gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [n, c, h, w] = self.0;
        let size = c * h * w;
        let mut out = Vec::with_capacity(n * size);
        for &g in values(&gradient) {
            out.resize(out.len() + size, g);
        }
        tensor(out, [n, c, h, w].into())
    }
}

impl PlaneOps for Flex {
    fn clamp_sum(x: Tensor<Self, 4>, terms: [ClampTerm; 3]) -> Tensor<Self, 4> {
        wrap(clamp_sum(&contiguous(primitive(x)), &terms))
    }

    fn scale_channels(x: Tensor<Self, 4>, factors: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let (x, factors) = (contiguous(primitive(x)), contiguous(primitive(factors)));
        let factors = by_plane(&x, &factors);
        wrap(scale(&x, &factors))
    }

    fn concat_channels(a: Tensor<Self, 4>, b: Tensor<Self, 4>) -> Tensor<Self, 4> {
        wrap(concat(&contiguous(primitive(a)), &contiguous(primitive(b))))
    }

    fn sum_per_picture(x: Tensor<Self, 4>) -> Tensor<Self, 1> {
        let map = PictureSum(x.dims());
        wrap(map.apply(primitive(x)))
    }
}

#[derive(Debug)]
struct SumStep;

impl Backward<Flex, 1> for SumStep {
    type State = PictureSum;

    fn backward(
        self,
        ops: Ops<PictureSum, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            ops.state.transposed(gradient)
        });
    }
}

#[derive(Debug)]
struct ClampStep;

impl Backward<Flex, 1> for ClampStep {
    type State = (FlexTensor, [ClampTerm; 3]);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, terms) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            let gradient = contiguous(gradient);
            filled(&x, |out| {
                kernel::zip(
                    values(&gradient),
                    values(&x),
                    out,
                    #[inline(always)]
                    |g, x| g * slope(x, &terms),
                );
            })
        });
    }
}

#[derive(Debug)]
struct ScaleStep;

impl Backward<Flex, 2> for ScaleStep {
    /// The planes, the factors, and one factor a plane.
    type State = (FlexTensor, FlexTensor, Vec<f32>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let (x, factors, planes) = ops.state;
        let [by_x, by_factors] = ops.parents;
        if let Some(node) = by_factors {
            let [_, _, h, w] = dims(&x);
            let mut dots = vec![0.0; planes.len()];
            kernel::dot(values(&gradient), values(&x), &mut dots, h * w);
            let mut sums = vec![0.0; values(&factors).len()];
            for row in dots.chunks(sums.len().max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
            grads.register::<Flex>(node.id, tensor(sums, factors.layout().shape().clone()));
        }
        if let Some(node) = by_x {
            grads.register::<Flex>(node.id, scale(&gradient, &planes));
        }
    }
}

#[derive(Debug)]
struct ConcatStep;

impl Backward<Flex, 2> for ConcatStep {
    /// Shapes of both sides.
    type State = [[usize; 4]; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [left, right] = ops.state.map(|[_, c, h, w]| c * h * w);
        let offsets = [0, left];
        for ((node, shape), offset) in ops.parents.into_iter().zip(ops.state).zip(offsets) {
            let Some(node) = node else { continue };
            let [n, c, h, w] = shape;
            let mut out = zeros(n * c * h * w);
            kernel::extract(values(&gradient), &mut out, left + right, offset, c * h * w);
            grads.register::<Flex>(node.id, tensor(out, shape.into()));
        }
    }
}

impl<C: CheckpointStrategy> PlaneOps for Autodiff<Flex, C> {
    fn clamp_sum(x: Tensor<Self, 4>, terms: [ClampTerm; 3]) -> Tensor<Self, 4> {
        let x = primitive(x);
        let input = contiguous(x.primitive);
        let output = clamp_sum(&input, &terms);
        wrap(
            match ClampStep.prepare::<C>([x.node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish((input, terms), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            },
        )
    }

    fn scale_channels(x: Tensor<Self, 4>, factors: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let (x, factors) = (primitive(x), primitive(factors));
        let (input, table) = (contiguous(x.primitive), contiguous(factors.primitive));
        let planes = by_plane(&input, &table);
        let output = scale(&input, &planes);
        wrap(
            match ScaleStep
                .prepare::<C>([x.node, factors.node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish((input, table, planes), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            },
        )
    }

    fn concat_channels(a: Tensor<Self, 4>, b: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let (a, b) = (primitive(a), primitive(b));
        let (left, right) = (contiguous(a.primitive), contiguous(b.primitive));
        let output = concat(&left, &right);
        let shapes = [dims(&left), dims(&right)];
        wrap(
            match ConcatStep
                .prepare::<C>([a.node, b.node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(shapes, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            },
        )
    }

    fn sum_per_picture(x: Tensor<Self, 4>) -> Tensor<Self, 1> {
        let map = PictureSum(x.dims());
        let x = primitive(x);
        let output = map.apply(x.primitive);
        wrap(
            match SumStep.prepare::<C>([x.node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(map, output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    type Ad = Autodiff<Flex>;
    const TERMS: [ClampTerm; 3] = [
        ClampTerm {
            limit: 0.5,
            slope: 0.4,
        },
        ClampTerm {
            limit: 1.0,
            slope: 0.2,
        },
        ClampTerm {
            limit: 3.0,
            slope: 0.1,
        },
    ];

    fn noise(shape: [usize; 4]) -> Tensor<Flex, 4> {
        Tensor::random(shape, Distribution::Uniform(-2.0, 2.0), &Default::default())
    }

    fn close(a: Tensor<Flex, 4>, b: Tensor<Flex, 4>) {
        let error: f32 = (a - b).abs().max().into_scalar();
        assert!(error < 1e-4, "{error}");
    }

    /// Values and gradients of an operator on two inputs against its plain form.
    fn compare(
        fast: impl Fn(Tensor<Ad, 4>, Tensor<Ad, 4>) -> Tensor<Ad, 4>,
        plain: impl Fn(Tensor<Ad, 4>, Tensor<Ad, 4>) -> Tensor<Ad, 4>,
        shapes: [[usize; 4]; 2],
    ) {
        let inputs = shapes.map(noise);
        let leaves = || {
            inputs
                .clone()
                .map(|x| Tensor::<Ad, 4>::from_inner(x).require_grad())
        };
        let ([a, b], [c, d]) = (leaves(), leaves());
        let (y, z) = (fast(a.clone(), b.clone()), plain(c.clone(), d.clone()));
        close(y.clone().inner(), z.clone().inner());
        let weight = Tensor::<Ad, 4>::from_inner(noise(y.dims()));
        let (g, h) = (
            (y * weight.clone()).sum().backward(),
            (z * weight).sum().backward(),
        );
        for (ours, theirs) in [(a, c), (b, d)] {
            if let (Some(ours), Some(theirs)) = (ours.grad(&g), theirs.grad(&h)) {
                close(ours, theirs);
            }
        }
    }

    #[test]
    fn scaling_equals_multiplication() {
        compare(
            Ad::scale_channels,
            |x, s| x * s,
            [[2, 3, 5, 7], [2, 3, 1, 1]],
        );
        compare(
            Ad::scale_channels,
            |x, s| x * s,
            [[2, 3, 5, 7], [1, 3, 1, 1]],
        );
    }

    #[test]
    fn joining_equals_cat() {
        compare(
            Ad::concat_channels,
            |a, b| Tensor::cat(vec![a, b], 1),
            [[2, 3, 5, 7], [2, 4, 5, 7]],
        );
    }

    #[test]
    fn clamping_equals_three_clamps() {
        let plain = |x: Tensor<Ad, 4>, _| {
            let [a, b, c] = TERMS.map(|t| x.clone().clamp(-t.limit, t.limit).mul_scalar(t.slope));
            a + b + c
        };
        compare(
            |x, _| Ad::clamp_sum(x, TERMS),
            plain,
            [[2, 3, 50, 70], [1, 1, 1, 1]],
        );
    }

    #[test]
    fn sums_by_picture() {
        let x = noise([3, 2, 40, 50]);
        let fast: Vec<f32> = Flex::sum_per_picture(x.clone())
            .into_data()
            .to_vec()
            .unwrap();
        for (n, sum) in fast.into_iter().enumerate() {
            let plain: f32 = x.clone().narrow(0, n, 1).sum().into_scalar();
            assert!((sum - plain).abs() < 1e-2, "{sum} {plain}");
        }
        let leaf = Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
        let factors = Tensor::<Ad, 1>::from_floats([1.0, 2.0, 3.0], &Default::default());
        let grads = (Ad::sum_per_picture(leaf.clone()) * factors)
            .sum()
            .backward();
        let gradient = leaf.grad(&grads).unwrap();
        assert_eq!(
            gradient
                .narrow(0, 2, 1)
                .into_data()
                .to_vec::<f32>()
                .unwrap(),
            vec![3.0; 4000]
        );
    }
}
