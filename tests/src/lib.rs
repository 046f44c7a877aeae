//! What the tests of this workspace share: generated pictures, a tiny model, folders, devices, and running the program.
//!
//! Only tests depend on this crate, so its functions panic where a test would.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod data;
pub mod devices;
pub mod model;
pub mod picture;
pub mod program;
pub mod published;
