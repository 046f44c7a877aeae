//! Depthwise two-dimensional convolution on NCHW slices: one kernel a channel, stride 1, zero padding.
//!
//! Each channel of each image is one task. It is copied once into a buffer with a border of zeros, so that the
//! inner loops run over whole rows without a case for the edges.

use pulp::Arch;
use rayon::prelude::*;

use super::activation::Activation;
use super::conv::{BiasActivation, ConvShape};
use super::fresh::zeros;
use super::scratch::with_scratch;

/// Sizes of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    /// Images, N.
    pub batch: usize,
    /// Channels, C, of the input and of the output.
    pub channels: usize,
    /// Rows of pixels, H.
    pub height: usize,
    /// Pixels in a row, W.
    pub width: usize,
    /// Side of the kernel, k; odd.
    pub kernel: usize,
}

impl DepthwiseShape {
    /// From the dimensions of the input `[N, C, H, W]` and of the weights `[C, 1, k, k]`.
    ///
    /// # Panics
    /// If the channels disagree, or the kernel is not square or not odd.
    pub fn new([batch, channels, height, width]: [usize; 4], weight: [usize; 4]) -> Self {
        // The dense shape of a single channel checks the rest.
        let dense = ConvShape::new([batch, 1, height, width], weight);
        assert_eq!(
            channels, dense.outputs,
            "input and weight disagree on the channels"
        );
        Self {
            batch,
            channels,
            height,
            width,
            kernel: dense.kernel,
        }
    }

    /// Dimensions of the input and of the output, `[N, C, H, W]`.
    pub fn dims(&self) -> [usize; 4] {
        [self.batch, self.channels, self.height, self.width]
    }

    /// Pixels of one channel.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    fn padded_width(&self) -> usize {
        self.width + self.kernel - 1
    }

    fn padded_len(&self) -> usize {
        self.padded_width() * (self.height + self.kernel - 1)
    }

    /// Copies a channel into the middle of a buffer of zeros.
    fn pad(&self, channel: &[f32], padded: &mut [f32]) {
        let (pad, stride) = (self.kernel / 2, self.padded_width());
        padded.fill(0.0);
        let lines = padded.chunks_exact_mut(stride).skip(pad);
        for (line, row) in lines.zip(channel.chunks_exact(self.width)) {
            line[pad..pad + self.width].copy_from_slice(row);
        }
    }
}

/// Convolution of each channel with its own kernel, then bias and activation.
///
/// # Shapes
/// `x` is `[N, C, H, W]`, `weight` `[C, 1, k, k]`, bias `[C]`, the result `[N, C, H, W]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn depthwise(
    shape: &DepthwiseShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &BiasActivation<'_>,
) -> Vec<f32> {
    let (plane, width) = (shape.plane(), shape.width);
    assert_eq!(
        x.len(),
        shape.batch * shape.channels * plane,
        "input does not fit {shape:?}"
    );
    assert_eq!(
        weight.len(),
        shape.channels * shape.taps(),
        "weight does not fit {shape:?}"
    );
    assert_eq!(
        epilogue.bias.len(),
        shape.channels,
        "bias does not fit {shape:?}"
    );
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(plane)
        .zip(x.par_chunks(plane))
        .enumerate()
        .for_each(|(at, (out, x))| {
            let channel = at % shape.channels;
            let window = &weight[channel * shape.taps()..][..shape.taps()];
            with_scratch(width + shape.padded_len(), |scratch| {
                let (sums, padded) = scratch.split_at_mut(width);
                shape.pad(x, padded);
                Arch::new().dispatch(|| {
                    for (y, out) in out.chunks_exact_mut(width).enumerate() {
                        correlate_row(shape, &padded[y * shape.padded_width()..], window, sums);
                        epilogue.activation.write(epilogue.bias[channel], sums, out);
                    }
                });
            });
        });
    out
}

/// The middle row of the kernels alone, on planes of a single row: `weight` is `[C, k]`.
pub(super) fn depthwise_rows(
    shape: &DepthwiseShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &BiasActivation<'_>,
) -> Vec<f32> {
    let (width, kernel) = (shape.width, shape.kernel);
    assert_eq!(epilogue.bias.len(), shape.channels, "bias of another shape");
    let mut out = zeros(x.len());
    if out.is_empty() {
        return out;
    }
    let rows = out.par_chunks_mut(width).zip(x.par_chunks(width));
    rows.enumerate().for_each(|(at, (out, x))| {
        let channel = at % shape.channels;
        let window = &weight[channel * kernel..][..kernel];
        with_scratch(width + shape.padded_width(), |scratch| {
            let (sums, padded) = scratch.split_at_mut(width);
            let pad = kernel / 2;
            padded.fill(0.0);
            padded[pad..pad + width].copy_from_slice(x);
            Arch::new().dispatch(|| {
                correlate_row(shape, padded, window, sums);
                epilogue.activation.write(epilogue.bias[channel], sums, out);
            });
        });
    });
    out
}

