//! Container, weights, backends and building blocks shared by the learned codecs

pub mod clustering;
pub mod container;
pub mod depth;
pub mod digest;
pub mod error;
pub mod family;
pub mod index_context;
pub mod index_restorer;
pub mod layers;
pub mod limits;
pub mod noise;
pub mod npy;
pub mod tokens;
pub mod weights;

pub mod backend;
pub mod kernels;

pub use depth::Depth;
pub use digest::Digest;
pub use error::{Error, ErrorKind};
pub use limits::Limits;
