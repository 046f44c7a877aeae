//! Gradients against finite differences, for the tests of all losses.

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

pub(crate) type Back = Autodiff<Flex>;

/// A tensor from values.
pub(crate) fn tensor<const D: usize>(shape: [usize; D], values: &[f32]) -> Tensor<Back, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

/// Values between `low` and `high` that look random: a fixed linear congruential generator, seeded.
///
/// `tests/data/reference.py` makes the same ones.
pub(crate) fn noise(count: usize, seed: u32, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low + (high - low) * ((state >> 8) as f32 / 16_777_216.0)
        })
        .collect()
}

/// The one value of a tensor.
pub(crate) fn scalar(value: Tensor<Back, 1>) -> f64 {
    f64::from(value.into_scalar())
}

/// Fails if two numbers differ by more than `tolerance` times the larger of 1 and the expected one.
#[track_caller]
pub(crate) fn close(found: f64, expected: f64, tolerance: f64) {
    let limit = tolerance * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= limit,
        "{found} instead of {expected} (+-{limit})"
    );
}

/// Largest difference between the gradient of `f` at `at` and central differences, relative to the largest slope.
///
/// At most 48 positions, evenly spread, are looked at. The step of 2^-8 balances rounding of f32 against curvature.
pub(crate) fn gradient_error<const D: usize>(
    shape: [usize; D],
    at: &[f32],
    f: impl Fn(Tensor<Back, D>) -> Tensor<Back, 1>,
) -> f64 {
    gradient_error_with_step(shape, at, 1.0 / 256.0, f)
}

/// [`gradient_error`] with another step.
pub(crate) fn gradient_error_with_step<const D: usize>(
    shape: [usize; D],
    at: &[f32],
    step: f32,
    f: impl Fn(Tensor<Back, D>) -> Tensor<Back, 1>,
) -> f64 {
    let x = tensor(shape, at).require_grad();
    let gradients = f(x.clone()).backward();
    let found: Vec<f32> = x
        .grad(&gradients)
        .expect("the loss depends on its input")
        .into_data()
        .into_vec()
        .expect("f32");
    assert!(found.iter().all(|g| g.is_finite()), "{found:?}");
    let stride = at.len().div_ceil(48);
    let (mut largest, mut error) = (1e-12f64, 0.0f64);
    for i in (0..at.len()).step_by(stride) {
        let moved = |by: f32| {
            let mut values = at.to_vec();
            values[i] += by;
            scalar(f(tensor(shape, &values)))
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        largest = largest.max(expected.abs());
        error = error.max((f64::from(found[i]) - expected).abs());
    }
    error / largest
}
