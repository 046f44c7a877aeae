//! Sizes of a context model.

use serde::{Deserialize, Serialize};

use super::BASE;
use super::model::{digit_shapes, shapes};
use crate::Error;

/// Most codes of a codebook.
const CODES_MAX: usize = 1 << 16;
/// Most codebooks.
const CODEBOOKS_MAX: usize = 64;
/// Most units of a layer.
const WIDTH_MAX: usize = 1 << 10;
/// Farthest neighbour along an axis.
const REACH_MAX: usize = 16;
/// Most values that a layer reads: the exactness bound of integer layers leaves room for no more.
const INPUTS_MAX: usize = 1 << 13;

/// A place that is decoded before the one that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Codebook.
    pub codebook: usize,
    /// Rows above.
    pub above: usize,
    /// Columns to the left; to the right if negative.
    pub left: isize,
}

/// Sizes of a context model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextConfig {
    /// Codes of each codebook.
    pub codes: Vec<usize>,
    /// Rows above that are looked at.
    pub rows: usize,
    /// Columns to either side that are looked at; in the row of the index itself to the left only.
    pub columns: usize,
    /// Values that stand for an index.
    pub embedding: usize,
    /// Units of the layers.
    pub width: usize,
}

impl ContextConfig {
    /// For pictures: two rows and three columns.
    pub fn pictures(codes: usize) -> Self {
        Self {
            codes: vec![codes],
            rows: 2,
            columns: 3,
            embedding: 16,
            width: 64,
        }
    }

    /// For recordings: three frames.
    pub fn sound(codes: Vec<usize>) -> Self {
        Self {
            codes,
            rows: 0,
            columns: 3,
            embedding: 16,
            width: 64,
        }
    }

    /// Checks sizes before anything is allocated.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let codebooks = (1..=CODEBOOKS_MAX).contains(&self.codes.len())
            && self.codes.iter().all(|n| (2..=CODES_MAX).contains(n));
        let sizes = [self.embedding, self.width];
        let fits = sizes.iter().all(|size| (1..=WIDTH_MAX).contains(size))
            && self.rows <= REACH_MAX
            && self.columns <= REACH_MAX;
        let inputs = |codebook| self.neighbours(codebook).len().max(1) * self.embedding;
        if codebooks && fits && (0..self.codes.len()).all(|q| inputs(q) <= INPUTS_MAX) {
            return Ok(());
        }
        Err(Error::bad_parameter(format!(
            "context model {self:?} (expected 1..={CODEBOOKS_MAX} codebooks of 2..={CODES_MAX} codes, layers of up to {WIDTH_MAX}, a reach of up to {REACH_MAX}, and {INPUTS_MAX} inputs)"
        )))
    }

    /// What the index of a codebook is predicted from: the same codebook around it, the codebooks up to the next finer one
    /// to its left, the coarser ones in its place.
    pub fn neighbours(&self, codebook: usize) -> Vec<Neighbour> {
        let columns = self.columns as isize;
        let mut found = Vec::new();
        for above in (1..=self.rows).rev() {
            found.extend((-columns..=columns).map(|left| Neighbour {
                codebook,
                above,
                left,
            }));
        }
        found.extend((1..=columns).map(|left| Neighbour {
            codebook,
            above: 0,
            left,
        }));
        let others = |left| {
            move |codebook| Neighbour {
                codebook,
                above: 0,
                left,
            }
        };
        if columns > 0 {
            let nearby = (0..self.codes.len()).take(codebook + 2);
            found.extend(nearby.filter(|q| *q != codebook).map(others(1)));
        }
        found.extend((0..codebook).map(others(0)));
        found
    }

    /// Multiply-accumulates for all codebooks of a position.
    pub fn macs(&self) -> usize {
        let product = |[input, output]: [usize; 2]| input * output;
        let stage = |q| {
            let digits = (0..self.digits(q)).flat_map(|digit| digit_shapes(self, digit));
            let layers = shapes(self, q).into_iter().chain(digits);
            layers.map(product).sum::<usize>()
        };
        (0..self.codes.len()).map(stage).sum()
    }

    /// Digits of a rank in a codebook.
    pub(super) fn digits(&self, codebook: usize) -> usize {
        let codes = self.codes.get(codebook).copied().unwrap_or(1);
        let (mut digits, mut reached) = (1, BASE);
        while reached < codes {
            digits += 1;
            reached *= BASE;
        }
        digits
    }

    /// Ranks that share the first `digit + 1` digits.
    pub(super) fn span(&self, codebook: usize, digit: usize) -> usize {
        BASE.pow((self.digits(codebook) - 1).saturating_sub(digit) as u32)
    }

    /// Values that the digits before a digit can have together.
    pub(super) fn prefixes(&self, codebook: usize, digit: usize) -> usize {
        let codes = self.codes.get(codebook).copied().unwrap_or(1);
        codes.div_ceil(self.span(codebook, digit) * BASE)
    }
}
