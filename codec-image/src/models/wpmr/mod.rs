//! Wavelet packets with a multi-reference entropy model: the toolkit's own portable, variable-rate image codec.
//!
//! The front end is WaLLoC's (Jacobellis and Yadwadkar, DCC 2025): a bior4.4 wavelet packet transform of three levels
//! turns a picture into 192 channels at 1/8 resolution without losing anything, and shallow asymmetric transforms work
//! there. The entropy model follows MLIC++ (Jiang et al. 2023) in spirit: a hyperprior, and passes that condition on
//! channels and space at once, here over the quadtree partition of DCVC-DC (Li et al. 2023) in four passes. Quantization
//! steps are learned curves over quality, as in DCVC-FM (Li et al. 2024). Everything that selects a probability table runs
//! in integer-exact layers, so files decode to the same symbols everywhere.

mod annealing;
mod coder;
pub mod config;
mod encoder;
pub mod entropy;
mod export;
mod import;
pub mod layout;
pub mod model;
mod network;
mod parts;
pub mod quality;
pub mod symbols;
pub mod transform;
mod weights;

pub use coder::Coder;
pub use config::{Macs, WpmrConfig};
pub use export::export;
pub use import::{Tensors, import};
pub use model::{Losses, PassMode, Rounding, Wpmr};
pub use network::trailing_inputs;
pub use weights::{FloatParams, WeightParts, Weights};
