//! Image input and output and learned image codecs

pub mod alpha;
pub mod coder;
pub mod error;
pub mod file;
pub mod io;
pub mod models;
pub mod picture;
pub mod planes;
pub mod pretrained;
pub mod tokens;

pub use error::Error;
