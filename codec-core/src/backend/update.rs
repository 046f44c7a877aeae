//! What a training step does to parameters, as operators of the back ends.
//!
//! In Burn's operators an Adam step makes thirteen passes over all parameters, and on the CPU each runs on one thread; here
//! it is one pass on all threads, with the same roundings in the same order, so that the result has the same bits.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::{Flex, FlexTensor};

use super::slices::{contiguous, primitive, tensor, values, wrap};
use crate::kernels::fresh::zeros;
use crate::kernels::plane::{map, zip};
use crate::kernels::update as kernel;

/// Factors of an Adam step (Kingma and Ba 2015).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Step size.
    pub lr: f64,
    /// Number of this step, from 1.
    pub time: i32,
}

impl AdamStep {
    /// What the first moment is multiplied by, and what is added to the root of the second one, so that neither needs a
    /// correction of its own.
    pub(crate) fn corrections(&self) -> (f32, f32) {
        let second = (1.0 - self.beta_2.powi(self.time)).sqrt();
        let first = second / (1.0 - self.beta_1.powi(self.time));
        (first, self.epsilon * second)
    }
}

/// Parameter and moments after a step.
pub struct AdamResult<B: Backend, const D: usize> {
    /// The parameter.
    pub parameter: Tensor<B, D>,
    /// Mean of gradients.
    pub moment_1: Tensor<B, D>,
    /// Mean of their squares.
    pub moment_2: Tensor<B, D>,
}

/// Updates of parameters; none is differentiable.
pub trait UpdateOps: Backend {
    /// `decay * old + (1 - decay) * new`.
    ///
    /// # Panics
    /// If the shapes differ.
    fn blend<const D: usize>(
        old: Tensor<Self, D>,
        new: Tensor<Self, D>,
        decay: f32,
    ) -> Tensor<Self, D> {
        plain_blend(old, new, decay)
    }

    /// `factor * x`.
    fn scaled<const D: usize>(x: Tensor<Self, D>, factor: f32) -> Tensor<Self, D> {
        x.mul_scalar(factor)
    }

    /// One step of Adam; without moments they are zero.
    ///
    /// # Panics
    /// If the shapes differ.
    fn adam_step<const D: usize>(
        parameter: Tensor<Self, D>,
        gradient: Tensor<Self, D>,
        moments: Option<[Tensor<Self, D>; 2]>,
        step: AdamStep,
    ) -> AdamResult<Self, D> {
        plain_adam(parameter, gradient, moments, step)
    }
}

fn plain_blend<B: Backend, const D: usize>(
    old: Tensor<B, D>,
    new: Tensor<B, D>,
    decay: f32,
) -> Tensor<B, D> {
    old.mul_scalar(decay) + new.mul_scalar(1.0 - decay)
}

fn plain_adam<B: Backend, const D: usize>(
    parameter: Tensor<B, D>,
    gradient: Tensor<B, D>,
    moments: Option<[Tensor<B, D>; 2]>,
    step: AdamStep,
) -> AdamResult<B, D> {
    let first = gradient.clone().mul_scalar(1.0 - step.beta_1);
    let second = gradient.square().mul_scalar(1.0 - step.beta_2);
    let (moment_1, moment_2) = match moments {
        Some([m, v]) => (
            m.mul_scalar(step.beta_1) + first,
            v.mul_scalar(step.beta_2) + second,
        ),
        None => (first, second),
    };
    let (factor, epsilon) = step.corrections();
    let direction =
        moment_1.clone().mul_scalar(factor) / moment_2.clone().sqrt().add_scalar(epsilon);
    AdamResult {
        parameter: parameter - direction.mul_scalar(step.lr),
        moment_1,
        moment_2,
    }
}

super::plain_on_gpu!(UpdateOps);

impl<C: CheckpointStrategy> UpdateOps for Autodiff<Flex, C> {}

/// A tensor of the shape of `x`.
fn shaped(x: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    tensor(values, x.layout().shape().clone())
}

#[track_caller]
fn same_shape<const D: usize>(a: &Tensor<Flex, D>, b: &Tensor<Flex, D>) {
    assert!(
        a.dims() == b.dims(),
        "shapes {:?} and {:?} differ",
        a.dims(),
        b.dims()
    );
}

