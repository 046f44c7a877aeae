//! Rate estimation and quantization with usable gradients, as operators of the back ends.

use super::rate_plain::{
    bits as generic_bits, fake_quant as generic_fake_quant, round as generic_round,
};
use super::slices::{contiguous, primitive, tensor, values, wrap};
use crate::kernels::fresh::zeros;
use crate::kernels::rate as kernel;
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn_flex::{Flex, FlexTensor};

/// Largest magnitude of a quantized weight.
const MAX_WEIGHT: f32 = 127.0;

/// Operators of rate-distortion training.
///
/// As Burn's elementwise operators do, those with several tensors panic when the shapes differ.
pub trait RateOps: Backend {
    /// Bits that an ideal coder spends on each value, from a Gaussian integrated over an interval of length one.
    ///
    /// With `s = 0.11 (256 / 0.11)^(t / 63)`, `t` the entry of `log_scale_index` clamped to `0..=63`, and
    /// `v = y - mean`: `-log2 max(Phi((1/2 - |v|) / s) - Phi((-1/2 - |v|) / s), 1e-9)` (Minnen, Ballé, Toderici 2018,
    /// with the likelihood in its numerically stable form). Relative accuracy about 1e-4.
    ///
    /// Gradients: where the likelihood is at its bound, that of the tail's slope, cut off at a distance of eight scales.
    /// Beyond a bound of the index the gradient passes only where descent moves the index inward (the default
    /// implementation decides that for a positive incoming gradient).
    ///
    /// # Shapes
    /// All tensors have the same shape, which is that of the result.
    fn gaussian_bits<const D: usize>(
        y: Tensor<Self, D>,
        mean: Tensor<Self, D>,
        log_scale_index: Tensor<Self, D>,
    ) -> Tensor<Self, D> {
        generic_bits(y, mean, log_scale_index)
    }

    /// `floor(x + 1/2)` with gradient 1 (straight-through).
    fn ste_round<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        generic_round(x)
    }

    /// `clamp(floor(x multiplier + 1/2), lo, hi) / multiplier`, with gradient 1 for `lo <= x multiplier <= hi` and 0
    /// outside. `multiplier` is positive; exact when it is a power of two.
    fn fake_quant<const D: usize>(
        x: Tensor<Self, D>,
        multiplier: f32,
        lo: f32,
        hi: f32,
    ) -> Tensor<Self, D> {
        generic_fake_quant(x, multiplier, lo, hi)
    }

    /// [`RateOps::fake_quant`] of weights to `-127..=127` with one multiplier for each output channel.
    ///
    /// # Shapes
    /// `w`: `[co, ...]`, `multiplier`: `[co]` (positive, not differentiated); the result has the shape of `w`.
    fn fake_quant_weight<const D: usize>(
        w: Tensor<Self, D>,
        multiplier: Tensor<Self, 1>,
    ) -> Tensor<Self, D> {
        let mut shape = [1; D];
        if let Some(first) = shape.first_mut() {
            *first = multiplier.dims()[0];
        }
        let multiplier = multiplier.detach().reshape(shape);
        let inside = (w * multiplier.clone()).clamp(-MAX_WEIGHT, MAX_WEIGHT);
        generic_round(inside) / multiplier
    }
}

/// Allocates what a kernel fills.
fn filled(x: &FlexTensor, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut out = zeros(values(x).len());
    fill(&mut out);
    tensor(out, x.layout().shape().clone())
}

fn map(x: FlexTensor, f: impl Fn(f32) -> f32 + Sync + Copy) -> FlexTensor {
    let x = contiguous(x);
    filled(&x, |out| kernel::map(values(&x), out, f))
}

fn product(
    a: &FlexTensor,
    b: &FlexTensor,
    f: impl Fn(f32, f32) -> f32 + Sync + Copy,
) -> FlexTensor {
    filled(a, |out| kernel::map2(values(a), values(b), out, f))
}

#[track_caller]
fn same_shape<B: Backend, const D: usize>(
    y: &Tensor<B, D>,
    mean: &Tensor<B, D>,
    index: &Tensor<B, D>,
) {
    let dims = [y.dims(), mean.dims(), index.dims()];
    assert!(
        dims[0] == dims[1] && dims[0] == dims[2],
        "gaussian_bits: shapes differ: {dims:?}"
    );
}

