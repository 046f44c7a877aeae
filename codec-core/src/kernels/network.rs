//! Activations, normalizations and attention of float networks on slices.
//!
//! Tasks have sizes that depend on the shape alone, so the results have the same bits for any number of threads. The
//! closures given to [`vectorized`] ask to be inlined: left alone, the compiler keeps long ones out of the functions with
//! vector instructions (softmax ran at half the speed).

use rayon::prelude::*;

use super::conv::{BLOCK_PIXELS, Tile, tiles};
use super::fresh::zeros;
use super::math::{self, exp, largest, normal, sigmoid, sin_cos, sin_squared, sum_of};
use super::matmul::{Matrix, matmul};
use super::scratch::with_scratch;
use super::simd::vectorized;

/// Values that one task works on.
const CHUNK: usize = 1 << 14;
/// Attention weights that one task has at a time; keys and values are read and packed once for each task.
const SCORES: usize = 1 << 20;

/// `f` of every value.
fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = zeros(x.len());
    let parts = out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    parts.for_each(|(out, x)| {
        vectorized(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = f(x);
                }
            },
        );
    });
    out
}

/// Exact Gaussian error linear unit of every value.
pub(crate) fn gelu(x: &[f32]) -> Vec<f32> {
    map(
        x,
        #[inline(always)]
        |x| x * normal(x),
    )
}

/// `x * sigmoid(x)` of every value.
pub(crate) fn silu(x: &[f32]) -> Vec<f32> {
    map(
        x,
        #[inline(always)]
        |x| x * sigmoid(x),
    )
}

/// Exponential linear unit of every value.
pub(crate) fn elu(x: &[f32]) -> Vec<f32> {
    map(x, math::elu)
}

/// `x + sin(alpha x)^2 / (alpha + epsilon)` of `[n, c, plane]`, with one alpha a channel.
pub(crate) fn snake(x: &[f32], plane: usize, alpha: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let planes = out.par_chunks_mut(plane).zip(x.par_chunks(plane));
    planes.enumerate().for_each(|(at, (out, x))| {
        let alpha = alpha[at % alpha.len()];
        let inverse = 1.0 / (alpha + epsilon);
        vectorized(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = x + inverse * sin_squared(alpha * x);
                }
            },
        );
    });
    out
}

/// Rows of logarithms of magnitudes and of phases, `columns` values in all, as real and imaginary parts; see
/// [`crate::backend::NetworkOps::polar`].
pub(crate) fn polar(x: &[f32], columns: usize, most: f32) -> Vec<f32> {
    let mut out = zeros(x.len());
    let half = columns / 2;
    if out.is_empty() || half == 0 {
        return out;
    }
    let rows = out.par_chunks_mut(columns).zip(x.par_chunks(columns));
    rows.for_each(|(out, x)| {
        let ((real, imaginary), (magnitude, phase)) = (out.split_at_mut(half), x.split_at(half));
        vectorized(
            #[inline(always)]
            || {
                let parts = real.iter_mut().zip(imaginary);
                for ((real, imaginary), (&a, &b)) in parts.zip(magnitude.iter().zip(phase)) {
                    let (sine, cosine) = sin_cos(b);
                    let magnitude = exp(a).min(most);
                    (*real, *imaginary) = (magnitude * cosine, magnitude * sine);
                }
            },
        );
    });
    out
}

/// Replaces rows of `columns` values by their softmax after multiplication with `scale`.
#[inline(always)]
fn softmax_rows(values: &mut [f32], columns: usize, scale: f32) {
    for row in values.chunks_exact_mut(columns) {
        let most = if scale < 0.0 {
            row.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v * scale))
        } else {
            largest(row) * scale
        };
        for v in row.iter_mut() {
            *v = exp(*v * scale - most);
        }
        let factor = (1.0 / sum_of(row, |v| v)) as f32;
        for v in row.iter_mut() {
            *v *= factor;
        }
    }
}

/// Softmax of rows of `columns` values.
pub(crate) fn softmax(x: &[f32], columns: usize) -> Vec<f32> {
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let task = (CHUNK / columns).max(1) * columns;
    let parts = out.par_chunks_mut(task).zip(x.par_chunks(task));
    parts.for_each(|(out, x)| {
        out.copy_from_slice(x);
        vectorized(
            #[inline(always)]
            || softmax_rows(out, columns, 1.0),
        );
    });
    out
}

/// Mean and one over the standard deviation, in one pass over memory.
///
/// Parts that stay in the nearest cache have their own means; the deviations from the common one follow from those
/// (Chan, Golub and LeVeque 1983), without the cancellation of a sum of squares.
#[inline(always)]
fn moments(values: &[f32], epsilon: f64) -> (f32, f32) {
    let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for part in values.chunks(4096) {
        let own = part.len() as f64;
        let own_mean = sum_of(part, |v| v) / own;
        let centre = own_mean as f32;
        let own_squares = sum_of(part, |v| (v - centre) * (v - centre));
        let (total, apart) = (count + own, own_mean - mean);
        mean += apart * own / total;
        squares += own_squares + apart * apart * count * own / total;
        count = total;
    }
    let variance = squares / count.max(1.0);
    (mean as f32, (1.0 / (variance + epsilon).sqrt()) as f32)
}

