//! The search of vector quantizers.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::flex::{contiguous, floats};
use super::plain_on_gpu;
use crate::kernels::nearest::nearest;

/// Bytes of distances that exist at a time.
const TILE_BYTES: usize = 64 << 20;

/// Searches over the rows of a codebook. They have no gradient.
pub trait NearestOps: Backend {
    /// For every point the nearest row by `|z|^2 + |e|^2 - 2 z e` in 32 bits; the first of equally near ones.
    ///
    /// # Shapes
    /// points `[n, d]`, rows `[k, d]`, to `[n]`; k and d at least 1
    fn nearest_rows(points: Tensor<Self, 2>, rows: Tensor<Self, 2>) -> Tensor<Self, 1, Int> {
        let rows = rows.detach();
        let count = rows.dims()[0];
        let energies = rows.clone().square().sum_dim(1).transpose();
        let rows = rows.transpose();
        in_tiles(points, count, |points| {
            let energy = points.clone().square().sum_dim(1);
            energy + energies.clone() - points.matmul(rows.clone()).mul_scalar(2.0)
        })
    }

    /// For every point the row with the largest `w z + b`; the first of equally large ones.
    ///
    /// # Shapes
    /// points `[n, d]`, weight `[k, d]`, bias `[k]`, to `[n]`; k and d at least 1
    fn largest_logits(
        points: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        bias: Tensor<Self, 1>,
    ) -> Tensor<Self, 1, Int> {
        let count = weight.dims()[0];
        let weight = weight.detach().transpose();
        let bias = bias.detach().reshape([1, count]);
        in_tiles(points, count, |points| {
            (points.matmul(weight.clone()) + bias.clone()).neg()
        })
    }
}

/// Index of the first least cost of each point, with the costs `[tile, count]` of a tile of points at a time.
fn in_tiles<B: Backend>(
    points: Tensor<B, 2>,
    count: usize,
    costs: impl Fn(Tensor<B, 2>) -> Tensor<B, 2>,
) -> Tensor<B, 1, Int> {
    let points = points.detach();
    let n = points.dims()[0];
    let tile = (TILE_BYTES / (4 * count).max(1)).clamp(1, n.max(1));
    let order = Tensor::<B, 1, Int>::arange(0..count as i64, &points.device());
    let order = order.reshape([1, count]);
    let tiles = (0..n.max(1)).step_by(tile).map(|start| {
        let costs = costs(points.clone().narrow(0, start, tile.min(n - start)));
        let n = costs.dims()[0];
        // `argmin` leaves open which of equal minima it returns.
        let above = costs.clone().greater(costs.min_dim(1).expand([n, count]));
        let first = order.clone().expand([n, count]);
        first
            .mask_fill(above, count as i64 - 1)
            .min_dim(1)
            .reshape([n])
    });
    Tensor::cat(tiles.collect(), 0)
}

impl NearestOps for Flex {
    fn nearest_rows(points: Tensor<Self, 2>, rows: Tensor<Self, 2>) -> Tensor<Self, 1, Int> {
        assert_eq!(points.dims()[1], rows.dims()[1], "widths differ");
        let (width, device) = (rows.dims()[1], points.device());
        let cast = |t: Tensor<Self, 2>| {
            contiguous(if t.dtype() == DType::F32 {
                t
            } else {
                t.cast(burn::tensor::FloatDType::F32)
            })
        };
        let (points, rows) = (cast(points), cast(rows));
        let found = nearest(floats(&points), floats(&rows), width).row;
        let found: Vec<i32> = found.into_iter().map(|row| row as i32).collect();
        let count = found.len();
        Tensor::from_data(TensorData::new(found, [count]), &device)
    }
}

impl<C: CheckpointStrategy> NearestOps for Autodiff<Flex, C> {
    fn nearest_rows(points: Tensor<Self, 2>, rows: Tensor<Self, 2>) -> Tensor<Self, 1, Int> {
        Tensor::from_inner(Flex::nearest_rows(points.inner(), rows.inner()))
    }
}

plain_on_gpu!(NearestOps);

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    /// Flex with the defaults of the trait.
    fn plain(points: Tensor<Flex, 2>, rows: Tensor<Flex, 2>) -> Vec<i64> {
        let rows_t = rows.clone().transpose();
        let count = rows.dims()[0];
        let energies = rows.square().sum_dim(1).transpose();
        let found = in_tiles(points, count, |points| {
            points.clone().square().sum_dim(1) + energies.clone()
                - points.matmul(rows_t.clone()).mul_scalar(2.0)
        });
        found.into_data().iter::<i64>().collect()
    }

    #[test]
    fn the_kernel_agrees_with_plain_operators() {
        let device = Default::default();
        Flex::seed(&device, 5);
        for [n, k, d] in [[1, 1, 1], [70, 300, 4], [33, 1500, 16]] {
            let random = |rows| {
                Tensor::<Flex, 2>::random([rows, d], Distribution::Uniform(-1.0, 1.0), &device)
            };
            let (points, rows) = (random(n), random(k));
            let fast = Flex::nearest_rows(points.clone(), rows.clone());
            let fast: Vec<i64> = fast.into_data().iter::<i64>().collect();
            assert_eq!(fast, plain(points, rows));
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        let device = Default::default();
        let rows = Tensor::<Flex, 2>::from_data([[3.0], [1.0], [1.0], [-1.0]], &device);
        let points = Tensor::<Flex, 2>::from_data([[1.25], [0.0]], &device);
        assert_eq!(plain(points.clone(), rows.clone()), [1, 1]);
        let bias = Tensor::<Flex, 1>::from_data([0.0, 2.5, 2.5, 2.0], &device);
        let found = Flex::largest_logits(points, rows, bias);
        assert_eq!(found.into_data().iter::<i64>().collect::<Vec<_>>(), [0, 1]);
    }
}
