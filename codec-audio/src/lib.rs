//! Sound input and output and learned audio codecs

pub mod coder;
pub mod io;
pub mod models;

pub use codec_core::{Error, Limits};
