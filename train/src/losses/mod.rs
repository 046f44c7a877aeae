//! Losses for pictures and sound, one concept a file.
//!
//! A recipe lists [`LossTerm`]s; [`LossSet`] evaluates them. The functions and networks behind them are public, too,
//! and work on every backend, with gradients where the backend has autodiff.

pub mod adversarial;
mod codebook_usage;
mod distortion;
mod error;
#[cfg(test)]
pub(crate) mod gradient_check;
pub mod lpips;
mod ms_ssim;
pub mod quantization;
pub mod rate;
#[cfg(test)]
pub(crate) mod reference;
mod set;
pub mod spectral;
mod term;

pub use codebook_usage::{CodebookHealth, CodebookUsage};
pub use distortion::{charbonnier, l1, mse};
pub use error::LossError;
pub use ms_ssim::ms_ssim;
pub(crate) use set::check;
pub use set::{LossSet, LossValues, ModelTerms};
pub use term::{Domain, LossKind, LossTerm};