/// One row of sums; `lines` begins at the topmost padded row that the kernel touches.
#[inline(always)]
fn correlate_row(shape: &DepthwiseShape, lines: &[f32], window: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    sums.fill(0.0);
    for (line, taps) in lines
        .chunks_exact(shape.padded_width())
        .zip(window.chunks_exact(shape.kernel))
    {
        let mut shift = 0;
        for taps in taps.chunks(3) {
            let (a, b) = (
                &line[shift..][..width],
                line.get(shift + 1..).unwrap_or(&[]),
            );
            let c = line.get(shift + 2..).unwrap_or(&[]);
            match *taps {
                [p] => {
                    for (s, a) in sums.iter_mut().zip(a) {
                        *s += p * a;
                    }
                }
                [p, q] => {
                    for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
                        *s += p * a + q * b;
                    }
                }
                [p, q, r] => {
                    for (((s, a), b), c) in sums.iter_mut().zip(a).zip(b).zip(c) {
                        *s += p * a + q * b + r * c;
                    }
                }
                _ => {}
            }
            shift += taps.len();
        }
    }
}

/// Gradient of a depthwise convolution's input from the gradient of its sums.
///
/// # Shapes
/// `gradient` and the result are `[N, C, H, W]`, `weight` is `[C, 1, k, k]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn depthwise_input_gradient(
    shape: &DepthwiseShape,
    gradient: &[f32],
    weight: &[f32],
) -> Vec<f32> {
    let flipped: Vec<f32> = weight
        .chunks_exact(shape.taps())
        .flat_map(|window| window.iter().rev().copied())
        .collect();
    let bias = vec![0.0; shape.channels];
    let plain = BiasActivation {
        bias: &bias,
        activation: Activation::None,
    };
    depthwise(shape, gradient, &flipped, &plain)
}

/// Gradient of a depthwise convolution's weights from its input and the gradient of its sums.
///
/// # Shapes
/// `x` and `gradient` are `[N, C, H, W]`, the result is `[C, 1, k, k]`.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn depthwise_weight_gradient(shape: &DepthwiseShape, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (plane, taps) = (shape.plane(), shape.taps());
    assert_eq!(
        x.len(),
        shape.batch * shape.channels * plane,
        "input does not fit {shape:?}"
    );
    assert_eq!(gradient.len(), x.len(), "gradient does not fit {shape:?}");
    let mut total = vec![0.0; shape.channels * taps];
    if x.is_empty() {
        return total;
    }
    let mut parts = vec![0.0; shape.batch * total.len()];
    parts
        .par_chunks_mut(taps)
        .zip(x.par_chunks(plane).zip(gradient.par_chunks(plane)))
        .for_each(|(part, (x, gradient))| {
            with_scratch(shape.padded_len(), |padded| {
                shape.pad(x, padded);
                Arch::new().dispatch(|| {
                    for (tap, part) in part.iter_mut().enumerate() {
                        let (ky, kx) = (tap / shape.kernel, tap % shape.kernel);
                        *part = shifted_product(
                            shape,
                            &padded[ky * shape.padded_width() + kx..],
                            gradient,
                        );
                    }
                });
            });
        });
    for part in parts.chunks_exact(total.len()) {
        for (t, v) in total.iter_mut().zip(part) {
            *t += v;
        }
    }
    total
}

/// Sum of the products of a channel's gradient with the padded input from one tap's offset on.
#[inline(always)]
fn shifted_product(shape: &DepthwiseShape, shifted: &[f32], gradient: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let mut tail = 0.0;
    for (y, row) in gradient.chunks_exact(shape.width).enumerate() {
        let line = &shifted[y * shape.padded_width()..][..shape.width];
        let (blocks, rest) = row.as_chunks::<16>();
        let (line_blocks, line_rest) = line.as_chunks::<16>();
        for (a, b) in blocks.iter().zip(line_blocks) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += a * b;
            }
        }
        for (a, b) in rest.iter().zip(line_rest) {
            tail += a * b;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn border_and_centre_of_a_small_image() {
        let s = DepthwiseShape::new([1, 1, 2, 3], [1, 1, 3, 3]);
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let plain = BiasActivation {
            bias: &[0.5],
            activation: Activation::None,
        };
        let y = depthwise(&s, &x, &[1.0; 9], &plain);
        assert_eq!(y, [12.5, 21.5, 16.5, 12.5, 21.5, 16.5]);
        // A tap sees the inputs of all pixels whose shifted neighbour lies inside.
        let gw = depthwise_weight_gradient(&s, &x, &[1.0; 6]);
        assert_eq!(gw, [3.0, 6.0, 5.0, 12.0, 21.0, 16.0, 9.0, 15.0, 11.0]);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let s = DepthwiseShape::new([2, 5, 19, 23], [5, 1, 5, 5]);
        let values =
            |len: usize, by: f32| (0..len).map(|i| (i as f32 * by).sin()).collect::<Vec<_>>();
        let (x, w, g) = (
            values(2 * 5 * 19 * 23, 0.7),
            values(125, 1.3),
            values(2 * 5 * 19 * 23, 0.3),
        );
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                (
                    depthwise_input_gradient(&s, &g, &w),
                    depthwise_weight_gradient(&s, &x, &g),
                )
            })
        };
        let one = run(1);
        assert!(one == run(2));
        assert!(one == run(3));
    }
}
