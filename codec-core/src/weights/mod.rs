//! Weights on the host: named tensors, files of them, and how networks are built from them.
//!
//! [`Tensors`] is what a checkpoint is read into, under its authors' key names. A [`Loader`] hands them to a network's
//! constructor with the shape that it expects and keeps the account of what was mapped, missing, misshaped and unused.

mod checkpoint;
mod file;
mod floats;
mod loader;
mod places;
mod tensors;

pub use checkpoint::Checkpoint;
pub use file::WeightsFile;
pub(crate) use file::metadata_entry;
pub use floats::Floats;
pub use loader::{Loader, Misshaped, Report};
pub use places::{Place, Places, Start, initial};
pub use tensors::{HostTensor, Tensors, Values};
