//! Rate of Gaussian symbols and fake quantization, one fused pass over slices.
//!
//! Elementary functions are polynomials without branches or tables, so that the loops compile to vector instructions;
//! all functions here are meant to be inlined into [`vectorized`] closures.

use super::simd::vectorized;
use rayon::prelude::*;

/// Largest scale index.
pub(crate) const LAST_SCALE: f32 = 63.0;
/// Logarithm of the smallest scale, 0.11.
pub(crate) const LOG_MIN_SCALE: f32 = -2.207_275;
/// Step of the logarithm of the scale, ln(256 / 0.11) / 63.
pub(crate) const LOG_SCALE_STEP: f32 = 0.123_054_8;
/// Smallest likelihood.
pub(crate) const MIN_LIKELIHOOD: f32 = 1e-9;
/// Largest normalized distance used for the slope where the likelihood is at its bound.
pub(crate) const MAX_SLOPE: f32 = 8.0;
/// `erfc(z) exp(z^2) = t (C0 + C1 t + ...)` with `t = 1 / (1 + z / 2)`: relative error below 5e-7 for `0 <= z <= 6`
/// (weighted least squares at Chebyshev nodes).
pub(crate) const ERFCX: [f32; 7] = [
    0.282_509_74,
    0.275_306_4,
    0.292_961_15,
    0.008_696_498,
    0.429_074_53,
    -0.384_483,
    0.095_935_07,
];

/// `2^f` for `|f| <= 1/2`, relative error 8e-8.
const EXP2: [f32; 6] = [
    1.000_000_1,
    0.693_146_95,
    0.240_221_22,
    0.055_507_426,
    0.009_675_46,
    0.001_326_697,
];
/// `log2(1 + f) / f` for `|f| <= 1/3`, relative error 3e-8.
const LOG2: [f32; 9] = [
    std::f32::consts::LOG2_E,
    -0.721_346_56,
    0.480_897_63,
    -0.360_788_07,
    0.288_636_61,
    -0.236_813_58,
    0.202_880_13,
    -0.222_081_54,
    0.197_905_9,
];
const INV_SQRT_TAU: f32 = 0.398_942_3;
/// Values per task.
const CHUNK: usize = 1 << 14;

#[inline(always)]
fn polynomial<const N: usize>(x: f32, c: &[f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum * x + c[i];
    }
    sum
}

/// `2^x`, zero below about -126.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
    let x = x.clamp(-126.0, 126.0);
    let shifted = x + MAGIC;
    let n = shifted.to_bits().wrapping_sub(MAGIC.to_bits());
    let f = x - (shifted - MAGIC);
    f32::from_bits(n.wrapping_add(127) << 23) * polynomial(f, &EXP2)
}

/// `log2(x)` for normal positive `x`.
#[inline(always)]
fn log2(x: f32) -> f32 {
    // Exponent such that the rest lies in [2/3, 4/3).
    let e = (x.to_bits() as i32).wrapping_sub(0x3f2a_aaab) >> 23;
    let f = f32::from_bits((x.to_bits() as i32).wrapping_sub(e << 23) as u32) - 1.0;
    e as f32 + f * polynomial(f, &LOG2)
}

/// Bits of one symbol and the derivatives by the value and by the scale index.
struct Rate {
    bits: f32,
    by_value: f32,
    by_index: f32,
}

