//! Transposed convolution on NCHW slices, as one ordinary convolution for each phase of the output.
//!
//! Outputs `stride * i + r` of an axis see only the weights `k` with `k = r + k_0 (mod stride)`, so the phases share the
//! work without a single product with zero, and nothing has to be added up in place.

use std::ops::Range;

use rayon::prelude::*;

use super::conv::{Epilogue, PIECES};
use super::fresh::zeros;
use super::scratch::with_scratch;
use super::taps::{Field, Tap};

/// Input pixels of a tile that is whole rows.
const TILE_PIXELS: usize = 512;

/// Sizes of a transposed convolution that multiplies the size by `stride`; padding `kernel / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedShape {
    /// Dimensions of the input, `[N, Ci, H, W]`.
    pub input: [usize; 4],
    /// Output channels, Co.
    pub outputs: usize,
    /// Side of the kernel, k; odd.
    pub kernel: usize,
    /// Factor on the size.
    pub stride: usize,
}

impl TransposedShape {
    /// From the dimensions of the input `[N, Ci, H, W]` and of the weights `[Ci, Co, k, k]`.
    ///
    /// # Panics
    /// If the channels disagree, the kernel is not square or even, or the stride is 0.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: usize) -> Self {
        let [inputs, outputs, kernel, kernel_width] = weight;
        assert_eq!(
            input[1], inputs,
            "input and weight disagree on the input channels"
        );
        assert!(
            kernel == kernel_width && kernel % 2 == 1,
            "kernel {kernel}x{kernel_width} (expected odd and square)"
        );
        assert!(stride > 0, "a stride of 0");
        Self {
            input,
            outputs,
            kernel,
            stride,
        }
    }

    /// Dimensions of the output, `[N, Co, stride * H, stride * W]`.
    pub fn output_dims(&self) -> [usize; 4] {
        let [n, _, h, w] = self.input;
        [n, self.outputs, self.stride * h, self.stride * w]
    }

    /// Of one axis: the weights that outputs of phase `phase` see, and the distance of the input of each.
    fn phase(&self, phase: usize) -> Vec<(usize, isize)> {
        let first = phase + self.kernel / 2;
        let seen = (0..self.kernel).filter(|k| k % self.stride == first % self.stride);
        let distance = |k: usize| (first as isize - k as isize) / self.stride as isize;
        seen.map(|k| (k, distance(k))).collect()
    }

    /// What the outputs of a phase see, with weights `[Co, Ci * taps]`.
    fn convolution(&self, py: usize, px: usize, weight: &[f32]) -> (Field, Vec<f32>) {
        let [_, channels, height, width] = self.input;
        let (down, across) = (self.phase(py), self.phase(px));
        let seen = down
            .iter()
            .flat_map(|&y| across.iter().map(move |&x| (y, x)));
        let (places, taps): (Vec<usize>, Vec<Tap>) = seen
            .map(|((ky, dy), (kx, dx))| {
                let tap = Tap { plane: 0, dy, dx };
                (ky * self.kernel + kx, tap)
            })
            .unzip();
        let field = Field {
            channels,
            planes: 1,
            height,
            width,
            taps,
        };
        let mut own = zeros(self.outputs * field.rows());
        if !own.is_empty() {
            let square = self.kernel * self.kernel;
            let outputs = own.par_chunks_mut(field.rows()).enumerate();
            outputs.for_each(|(output, own)| {
                let filters = weight.chunks_exact(square).skip(output);
                let filters = filters.step_by(self.outputs);
                for (own, filter) in own.chunks_exact_mut(places.len()).zip(filters) {
                    for (v, &place) in own.iter_mut().zip(&places) {
                        *v = filter[place];
                    }
                }
            });
        }
        (field, own)
    }
}

/// Rows of the output of some channels of an image.
struct Tile<'a> {
    image: usize,
    /// Rows of the input.
    lines: Range<usize>,
    outputs: Range<usize>,
    /// For each of `outputs`, `stride` output rows for each of `lines`.
    out: Vec<&'a mut [f32]>,
}