fn bits(y: FlexTensor, mean: FlexTensor, index: FlexTensor) -> FlexTensor {
    let (y, mean, index) = (contiguous(y), contiguous(mean), contiguous(index));
    filled(&y, |out| {
        kernel::bits(values(&y), values(&mean), values(&index), out)
    })
}

fn round(x: FlexTensor) -> FlexTensor {
    map(
        x,
        #[inline(always)]
        |x| (x + 0.5).floor(),
    )
}

fn quantize(x: FlexTensor, multiplier: f32, lo: f32, hi: f32) -> FlexTensor {
    let inverse = 1.0 / multiplier;
    map(
        x,
        #[inline(always)]
        move |x| kernel::fake_quant(x, multiplier, inverse, lo, hi),
    )
}

impl RateOps for Flex {
    fn gaussian_bits<const D: usize>(
        y: Tensor<Self, D>,
        mean: Tensor<Self, D>,
        log_scale_index: Tensor<Self, D>,
    ) -> Tensor<Self, D> {
        same_shape(&y, &mean, &log_scale_index);
        wrap(bits(
            primitive(y),
            primitive(mean),
            primitive(log_scale_index),
        ))
    }

    fn ste_round<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        wrap(round(primitive(x)))
    }

    fn fake_quant<const D: usize>(
        x: Tensor<Self, D>,
        multiplier: f32,
        lo: f32,
        hi: f32,
    ) -> Tensor<Self, D> {
        wrap(quantize(primitive(x), multiplier, lo, hi))
    }
}

#[derive(Debug)]
struct BitsStep;

impl Backward<Flex, 3> for BitsStep {
    /// The inputs: the rate is computed again, which costs less than the memory for its derivatives.
    type State = [FlexTensor; 3];

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [y, mean, index] = &ops.state;
        let n = values(y).len();
        let (mut by_value, mut by_index) = (zeros(n), zeros(n));
        kernel::gradients(
            [values(y), values(mean), values(index)],
            values(&gradient),
            [&mut by_value, &mut by_index],
        );
        let shaped = |v| tensor(v, y.layout().shape().clone());
        let (by_value, by_index) = (shaped(by_value), shaped(by_index));
        let [y, mean, scale] = ops.parents;
        if let Some(mean) = mean {
            let negative = map(
                by_value.clone(),
                #[inline(always)]
                |g| -g,
            );
            grads.register::<Flex>(mean.id, negative);
        }
        if let Some(y) = y {
            grads.register::<Flex>(y.id, by_value);
        }
        if let Some(scale) = scale {
            grads.register::<Flex>(scale.id, by_index);
        }
    }
}

#[derive(Debug)]
struct RoundStep;

impl Backward<Flex, 1> for RoundStep {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| gradient);
    }
}

#[derive(Debug)]
struct QuantStep;

impl Backward<Flex, 1> for QuantStep {
    /// The input and the range in which the gradient passes.
    type State = (FlexTensor, f32, f32);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, lo, hi) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            product(
                &contiguous(gradient),
                &x,
                #[inline(always)]
                move |g, x| if x >= lo && x <= hi { g } else { 0.0 },
            )
        });
    }
}

impl<C: CheckpointStrategy> RateOps for Autodiff<Flex, C> {
    fn gaussian_bits<const D: usize>(
        y: Tensor<Self, D>,
        mean: Tensor<Self, D>,
        log_scale_index: Tensor<Self, D>,
    ) -> Tensor<Self, D> {
        same_shape(&y, &mean, &log_scale_index);
        let (y, mean, index) = (primitive(y), primitive(mean), primitive(log_scale_index));
        let step = BitsStep
            .prepare::<C>([y.node, mean.node, index.node])
            .compute_bound();
        wrap(match step.stateful() {
            OpsKind::UnTracked(prep) => {
                prep.finish(bits(y.primitive, mean.primitive, index.primitive))
            }
            OpsKind::Tracked(prep) => {
                let state = [y.primitive, mean.primitive, index.primitive].map(contiguous);
                let [y, mean, index] = state.clone();
                prep.finish(state, bits(y, mean, index))
            }
        })
    }

