//! Codes of a picture or a recording as an array, with what it takes to turn them back.
//!
//! A file of tokens says which model and weights made them and how large the original was, so that `codec detokenize` needs no
//! options. Three formats ([`Format`]) hold the same array in one of four orders ([`Layout`]).

mod format;
mod layout;

pub use format::{Format, NAMES};
pub use layout::Layout;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

/// Most codebooks.
pub const CODEBOOKS_MAX: usize = 1 << 10;
/// Most codes of a codebook.
pub const CODES_MAX: u32 = 1 << 30;
/// Dimensions of an array of codes: codebooks, rows and columns of a picture at most.
const RANK_MAX: usize = 3;

/// The original's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "media", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Media {
    /// A picture.
    Image {
        /// Columns in pixels.
        width: u32,
        /// Rows in pixels.
        height: u32,
    },
    /// A recording.
    Audio {
        /// Samples per second.
        rate: u32,
        /// Samples of a channel.
        samples: u64,
        /// Channels.
        channels: u16,
        /// Samples for one frame of codes.
        hop: u32,
    },
}

/// Codes with their origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    codes: Vec<u32>,
    shape: Vec<usize>,
    codebook_size: u32,
    /// Model, as in files.
    pub model: String,
    /// Digest of its weights.
    pub digest: Digest,
    /// The original's size.
    pub media: Media,
}

impl Tokens {
    /// Codes of the given shape, `[codebooks, height, width]` or `[codebooks, frames]` in blocks, each below
    /// `codebook_size`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if number, shape and size do not agree.
    pub fn new(
        codes: Vec<u32>,
        shape: Vec<usize>,
        codebook_size: u32,
        model: String,
        digest: Digest,
        media: Media,
    ) -> Result<Self, Error> {
        let count = shape
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        let codebooks = shape.first().copied().unwrap_or(0);
        let known = (1..=CODEBOOKS_MAX).contains(&codebooks)
            && (2..=RANK_MAX).contains(&shape.len())
            && (1..=CODES_MAX).contains(&codebook_size);
        if !known || count != Some(codes.len()) {
            return Err(Error::malformed(format!(
                "{} codes of {codebook_size} for a shape of {shape:?}",
                codes.len()
            )));
        }
        if let Some(code) = codes.iter().find(|&&code| code >= codebook_size) {
            return Err(Error::malformed(format!(
                "code {code} (expected below {codebook_size})"
            )));
        }
        Ok(Self {
            codes,
            shape,
            codebook_size,
            model,
            digest,
            media,
        })
    }

    /// Codes in the order of [`Tokens::shape`].
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// `[codebooks, height, width]` or `[codebooks, frames]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Codes of a codebook: all codes are below.
    pub fn codebook_size(&self) -> u32 {
        self.codebook_size
    }

    /// Codebooks.
    pub fn codebooks(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Positions that each codebook has a code for.
    pub fn positions(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The first `count` codebooks only, as residual quantizers allow.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are not so many.
    pub fn first_codebooks(mut self, count: usize) -> Result<Self, Error> {
        let there = self.codebooks();
        if !(1..=there).contains(&count) {
            return Err(Error::bad_parameter(format!(
                "{count} codebooks of model '{}' (expected 1..={there})",
                self.model
            )));
        }
        self.codes.truncate(count * self.positions());
        if let Some(codebooks) = self.shape.first_mut() {
            *codebooks = count;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
