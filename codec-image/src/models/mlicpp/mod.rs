//! MLIC++: latents in slices and checkerboard halves, each predicted from every kind of context at once (Jiang et al., "MLIC++:
//! Linear Complexity Multi-Reference Entropy Modeling for Learned Image Compression", arXiv 2307.15421).
//!
//! Published checkpoints of both generations load, any width, depth and window. Scales and means are floats, so files are of
//! the float profile: the backend that wrote them reads them back exactly, another one may not, and says so.
//!
//! Of MLICv2 (Jiang et al., arXiv 2504.19119) there are two parts, off by default and recognized by their tensors: blocks of
//! token mixing in place of residual blocks (`token_mixing`), and a global context for the first slice that the hyperprior
//! guides (`first_slice_context`). Neither code nor weights of MLICv2 are published. The abstract says that these parts exist;
//! their layers are our reading, and weights of the authors, should they appear, will need another one:
//! - a block of token mixing is what `mixing` describes, two of them for a residual block;
//! - in later slices of MLIC++ the slice before tells how anchors and other cells are correlated, and the anchors of this slice
//!   are gathered accordingly for its other cells. For the first slice the features of the hyperprior at anchors and other
//!   cells take the place of the slice before. Nothing but the features is known before the anchors of the first slice, and
//!   those are used at every cell already.
//!
//! Of its other parts, the annealing of latents is `--effort 9` and `10` for every model; channel reweighting, rotary
//! embedding and selective compression are not implemented.

mod codec;
pub mod config;
mod family;
pub mod global;
pub mod local;
mod mixing;
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
