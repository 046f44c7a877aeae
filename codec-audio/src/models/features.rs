//! Between features `[n, d, l]` and the rows `[n l, d]` that quantizers take.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Frames as rows, in the order n, l.
pub(crate) fn to_rows<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 2> {
    let [n, d, l] = x.dims();
    x.swap_dims(1, 2).reshape([n * l, d])
}

/// The inverse of [`to_rows`].
pub(crate) fn from_rows<B: Backend>(rows: Tensor<B, 2>, n: usize) -> Tensor<B, 3> {
    let [count, d] = rows.dims();
    rows.reshape([n, count / n.max(1), d]).swap_dims(1, 2)
}
