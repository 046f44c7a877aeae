//! Gradients of the dense convolution, cut in pieces that depend on the shape alone like the convolution itself.

use std::ops::Range;

use rayon::prelude::*;

use super::conv::{ConvShape, PIECES, Plain, conv2d};
use super::fresh::zeros;
use super::matmul::{Matrix, matmul};
use super::scratch::with_scratch;
use super::unfold::{transpose, unfold};

/// Unfolded rows that one task of the weight gradient aims at.
const GRADIENT_ROWS: usize = 144;
/// Pixels that one product of the weight gradient runs over.
const GRADIENT_PIXELS: usize = 1024;

/// Gradient of a convolution's input from the gradient of its sums.
///
/// # Shapes
/// `gradient` is `[N, Co, H, W]`, `weight` `[Co, Ci, k, k]`, the result `[N, Ci, H, W]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv2d_input_gradient(shape: &ConvShape, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let taps = shape.kernel * shape.kernel;
    let mut flipped = vec![0.0; weight.len()];
    flipped
        .par_chunks_mut((shape.outputs * taps).max(1))
        .enumerate()
        .for_each(|(i, filters)| {
            let windows = weight.chunks_exact(shape.rows().max(1));
            for (target, filter) in filters.chunks_exact_mut(taps).zip(windows) {
                let window = &filter[i * taps..][..taps];
                for (t, v) in target.iter_mut().zip(window.iter().rev()) {
                    *t = *v;
                }
            }
        });
    conv2d(&shape.reversed(), gradient, &flipped, &Plain)
}

/// Image and first pixel of a run of [`GRADIENT_PIXELS`].
type Run = (usize, usize);

