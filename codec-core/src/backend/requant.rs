//! Integer-exact convolution with requantization.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::flex::{contiguous, floats, tensor};
use super::{plain, plain_on_gpu};
use crate::kernels::conv::{ConvShape, conv2d};
use crate::kernels::requant::Requant;

/// Layers whose weights and activations are integers held in `f32`.
///
/// If for every output `sum |w| * max|x| + |bias| + 1 / (2 * multiplier) < 2^24`, all backends give the same bits.
pub trait RequantOps: Backend {
    /// `clamp(floor((conv(x) + bias) * multiplier + 0.5), lo, hi)`, stride 1, zero padding `(k - 1) / 2`, odd `k`.
    /// For inference: the floor has no gradient.
    ///
    /// # Shapes
    /// - x: `[N, Ci, H, W]`, integers
    /// - weight: `[Co, Ci, k, k]`, integers
    /// - bias: `[Co]`, integers
    /// - multiplier: `[Co]`, powers of two
    /// - output: `[N, Co, H, W]`, integers in `lo..=hi`
    ///
    /// # Panics
    /// If the shapes disagree or the kernel is even or not square.
    fn conv2d_requant(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        multiplier: Tensor<Self, 1>,
        lo: f32,
        hi: f32,
    ) -> Tensor<Self, 4> {
        plain::conv2d_requant(x, weight, bias, multiplier, lo, hi)
    }
}

impl RequantOps for Flex {
    fn conv2d_requant(
        x: Tensor<Self, 4>,
        weight: Tensor<Self, 4>,
        bias: Tensor<Self, 1>,
        multiplier: Tensor<Self, 1>,
        lo: f32,
        hi: f32,
    ) -> Tensor<Self, 4> {
        if x.dtype() != DType::F32 {
            return plain::conv2d_requant(x, weight, bias, multiplier, lo, hi);
        }
        let shape = ConvShape::new(x.dims(), weight.dims());
        let (x, weight) = (contiguous(x), contiguous(weight));
        let (bias, multiplier) = (contiguous(bias), contiguous(multiplier));
        let epilogue = Requant {
            bias: floats(&bias),
            multiplier: floats(&multiplier),
            lo,
            hi,
        };
        tensor(
            conv2d(&shape, floats(&x), floats(&weight), &epilogue),
            shape.output_dims(),
        )
    }
}

impl<C: CheckpointStrategy> RequantOps for Autodiff<Flex, C> {}
plain_on_gpu!(RequantOps);

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use super::*;

    fn integers<const D: usize>(dims: [usize; D], spread: i32, seed: i32) -> Tensor<Flex, D> {
        let values: Vec<f32> = (0..dims.iter().product::<usize>() as i32)
            .map(|i| {
                (i.wrapping_mul(7919).wrapping_add(seed * 104_729) % (2 * spread + 1) - spread)
                    as f32
            })
            .collect();
        Tensor::from_data(TensorData::new(values, dims), &Default::default())
    }

    #[test]
    fn equals_the_plain_operators_exactly() {
        for (x, w, s) in [
            ([1, 1, 1, 1], [1, 1, 3, 3], 3),
            ([2, 3, 5, 7], [4, 3, 3, 3], 5),
            ([1, 64, 17, 23], [32, 64, 3, 3], 10),
            ([1, 48, 9, 31], [16, 48, 1, 1], 8),
            ([1, 8, 6, 5], [3, 8, 5, 5], 7),
        ] {
            let (x, w) = (integers(x, 255, 1), integers(w, 127, 2));
            let channels = w.dims()[0];
            let bias = integers([channels], 3000, 3);
            let shifts = (0..channels)
                .map(|c| 2f32.powi(-(s + (c % 2) as i32)))
                .collect::<Vec<_>>();
            let multiplier =
                Tensor::from_data(TensorData::new(shifts, [channels]), &Default::default());
            let want = plain::conv2d_requant(
                x.clone(),
                w.clone(),
                bias.clone(),
                multiplier.clone(),
                -128.0,
                127.0,
            );
            let got = Flex::conv2d_requant(x, w, bias, multiplier, -128.0, 127.0);
            got.into_data().assert_eq(&want.into_data(), true);
        }
    }
}
