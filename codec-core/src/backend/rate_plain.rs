//! Rate and quantization in Burn's operators: for every back end, differentiable, and the reference of the fast kernels.

use crate::kernels::rate as kernel;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The value of `value` with the gradient of `carrier`.
fn straight_through<B: Backend, const D: usize>(
    value: Tensor<B, D>,
    carrier: Tensor<B, D>,
) -> Tensor<B, D> {
    value.detach() + (carrier.clone() - carrier.detach())
}

pub(super) fn round<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    straight_through(x.clone().detach().add_scalar(0.5).floor(), x)
}

pub(super) fn fake_quant<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    multiplier: f32,
    lo: f32,
    hi: f32,
) -> Tensor<B, D> {
    let value = x
        .clone()
        .detach()
        .mul_scalar(multiplier)
        .add_scalar(0.5)
        .floor()
        .clamp(lo, hi);
    straight_through(
        value.mul_scalar(1.0 / multiplier),
        x.clamp(lo / multiplier, hi / multiplier),
    )
}

/// Half the complementary error function of `z >= 0`, given `exp(-z^2)`.
fn tail<B: Backend, const D: usize>(z: Tensor<B, D>, e: Tensor<B, D>) -> Tensor<B, D> {
    let t = z.mul_scalar(0.5).add_scalar(1.0).recip();
    let [first @ .., last] = kernel::ERFCX;
    let start = t.zeros_like().add_scalar(last);
    let sum = first
        .into_iter()
        .rev()
        .fold(start, |sum, c| (sum * t.clone()).add_scalar(c));
    (e * t * sum).mul_scalar(0.5)
}

/// The rate in Burn's operators. Values and derivatives come from the same formulas as in the kernel, without the
/// autodiff graph; the gradient then enters by factors that are zero in value.
pub(super) fn bits<B: Backend, const D: usize>(
    y: Tensor<B, D>,
    mean: Tensor<B, D>,
    index: Tensor<B, D>,
) -> Tensor<B, D> {
    use std::f32::consts::{FRAC_1_SQRT_2, LN_2};
    let value = y - mean;
    let (v, raw_t) = (value.clone().detach(), index.clone().detach());
    let t = raw_t.clone().clamp(0.0, kernel::LAST_SCALE);
    let inverse = t
        .mul_scalar(-kernel::LOG_SCALE_STEP)
        .sub_scalar(kernel::LOG_MIN_SCALE)
        .exp();
    let distance = v.clone().abs();
    let near = distance.clone().sub_scalar(0.5) * inverse.clone();
    let far = distance.add_scalar(0.5) * inverse.clone();
    let (near_z, far_z) = (
        near.clone().abs().mul_scalar(FRAC_1_SQRT_2),
        far.clone().mul_scalar(FRAC_1_SQRT_2),
    );
    let near_e = (near_z.clone() * near_z.clone()).neg().exp();
    let far_e = (far_z.clone() * far_z.clone()).neg().exp();
    let (near_tail, far_tail) = (tail(near_z, near_e.clone()), tail(far_z, far_e.clone()));
    let contains_zero = near.clone().lower_elem(0.0);
    let outside = near_tail.clone() - far_tail.clone();
    let raw = outside.mask_where(contains_zero, near_tail.neg().add_scalar(1.0) - far_tail);
    let likelihood = raw.clone().clamp_min(kernel::MIN_LIKELIHOOD);
    let bits = likelihood.clone().log().mul_scalar(-1.0 / LN_2);
    if !B::ad_enabled(&value.device()) {
        return bits;
    }
    let bounded = raw.lower_elem(kernel::MIN_LIKELIHOOD);
    let weight = likelihood
        .recip()
        .mul_scalar((2.0 * std::f32::consts::PI).sqrt().recip());
    let pull = near.clone().clamp_max(kernel::MAX_SLOPE);
    let outward = ((near_e.clone() - far_e.clone()) * weight.clone())
        .mask_where(bounded.clone(), pull.clone());
    let widening =
        ((near * near_e - far * far_e) * weight).mask_where(bounded, pull.clone() * pull);
    let by_value = (outward * inverse * v.sign()).mul_scalar(1.0 / LN_2);
    let by_index = widening.mul_scalar(-kernel::LOG_SCALE_STEP / LN_2);
    let too_low =
        raw_t.clone().lower_elem(0.0).float() * by_index.clone().greater_elem(0.0).float();
    let too_high = raw_t.clone().greater_elem(kernel::LAST_SCALE).float()
        * by_index.clone().lower_elem(0.0).float();
    let by_index = by_index * (too_low + too_high).neg().add_scalar(1.0);
    bits.detach()
        + (value.clone() - value.detach()) * by_value.detach()
        + (index - raw_t) * by_index.detach()
}
