//! Elementwise work on planes in one pass: range compression, scaling by channel, joining channels, sums by picture.

use rayon::prelude::*;

use super::simd::vectorized;

/// Values in one task; fixed, so that results never depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// `out = f(x)`, elementwise.
pub(crate) fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    out.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(out, x)| {
            vectorized(
                #[inline(always)]
                || out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x)),
            );
        });
}

/// `out = f(a, b)`, elementwise.
pub(crate) fn zip(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    let inputs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    out.par_chunks_mut(CHUNK)
        .zip(inputs)
        .for_each(|(out, (a, b))| {
            vectorized(
                #[inline(always)]
                || {
                    out.iter_mut()
                        .zip(a)
                        .zip(b)
                        .for_each(|((out, &a), &b)| *out = f(a, b))
                },
            );
        });
}

/// Multiplies each plane of `area` values by its factor.
pub(crate) fn scale(x: &[f32], factors: &[f32], out: &mut [f32], area: usize) {
    let planes = x.par_chunks(area).zip(factors);
    out.par_chunks_mut(area)
        .zip(planes)
        .for_each(|(out, (x, &factor))| {
            vectorized(
                #[inline(always)]
                || {
                    out.iter_mut()
                        .zip(x)
                        .for_each(|(out, &x)| *out = x * factor)
                },
            );
        });
}

/// Inner product of each pair of planes of `area` values.
pub(crate) fn dot(a: &[f32], b: &[f32], out: &mut [f32], area: usize) {
    let planes = a.par_chunks(area).zip(b.par_chunks(area));
    out.par_iter_mut().zip(planes).for_each(|(out, (a, b))| {
        *out = vectorized(
            #[inline(always)]
            || lanes(a.iter().zip(b).map(|(&a, &b)| a * b)),
        );
    });
}

/// Sum of each run of `size` values.
pub(crate) fn sum(x: &[f32], out: &mut [f32], size: usize) {
    for (out, x) in out.iter_mut().zip(x.chunks(size.max(1))) {
        let parts: Vec<f64> = x
            .par_chunks(CHUNK)
            .map(|x| {
                f64::from(vectorized(
                    #[inline(always)]
                    || lanes(x.iter().copied()),
                ))
            })
            .collect();
        *out = parts.iter().sum::<f64>() as f32;
    }
}

/// Sum in a fixed order of eight partial sums.
#[inline(always)]
fn lanes(values: impl Iterator<Item = f32>) -> f32 {
    let mut sums = [0f32; 8];
    for (i, v) in values.enumerate() {
        // In range: the remainder of eight.
        if let Some(sum) = sums.get_mut(i % 8) {
            *sum += v;
        }
    }
    sums.iter().sum()
}

/// Joins the channels of each picture: runs of `left` values of `a`, then `right` values of `b`.
pub(crate) fn concat(a: &[f32], b: &[f32], out: &mut [f32], left: usize, right: usize) {
    let inputs = a.par_chunks(left.max(1)).zip(b.par_chunks(right.max(1)));
    out.par_chunks_mut((left + right).max(1))
        .zip(inputs)
        .for_each(|(out, (a, b))| {
            let (first, second) = out.split_at_mut(left);
            first.copy_from_slice(a);
            second.copy_from_slice(b);
        });
}

/// One side of [`concat`]: `size` values from `offset` of every `stride`.
pub(crate) fn extract(x: &[f32], out: &mut [f32], stride: usize, offset: usize, size: usize) {
    out.par_chunks_mut(size.max(1))
        .zip(x.par_chunks(stride.max(1)))
        .for_each(|(out, x)| {
            if let Some(part) = x.get(offset..offset + size) {
                out.copy_from_slice(part);
            }
        });
}