impl UpdateOps for Flex {
    fn blend<const D: usize>(
        old: Tensor<Self, D>,
        new: Tensor<Self, D>,
        decay: f32,
    ) -> Tensor<Self, D> {
        same_shape(&old, &new);
        if old.dtype() != DType::F32 || new.dtype() != DType::F32 {
            return plain_blend(old, new, decay);
        }
        let (old, new) = (contiguous(primitive(old)), contiguous(primitive(new)));
        let mut out = zeros(values(&old).len());
        let rest = 1.0 - decay;
        zip(
            values(&old),
            values(&new),
            &mut out,
            #[inline(always)]
            |a, b| a * decay + b * rest,
        );
        wrap(shaped(&old, out))
    }

    fn scaled<const D: usize>(x: Tensor<Self, D>, factor: f32) -> Tensor<Self, D> {
        if x.dtype() != DType::F32 {
            return x.mul_scalar(factor);
        }
        let x = contiguous(primitive(x));
        let mut out = zeros(values(&x).len());
        map(
            values(&x),
            &mut out,
            #[inline(always)]
            |v| v * factor,
        );
        wrap(shaped(&x, out))
    }

    fn adam_step<const D: usize>(
        parameter: Tensor<Self, D>,
        gradient: Tensor<Self, D>,
        moments: Option<[Tensor<Self, D>; 2]>,
        step: AdamStep,
    ) -> AdamResult<Self, D> {
        same_shape(&parameter, &gradient);
        let old = moments.iter().flatten();
        let tensors = [&parameter, &gradient].into_iter().chain(old);
        if tensors.into_iter().any(|x| x.dtype() != DType::F32) {
            return plain_adam(parameter, gradient, moments, step);
        }
        let parameter = contiguous(primitive(parameter));
        let gradient = contiguous(primitive(gradient));
        let len = values(&parameter).len();
        let moments = moments.map(|pair| {
            let [m, v] = pair.map(|x| contiguous(primitive(x)));
            assert!(
                values(&m).len() == len && values(&v).len() == len,
                "moments of another size than the parameter's {len}"
            );
            [m, v]
        });
        let mut out = [zeros(len), zeros(len), zeros(len)];
        kernel::adam(
            values(&parameter),
            values(&gradient),
            moments.as_ref().map(|[m, v]| [values(m), values(v)]),
            out.each_mut().map(Vec::as_mut_slice),
            &step,
        );
        let [new, m, v] = out.map(|out| wrap(shaped(&parameter, out)));
        AdamResult {
            parameter: new,
            moment_1: m,
            moment_2: v,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::{AdamConfig, SimpleOptimizer};
    use burn::tensor::Distribution;

    fn noise(shape: [usize; 2]) -> Tensor<Flex, 2> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
    }

    fn same(a: Tensor<Flex, 2>, b: Tensor<Flex, 2>) {
        a.into_data().assert_eq(&b.into_data(), true);
    }

    #[test]
    fn adam_has_the_bits_of_burns() {
        let burns = AdamConfig::new().with_beta_2(0.99).build();
        for shape in [[1, 1], [3, 7], [70, 500]] {
            let mut theirs = (noise(shape), None);
            let mut parameter = theirs.0.clone();
            let mut moments = None;
            for time in 1..5 {
                let (gradient, lr) = (noise(shape), 1e-2 / f64::from(time));
                theirs = burns.step(lr, theirs.0, gradient.clone(), theirs.1);
                let step = AdamStep {
                    beta_1: 0.9,
                    beta_2: 0.99,
                    epsilon: 1e-5,
                    lr,
                    time,
                };
                let ours = Flex::adam_step(parameter, gradient, moments, step);
                same(ours.parameter.clone(), theirs.0.clone());
                (parameter, moments) = (ours.parameter, Some([ours.moment_1, ours.moment_2]));
            }
        }
    }

    #[test]
    fn blending_and_scaling_have_the_bits_of_plain_operators() {
        for shape in [[1, 1], [3, 7], [70, 500]] {
            let (a, b) = (noise(shape), noise(shape));
            same(
                Flex::blend(a.clone(), b.clone(), 0.875),
                plain_blend(a.clone(), b, 0.875),
            );
            same(Flex::scaled(a.clone(), 0.3), a.mul_scalar(0.3));
        }
    }

    #[test]
    #[should_panic(expected = "shapes [1, 2] and [2, 1] differ")]
    fn other_shapes_are_refused() {
        Flex::blend(noise([1, 2]), noise([2, 1]), 0.5);
    }
}
