//! What the integers of tokens are.

use std::fmt;
use std::ops::RangeInclusive;

use super::{CHANNELS_MAX, CODEBOOKS_MAX, CODES_MAX, RANK_MAX};
use crate::Error;
use crate::npy::Element;

/// What the integers of tokens are, and the range that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Indexes into codebooks, `0..size`.
    Codes {
        /// Codes of a codebook.
        size: u32,
    },
    /// Quantized latents with a sign, `-limit..=limit`.
    Latents {
        /// Largest magnitude.
        limit: u32,
    },
}

impl Alphabet {
    /// The integers that occur.
    pub fn range(self) -> RangeInclusive<i64> {
        match self {
            Self::Codes { size } => 0..=i64::from(size) - 1,
            Self::Latents { limit } => -i64::from(limit)..=i64::from(limit),
        }
    }

    /// What an array has where a layout puts nothing: the number after the largest.
    pub fn gap(self) -> i64 {
        self.range().end() + 1
    }

    /// Name of the array in files.
    pub(super) fn array(self) -> &'static str {
        match self {
            Self::Codes { .. } => "codes",
            Self::Latents { .. } => "latents",
        }
    }

    /// Elements of an npy file. Those of codes have room for the gap in every layout.
    pub(super) fn element(self, gaps: bool) -> Element {
        let limit = match self {
            Self::Codes { size } if size <= u16::MAX.into() => return Element::U16,
            Self::Codes { .. } => return Element::U32,
            Self::Latents { limit } => i64::from(limit) + i64::from(gaps),
        };
        if limit <= i8::MAX.into() {
            Element::I8
        } else if limit <= i16::MAX.into() {
            Element::I16
        } else {
            Element::I32
        }
    }

    /// Checks that integers are of this alphabet and fill a shape.
    pub(super) fn check(
        self,
        shape: &[usize],
        integers: impl ExactSizeIterator<Item = i64>,
    ) -> Result<(), Error> {
        let (rows, limit) = match self {
            Self::Codes { size } => (CODEBOOKS_MAX, size),
            Self::Latents { limit } => (CHANNELS_MAX, limit),
        };
        let count = shape
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        let first = shape.first().copied().unwrap_or(0);
        let known = (1..=rows).contains(&first)
            && (2..=RANK_MAX).contains(&shape.len())
            && (1..=CODES_MAX).contains(&limit);
        if !known || count != Some(integers.len()) {
            return Err(Error::malformed(format!(
                "{} {self} for a shape of {shape:?}",
                integers.len()
            )));
        }
        let range = self.range();
        for integer in integers {
            if !range.contains(&integer) {
                return Err(Error::malformed(format!(
                    "{integer} among {} (expected {} to {})",
                    self.array(),
                    range.start(),
                    range.end()
                )));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codes { size } => write!(f, "codes of {size}"),
            Self::Latents { limit } => write!(f, "latents up to {limit}"),
        }
    }
}
