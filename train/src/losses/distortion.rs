//! Distances between values, position by position, for tensors of any rank.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Mean squared error over all elements, `[1]`.
///
/// For values in 0..1 this is `1 / 255^2` of what the literature's lambdas for 0..255 weigh.
pub fn mse<B: Backend, const D: usize>(output: Tensor<B, D>, target: Tensor<B, D>) -> Tensor<B, 1> {
    (output - target).square().mean()
}

/// Mean absolute error over all elements, `[1]`. The gradient where both are equal is 0.
pub fn l1<B: Backend, const D: usize>(output: Tensor<B, D>, target: Tensor<B, D>) -> Tensor<B, 1> {
    (output - target).abs().mean()
}

/// Mean of `sqrt(d^2 + epsilon^2)` over all elements, `[1]`: absolute error with a smooth minimum (Charbonnier et al.,
/// "Two deterministic half-quadratic regularization algorithms for computed imaging", ICIP 1994).
pub fn charbonnier<B: Backend, const D: usize>(
    output: Tensor<B, D>,
    target: Tensor<B, D>,
    epsilon: f64,
) -> Tensor<B, 1> {
    (output - target)
        .square()
        .add_scalar(epsilon * epsilon)
        .sqrt()
        .mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{close, gradient_error, scalar, tensor};

    const OUTPUT: [f32; 4] = [0.1, 0.5, 0.9, 0.3];
    const TARGET: [f32; 4] = [0.3, 0.4, 0.5, 0.3];

    #[test]
    fn values() {
        let pair = || (tensor([2, 2], &OUTPUT), tensor([2, 2], &TARGET));
        let (a, b) = pair();
        close(scalar(mse(a, b)), (0.04 + 0.01 + 0.16) / 4.0, 1e-6);
        let (a, b) = pair();
        close(scalar(l1(a, b)), 0.7 / 4.0, 1e-6);
        let (a, b) = pair();
        let expected: f64 = [0.04f64, 0.01, 0.16, 0.0]
            .iter()
            .map(|d| (d + 0.01).sqrt())
            .sum();
        close(scalar(charbonnier(a, b, 0.1)), expected / 4.0, 1e-6);
    }

    #[test]
    fn gradients() {
        let target = [0.31, 0.42, 0.53, 0.14];
        let t = || tensor([2, 2], &target);
        assert!(gradient_error([2, 2], &OUTPUT, |x| mse(x, t())) < 1e-2);
        assert!(gradient_error([2, 2], &OUTPUT, |x| l1(x, t())) < 1e-2);
        assert!(gradient_error([2, 2], &OUTPUT, |x| charbonnier(x, t(), 0.1)) < 1e-2);
    }
}
