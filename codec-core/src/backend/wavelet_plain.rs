//! One level of the wavelet transform in Burn's operators: for every back end, differentiable, and the reference of the
//! fast kernels.

use crate::kernels::wavelet::{Boundary, Map, lifting_coefficients, scales};
use crate::kernels::wavelet_short::{SHORT, matrix};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// The next sample along `dim`, with the continuation at the end.
fn next<B: Backend>(x: Tensor<B, 4>, dim: usize, boundary: Boundary) -> Tensor<B, 4> {
    let m = x.dims()[dim];
    let edge = if boundary == Boundary::Periodic {
        0
    } else {
        m - 1
    };
    let edge = x.clone().narrow(dim, edge, 1);
    if m == 1 {
        edge
    } else {
        Tensor::cat(vec![x.narrow(dim, 1, m - 1), edge], dim)
    }
}

/// The previous sample along `dim`, with the continuation at the start.
fn previous<B: Backend>(x: Tensor<B, 4>, dim: usize, boundary: Boundary) -> Tensor<B, 4> {
    let m = x.dims()[dim];
    let edge = if boundary == Boundary::Periodic {
        m - 1
    } else {
        0
    };
    let edge = x.clone().narrow(dim, edge, 1);
    if m == 1 {
        edge
    } else {
        Tensor::cat(vec![edge, x.narrow(dim, 0, m - 1)], dim)
    }
}

/// The matrix of a short periodic axis, `[n, n]`.
fn short_matrix<B: Backend>(map: Map, n: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut dense = vec![0f32; n * n];
    for (i, row) in matrix(map, n).into_iter().enumerate() {
        for (column, weight) in row {
            dense[i * n + column] += weight;
        }
    }
    Tensor::from_data(TensorData::new(dense, [n, n]), device)
}

/// Multiplies the axis `dim` (2 or 3) by a matrix.
fn along<B: Backend>(x: Tensor<B, 4>, dim: usize, matrix: Tensor<B, 2>) -> Tensor<B, 4> {
    let n = x.dims()[dim];
    let x = if dim == 2 { x.swap_dims(2, 3) } else { x };
    let dims = x.dims();
    let y = x
        .reshape([-1, n as i32])
        .matmul(matrix.transpose())
        .reshape(dims);
    if dim == 2 { y.swap_dims(2, 3) } else { y }
}

/// Low and high half along `dim` (2 or 3).
fn split<B: Backend>(
    x: Tensor<B, 4>,
    dim: usize,
    boundary: Boundary,
) -> (Tensor<B, 4>, Tensor<B, 4>) {
    let [n, c, h, w] = x.dims();
    let m = x.dims()[dim] / 2;
    if boundary == Boundary::Periodic && 2 * m < SHORT {
        let matrix = short_matrix(Map::Analysis, 2 * m, &x.device());
        let y = along(x, dim, matrix);
        return (y.clone().narrow(dim, 0, m), y.narrow(dim, m, m));
    }
    let (mut low, mut high) = if dim == 3 {
        let x = x.reshape([n, c, h, m, 2]);
        (
            x.clone().narrow(4, 0, 1).reshape([n, c, h, m]),
            x.narrow(4, 1, 1).reshape([n, c, h, m]),
        )
    } else {
        let x = x.reshape([n, c, m, 2, w]);
        (
            x.clone().narrow(3, 0, 1).reshape([n, c, m, w]),
            x.narrow(3, 1, 1).reshape([n, c, m, w]),
        )
    };
    for (i, k) in lifting_coefficients().into_iter().enumerate() {
        if i % 2 == 0 {
            high = high + (low.clone() + next(low.clone(), dim, boundary)) * k;
        } else {
            low = low + (previous(high.clone(), dim, boundary) + high.clone()) * k;
        }
    }
    let (low_scale, high_scale) = scales(Map::Analysis);
    (low * low_scale, high * high_scale)
}

/// The inverse of [`split`].
fn merge<B: Backend>(
    low: Tensor<B, 4>,
    high: Tensor<B, 4>,
    dim: usize,
    boundary: Boundary,
) -> Tensor<B, 4> {
    let [n, c, h, w] = low.dims();
    let m = low.dims()[dim];
    if boundary == Boundary::Periodic && 2 * m < SHORT {
        let matrix = short_matrix(Map::Synthesis, 2 * m, &low.device());
        return along(Tensor::cat(vec![low, high], dim), dim, matrix);
    }
    let (low_scale, high_scale) = scales(Map::Synthesis);
    let (mut low, mut high) = (low * low_scale, high * high_scale);
    for (i, k) in lifting_coefficients().into_iter().enumerate().rev() {
        if i % 2 == 0 {
            high = high - (low.clone() + next(low.clone(), dim, boundary)) * k;
        } else {
            low = low - (previous(high.clone(), dim, boundary) + high.clone()) * k;
        }
    }
    let both: Tensor<B, 5> = Tensor::stack(vec![low, high], dim + 1);
    if dim == 3 {
        both.reshape([n, c, h, 2 * w])
    } else {
        both.reshape([n, c, 2 * h, w])
    }
}

/// One level in Burn's operators.
pub(super) fn analysis<B: Backend>(x: Tensor<B, 4>, boundary: Boundary) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let (low, high) = split(x, 3, boundary);
    let ((ll, lh), (hl, hh)) = (split(low, 2, boundary), split(high, 2, boundary));
    let bands: Tensor<B, 5> = Tensor::stack(vec![ll, lh, hl, hh], 2);
    bands.reshape([n, 4 * c, h / 2, w / 2])
}

/// One inverse level in Burn's operators.
pub(super) fn synthesis<B: Backend>(y: Tensor<B, 4>, boundary: Boundary) -> Tensor<B, 4> {
    let [n, c, h, w] = y.dims();
    let y = y.reshape([n, c / 4, 4, h, w]);
    let band = |f: usize| y.clone().narrow(2, f, 1).reshape([n, c / 4, h, w]);
    let (low, high) = (
        merge(band(0), band(1), 2, boundary),
        merge(band(2), band(3), 2, boundary),
    );
    merge(low, high, 3, boundary)
}

/// One level over signals `[n, c, t]`.
pub(super) fn analysis_1d<B: Backend>(x: Tensor<B, 3>, boundary: Boundary) -> Tensor<B, 3> {
    let [n, c, t] = x.dims();
    let (low, high) = split(x.reshape([n, c, 1, t]), 3, boundary);
    let bands: Tensor<B, 5> = Tensor::stack(vec![low, high], 2);
    bands.reshape([n, 2 * c, t / 2])
}

/// One inverse level over signals.
pub(super) fn synthesis_1d<B: Backend>(y: Tensor<B, 3>, boundary: Boundary) -> Tensor<B, 3> {
    let [n, c, t] = y.dims();
    let y = y.reshape([n, c / 2, 2, t]);
    let band = |f: usize| y.clone().narrow(2, f, 1).reshape([n, c / 2, 1, t]);
    merge(band(0), band(1), 3, boundary).reshape([n, c / 2, 2 * t])
}