/// Transposed convolution with an epilogue.
///
/// # Shapes
/// `x` is `[N, Ci, H, W]`, `weight` `[Ci, Co, k, k]`, the result `[N, Co, stride * H, stride * W]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv2d_transposed(
    shape: &TransposedShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    let [batch, channels, height, width] = shape.input;
    let count: usize = shape.input.iter().product();
    assert_eq!(x.len(), count, "input does not fit {shape:?}");
    assert_eq!(
        weight.len(),
        channels * shape.outputs * shape.kernel * shape.kernel,
        "weight does not fit {shape:?}"
    );
    let (stride, line) = (shape.stride, shape.stride * width);
    let mut out = zeros(shape.output_dims().iter().product());
    if out.is_empty() {
        return out;
    }
    let phases = (0..stride * stride).map(|p| shape.convolution(p / stride, p % stride, weight));
    let phases: Vec<(Field, Vec<f32>)> = phases.collect();

    let lines = (TILE_PIXELS / width)
        .min((batch * height).div_ceil(PIECES))
        .clamp(1, height);
    let pieces = batch * height.div_ceil(lines);
    let block = super::conv::outputs_of_a_tile(shape.outputs, pieces);
    let mut tiles: Vec<Tile<'_>> = Vec::new();
    for (image, planes) in out
        .chunks_mut(shape.outputs * stride * height * line)
        .enumerate()
    {
        for (number, planes) in planes
            .chunks_mut(block * stride * height * line)
            .enumerate()
        {
            let first = tiles.len();
            let outputs = number * block..((number + 1) * block).min(shape.outputs);
            tiles.extend((0..height).step_by(lines).map(|start| Tile {
                image,
                lines: start..(start + lines).min(height),
                outputs: outputs.clone(),
                out: Vec::with_capacity(outputs.len()),
            }));
            for plane in planes.chunks_mut(stride * height * line) {
                let parts = plane.chunks_mut(lines * stride * line);
                for (tile, part) in tiles[first..].iter_mut().zip(parts) {
                    tile.out.push(part);
                }
            }
        }
    }
    tiles.into_par_iter().for_each(|mut tile| {
        let pixels = tile.lines.start * width..tile.lines.end * width;
        let image = &x[tile.image * channels * height * width..][..channels * height * width];
        let (count, outputs) = (pixels.len(), tile.outputs.len());
        let columns = phases.iter().map(|(field, _)| field.scratch(count)).max();
        let columns = columns.unwrap_or(0);
        with_scratch(columns + stride * outputs * count + line, |scratch| {
            let (columns, scratch) = scratch.split_at_mut(columns);
            let (sums, row) = scratch.split_at_mut(stride * outputs * count);
            for (py, phases) in phases.chunks(stride).enumerate() {
                for ((field, weight), sums) in phases.iter().zip(sums.chunks_mut(outputs * count)) {
                    let outputs = tile.outputs.clone();
                    field.sums(image, weight, outputs, pixels.clone(), columns, sums);
                }
                for (number, out) in tile.out.iter_mut().enumerate() {
                    let rows = out.chunks_mut(line).skip(py).step_by(stride);
                    for (y, out) in rows.enumerate() {
                        let at = |px: usize| (px * outputs + number) * count + y * width;
                        interleave(stride, |px| &sums[at(px)..][..width], row);
                        epilogue.write(tile.outputs.start + number, row, out);
                    }
                }
            }
        });
    });
    out
}

/// Writes value `i` of part `r` to place `parts * i + r`.
fn interleave<'a>(parts: usize, part: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    if parts == 2 {
        let (pairs, _) = out.as_chunks_mut::<2>();
        for ((pair, &even), &odd) in pairs.iter_mut().zip(part(0)).zip(part(1)) {
            *pair = [even, odd];
        }
        return;
    }
    for r in 0..parts {
        for (v, &x) in out.iter_mut().skip(r).step_by(parts).zip(part(r)) {
            *v = x;
        }
    }
}
