//! Convolution at every `stride`-th position on NCHW slices.

use rayon::prelude::*;

use super::conv::{Epilogue, convolve};
use super::fresh::zeros;
use super::taps::{Field, Tap};

/// Sizes of a strided convolution; output `o` of an axis sees inputs `stride * o - before ..`, zeros outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedShape {
    /// Dimensions of the input, `[N, Ci, H, W]`.
    pub input: [usize; 4],
    /// Output channels, Co.
    pub outputs: usize,
    /// Side of the kernel, k.
    pub kernel: usize,
    /// One output for so many inputs of an axis.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
}

impl StridedShape {
    /// From the dimensions of the input `[N, Ci, H, W]` and of the weights `[Co, Ci, k, k]`.
    ///
    /// # Panics
    /// If the channels disagree, the kernel is not square or the stride is 0.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: usize, before: usize) -> Self {
        let [outputs, inputs, kernel, kernel_width] = weight;
        assert_eq!(
            input[1], inputs,
            "input and weight disagree on the input channels"
        );
        assert_eq!(kernel, kernel_width, "a kernel that is not square");
        assert!(stride > 0, "a stride of 0");
        Self {
            input,
            outputs,
            kernel,
            stride,
            before,
        }
    }

    /// Dimensions of the output, `[N, Co, ceil(H / stride), ceil(W / stride)]`.
    pub fn output_dims(&self) -> [usize; 4] {
        let [n, _, h, w] = self.input;
        [
            n,
            self.outputs,
            h.div_ceil(self.stride),
            w.div_ceil(self.stride),
        ]
    }

    fn field(&self) -> Field {
        let [_, _, height, width] = self.output_dims();
        let stride = self.stride as isize;
        // Input `stride * (o + shift) + phase`.
        let place = |k: usize| {
            let ahead = k as isize - self.before as isize;
            (ahead.rem_euclid(stride) as usize, ahead.div_euclid(stride))
        };
        let taps = (0..self.kernel).flat_map(|ky| {
            (0..self.kernel).map(move |kx| {
                let ((py, dy), (px, dx)) = (place(ky), place(kx));
                Tap {
                    plane: py * self.stride + px,
                    dy,
                    dx,
                }
            })
        });
        Field {
            channels: self.input[1],
            planes: self.stride * self.stride,
            height,
            width,
            taps: taps.collect(),
        }
    }

    /// Every channel of `x` as its `stride * stride` phases, each of the size of an output channel.
    fn phases(&self, x: &[f32]) -> Vec<f32> {
        let [n, channels, h, w] = self.input;
        let [_, _, height, width] = self.output_dims();
        let stride = self.stride;
        let planes = stride * stride;
        let mut split = zeros(n * channels * planes * height * width);
        if split.is_empty() {
            return split;
        }
        let channels = split.par_chunks_mut(planes * height * width);
        channels
            .zip(x.par_chunks(h * w))
            .for_each(|(planes, channel)| {
                for (plane, phase) in planes.chunks_mut(height * width).enumerate() {
                    let (py, px) = (plane / stride, plane % stride);
                    let lines = channel.chunks(w).skip(py).step_by(stride);
                    for (to, from) in phase.chunks_mut(width).zip(lines) {
                        let from = from.get(px..).unwrap_or(&[]);
                        if stride == 2 {
                            let (pairs, rest) = from.as_chunks::<2>();
                            for (v, pair) in to.iter_mut().zip(pairs) {
                                *v = pair[0];
                            }
                            if let ([last], Some(v)) = (rest, to.get_mut(pairs.len())) {
                                *v = *last;
                            }
                        } else {
                            for (v, x) in to.iter_mut().zip(from.iter().step_by(stride)) {
                                *v = *x;
                            }
                        }
                    }
                }
            });
        split
    }
}

/// Strided convolution with an epilogue.
///
/// # Shapes
/// `x` is `[N, Ci, H, W]`, `weight` `[Co, Ci, k, k]`, the result as [`StridedShape::output_dims`] says.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv2d_strided(
    shape: &StridedShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    let count: usize = shape.input.iter().product();
    assert_eq!(x.len(), count, "input does not fit {shape:?}");
    let field = shape.field();
    assert_eq!(
        weight.len(),
        shape.outputs * field.rows(),
        "weight does not fit {shape:?}"
    );
    if shape.stride == 1 {
        return convolve(&field, shape.input[0], shape.outputs, x, weight, epilogue);
    }
    let split = shape.phases(x);
    convolve(
        &field,
        shape.input[0],
        shape.outputs,
        &split,
        weight,
        epilogue,
    )
}
