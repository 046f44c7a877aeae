//! Dense two-dimensional convolution on NCHW slices: stride 1, zero padding, output as large as the input.
//!
//! An image is cut in tiles of consecutive pixels. For each tile the input is unfolded (im2col), some channels at a time,
//! matrix products add up all output channels, and an [`Epilogue`] (bias, activation,
//! requantization) writes them while they are still in cache. Tiles run in parallel. How an image is cut depends
//! on the shape alone, so the result has the same bits for any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::activation::Activation;
use super::fresh::zeros;
use super::scratch::with_scratch;
use super::taps::{BLOCK_FLOATS, Field, Tap};

/// Most and fewest pixels in a tile; small tiles read and pack the weights too often.
const TILE_PIXELS: Range<usize> = 256..1024;
/// Pixels in a tile where nothing else decides.
pub(super) const BLOCK_PIXELS: usize = 512;
/// Fewest pixels in a tile of a small image; the product's blocking wastes more than that of smaller ones.
const FEWEST_PIXELS: usize = 64;
/// Fewest output channels that a small image is split in; the input is unfolded for each part anew.
const FEWEST_OUTPUTS: usize = 64;
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

impl<'a> BiasActivation<'a> {
    /// For a layer with `outputs` channels.
    ///
    /// # Panics
    /// If there is not one bias for each.
    pub fn new(bias: &'a [f32], outputs: usize, activation: Activation) -> Self {
        assert_eq!(bias.len(), outputs, "bias does not fit the output channels");
        Self { bias, activation }
    }
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

/// Part of the output: `rows` holds the pixels from `start` on of channels `outputs` of image `image`.
pub(super) struct Tile<'a> {
    pub image: usize,
    pub start: usize,
    pub outputs: Range<usize>,
    pub rows: Vec<&'a mut [f32]>,
}

/// Output channels of a tile: all, unless there are too few tiles for several threads.
pub(super) fn outputs_of_a_tile(outputs: usize, tiles: usize) -> usize {
    let parts = PIECES.div_ceil(tiles.max(1));
    outputs
        .div_ceil(parts)
        .max(FEWEST_OUTPUTS)
        .min(outputs)
        .max(1)
}

/// Cuts `[images, outputs, plane]` in tiles of `pixels`.
pub(super) fn tiles(out: &mut [f32], outputs: usize, plane: usize, pixels: usize) -> Vec<Tile<'_>> {
    let images = out.len() / (outputs * plane);
    let block = outputs_of_a_tile(outputs, images * plane.div_ceil(pixels));
    tiles_of(out, outputs, plane, pixels, block)
}

/// Cuts `[images, outputs, plane]` in tiles of `pixels` and `block` outputs.
pub(super) fn tiles_of(
    out: &mut [f32],
    outputs: usize,
    plane: usize,
    pixels: usize,
    block: usize,
) -> Vec<Tile<'_>> {
    let mut tiles: Vec<Tile<'_>> = Vec::new();
    for (image, channels) in out.chunks_mut(outputs * plane).enumerate() {
        for (number, channels) in channels.chunks_mut(block * plane).enumerate() {
            let first = tiles.len();
            let outputs = number * block..((number + 1) * block).min(outputs);
            tiles.extend((0..plane).step_by(pixels).map(|start| Tile {
                image,
                start,
                outputs: outputs.clone(),
                rows: Vec::with_capacity(outputs.len()),
            }));
            for channel in channels.chunks_mut(plane) {
                for (tile, part) in tiles[first..].iter_mut().zip(channel.chunks_mut(pixels)) {
                    tile.rows.push(part);
                }
            }
        }
    }
    tiles
}

/// Pixels of a tile where an output sees `rows` values.
pub(super) fn tile_pixels(images: usize, plane: usize, rows: usize) -> usize {
    // Whole steps of the product's widest kernel; what is left over takes a slower one.
    let share = (images * plane).div_ceil(PIECES).next_multiple_of(64);
    (BLOCK_FLOATS / rows.max(1) / 16 * 16)
        .clamp(TILE_PIXELS.start, TILE_PIXELS.end)
        .min(share.max(FEWEST_PIXELS))
}

/// Convolution of whatever kind with as many outputs as a plane of its input has.
pub(super) fn convolve(
    field: &Field,
    images: usize,
    outputs: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    let plane = field.plane();
    let mut out = zeros(images * outputs * plane);
    if out.is_empty() {
        return out;
    }
    let pixels = tile_pixels(images, plane, field.rows());
    let tiles = tiles(&mut out, outputs, plane, pixels);
    tiles.into_par_iter().for_each(|tile| {
        let count = pixels.min(plane - tile.start);
        let image = &x[tile.image * field.image()..][..field.image()];
        let unfolded = field.scratch(count);
        with_scratch(unfolded + tile.outputs.len() * count, |scratch| {
            let (columns, sums) = scratch.split_at_mut(unfolded);
            let seen = tile.start..tile.start + count;
            field.sums(image, weight, tile.outputs.clone(), seen, columns, sums);
            let rows = tile.rows.into_iter().zip(sums.chunks(count));
            for (channel, (out, sums)) in tile.outputs.zip(rows) {
                epilogue.write(channel, sums, out);
            }
        });
    });
    out
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
    let pad = (shape.kernel / 2) as isize;
    let sides = || -pad..=pad;
    let taps = sides().flat_map(|dy| sides().map(move |dx| Tap { plane: 0, dy, dx }));
    let field = Field {
        channels: shape.inputs,
        planes: 1,
        height: shape.height,
        width: shape.width,
        taps: taps.collect(),
    };
    convolve(&field, shape.batch, shape.outputs, x, weight, epilogue)
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
