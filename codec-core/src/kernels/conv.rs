//! Dense two-dimensional convolution on NCHW slices: stride 1, zero padding, output as large as the input.
//!
//! An image is cut in tiles of consecutive pixels. For each tile the input is unfolded (im2col) into a buffer of
//! `inputs * kernel^2` rows, one matrix product gives all output channels, and an [`Epilogue`] (bias, activation,
//! requantization) writes them while they are still in cache. Tiles run in parallel. How an image is cut depends
//! on the shape alone, so the result has the same bits for any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::activation::Activation;
use super::matmul::{Matrix, matmul};
use super::scratch::with_scratch;

/// Floats in an unfolded tile: together with the packed copy inside the product it stays in a cache of 1 MiB.
const TILE_FLOATS: usize = 1 << 17;
/// Most and fewest pixels in a tile; small tiles waste the product's blocking.
const TILE_PIXELS: Range<usize> = 64..1024;
/// Pieces that the work is cut into at least where the shape allows it, so that several threads have some.
const PIECES: usize = 8;
/// Unfolded rows that one task of the weight gradient aims at.
const GRADIENT_ROWS: usize = 144;
/// Pixels that one product of the weight gradient runs over.
const GRADIENT_PIXELS: usize = 1024;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images, N.
    pub batch: usize,
    /// Input channels, Ci.
    pub inputs: usize,
    /// Output channels, Co.
    pub outputs: usize,
    /// Rows of pixels, H.
    pub height: usize,
    /// Pixels in a row, W.
    pub width: usize,
    /// Side of the kernel, k; odd.
    pub kernel: usize,
}

impl ConvShape {
    /// From the dimensions of the input `[N, Ci, H, W]` and of the weights `[Co, Ci, k, k]`.
    ///
    /// # Panics
    /// If the channels disagree, or the kernel is not square or not odd.
    pub fn new([batch, inputs, height, width]: [usize; 4], weight: [usize; 4]) -> Self {
        let [outputs, weight_inputs, kernel, kernel_width] = weight;
        assert_eq!(
            inputs, weight_inputs,
            "input and weight disagree on the input channels"
        );
        assert!(
            kernel == kernel_width && kernel % 2 == 1,
            "kernel {kernel}x{kernel_width} (expected odd and square)"
        );
        Self {
            batch,
            inputs,
            outputs,
            height,
            width,
            kernel,
        }
    }

    /// Dimensions of the output, `[N, Co, H, W]`.
    pub fn output_dims(&self) -> [usize; 4] {
        [self.batch, self.outputs, self.height, self.width]
    }

    /// Pixels of one channel.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Weights of one output channel: rows of the unfolded input.
    pub fn rows(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }

    /// The convolution that takes gradients of the output to gradients of the input.
    fn reversed(&self) -> Self {
        Self {
            inputs: self.outputs,
            outputs: self.inputs,
            ..*self
        }
    }

    fn check(&self, x: &[f32], weight: &[f32]) {
        assert_eq!(
            x.len(),
            self.batch * self.inputs * self.plane(),
            "input does not fit {self:?}"
        );
        assert_eq!(
            weight.len(),
            self.outputs * self.rows(),
            "weight does not fit {self:?}"
        );
    }

    fn tile_pixels(&self) -> usize {
        let share = (self.batch * self.plane())
            .div_ceil(PIECES)
            .next_multiple_of(16);
        (TILE_FLOATS / self.rows().max(1) / 16 * 16)
            .min(share)
            .clamp(TILE_PIXELS.start, TILE_PIXELS.end)
    }
}

/// What is done with the sums of a tile on their way to the output.
pub trait Epilogue: Sync {
    /// Turns `sums` of one output channel into `out`, which has the same length.
    fn write(&self, channel: usize, sums: &[f32], out: &mut [f32]);
}

/// Adds a bias, one value a channel, and applies an activation.
#[derive(Clone, Copy, Debug)]
pub struct BiasActivation<'a> {
    /// One value an output channel.
    pub bias: &'a [f32],
    /// Applied after the bias.
    pub activation: Activation,
}

impl Epilogue for BiasActivation<'_> {
    #[inline]
    fn write(&self, channel: usize, sums: &[f32], out: &mut [f32]) {
        let bias = self.bias[channel];
        pulp::Arch::new().dispatch(|| self.activation.write(bias, sums, out));
    }
}

/// Copies the sums.
struct Plain;

impl Epilogue for Plain {
    #[inline]
    fn write(&self, _channel: usize, sums: &[f32], out: &mut [f32]) {
        out.copy_from_slice(sums);
    }
}

/// Part of the output: `rows[channel]` holds the pixels from `start` on of image `image`.
struct Tile<'a> {
    image: usize,
    start: usize,
    rows: Vec<&'a mut [f32]>,
}

fn tiles<'a>(out: &'a mut [f32], shape: &ConvShape, pixels: usize) -> Vec<Tile<'a>> {
    let plane = shape.plane();
    let mut tiles: Vec<Tile<'a>> = Vec::new();
    for (image, channels) in out.chunks_mut(shape.outputs * plane).enumerate() {
        let first = tiles.len();
        tiles.extend((0..plane).step_by(pixels).map(|start| Tile {
            image,
            start,
            rows: Vec::with_capacity(shape.outputs),
        }));
        for channel in channels.chunks_mut(plane) {
            for (tile, part) in tiles[first..].iter_mut().zip(channel.chunks_mut(pixels)) {
                tile.rows.push(part);
            }
        }
    }
    tiles
}

