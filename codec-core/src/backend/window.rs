//! Checkerboard attention in overlapping windows (Jiang et al. 2023, arXiv 2307.15421, section 3.3).

use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::checkerboard::{CheckerboardOps, Parity};
use super::flex::{contiguous, floats, tensor};
use super::plain_on_gpu;
use crate::kernels::shape::ShapeError;
use crate::kernels::window::{self, WindowShape};

/// Bytes of attention weights that exist at a time in the default.
const WEIGHT_BYTES: usize = 64 << 20;
/// Added to the logits of masked pairs.
const MASKED: f64 = -100.0;

/// What the windows of [`WindowOps::checkerboard_attention`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Side, odd.
    pub side: usize,
    /// Heads, each with its block of channels.
    pub heads: usize,
    /// Which cells are centres.
    pub centres: Parity,
}

/// Attention between the cells of windows.
pub trait WindowOps: CheckerboardOps {
    /// Self-attention of all cells of the window around each centre, then a convolution over the window's result.
    ///
    /// The logit of a pair is `q k` plus the bias of their distance: entry `(dy + side - 1) (2 side - 1) + dx + side - 1` for
    /// query minus key. Where the query is an odd cell of the plane, 100 is taken from the logits of all keys that are not.
    /// Cells outside the plane have zeros for query, key and value.
    ///
    /// # Shapes
    /// - qkv: `[n, 3 c, h, w]`, queries (already scaled), keys, values
    /// - bias: `[(2 side - 1)^2, heads]`
    /// - kernel: `[outputs, c, side, side]`, offset: `[outputs]`
    /// - output: `[n, outputs, h, w / 2]`, as [`CheckerboardOps::take_cells`] orders the centres
    ///
    /// # Errors
    /// Height or width is odd or zero, or the channels are no multiple of three times the heads.
    ///
    /// # Panics
    /// If the shapes disagree or the side is even.
    fn checkerboard_attention(
        qkv: Tensor<Self, 4>,
        bias: Tensor<Self, 2>,
        kernel: Tensor<Self, 4>,
        offset: Tensor<Self, 1>,
        windows: Windows,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check(qkv.dims(), bias.dims(), kernel.dims(), windows)?;
        generic_attention(qkv, bias, kernel, offset, windows)
    }
}

fn check(
    [_, channels, height, width]: [usize; 4],
    bias: [usize; 2],
    kernel: [usize; 4],
    windows: Windows,
) -> Result<(), ShapeError> {
    let Windows { side, heads, .. } = windows;
    if height == 0 || width == 0 || height % 2 != 0 || width % 2 != 0 {
        return Err(ShapeError::Side {
            height,
            width,
            multiple: 2,
        });
    }
    let multiple = 3 * heads.max(1);
    if channels == 0 || channels % multiple != 0 {
        return Err(ShapeError::Channels { channels, multiple });
    }
    assert!(side % 2 == 1, "window of side {side} (expected odd)");
    let distances = (2 * side - 1) * (2 * side - 1);
    assert_eq!(bias, [distances, heads], "bias of another window");
    assert_eq!(
        kernel[1..],
        [channels / 3, side, side],
        "kernel of another window"
    );
    Ok(())
}

/// For each pair of cells of a window, query by query, the entry of the bias.
fn distances(side: usize) -> Vec<i32> {
    let cells = || (0..side).flat_map(move |y| (0..side).map(move |x| (y, x)));
    cells()
        .flat_map(|(qy, qx)| {
            cells().map(move |(ky, kx)| {
                let (dy, dx) = (qy + side - 1 - ky, qx + side - 1 - kx);
                (dy * (2 * side - 1) + dx) as i32
            })
        })
        .collect()
}

/// Cells of the windows around centres in some rows: `[n, c, h, w]` to `[n, c, side^2, rows * w / 2]`.
fn unfold<B: CheckerboardOps>(
    padded: &Tensor<B, 4>,
    windows: Windows,
    [top, rows, width]: [usize; 3],
) -> Result<Tensor<B, 4>, ShapeError> {
    let [n, c, _, _] = padded.dims();
    let Windows { side, centres, .. } = windows;
    let cells = (0..side * side).map(|cell| {
        let part = padded.clone().narrow(2, top + cell / side, rows);
        let part = part.narrow(3, cell % side, width);
        let taken = B::take_cells(part, centres)?;
        Ok(taken.reshape([n, c, 1, rows * width / 2]))
    });
    Ok(Tensor::cat(
        cells.collect::<Result<Vec<_>, ShapeError>>()?,
        2,
    ))
}

