//! Dense two-dimensional convolution on NCHW slices: stride 1, zero padding, output as large as the input.
//!
//! An image is cut in tiles of consecutive pixels. For each tile the input is unfolded (im2col) into a buffer of
//! `inputs * kernel^2` rows, one matrix product gives all output channels, and an [`Epilogue`] (bias, activation,
//! requantization) writes them while they are still in cache. Tiles run in parallel. How an image is cut depends
//! on the shape alone, so the result has the same bits for any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::activation::Activation;
use super::fresh::zeros;
use super::matmul::{Matrix, matmul};
use super::scratch::with_scratch;
use super::unfold::unfold;

/// Floats in an unfolded tile: together with the packed copy inside the product it stays in a cache of 1 MiB.
const TILE_FLOATS: usize = 1 << 17;
/// Most and fewest pixels in a tile; small tiles waste the product's blocking.
const TILE_PIXELS: Range<usize> = 64..1024;
/// Pieces that the work is cut into at least where the shape allows it, so that several threads have some.
pub(super) const PIECES: usize = 8;
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
    pub(super) fn reversed(&self) -> Self {
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
pub(super) struct Plain;

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
    let mut out = zeros(shape.batch * shape.outputs * plane);
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

#[cfg(test)]
mod tests {
    use super::{BiasActivation, ConvShape, Plain, conv2d};
    use crate::kernels::activation::Activation;

    #[test]
    fn bias_and_activation_come_after_the_sums() {
        let s = ConvShape::new([1, 1, 1, 3], [2, 1, 1, 1]);
        let epilogue = BiasActivation {
            bias: &[0.5, -1.0],
            activation: Activation::ClampedRelu(3.0),
        };
        let y = conv2d(&s, &[-1.0, 1.0, 2.0], &[1.0, 2.0], &epilogue);
        assert_eq!(y, [0.0, 1.5, 2.5, 0.0, 1.0, 3.0]);
    }

    #[test]
    fn empty_tensors() {
        let s = ConvShape::new([0, 3, 4, 4], [2, 3, 3, 3]);
        assert!(conv2d(&s, &[], &[0.0; 54], &Plain).is_empty());
    }

    #[test]
    #[should_panic(expected = "kernel 2x2 (expected odd and square)")]
    fn even_kernels_are_refused() {
        ConvShape::new([1, 1, 4, 4], [1, 1, 2, 2]);
    }
}
