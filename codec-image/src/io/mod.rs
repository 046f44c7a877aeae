//! Picture files: PNG, JPEG, WebP, TIFF, BMP, GIF, PNM and QOI.
//!
//! The `image` crate decodes and encodes; this module adds what a codec owes its user: limits
//! before allocation, upright pixels, metadata that travel along, and an error instead of a silent
//! change wherever a file holds more than 8-bit gray or RGB with alpha.

mod format;
mod gif;
mod jpeg;
mod orientation;
mod png;
mod read;
mod tiff;
mod webp;
mod write;

pub use format::Format;
pub use read::{ReadPicture, read, read_with_source};
pub use write::{JPEG_QUALITY, lost_metadata, write};

use read::{buffer, to_picture};

#[cfg(test)]
mod tests;
