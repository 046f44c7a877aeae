//! Losses for pictures and sound, one concept a file.
//!
//! A recipe lists [`LossTerm`]s; [`LossSet`] evaluates them. The functions and networks behind them are public, too,
//! and work on every backend, with gradients where the backend has autodiff.

mod distortion;
mod error;
#[cfg(test)]
pub(crate) mod gradient_check;
mod ms_ssim;
mod set;
mod term;

pub use distortion::{charbonnier, l1, mse};
pub use error::LossError;
pub use ms_ssim::ms_ssim;
pub use set::{LossSet, LossValues, ModelTerms};
pub use term::{Domain, LossKind, LossTerm};
