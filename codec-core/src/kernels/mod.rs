//! CPU kernels on plain slices: no tensors, no backends, the same bits for any number of threads.

pub mod activation;
pub(crate) mod checkerboard;
pub mod conv;
pub mod conv_gradient;
pub mod depthwise;
pub(crate) mod fresh;
pub(crate) mod math;
pub mod matmul;
pub mod nearest;
pub(crate) mod network;
pub(crate) mod plane;
pub(crate) mod rate;
pub(crate) mod recurrent;
pub mod requant;
pub mod scratch;
pub mod shape;
pub(crate) mod shuffle;
pub mod signal;
pub(crate) mod simd;
pub mod strided;
mod taps;
pub mod transposed;
pub(crate) mod unfold;
pub(crate) mod update;
pub(crate) mod wavelet;
pub(crate) mod wavelet_short;
pub(crate) mod window;