/// Convolution with an epilogue.
///
/// # Shapes
/// `x` is `[N, Ci, H, W]`, `weight` `[Co, Ci, k, k]`, the result `[N, Co, H, W]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv2d(shape: &ConvShape, x: &[f32], weight: &[f32], epilogue: &impl Epilogue) -> Vec<f32> {
    shape.check(x, weight);
    let (plane, rows) = (shape.plane(), shape.rows());
    let mut out = vec![0.0; shape.batch * shape.outputs * plane];
    if out.is_empty() {
        return out;
    }
    let pixels = shape.tile_pixels();
    tiles(&mut out, shape, pixels)
        .into_par_iter()
        .for_each(|tile| {
            let count = pixels.min(plane - tile.start);
            let image = &x[tile.image * shape.inputs * plane..][..shape.inputs * plane];
            let unfolded = if shape.kernel == 1 { 0 } else { rows * count };
            with_scratch(unfolded + shape.outputs * count, |scratch| {
                let (columns, sums) = scratch.split_at_mut(unfolded);
                let columns = if shape.kernel == 1 {
                    Matrix::row_major(image.get(tile.start..).unwrap_or(&[]), plane)
                } else {
                    unfold(shape, image, tile.start..tile.start + count, columns);
                    Matrix::row_major(columns, count)
                };
                let weight = Matrix::row_major(weight, rows);
                matmul([shape.outputs, rows, count], weight, columns, sums, false);
                for (channel, (out, sums)) in
                    tile.rows.into_iter().zip(sums.chunks(count)).enumerate()
                {
                    epilogue.write(channel, sums, out);
                }
            });
        });
    out
}

/// Copies what the kernel sees at `pixels` of an image: row `(channel, ky, kx)` of `columns` holds the input
/// shifted by that tap, zero beyond the border. As many channels as `image` has planes.
fn unfold(shape: &ConvShape, image: &[f32], pixels: Range<usize>, columns: &mut [f32]) {
    let (kernel, width, plane) = (shape.kernel, shape.width, shape.plane());
    let pad = kernel / 2;
    let mut rows = columns.chunks_exact_mut(pixels.len());
    for channel in image.chunks_exact(plane) {
        for ky in 0..kernel {
            for (kx, row) in (0..kernel).zip(&mut rows) {
                // One copy of the whole shifted range: right inside the image, and where it wraps around a
                // border column it is set to zero below.
                let ahead = ky * width + kx;
                let behind = pad * width + pad;
                let from = (pixels.start + ahead).saturating_sub(behind).min(plane);
                let to = (pixels.end + ahead).saturating_sub(behind).min(plane);
                let before = behind.saturating_sub(pixels.start + ahead).min(row.len());
                let (zeros, rest) = row.split_at_mut(before);
                zeros.fill(0.0);
                let (inside, beyond) = rest.split_at_mut(to - from);
                inside.copy_from_slice(&channel[from..to]);
                beyond.fill(0.0);
                let border = if kx < pad {
                    0..(pad - kx).min(width)
                } else {
                    width - (kx - pad).min(width)..width
                };
                if !border.is_empty() {
                    clear_columns(row, pixels.start, width, border);
                }
            }
        }
    }
}

/// Sets the image columns `border` to zero in a run of pixels that begins at pixel `start`.
fn clear_columns(row: &mut [f32], start: usize, width: usize, border: Range<usize>) {
    // Offset of the image row that holds `start`, counted from the run; negative unless the run begins a row.
    let mut line = -((start % width) as isize);
    while line < row.len() as isize {
        for x in border.clone() {
            if let Ok(at) = usize::try_from(line + x as isize)
                && let Some(v) = row.get_mut(at)
            {
                *v = 0.0;
            }
        }
        line += width as isize;
    }
}

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
    for (o, filter) in weight.chunks_exact(shape.rows().max(1)).enumerate() {
        for (i, window) in filter.chunks_exact(taps).enumerate() {
            let target = &mut flipped[(i * shape.outputs + o) * taps..][..taps];
            for (t, v) in target.iter_mut().zip(window.iter().rev()) {
                *t = *v;
            }
        }
    }
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
    let mut pixels = vec![0.0; gradient.len()];
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
    for ((channels, _), part) in tasks.iter().zip(&parts) {
        let first = channels.start * taps;
        for (output, filter) in total.chunks_exact_mut(shape.rows()).enumerate() {
            let column = part[output..].iter().step_by(outputs);
            for (t, v) in filter[first..].iter_mut().zip(column) {
                *t += v;
            }
        }
    }
    total
}

/// Writes `[rows, columns]` as `[columns, rows]`, in squares that stay in the nearest cache.
fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    for (block, lines) in to.chunks_mut(SIDE * rows).enumerate() {
        for first in (0..rows).step_by(SIDE) {
            for (x, line) in (block * SIDE..columns).zip(lines.chunks_exact_mut(rows)) {
                for (y, v) in (first..rows).zip(line[first..].iter_mut().take(SIDE)) {
                    *v = from[y * columns + x];
                }
            }
        }
    }
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
    fn empty_tensors() {
        let s = ConvShape::new([0, 3, 4, 4], [2, 3, 3, 3]);
        assert!(conv2d(&s, &[], &[0.0; 54], &Plain).is_empty());
        assert_eq!(conv2d_weight_gradient(&s, &[], &[]), [0.0; 54]);
    }
}
