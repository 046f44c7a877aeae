//! MLIC++: latents in slices and checkerboard halves, each predicted from every kind of context at once (Jiang et al., "MLIC++:
//! Linear Complexity Multi-Reference Entropy Modeling for Learned Image Compression", arXiv 2307.15421).
//!
//! Published checkpoints of both generations load, any width, depth and window. Scales and means are floats, so files are of
//! the float profile: the backend that wrote them reads them back exactly, another one may not, and says so.

mod codec;
pub mod config;
mod family;
pub mod global;
pub mod local;
pub mod model;
mod refine;
mod slice;
#[cfg(test)]
mod tests;
mod trace;
pub mod transforms;

pub use codec::Coder;
pub use config::{MlicppConfig, Variant};
pub use family::Mlicpp;
pub use model::Network;