/// Group normalization of `[n, c, plane]`.
pub(crate) fn group_normalize(
    x: &[f32],
    plane: usize,
    groups: usize,
    scale: &[f32],
    offset: &[f32],
    epsilon: f64,
) -> Vec<f32> {
    let channels = scale.len() / groups;
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let size = channels * plane;
    let tasks = out.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate();
    tasks.for_each(|(group, (out, x))| {
        vectorized(
            #[inline(always)]
            || {
                let (mean, inverse) = moments(x, epsilon);
                let first = group % groups * channels;
                let scales = scale[first..].iter().zip(&offset[first..]);
                let parts = out.chunks_mut(plane).zip(x.chunks(plane));
                for ((out, x), (&scale, &offset)) in parts.zip(scales) {
                    let scale = scale * inverse;
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = (x - mean) * scale + offset;
                    }
                }
            },
        );
    });
    out
}

/// Layer normalization of rows as long as `scale`.
pub(crate) fn layer_normalize(x: &[f32], scale: &[f32], offset: &[f32], epsilon: f64) -> Vec<f32> {
    let columns = scale.len();
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let task = (CHUNK / columns).max(1) * columns;
    let tasks = out.par_chunks_mut(task).zip(x.par_chunks(task));
    tasks.for_each(|(out, x)| {
        vectorized(
            #[inline(always)]
            || {
                let rows = out.chunks_exact_mut(columns).zip(x.chunks_exact(columns));
                for (out, x) in rows {
                    let (mean, inverse) = moments(x, epsilon);
                    let scales = scale.iter().zip(offset);
                    for ((out, &x), (&scale, &offset)) in out.iter_mut().zip(x).zip(scales) {
                        *out = (x - mean) * inverse * scale + offset;
                    }
                }
            },
        );
    });
    out
}

/// Generalized divisive normalization of `[n, c, plane]`, see [`crate::backend::NetworkOps::gdn`].
pub(crate) fn gdn(x: &[f32], plane: usize, beta: &[f32], gamma: &[f32], inverse: bool) -> Vec<f32> {
    let channels = beta.len();
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let tiles = tiles(&mut out, channels, plane, BLOCK_PIXELS);
    tiles.into_par_iter().for_each(|tile| {
        let Tile {
            image,
            start,
            outputs,
            rows,
        } = tile;
        let count = BLOCK_PIXELS.min(plane - start);
        let image = &x[image * channels * plane..][..channels * plane];
        let (squares, sums) = (channels * count, outputs.len() * count);
        with_scratch(squares + sums, |scratch| {
            let (squares, sums) = scratch.split_at_mut(squares);
            let pixels = image.chunks_exact(plane).map(|c| &c[start..start + count]);
            vectorized(
                #[inline(always)]
                || {
                    for (squares, x) in squares.chunks_exact_mut(count).zip(pixels.clone()) {
                        for (square, &x) in squares.iter_mut().zip(x) {
                            *square = x * x;
                        }
                    }
                },
            );
            let gamma = &gamma[outputs.start * channels..outputs.end * channels];
            let gamma = Matrix::row_major(gamma, channels);
            let seen = Matrix::row_major(squares, count);
            matmul([outputs.len(), channels, count], gamma, seen, sums, false);
            let own = pixels.skip(outputs.start).zip(&beta[outputs.start..]);
            vectorized(
                #[inline(always)]
                || {
                    let rows = rows.into_iter().zip(sums.chunks_exact(count));
                    for ((out, sums), (x, &beta)) in rows.zip(own) {
                        for ((out, &sum), &x) in out.iter_mut().zip(sums).zip(x) {
                            let root = (sum + beta).sqrt();
                            *out = if inverse { x * root } else { x / root };
                        }
                    }
                },
            );
        });
    });
    out
}

/// Sizes of [`attend`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionShape {
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    /// Length of queries and keys.
    pub depth: usize,
    /// Length of values.
    pub values: usize,
}

/// `softmax(q k^T * scale) v` for `k` as `[n, depth, keys]`, the others as in [`crate::backend::NetworkOps::attend`].
pub(crate) fn attend(s: &AttentionShape, q: &[f32], k: &[f32], v: &[f32], scale: f32) -> Vec<f32> {
    let mut out = zeros(s.batch * s.queries * s.values);
    if out.is_empty() || s.keys == 0 {
        return out;
    }
    let block = (SCORES / s.keys).clamp(64, 256);
    let images = out.chunks_mut(s.queries * s.values).enumerate();
    let tasks: Vec<(usize, usize, &mut [f32])> = images
        .flat_map(|(image, out)| {
            let blocks = out.chunks_mut(block * s.values).enumerate();
            blocks.map(move |(number, out)| (image, number * block, out))
        })
        .collect();
    tasks.into_par_iter().for_each(|(image, start, out)| {
        let count = out.len() / s.values;
        let q = &q[(image * s.queries + start) * s.depth..];
        let k = &k[image * s.depth * s.keys..];
        let v = &v[image * s.keys * s.values..];
        with_scratch(count * s.keys, |scores| {
            let (q, k) = (Matrix::row_major(q, s.depth), Matrix::row_major(k, s.keys));
            matmul([count, s.depth, s.keys], q, k, scores, false);
            vectorized(
                #[inline(always)]
                || softmax_rows(scores, s.keys, scale),
            );
            let (weights, v) = (
                Matrix::row_major(scores, s.keys),
                Matrix::row_major(v, s.values),
            );
            matmul([count, s.keys, s.values], weights, v, out, false);
        });
    });
    out
}
