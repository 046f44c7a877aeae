//! Sound input and output and learned audio codecs

pub mod coder;
pub mod file;
pub mod io;
pub mod mel;
pub mod models;
pub mod pretrained;
pub mod tokens;

pub use codec_core::{Error, Limits};