    fn ste_round<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        let x = primitive(x);
        wrap(
            RoundStep
                .prepare::<C>([x.node])
                .compute_bound()
                .stateless(round(x.primitive)),
        )
    }

    fn fake_quant<const D: usize>(
        x: Tensor<Self, D>,
        multiplier: f32,
        lo: f32,
        hi: f32,
    ) -> Tensor<Self, D> {
        let x = primitive(x);
        wrap(
            match QuantStep.prepare::<C>([x.node]).compute_bound().stateful() {
                OpsKind::UnTracked(prep) => prep.finish(quantize(x.primitive, multiplier, lo, hi)),
                OpsKind::Tracked(prep) => {
                    let x = contiguous(x.primitive);
                    let output = quantize(x.clone(), multiplier, lo, hi);
                    prep.finish((x, lo / multiplier, hi / multiplier), output)
                }
            },
        )
    }
}

super::plain_on_gpu!(RateOps);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    type Ad = Autodiff<Flex>;

    fn uniform(n: usize, lo: f64, hi: f64) -> Tensor<Flex, 4> {
        Tensor::random(
            [1, 2, n, 50],
            Distribution::Uniform(lo, hi),
            &Default::default(),
        )
    }

    fn close(a: Tensor<Flex, 4>, b: Tensor<Flex, 4>, what: &str) {
        let error = (a.clone() - b.clone()).abs() / (b.abs() + 1.0);
        let error: f32 = error.max().into_scalar();
        assert!(error < 1e-4, "{what}: {error}");
    }

    fn inputs() -> [Tensor<Flex, 4>; 3] {
        [
            uniform(40, -30.0, 30.0),
            uniform(40, -2.0, 2.0),
            uniform(40, -4.0, 67.0),
        ]
    }

    fn leaves(inputs: &[Tensor<Flex, 4>; 3]) -> [Tensor<Ad, 4>; 3] {
        inputs.clone().map(|x| Tensor::from_inner(x).require_grad())
    }

    #[test]
    fn bits_default_equals_override() {
        let x = inputs();
        let [y, mean, t] = x.clone();
        let fast = Flex::gaussian_bits(y.clone(), mean.clone(), t.clone());
        close(fast.clone(), generic_bits(y, mean, t), "bits");
        let [y, mean, t] = leaves(&x);
        let tracked = Ad::gaussian_bits(y.clone(), mean.clone(), t.clone());
        assert_eq!(tracked.clone().inner().into_data(), fast.into_data());
        let grads = tracked.mean().backward();
        let [y2, mean2, t2] = leaves(&x);
        let plain = generic_bits(y2.clone(), mean2.clone(), t2.clone())
            .mean()
            .backward();
        let n = 4000.0;
        close(
            y.grad(&grads).unwrap() * n,
            y2.grad(&plain).unwrap() * n,
            "by y",
        );
        close(
            mean.grad(&grads).unwrap() * n,
            mean2.grad(&plain).unwrap() * n,
            "by mean",
        );
        close(
            t.grad(&grads).unwrap() * n,
            t2.grad(&plain).unwrap() * n,
            "by index",
        );
    }

    #[test]
    fn gradient_at_the_bounds_of_the_index_moves_inward_only() {
        let constant = |v: f32| Tensor::<Ad, 1>::from_floats([v], &Default::default());
        // A value far out asks for a larger scale, one at the mean for a smaller one.
        for (value, t, sign, passes) in [
            (5.0, -1.0, 1.0, true),
            (0.0, -1.0, 1.0, false),
            (0.0, -1.0, -1.0, true),
            (0.0, 64.0, 1.0, true),
            (900.0, 64.0, 1.0, false),
        ] {
            let t = constant(t).require_grad();
            let bits = Ad::gaussian_bits(constant(value), constant(0.1), t.clone());
            let gradient: f32 = t.grad(&(bits * sign).backward()).unwrap().into_scalar();
            assert_eq!(
                gradient != 0.0,
                passes,
                "value {value} sign {sign}: {gradient}"
            );
        }
    }

    #[test]
    fn rounding_and_quantization() {
        let x = uniform(40, -20.0, 20.0);
        let weight = uniform(40, -1.0, 1.0);
        type Op = fn(Tensor<Ad, 4>) -> Tensor<Ad, 4>;
        let pairs: [(Op, Op); 2] = [
            (Ad::ste_round, generic_round),
            (
                |x| Ad::fake_quant(x, 8.0, -100.0, 127.0),
                |x| generic_fake_quant(x, 8.0, -100.0, 127.0),
            ),
        ];
        for (fast, plain) in pairs {
            let run = |op: Op| {
                let x = Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
                let y = op(x.clone());
                let grads = (y.clone() * Tensor::from_inner(weight.clone()))
                    .sum()
                    .backward();
                (y.inner().into_data(), x.grad(&grads).unwrap().into_data())
            };
            assert_eq!(run(fast), run(plain));
        }
        let values = |x: Tensor<Flex, 1>| x.into_data().to_vec::<f32>().unwrap();
        let x =
            Tensor::<Flex, 1>::from_floats([-2.5, -0.5, 0.49, 0.5, 3.5, 1e3], &Default::default());
        assert_eq!(
            values(Flex::ste_round(x.clone())),
            [-2.0, 0.0, 0.0, 1.0, 4.0, 1000.0]
        );
        assert_eq!(
            values(Flex::fake_quant(x, 2.0, -4.0, 6.0)),
            [-2.0, -0.5, 0.5, 0.5, 3.0, 3.0]
        );
    }

    #[test]
    fn weights_by_channel() {
        let w = Tensor::<Ad, 2>::from_floats([[0.3, -40.0], [0.3, 100.0]], &Default::default())
            .require_grad();
        let m = Tensor::from_floats([4.0, 1.0], &Default::default());
        let q = Ad::fake_quant_weight(w.clone(), m);
        let grads = q.clone().sum().backward();
        assert_eq!(
            q.into_data().to_vec::<f32>().unwrap(),
            [0.25, -31.75, 0.0, 100.0]
        );
        assert_eq!(
            w.grad(&grads).unwrap().into_data().to_vec::<f32>().unwrap(),
            [1.0, 0.0, 1.0, 1.0]
        );
    }

    #[test]
    #[ignore = "timing"]
    fn timing() {
        let [y, mean, t] = [
            uniform(16_000, -9.0, 9.0),
            uniform(16_000, -2.0, 2.0),
            uniform(16_000, 0.0, 63.0),
        ];
        let best = |f: &dyn Fn()| {
            let run = |_| {
                let start = std::time::Instant::now();
                f();
                start.elapsed().as_secs_f64() * 1e3
            };
            (0..20).map(run).fold(f64::MAX, f64::min)
        };
        let lift = |x: &Tensor<Flex, 4>| Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
        println!(
            "bits {:.2} ms",
            best(&|| drop(Flex::gaussian_bits(y.clone(), mean.clone(), t.clone())))
        );
        let data = [&y, &mean, &t].map(|x| values(&primitive(x.clone())).to_vec());
        let (mut by_value, mut by_index) = (data[0].clone(), data[0].clone());
        let mut least = f64::MAX;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            let inputs = [&*data[0], &*data[1], &*data[2]];
            kernel::gradients(inputs, &data[0], [&mut by_value, &mut by_index]);
            least = least.min(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("kernel of the gradients {least:.2} ms");
        println!(
            "bits, forward with graph {:.2} ms",
            best(&|| drop(Ad::gaussian_bits(lift(&y), lift(&mean), lift(&t))))
        );
        println!(
            "bits, forward, sum and backward {:.2} ms",
            best(&|| {
                drop(
                    Ad::gaussian_bits(lift(&y), lift(&mean), lift(&t))
                        .sum()
                        .backward(),
                );
            })
        );
        println!(
            "default bits {:.1} ms",
            best(&|| drop(generic_bits(y.clone(), mean.clone(), t.clone())))
        );
        println!("round {:.2} ms", best(&|| drop(Flex::ste_round(y.clone()))));
        println!(
            "fake_quant {:.2} ms",
            best(&|| drop(Flex::fake_quant(y.clone(), 16.0, -127.0, 127.0)))
        );
        println!(
            "fake_quant, forward, sum and backward {:.2} ms",
            best(&|| {
                drop(
                    Ad::fake_quant(lift(&y), 16.0, -127.0, 127.0)
                        .sum()
                        .backward(),
                );
            })
        );
    }
}
