//! WaLLoC for pictures (Jacobellis and Yadwadkar, "Learned Compression for Compressed Learning", DCC 2025): wavelet packets, a
//! 1x1 convolution or a small network, integers of a few bits, and a decoder that is a network.
//!
//! Implemented is the class `Codec2D` with every number of channels, levels, widths and bits, with both encoders, from the
//! authors' checkpoints and for training. The authors store the integers with lossless picture codecs; files of this codec hold
//! them in [`codec_entropy::encode_planes`], which is smaller and decodes to the same integers on every machine.

mod checkpoint;
mod codec;
mod config;
mod export;
mod latents;
mod model;
mod packing;
#[cfg(test)]
mod tests;

pub use checkpoint::Walloc;
pub use codec::Coder;
pub use config::WallocConfig;
pub use export::export;
pub use latents::Latents;
pub use model::{Autoencoder, Network, TrainingPass};
pub use packing::{Packed, pack};