/// Gradient of a convolution's weights from its input and the gradient of its sums.
///
/// The work is cut in blocks of input channels and, where there are few of them, in groups of pixels, whose
/// results are added in order.
///
/// # Shapes
/// `x` is `[N, Ci, H, W]`, `gradient` `[N, Co, H, W]`, the result `[Co, Ci, k, k]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv2d_weight_gradient(shape: &ConvShape, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (plane, taps, outputs) = (shape.plane(), shape.kernel * shape.kernel, shape.outputs);
    assert_eq!(
        x.len(),
        shape.batch * shape.inputs * plane,
        "input does not fit {shape:?}"
    );
    assert_eq!(
        gradient.len(),
        shape.batch * outputs * plane,
        "gradient does not fit {shape:?}"
    );
    let mut total = vec![0.0; outputs * shape.rows()];
    if total.is_empty() || x.is_empty() {
        return total;
    }
    let block = (GRADIENT_ROWS / taps).clamp(1, shape.inputs);
    let blocks: Vec<Range<usize>> = (0..shape.inputs)
        .step_by(block)
        .map(|first| first..(first + block).min(shape.inputs))
        .collect();
    let runs: Vec<Run> = (0..shape.batch)
        .flat_map(|image| {
            (0..plane)
                .step_by(GRADIENT_PIXELS)
                .map(move |start| (image, start))
        })
        .collect();
    let group = runs
        .len()
        .div_ceil(PIECES.div_ceil(blocks.len()).min(runs.len()));
    let tasks: Vec<(&Range<usize>, &[Run])> = blocks
        .iter()
        .flat_map(|block| runs.chunks(group).map(move |runs| (block, runs)))
        .collect();
    // The product is quick only if one operand has its columns together, so the gradient is transposed first.
    let mut pixels = zeros(gradient.len());
    pixels
        .par_chunks_mut(outputs * plane)
        .zip(gradient.par_chunks(outputs * plane))
        .for_each(|(pixels, gradient)| transpose(gradient, outputs, plane, pixels));
    let parts: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|(channels, runs)| {
            let rows = channels.len() * taps;
            let mut part = vec![0.0; rows * outputs];
            for &(image, start) in *runs {
                let count = GRADIENT_PIXELS.min(plane - start);
                let x = &x[(image * shape.inputs + channels.start) * plane..];
                let x = &x[..channels.len() * plane];
                let pixels = &pixels[(image * plane + start) * outputs..];
                let pixels = Matrix::row_major(pixels, outputs);
                if taps == 1 {
                    let columns = Matrix::row_major(&x[start..], plane);
                    matmul([rows, count, outputs], columns, pixels, &mut part, true);
                } else {
                    with_scratch(rows * count, |columns| {
                        unfold(shape, x, start..start + count, columns);
                        let columns = Matrix::row_major(columns, count);
                        matmul([rows, count, outputs], columns, pixels, &mut part, true);
                    });
                }
            }
            part
        })
        .collect();
    // Eight filters at a time, so that the cache lines that a column of a part touches are used whole.
    total
        .par_chunks_mut(8 * shape.rows())
        .enumerate()
        .for_each(|(group, filters)| {
            for ((channels, _), part) in tasks.iter().zip(&parts) {
                let first = channels.start * taps;
                for (row, values) in part.chunks_exact(outputs).enumerate() {
                    let targets = filters.iter_mut().skip(first + row).step_by(shape.rows());
                    for (t, v) in targets.zip(&values[8 * group..]) {
                        *t += v;
                    }
                }
            }
        });
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that every order of summation gives the same bits.
    fn integers(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i32 % 9 - 4
        };
        std::iter::repeat_with(next)
            .take(len)
            .map(|v| v as f32)
            .collect()
    }

    /// Calls `visit` with the offsets (input, weight, output) of every product of a convolution.
    fn products(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
        let (pad, k) = (s.kernel / 2, s.kernel);
        for n in 0..s.batch {
            for (o, i) in (0..s.outputs).flat_map(|o| (0..s.inputs).map(move |i| (o, i))) {
                for (y, x) in (0..s.height).flat_map(|y| (0..s.width).map(move |x| (y, x))) {
                    for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
                        let (sy, sx) = (y + ky, x + kx);
                        if sy < pad || sx < pad || sy - pad >= s.height || sx - pad >= s.width {
                            continue;
                        }
                        let input = ((n * s.inputs + i) * s.height + sy - pad) * s.width + sx - pad;
                        let weight = ((o * s.inputs + i) * k + ky) * k + kx;
                        visit(
                            input,
                            weight,
                            ((n * s.outputs + o) * s.height + y) * s.width + x,
                        );
                    }
                }
            }
        }
    }

    fn shapes() -> Vec<ConvShape> {
        let sizes = [
            (1, 1, 1, 1, 1),
            (2, 3, 4, 5, 7),
            (1, 17, 3, 9, 33),
            (2, 20, 9, 40, 31),
            (1, 2, 2, 1, 200),
            (1, 2, 2, 90, 1),
            (3, 5, 1, 2, 2),
        ];
        let with_kernel = |kernel| {
            sizes.map(|(batch, inputs, outputs, height, width)| ConvShape {
                batch,
                inputs,
                outputs,
                height,
                width,
                kernel,
            })
        };
        [1, 3, 5].into_iter().flat_map(with_kernel).collect()
    }

    #[test]
    fn forward_and_gradients_are_exact_for_integers() {
        for s in shapes() {
            let x = integers(s.batch * s.inputs * s.plane(), 1);
            let w = integers(s.outputs * s.rows(), 2);
            let g = integers(s.batch * s.outputs * s.plane(), 3);
            let (mut y, mut gx, mut gw) =
                (vec![0.0; g.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            products(&s, |i, k, o| {
                y[o] += x[i] * w[k];
                gx[i] += g[o] * w[k];
                gw[k] += g[o] * x[i];
            });
            assert_eq!(conv2d(&s, &x, &w, &Plain), y, "{s:?}");
            assert_eq!(conv2d_input_gradient(&s, &g, &w), gx, "{s:?}");
            assert_eq!(conv2d_weight_gradient(&s, &x, &g), gw, "{s:?}");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let s = ConvShape::new([2, 24, 40, 33], [20, 24, 3, 3]);
        let scale = |v: Vec<f32>, by: f32| v.into_iter().map(|v| v * by).collect::<Vec<_>>();
        let x = scale(integers(s.batch * s.inputs * s.plane(), 1), 0.123);
        let w = scale(integers(s.outputs * s.rows(), 2), 0.77);
        let g = scale(integers(s.batch * s.outputs * s.plane(), 3), 0.31);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                (
                    conv2d(&s, &x, &w, &Plain),
                    conv2d_input_gradient(&s, &g, &w),
                    conv2d_weight_gradient(&s, &x, &g),
                )
            })
        };
        let one = run(1);
        assert!(one == run(2));
        assert!(one == run(3));
    }

    #[test]
    fn empty_batches_have_no_gradient() {
        let s = ConvShape::new([0, 3, 4, 4], [2, 3, 3, 3]);
        assert_eq!(conv2d_weight_gradient(&s, &[], &[]), [0.0; 54]);
    }
}
