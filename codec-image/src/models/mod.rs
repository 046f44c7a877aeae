//! Image model families.

pub mod wpmr;
