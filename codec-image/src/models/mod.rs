//! Image model families.

pub mod check;
pub mod family;
pub mod walloc;
pub mod wpmr;

pub use family::{Family, Imported, Model};