/// Rate of the interval `v - 1/2 .. v + 1/2` of a centred Gaussian with scale index `t`.
#[inline(always)]
fn rate(v: f32, t: f32) -> Rate {
    use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};
    let t = t.clamp(0.0, LAST_SCALE);
    let inverse = exp2(-(LOG_MIN_SCALE + t * LOG_SCALE_STEP) * LOG2_E);
    let distance = v.abs();
    // Distances of the interval's ends in scales: `near` is negative where the interval contains zero.
    let near = (distance - 0.5) * inverse;
    let far = (distance + 0.5) * inverse;
    let (near_z, far_z) = (near.abs() * FRAC_1_SQRT_2, far * FRAC_1_SQRT_2);
    let near_e = exp2(-near_z * near_z * LOG2_E);
    let far_e = exp2(-far_z * far_z * LOG2_E);
    let tail = |z: f32, e: f32| {
        let t = 1.0 / (1.0 + 0.5 * z);
        0.5 * e * t * polynomial(t, &ERFCX)
    };
    let (near_tail, far_tail) = (tail(near_z, near_e), tail(far_z, far_e));
    let raw = if near < 0.0 {
        (1.0 - near_tail) - far_tail
    } else {
        near_tail - far_tail
    };
    let likelihood = raw.max(MIN_LIKELIHOOD);
    // At the bound the slope of the tail, cut off, keeps pulling the value back.
    let bounded = raw < MIN_LIKELIHOOD;
    let weight = INV_SQRT_TAU / likelihood;
    let pull = near.min(MAX_SLOPE);
    let outward = if bounded {
        pull
    } else {
        (near_e - far_e) * weight
    };
    let widening = if bounded {
        pull * pull
    } else {
        (near * near_e - far * far_e) * weight
    };
    Rate {
        bits: -log2(likelihood),
        by_value: (outward * inverse / LN_2).copysign(v * outward),
        by_index: -widening * LOG_SCALE_STEP / LN_2,
    }
}

/// Bits of every symbol. All slices have the same length.
pub(crate) fn bits(y: &[f32], mean: &[f32], index: &[f32], bits: &mut [f32]) {
    let inputs = y
        .par_chunks(CHUNK)
        .zip(mean.par_chunks(CHUNK))
        .zip(index.par_chunks(CHUNK));
    bits.par_chunks_mut(CHUNK)
        .zip(inputs)
        .for_each(|(bits, ((y, mean), index))| {
            vectorized(
                #[inline(always)]
                || {
                    for (((bits, y), mean), t) in bits.iter_mut().zip(y).zip(mean).zip(index) {
                        *bits = rate(y - mean, *t).bits;
                    }
                },
            );
        });
}

/// The gradients by `y` (that by `mean` is its negative) and by the index, from the inputs and the gradient of the bits.
pub(crate) fn gradients(
    [y, mean, index]: [&[f32]; 3],
    gradient: &[f32],
    [by_value, by_index]: [&mut [f32]; 2],
) {
    let inputs = y.par_chunks(CHUNK).zip(mean.par_chunks(CHUNK));
    let inputs = inputs
        .zip(index.par_chunks(CHUNK))
        .zip(gradient.par_chunks(CHUNK));
    let outputs = by_value
        .par_chunks_mut(CHUNK)
        .zip(by_index.par_chunks_mut(CHUNK));
    outputs
        .zip(inputs)
        .for_each(|((by_value, by_index), (((y, mean), index), gradient))| {
            let n = by_value.len();
            // Equal lengths, stated where the compiler sees them: no bounds are checked in the loop.
            let by_index = &mut by_index[..n];
            let (y, mean, index, gradient) = (&y[..n], &mean[..n], &index[..n], &gradient[..n]);
            vectorized(
                #[inline(always)]
                || {
                    for i in 0..n {
                        let rate = rate(y[i] - mean[i], index[i]);
                        by_value[i] = gradient[i] * rate.by_value;
                        by_index[i] = index_gradient(gradient[i] * rate.by_index, index[i]);
                    }
                },
            );
        });
}

/// `output = f(a, b)`, element by element, in parallel.
pub(crate) fn map2(
    a: &[f32],
    b: &[f32],
    output: &mut [f32],
    f: impl Fn(f32, f32) -> f32 + Sync + Copy,
) {
    let inputs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    output
        .par_chunks_mut(CHUNK)
        .zip(inputs)
        .for_each(|(output, (a, b))| {
            vectorized(
                #[inline(always)]
                || {
                    for ((o, a), b) in output.iter_mut().zip(a).zip(b) {
                        *o = f(*a, *b);
                    }
                },
            );
        });
}

