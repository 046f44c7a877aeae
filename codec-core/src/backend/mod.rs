//! What our networks ask of a Burn backend beyond Burn's own operators.
//!
//! Each concept is a trait ([`ConvOps`], [`RequantOps`], ...) whose methods default to plain Burn operators: they
//! work on every backend and are differentiable where that makes sense. The CPU backend `Flex` overrides them with
//! the slice kernels of [`crate::kernels`], and `Autodiff<Flex>` with the same kernels and their gradients.
//! Networks are generic over [`CodecBackend`], the sum of these traits.

mod checkerboard;
mod conv;
mod flex;
mod nearest;
mod network;
pub mod plain;
mod plane;
pub mod rate;
mod rate_plain;
mod requant;
pub mod shuffle;
mod signal;
mod signal_plain;
mod slices;
pub mod update;
pub mod wavelet;
mod wavelet_plain;
mod window;

use burn::tensor::backend::Backend;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

pub use crate::kernels::activation::Activation;
pub use crate::kernels::signal::{Border, Walk};
pub use crate::kernels::signal_transposed::transposed_outputs;
pub use checkerboard::{CheckerboardOps, Parity};
pub use conv::ConvOps;
pub use nearest::NearestOps;
pub use network::NetworkOps;
pub use plane::{ClampTerm, PlaneOps};
pub use rate::RateOps;
pub use requant::RequantOps;
pub use shuffle::ShuffleOps;
pub use signal::{LstmParams, ResidualUnit, SignalOps};
pub use update::{AdamResult, AdamStep, UpdateOps};
pub use wavelet::{Boundary, WaveletOps};
pub use window::{WindowOps, Windows};

/// Implements traits without required items for the GPU backends that are switched on, and for autodiff over them.
///
/// Covered are `Wgpu` with kernel fusion and without, and `Cuda`.
macro_rules! plain_on_gpu {
    ($($operations:ident),+ $(,)?) => {$(
        #[cfg(feature = "wgpu")]
        impl $operations for burn::backend::Wgpu {}
        #[cfg(feature = "wgpu")]
        impl<C: burn_autodiff::checkpoint::strategy::CheckpointStrategy> $operations
            for burn_autodiff::Autodiff<burn::backend::Wgpu, C> {}
        #[cfg(feature = "wgpu")]
        impl $operations
            for burn::backend::wgpu::CubeBackend<burn::backend::wgpu::WgpuRuntime, f32, i32, u32> {}
        #[cfg(feature = "wgpu")]
        impl<C: burn_autodiff::checkpoint::strategy::CheckpointStrategy> $operations
            for burn_autodiff::Autodiff<
                burn::backend::wgpu::CubeBackend<burn::backend::wgpu::WgpuRuntime, f32, i32, u32>,
                C,
            > {}
        #[cfg(feature = "cuda")]
        impl $operations for burn::backend::Cuda {}
        #[cfg(feature = "cuda")]
        impl<C: burn_autodiff::checkpoint::strategy::CheckpointStrategy> $operations
            for burn_autodiff::Autodiff<burn::backend::Cuda, C> {}
    )+};
}
pub(crate) use plain_on_gpu;

/// A backend that has everything our networks use.
pub trait CodecBackend:
    Backend
    + ConvOps
    + NearestOps
    + NetworkOps
    + RequantOps
    + WaveletOps
    + ShuffleOps
    + RateOps
    + PlaneOps
    + UpdateOps
    + CheckerboardOps
    + WindowOps
    + SignalOps
{
    /// Whether items of different lengths go side by side, each by itself on a thread of this machine, instead of padded in
    /// one tensor. A processor gains nothing from padding, and its kernels cut their sums by the shape of the whole tensor: the
    /// last bits of an item would depend on its neighbours.
    const SIDE_BY_SIDE: bool = false;
}

impl CodecBackend for Flex {
    const SIDE_BY_SIDE: bool = true;
}
impl<C: CheckpointStrategy> CodecBackend for Autodiff<Flex, C> {}
plain_on_gpu!(CodecBackend);
