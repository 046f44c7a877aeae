//! Audio model families, one folder each.

mod family;

pub use family::{AudioFamily, Family, Imported, Model};
