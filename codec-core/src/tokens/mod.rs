//! Codes or latents of a picture or a recording as an array, with what it takes to turn them back.
//!
//! A file of tokens says which model and weights made them and how large the original was, so that `codec detokenize` needs no
//! options. Three formats ([`Format`]) hold the same array in one of four orders ([`Layout`]). What the integers mean is told by
//! their [`Alphabet`]: indexes into codebooks have no order among each other, latents are quantities with a sign.

mod alphabet;
mod format;
mod layout;

pub use alphabet::Alphabet;
pub use format::{Format, NAMES};
pub use layout::Layout;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

/// Most codebooks.
pub const CODEBOOKS_MAX: usize = 1 << 10;
/// Most codes of a codebook, and the largest magnitude of a latent.
pub const CODES_MAX: u32 = 1 << 30;
/// Most channels of latents.
pub const CHANNELS_MAX: usize = 1 << 14;
/// Dimensions of an array: codebooks or channels, rows and columns of a picture at most.
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

/// Codes or latents with their origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    symbols: Symbols,
    /// Whether each code is lost; empty if none is.
    lost: Vec<bool>,
    shape: Vec<usize>,
    /// Model, as in files.
    pub model: String,
    /// Digest of its weights.
    pub digest: Digest,
    /// The original's size.
    pub media: Media,
}

/// Integers in the order of [`Tokens::shape`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Symbols {
    Codes { codes: Vec<u32>, size: u32 },
    Latents { latents: Vec<i32>, limit: u32 },
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
        let alphabet = Alphabet::Codes {
            size: codebook_size,
        };
        alphabet.check(&shape, codes.iter().map(|&code| code.into()))?;
        Ok(Self {
            symbols: Symbols::Codes {
                codes,
                size: codebook_size,
            },
            lost: Vec::new(),
            shape,
            model,
            digest,
            media,
        })
    }

    /// Latents of the given shape, `[channels, height, width]` or `[channels, frames]` in blocks, each in `-limit..=limit`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if number, shape and limit do not agree.
    pub fn of_latents(
        latents: Vec<i32>,
        shape: Vec<usize>,
        limit: u32,
        model: String,
        digest: Digest,
        media: Media,
    ) -> Result<Self, Error> {
        let alphabet = Alphabet::Latents { limit };
        alphabet.check(&shape, latents.iter().map(|&latent| latent.into()))?;
        Ok(Self {
            symbols: Symbols::Latents { latents, limit },
            lost: Vec::new(),
            shape,
            model,
            digest,
            media,
        })
    }

    /// The same with some codes lost, for instance on a channel: `lost` says which, in the order of [`Tokens::shape`].
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of codes, and for latents.
    pub fn with_lost(mut self, lost: Vec<bool>) -> Result<Self, Error> {
        let Symbols::Codes { codes, .. } = &mut self.symbols else {
            return Err(Error::bad_parameter(
                "lost codes of tokens that are latents",
            ));
        };
        if lost.len() != codes.len() {
            return Err(Error::bad_parameter(format!(
                "{} codes, of which {} are said to be lost or not",
                codes.len(),
                lost.len()
            )));
        }
        for (code, lost) in codes.iter_mut().zip(&lost) {
            if *lost {
                *code = 0;
            }
        }
        self.lost = if lost.contains(&true) {
            lost
        } else {
            Vec::new()
        };
        Ok(self)
    }

    /// Whether each code is lost, in the order of [`Tokens::shape`]; empty if none is. A lost code reads as 0.
    pub fn lost(&self) -> &[bool] {
        &self.lost
    }

    /// What the integers are.
    pub fn alphabet(&self) -> Alphabet {
        match self.symbols {
            Symbols::Codes { size, .. } => Alphabet::Codes { size },
            Symbols::Latents { limit, .. } => Alphabet::Latents { limit },
        }
    }

    /// Codes in the order of [`Tokens::shape`]; none if these are latents.
    pub fn codes(&self) -> &[u32] {
        match &self.symbols {
            Symbols::Codes { codes, .. } => codes,
            Symbols::Latents { .. } => &[],
        }
    }

    /// Codes, for models with codebooks.
    ///
    /// # Errors
    /// [`Error::Malformed`] for latents.
    pub fn expect_codes(&self) -> Result<&[u32], Error> {
        match self.alphabet() {
            Alphabet::Codes { .. } => Ok(self.codes()),
            found => Err(Error::malformed(format!("{found} where codes belong"))),
        }
    }

    /// Latents in the order of [`Tokens::shape`]; none if these are codes.
    pub fn latents(&self) -> &[i32] {
        match &self.symbols {
            Symbols::Codes { .. } => &[],
            Symbols::Latents { latents, .. } => latents,
        }
    }

    /// Latents, for models with those.
    ///
    /// # Errors
    /// [`Error::Malformed`] for codes.
    pub fn expect_latents(&self) -> Result<&[i32], Error> {
        match self.alphabet() {
            Alphabet::Latents { .. } => Ok(self.latents()),
            found => Err(Error::malformed(format!("{found} where latents belong"))),
        }
    }

    /// The integers of either kind, in the order of [`Tokens::shape`], gaps where codes are lost.
    fn integers(&self) -> Vec<i64> {
        let gap = self.alphabet().gap();
        let mut integers: Vec<i64> = match &self.symbols {
            Symbols::Codes { codes, .. } => codes.iter().map(|&code| code.into()).collect(),
            Symbols::Latents { latents, .. } => latents.iter().map(|&v| v.into()).collect(),
        };
        for (integer, lost) in integers.iter_mut().zip(&self.lost) {
            if *lost {
                *integer = gap;
            }
        }
        integers
    }

    /// `[codebooks, height, width]` or `[codebooks, frames]`, with channels of latents in place of codebooks.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Codes of a codebook: all codes are below. Latents have no codebook, so 0.
    pub fn codebook_size(&self) -> u32 {
        match self.symbols {
            Symbols::Codes { size, .. } => size,
            Symbols::Latents { .. } => 0,
        }
    }

    /// Codebooks, or channels of latents.
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
    /// [`Error::BadParameter`] if there are not so many, and for latents, which have none.
    pub fn first_codebooks(mut self, count: usize) -> Result<Self, Error> {
        let (there, positions) = (self.codebooks(), self.positions());
        let Symbols::Codes { codes, .. } = &mut self.symbols else {
            return Err(Error::bad_parameter(format!(
                "{count} codebooks of model '{}', whose tokens are latents",
                self.model
            )));
        };
        if !(1..=there).contains(&count) {
            return Err(Error::bad_parameter(format!(
                "{count} codebooks of model '{}' (expected 1..={there})",
                self.model
            )));
        }
        codes.truncate(count * positions);
        self.lost.truncate(count * positions);
        if let Some(codebooks) = self.shape.first_mut() {
            *codebooks = count;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