/// The definition, in blocks of rows.
fn generic_attention<B: CheckerboardOps>(
    qkv: Tensor<B, 4>,
    bias: Tensor<B, 2>,
    kernel: Tensor<B, 4>,
    offset: Tensor<B, 1>,
    windows: Windows,
) -> Result<Tensor<B, 4>, ShapeError> {
    let ([n, channels, h, w], [outputs, ..]) = (qkv.dims(), kernel.dims());
    let Windows { side, heads, .. } = windows;
    let (cells, dims) = (side * side, channels / 3 / heads);
    let device = qkv.device();
    let radius = side / 2;
    let pad = (radius, radius, radius, radius);
    let qkv = qkv.pad(pad, PadMode::Constant(0.0));
    let anchors = B::put_cells(Tensor::ones([1, 1, h, w / 2], &device), Parity::Odd)?;
    let anchors = anchors.pad(pad, PadMode::Constant(0.0));
    let index = TensorData::new(distances(side), [cells * cells]);
    let index = Tensor::<B, 1, Int>::from_data(index, &device);
    let bias = bias.select(0, index).swap_dims(0, 1);
    let bias: Tensor<B, 5> = bias.reshape([1, heads, 1, cells, cells]);

    // An even number, so that every block begins with the same parity.
    let rows = WEIGHT_BYTES / (4 * n * heads * cells * cells * w / 2).max(1) / 2 * 2;
    let rows = rows.clamp(2, h);
    let blocks = (0..h).step_by(rows).map(|top| {
        let rows = rows.min(h - top);
        let count = rows * w / 2;
        let parts = unfold(&qkv, windows, [top, rows, w])?;
        // [n, heads, windows, cells, dims]
        let part = |index: usize| {
            let part = parts.clone().narrow(1, index * channels / 3, channels / 3);
            let part: Tensor<B, 5> = part.reshape([n, heads, dims, cells, count]);
            part.permute([0, 1, 4, 3, 2])
        };
        let seen = unfold(&anchors, windows, [top, rows, w])?.swap_dims(2, 3);
        let query: Tensor<B, 5> = seen.clone().reshape([1, 1, count, cells, 1]);
        let key: Tensor<B, 5> = seen.reshape([1, 1, count, 1, cells]);
        let mask = (query * key.sub_scalar(1.0)).mul_scalar(-MASKED);
        let logits = part(0).matmul(part(1).swap_dims(3, 4)) + bias.clone() + mask;
        let weights = burn::tensor::activation::softmax(logits, 4);
        let attended = weights.matmul(part(2));
        // One picture of a window's size for each window.
        let attended = attended.permute([0, 2, 1, 4, 3]);
        let attended = attended.reshape([n * count, channels / 3, side, side]);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let fused = conv2d(attended, kernel.clone(), Some(offset.clone()), options);
        let fused: Tensor<B, 3> = fused.reshape([n, count, outputs]);
        Ok(fused.swap_dims(1, 2).reshape([n, outputs, rows, w / 2]))
    });
    Ok(Tensor::cat(
        blocks.collect::<Result<Vec<_>, ShapeError>>()?,
        2,
    ))
}

impl WindowOps for Flex {
    fn checkerboard_attention(
        qkv: Tensor<Self, 4>,
        bias: Tensor<Self, 2>,
        kernel: Tensor<Self, 4>,
        offset: Tensor<Self, 1>,
        windows: Windows,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check(qkv.dims(), bias.dims(), kernel.dims(), windows)?;
        if qkv.dtype() != DType::F32 {
            return generic_attention(qkv, bias, kernel, offset, windows);
        }
        let ([batch, channels, height, width], [outputs, ..]) = (qkv.dims(), kernel.dims());
        let shape = WindowShape {
            batch,
            channels: channels / 3,
            height,
            width,
            heads: windows.heads,
            window: windows.side,
            outputs,
            centres: windows.centres,
        };
        let (qkv, bias) = (contiguous(qkv), contiguous(bias));
        let (kernel, offset) = (contiguous(kernel), contiguous(offset));
        let out = window::attend(
            &shape,
            floats(&qkv),
            floats(&bias),
            floats(&kernel),
            floats(&offset),
        );
        Ok(tensor(out, [batch, outputs, height, width / 2]))
    }
}

impl<C: CheckpointStrategy> WindowOps for Autodiff<Flex, C> {}
plain_on_gpu!(WindowOps);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn noise<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default())
    }

    #[test]
    fn override_equals_the_definition() {
        // Head sizes with and without a multiple of four, several lanes' worth of windows, bands with a rest.
        for (n, heads, dims, side, [h, w]) in [
            (1, 2, 6, 5, [6, 8]),
            (2, 1, 5, 3, [4, 22]),
            (1, 3, 4, 5, [14, 20]),
            (1, 2, 4, 7, [2, 2]),
        ] {
            for centres in [Parity::Odd, Parity::Even] {
                let windows = Windows {
                    side,
                    heads,
                    centres,
                };
                let c = heads * dims;
                let qkv = noise([n, 3 * c, h, w]);
                let bias = noise([(2 * side - 1) * (2 * side - 1), heads]);
                let (kernel, offset) = (noise([7, c, side, side]), noise([7]));
                let fast = Flex::checkerboard_attention(
                    qkv.clone(),
                    bias.clone(),
                    kernel.clone(),
                    offset.clone(),
                    windows,
                );
                let plain = generic_attention(qkv, bias, kernel, offset, windows).unwrap();
                let difference = (fast.unwrap() - plain.clone()).abs().max().into_scalar();
                // Float sums in another order, and an exponential good to 1e-7.
                let most = plain.abs().max().into_scalar();
                assert!(
                    difference < 1e-5 * most,
                    "{windows:?} {h}x{w}: {difference} of {most}"
                );
            }
        }
    }

    #[test]
    fn sizes_are_checked() {
        let windows = Windows {
            side: 3,
            heads: 2,
            centres: Parity::Even,
        };
        let attend = |qkv: [usize; 4]| {
            let (bias, kernel) = (noise([25, 2]), noise([1, qkv[1] / 3, 3, 3]));
            Flex::checkerboard_attention(noise(qkv), bias, kernel, noise([1]), windows)
        };
        assert!(attend([1, 12, 4, 4]).is_ok());
        assert!(attend([1, 12, 3, 4]).is_err());
        assert!(attend([1, 9, 4, 4]).is_err());
    }
}
