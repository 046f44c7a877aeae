//! Orders of an array of codes or latents.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Tokens;
use crate::Error;

/// Order of the codes in an array; channels of latents take the place of codebooks. Positions are frames, or the rows of a
/// picture one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// All codebooks of a position together: `[height, width, codebooks]`.
    Time,
    /// One codebook after the other: `[codebooks, height, width]`.
    #[default]
    Codebook,
    /// As `time`, in one dimension.
    Flat,
    /// One codebook after the other, codebook k shifted by k positions: `[codebooks, positions + codebooks - 1]`. Where
    /// nothing is, the array has the number after the largest, so the number of codes (Copet et al. 2023, arXiv 2306.05284).
    Delay,
}

impl Layout {
    /// All layouts, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("time", Self::Time),
        ("codebook", Self::Codebook),
        ("flat", Self::Flat),
        ("delay", Self::Delay),
    ];

    /// Shape of the array of tokens of this shape.
    pub(super) fn shape(self, shape: &[usize]) -> Result<Vec<usize>, Error> {
        let (&codebooks, positions) = shape
            .split_first()
            .ok_or_else(|| Error::malformed("codes without dimensions"))?;
        let count = positions
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        let too_large = || Error::malformed(format!("codes of shape {shape:?}"));
        let count = count.ok_or_else(too_large)?;
        Ok(match self {
            Self::Time => positions.iter().copied().chain([codebooks]).collect(),
            Self::Codebook => shape.to_vec(),
            Self::Flat => vec![count.checked_mul(codebooks).ok_or_else(too_large)?],
            Self::Delay => vec![
                codebooks,
                count
                    .checked_add(codebooks.saturating_sub(1))
                    .ok_or_else(too_large)?,
            ],
        })
    }

    /// Place in the array of the code of codebook `k` at `position`.
    fn place(self, k: usize, position: usize, codebooks: usize, positions: usize) -> usize {
        match self {
            Self::Time | Self::Flat => position * codebooks + k,
            Self::Codebook => k * positions + position,
            Self::Delay => k * (positions + codebooks - 1) + k + position,
        }
    }

    /// The array of `tokens`.
    pub(super) fn arrange(self, tokens: &Tokens) -> Result<Vec<i64>, Error> {
        let (codebooks, positions) = (tokens.codebooks(), tokens.positions());
        let length = self.shape(tokens.shape())?.iter().product();
        let mut array = vec![tokens.alphabet().gap(); length];
        for (k, row) in tokens.integers().chunks(positions.max(1)).enumerate() {
            for (position, &integer) in row.iter().enumerate() {
                if let Some(slot) = array.get_mut(self.place(k, position, codebooks, positions)) {
                    *slot = integer;
                }
            }
        }
        Ok(array)
    }

    /// Integers of shape `shape` from their array.
    pub(super) fn restore(self, array: &[i64], shape: &[usize]) -> Result<Vec<i64>, Error> {
        let length = self
            .shape(shape)?
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        if length != Some(array.len()) {
            return Err(Error::malformed(format!(
                "{} integers in layout {self} for a shape of {shape:?}",
                array.len()
            )));
        }
        let codebooks = shape.first().copied().unwrap_or(0);
        let positions: usize = shape.iter().skip(1).product();
        let places = (0..codebooks).flat_map(|k| {
            (0..positions).map(move |position| self.place(k, position, codebooks, positions))
        });
        Ok(places
            .filter_map(|place| array.get(place).copied())
            .collect())
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, layout)| layout == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, layout)| *layout).ok_or_else(|| {
            Error::bad_parameter(format!(
                "unknown layout '{text}' (expected time, codebook, flat or delay)"
            ))
        })
    }
}
