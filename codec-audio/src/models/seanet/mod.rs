//! The convolutional encoder and decoder of SoundStream (Zeghidour et al. 2021, arXiv 2107.03312, section III) as EnCodec has
//! them (Defossez et al. 2022, arXiv 2210.13438, section 3.1): strided convolutions with residual blocks, and long short-term
//! memory at the frame rate.
//!
//! A network is a list of layers under the numbers of the authors' sequence, activations included.

mod config;
mod layers;

pub use config::{Norm, SeanetConfig};
pub use layers::{Sequence, SequenceLayer};