/// `output = f(a)`, element by element, in parallel.
pub(crate) fn map(a: &[f32], output: &mut [f32], f: impl Fn(f32) -> f32 + Sync + Copy) {
    output
        .par_chunks_mut(CHUNK)
        .zip(a.par_chunks(CHUNK))
        .for_each(|(output, a)| {
            vectorized(
                #[inline(always)]
                || {
                    for (o, a) in output.iter_mut().zip(a) {
                        *o = f(*a);
                    }
                },
            );
        });
}

/// The gradient by the scale index: zero where the index is beyond a bound and descent would lead further out.
#[inline(always)]
fn index_gradient(gradient: f32, index: f32) -> f32 {
    let outward = (index < 0.0 && gradient > 0.0) || (index > LAST_SCALE && gradient < 0.0);
    if outward { 0.0 } else { gradient }
}

/// `clamp(round(x * multiplier), lo, hi) / multiplier`, halves rounded up; no panic where the bounds are reversed.
#[inline(always)]
pub(crate) fn fake_quant(x: f32, multiplier: f32, inverse: f32, lo: f32, hi: f32) -> f32 {
    (x * multiplier + 0.5).floor().max(lo).min(hi) * inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `erfc` by its continued fraction (large arguments) or series, in `f64`.
    fn erfc(x: f64) -> f64 {
        if x < 0.0 {
            return 2.0 - erfc(-x);
        }
        if x < 2.5 {
            let (mut term, mut sum) = (x, x);
            for n in 1..100 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return 1.0 - sum * 2.0 / std::f64::consts::PI.sqrt();
        }
        let mut fraction = 0.0;
        for k in (1..200).rev() {
            fraction = f64::from(k) / 2.0 / (x + fraction);
        }
        (-x * x).exp() / ((x + fraction) * std::f64::consts::PI.sqrt())
    }

    fn exact(v: f64, t: f64) -> f64 {
        let s = (0.11f64.ln() + t * (256f64 / 0.11).ln() / 63.0).exp() * 2f64.sqrt();
        let l = 0.5 * (erfc((v.abs() - 0.5) / s) - erfc((v.abs() + 0.5) / s));
        -l.max(1e-9).log2()
    }

    #[test]
    fn bits_are_accurate() {
        for i in 0..=126 {
            let t = f64::from(i) / 2.0;
            for k in -400..=400 {
                let v = f64::from(k) * 0.0371 * (1.0 + t);
                let (got, want) = (f64::from(rate(v as f32, t as f32).bits), exact(v, t));
                assert!(
                    (got - want).abs() < 1e-4 * want + 2e-5,
                    "v {v} t {t}: {got} for {want}"
                );
            }
        }
    }

    #[test]
    fn derivatives_equal_differences() {
        for i in 1..=62 {
            let t = f64::from(i);
            for k in -100..=100 {
                let v = f64::from(k) * 0.0213 * (1.0 + t);
                if exact(v, t - 0.01) > 29.5 {
                    continue;
                }
                let got = rate(v as f32, t as f32);
                let h = 1e-5;
                let by_value = (exact(v + h, t) - exact(v - h, t)) / (2.0 * h);
                let by_index = (exact(v, t + h) - exact(v, t - h)) / (2.0 * h);
                let near = |a: f32, b: f64| (f64::from(a) - b).abs() < 5e-4 * b.abs() + 2e-4;
                assert!(
                    near(got.by_value, by_value),
                    "v {v} t {t}: {} for {by_value}",
                    got.by_value
                );
                assert!(
                    near(got.by_index, by_index),
                    "v {v} t {t}: {} for {by_index}",
                    got.by_index
                );
            }
        }
    }

    #[test]
    fn the_tail_keeps_a_finite_pull() {
        for v in [3.0, 10.0, 1e3, 1e6, 1e30] {
            for t in [-5.0, 0.0, 10.0] {
                let (up, down) = (rate(v, t), rate(-v, t));
                assert!((up.bits - 29.897_35).abs() < 1e-3, "{v} {t} {}", up.bits);
                assert!(
                    up.by_value > 0.0 && up.by_value.is_finite() && up.by_value == -down.by_value
                );
                assert!(up.by_index < 0.0 && up.by_index.is_finite());
            }
        }
    }
}
