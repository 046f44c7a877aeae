//! Rate from likelihoods.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Lower bound of a likelihood in CompressAI, at most 29.9 bits a symbol.
pub const LIKELIHOOD_BOUND: f64 = 1e-9;

/// Bits of each symbol, `-log2(max(likelihood, bound))`.
///
/// Gradients follow the rule of the bound in Balle et al. ("Variational image compression with a scale hyperprior",
/// 2018) and CompressAI: below the bound a gradient passes if a step against it raises the likelihood. Bits always fall
/// with the likelihood, so that in a loss where bits have a positive weight every gradient passes; this is what is
/// computed, `-1 / (ln(2) * bound)` below the bound.
pub fn bits<B: Backend, const D: usize>(likelihoods: Tensor<B, D>, bound: f64) -> Tensor<B, D> {
    let raised = likelihoods.clone().clamp_min(bound);
    let passed = likelihoods.clone() + (raised - likelihoods).detach();
    // The sum can miss the bound by a rounding error of the likelihood, but never enough to reach 0.
    passed.log().div_scalar(-std::f64::consts::LN_2)
}

/// Sum of the bits of all symbols over `positions`, the number of pixels or samples of the whole batch, `[1]`.
pub fn bits_per_position<B: Backend, const D: usize>(
    likelihoods: Tensor<B, D>,
    positions: usize,
) -> Tensor<B, 1> {
    bits(likelihoods, LIKELIHOOD_BOUND)
        .sum()
        .div_scalar(positions as f64)
}

/// Auxiliary loss of the quantiles of an entropy bottleneck, `[1]`: the sum over channels and quantiles of
/// `|logit - target|`, where the targets are the logits of `tail_mass / 2`, one half and `1 - tail_mass / 2`.
///
/// It trains the quantiles alone: hand in logits of a cumulative whose own parameters are detached.
///
/// # Shapes
/// - logits: `[c, 3]`, the cumulative's logits at the lower quantile, the median and the upper quantile
pub fn quantiles<B: Backend>(logits: Tensor<B, 2>, tail_mass: f64) -> Tensor<B, 1> {
    let tail = (2.0 / tail_mass - 1.0).ln() as f32;
    let target = TensorData::new(vec![-tail, 0.0, tail], [1, 3]);
    let target = Tensor::<B, 2>::from_data(target, &logits.device());
    (logits - target).abs().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{
        close, gradient_error, gradient_error_with_step, scalar, tensor,
    };

    #[test]
    fn values() {
        let found: Vec<f32> = bits(tensor([4], &[1.0, 0.5, 1e-12, 0.0]), 1e-9)
            .into_data()
            .into_vec()
            .unwrap();
        let most = 1e9f64.log2();
        for (found, expected) in found.iter().zip([0.0, 1.0, most, most]) {
            close(f64::from(*found), expected, 1e-6);
        }
        let rate = bits_per_position(tensor([2, 2], &[0.5, 0.25, 0.5, 1.0]), 8);
        close(scalar(rate), 0.5, 1e-6);
    }

    #[test]
    fn gradients() {
        let error = gradient_error_with_step([3], &[0.2, 0.5, 0.9], 1e-3, |p| bits(p, 1e-9).sum());
        assert!(error < 1e-2, "{error}");
        let error = gradient_error([1, 3], &[-3.0, 0.5, 2.0], |l| quantiles(l, 1e-9));
        assert!(error < 1e-2, "{error}");
    }

    /// Where nothing is likely the gradient still pulls, with the slope at the bound.
    #[test]
    fn gradient_below_the_bound() {
        let p = tensor([2], &[0.0, 1e-3]).require_grad();
        let gradients = bits(p.clone(), 1e-2).sum().backward();
        let found: Vec<f32> = p.grad(&gradients).unwrap().into_data().into_vec().unwrap();
        for g in found {
            close(f64::from(g), -100.0 / std::f64::consts::LN_2, 1e-5);
        }
    }

    #[test]
    fn quantiles_at_their_targets() {
        let tail = (2.0f64 / 1e-2 - 1.0).ln() as f32;
        let logits = tensor([2, 3], &[-tail, 0.0, tail, -tail, 1.0, tail]);
        close(scalar(quantiles(logits, 1e-2)), 1.0, 1e-5);
    }
}
