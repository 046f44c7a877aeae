//! The hyperprior family as in CompressAI: factorized prior, scale hyperprior (Balle et al. 2018, arXiv 1802.01436),
//! mean-scale hyperprior and its autoregressive relative (Minnen et al. 2018, arXiv 1809.02736).

mod codec;
pub mod config;
mod context;
mod family;
mod latents;
pub mod model;
mod refine;
#[cfg(test)]
mod tests;
mod trace;

pub use codec::Coder;
pub use config::{Architecture, HyperpriorConfig};
pub use family::Hyperprior;
pub use model::Network;
