//! Tables and streams of CompressAI, bit for bit: what its published models were measured with.
//!
//! Files of ours hold streams of [`Encoder`](crate::Encoder); these are for reading and writing strings that CompressAI
//! exchanges. One 64-bit state with words of 32 bits, symbols at 16 bits, and the escape as digits of four bits.

use crate::error::{Error, Result};
use crate::gaussian::{SCALE_MAX, SCALE_MIN, SCALES};
use crate::table::{Cdf, TableSet};

/// Smallest state, and the one that encoding begins with.
const LOWEST: u64 = 1 << 31;
/// Bits of a digit.
const DIGIT: u32 = 4;
const DIGIT_MAX: u64 = (1 << DIGIT) - 1;
/// Standard deviations within which all but 1e-9 of a Gaussian lies.
const TAIL: f64 = 6.109_410_204_869;
/// Scales beyond this one would have tables of more than 65536 symbols.
const WIDEST: f32 = 5_000.0;
/// Digits that the largest escape of an `i32` takes.
const DIGITS_MAX: u64 = 9;
/// A state from here on gives off a word before it takes a digit.
const DIGIT_BOUND: u64 = 1 << (31 - DIGIT + 32);

/// Cumulative distribution of masses, the last of which is that of the escape, with CompressAI's rounding.
///
/// # Errors
/// [`Error::TableSize`] for fewer than two or more than 65536 masses, [`Error::NoMass`] if all round to nothing,
/// [`Error::InvalidMass`] for a mass that is negative or not finite.
pub fn compressai_cdf(masses: &[f32]) -> Result<Vec<u32>> {
    const TOTAL: u32 = 1 << 16;
    if !(2..=TOTAL as usize).contains(&masses.len()) {
        return Err(Error::TableSize {
            table: 0,
            symbols: masses.len(),
        });
    }
    let bad = |m: &f32| !(m.is_finite() && *m >= 0.0);
    if let Some(symbol) = masses.iter().position(bad) {
        return Err(Error::InvalidMass {
            table: 0,
            symbol,
            mass: masses.get(symbol).copied().map_or(f64::NAN, f64::from),
        });
    }
    // Saturates for masses beyond all reason.
    let counts: Vec<u64> = masses
        .iter()
        .map(|&m| u64::from((m * TOTAL as f32).round() as u32))
        .collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return Err(Error::NoMass { table: 0 });
    }
    let mut widths: Vec<u32> = counts
        .iter()
        .map(|&count| ((u64::from(TOTAL) * count) / total) as u32)
        .collect();
    // What rounding down leaves goes to the escape: the last edge is set to the total.
    let others: u32 = widths.iter().take(masses.len() - 1).sum();
    if let Some(last) = widths.last_mut() {
        *last = TOTAL - others;
    }
    for symbol in 0..widths.len() {
        if widths.get(symbol) != Some(&0) {
            continue;
        }
        // One count of the rarest symbol that can spare it, the first of several.
        let donors = widths.iter().enumerate().filter(|(_, width)| **width > 1);
        let Some((donor, _)) = donors.min_by_key(|&(i, &width)| (width, i)) else {
            break;
        };
        if let Some(width) = widths.get_mut(donor) {
            *width -= 1;
        }
        if let Some(width) = widths.get_mut(symbol) {
            *width += 1;
        }
    }
    let mut edge = 0;
    let edges = widths.iter().map(|width| {
        edge += width;
        edge
    });
    Ok(std::iter::once(0).chain(edges).collect())
}

/// CompressAI's 64 scales from 0.11 to 256, equally spaced in their logarithm, to the last bit of their 32.
pub fn compressai_scales() -> [f32; SCALES] {
    let (low, high) = (libm::log(SCALE_MIN) as f32, libm::log(SCALE_MAX) as f32);
    let last = (SCALES - 1) as f32;
    let step = (high - low) / last;
    std::array::from_fn(|i| {
        // Both halves are counted from their own end, each with one rounding.
        let i = i as f32;
        let logarithm = if i < last / 2.0 {
            step.mul_add(i, low)
        } else {
            (-step).mul_add(last - i, high)
        };
        libm::exp(f64::from(logarithm)) as f32
    })
}

/// Tables of CompressAI's Gaussian conditional: zero-mean Gaussians at these scales, each out to a tail mass of 1e-9.
///
/// A published model has its tables in the checkpoint; those are what its strings were written with.
///
/// # Errors
/// [`Error::TableSize`] for a scale whose table would be too large or that is not a positive number.
pub fn compressai_gaussian_tables(scales: &[f32]) -> Result<TableSet> {
    let mut rows = Vec::with_capacity(scales.len());
    for (table, &scale) in scales.iter().enumerate() {
        if !(scale > 0.0 && scale <= WIDEST) {
            return Err(Error::TableSize { table, symbols: 0 });
        }
        // In 32 bits step by step, as the tables were made: their narrow tails are differences of nearly equal numbers.
        let center = (scale * TAIL as f32).ceil() as i32;
        let cumulative = |t: f32| {
            let t = -std::f32::consts::FRAC_1_SQRT_2 * t;
            0.5 * libm::erfc(f64::from(t)) as f32
        };
        let below = |k: i32| cumulative((-0.5 - (k - center).abs() as f32) / scale);
        let above = |k: i32| cumulative((0.5 - (k - center).abs() as f32) / scale);
        let masses = (0..=2 * center).map(|k| above(k) - below(k));
        let masses: Vec<f32> = masses.chain([2.0 * below(0)]).collect();
        rows.push((-center, compressai_cdf(&masses)?));
    }
    let cdfs: Vec<Cdf<'_>> = rows
        .iter()
        .map(|(offset, cdf)| Cdf {
            offset: *offset,
            cdf,
        })
        .collect();
    TableSet::from_cdfs(&cdfs)
}

/// What is coded: a symbol's interval (start in the low half, width in the high half) or, with width 0, a digit.
type Item = u32;

/// Codes `symbols[i]` with table `indexes[i]`.
///
/// # Errors
/// [`Error::LengthMismatch`] and [`Error::UnknownTable`].
pub fn encode_compressai<I: Copy + Into<usize>>(
    symbols: &[i32],
    indexes: &[I],
    tables: &TableSet,
) -> Result<Vec<u8>> {
    if symbols.len() != indexes.len() {
        return Err(Error::LengthMismatch {
            symbols: symbols.len(),
            indexes: indexes.len(),
        });
    }
    let mut items: Vec<Item> = Vec::with_capacity(symbols.len());
    for (position, (&symbol, &index)) in symbols.iter().zip(indexes).enumerate() {
        let index = index.into();
        let table = tables.tables().get(index).ok_or(Error::UnknownTable {
            position,
            index,
            tables: tables.len(),
        })?;
        let value = i64::from(symbol) - i64::from(table.offset);
        let escape = i64::from(table.escape);
        let raw = match value {
            ..0 => Some(-2 * value - 1),
            v if v >= escape => Some(2 * (v - escape)),
            _ => None,
        };
        let place = if raw.is_some() { escape } else { value };
        let entry = tables.table_entries(table).get(place as usize);
        items.push(entry.copied().unwrap_or_default());
        if let Some(raw) = raw {
            push_digits(raw as u64, &mut items);
        }
    }
    let mut state = LOWEST;
    let mut words = Vec::new();
    for &item in items.iter().rev() {
        let (start, width) = (u64::from(item & 0xffff), u64::from(item >> 16));
        let bound = if width == 0 { DIGIT_BOUND } else { width << 47 };
        if state >= bound {
            words.push(state as u32);
            state >>= 32;
        }
        state = match state.checked_div(width) {
            None => state << DIGIT | start,
            Some(quotient) => (quotient << 16) + state % width + start,
        };
    }
    words.push((state >> 32) as u32);
    words.push(state as u32);
    let words = words.iter().rev();
    Ok(words.flat_map(|word| word.to_le_bytes()).collect())
}

/// The number of digits, itself in digits, then the digits, low ones first.
fn push_digits(raw: u64, items: &mut Vec<Item>) {
    let count = u64::from((u64::BITS - raw.leading_zeros()).div_ceil(DIGIT));
    let mut left = count;
    while left >= DIGIT_MAX {
        items.push(DIGIT_MAX as Item);
        left -= DIGIT_MAX;
    }
    items.push(left as Item);
    for digit in 0..count as u32 {
        items.push((raw >> (digit * DIGIT) & DIGIT_MAX) as Item);
    }
}

/// Decodes what [`encode_compressai`] or CompressAI has written; one symbol for each of `indexes`.
///
/// # Errors
/// Those of [`CompressAiDecoder`].
pub fn decode_compressai<I: Copy + Into<usize>>(
    bytes: &[u8],
    indexes: &[I],
    tables: &TableSet,
    symbols: &mut [i32],
) -> Result<()> {
    let mut decoder = CompressAiDecoder::new(bytes)?;
    decoder.decode(indexes, tables, symbols)?;
    decoder.finish()
}

/// Decodes a string of CompressAI's piece by piece, so that a network can run between two of them.
#[derive(Debug, Clone)]
pub struct CompressAiDecoder<'a> {
    state: u64,
    rest: &'a [u8],
}

impl<'a> CompressAiDecoder<'a> {
    /// Opens a string.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (head, rest) = bytes.split_first_chunk::<8>().ok_or(Error::Truncated)?;
        Ok(Self {
            state: u64::from_le_bytes(*head),
            rest,
        })
    }

    /// Decodes the next symbols, one for each of `indexes`.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::UnknownTable`], [`Error::Truncated`] and [`Error::InvalidEscape`].
    pub fn decode<I: Copy + Into<usize>>(
        &mut self,
        indexes: &[I],
        tables: &TableSet,
        symbols: &mut [i32],
    ) -> Result<()> {
        if symbols.len() != indexes.len() {
            return Err(Error::LengthMismatch {
                symbols: symbols.len(),
                indexes: indexes.len(),
            });
        }
        for (position, (slot, &index)) in symbols.iter_mut().zip(indexes).enumerate() {
            let index = index.into();
            let table = tables.tables().get(index).ok_or(Error::UnknownTable {
                position,
                index,
                tables: tables.len(),
            })?;
            let place = i64::from(self.symbol(tables.table_entries(table))?);
            let escape = i64::from(table.escape);
            let value = if place == escape {
                let raw = self.digits()? as i64;
                if raw & 1 == 1 {
                    -(raw >> 1) - 1
                } else {
                    (raw >> 1) + escape
                }
            } else {
                place
            };
            let symbol = value + i64::from(table.offset);
            *slot = i32::try_from(symbol).map_err(|_| Error::InvalidEscape)?;
        }
        Ok(())
    }

    /// Ends decoding.
    ///
    /// # Errors
    /// [`Error::TrailingData`], and [`Error::CompressAiState`] for a damaged string or other tables.
    pub fn finish(self) -> Result<()> {
        if !self.rest.is_empty() {
            return Err(Error::TrailingData {
                bytes: self.rest.len(),
            });
        }
        if self.state != LOWEST {
            return Err(Error::CompressAiState { found: self.state });
        }
        Ok(())
    }

    /// Takes a word if the state is low.
    fn refill(&mut self) -> Result<()> {
        if self.state >= LOWEST {
            return Ok(());
        }
        let (word, rest) = self.rest.split_first_chunk::<4>().ok_or(Error::Truncated)?;
        self.state = self.state << 32 | u64::from(u32::from_le_bytes(*word));
        self.rest = rest;
        Ok(())
    }

    /// Place of a symbol among a table's entries.
    fn symbol(&mut self, entries: &[u32]) -> Result<u32> {
        let quantile = (self.state & 0xffff) as u32;
        let place = entries.partition_point(|entry| entry & 0xffff <= quantile);
        let place = place.saturating_sub(1);
        let entry = entries.get(place).copied().unwrap_or_default();
        let (start, width) = (u64::from(entry & 0xffff), u64::from(entry >> 16));
        self.state = width * (self.state >> 16) + u64::from(quantile) - start;
        self.refill()?;
        Ok(place as u32)
    }

    fn digit(&mut self) -> Result<u64> {
        let digit = self.state & DIGIT_MAX;
        self.state >>= DIGIT;
        self.refill()?;
        Ok(digit)
    }

    fn digits(&mut self) -> Result<u64> {
        let count = self.digit()?;
        // No escape of an `i32` takes as many digits as need a second digit to be counted.
        if count > DIGITS_MAX {
            return Err(Error::InvalidEscape);
        }
        let mut raw = 0;
        for place in 0..count as u32 {
            raw |= self.digit()? << (place * DIGIT);
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables() -> TableSet {
        let narrow = compressai_cdf(&[0.1, 0.7, 0.1, 0.1]).unwrap();
        let wide: Vec<f32> = (0..200).map(|i| 1.0 / (3.0 + i as f32)).collect();
        let wide = compressai_cdf(&wide).unwrap();
        TableSet::from_cdfs(&[
            Cdf {
                offset: -1,
                cdf: &narrow,
            },
            Cdf {
                offset: -100,
                cdf: &wide,
            },
        ])
        .unwrap()
    }

    #[test]
    fn row_0_of_the_gaussian_table() {
        // Specified: 0, 1, 65534, 65535, 65536 for a scale of 0.11, whose neighbours have a mass near nothing.
        let cdf = compressai_cdf(&[0.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(cdf, [0, 1, 65534, 65535, 65536]);
    }

    #[test]
    fn gaussian_tables_have_the_specified_lengths() {
        let tables = compressai_gaussian_tables(&compressai_scales()).unwrap();
        let length = |i: usize| tables.cdf(i).unwrap().len();
        let first: Vec<usize> = (0..10).map(length).collect();
        assert_eq!(first, [5, 5, 5, 5, 7, 7, 7, 7, 7, 9]);
        assert_eq!(length(63), 3133);
        assert_eq!(*tables.support(63).unwrap().start(), -1565);
        assert_eq!(tables.cdf(0).unwrap(), [0, 1, 65534, 65535, 65536]);
    }

    #[test]
    fn counts_are_taken_from_the_rarest_that_can_spare_one() {
        // 13107.2 and 26214.4 round to 13107 and 26214; their sum is 65535, so the escape gets what is left.
        let cdf = compressai_cdf(&[0.2, 0.4, 0.0, 0.2, 0.2]).unwrap();
        let widths: Vec<u32> = cdf.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(widths.iter().sum::<u32>(), 65536);
        assert_eq!(widths[2], 1);
        assert_eq!(widths[0], 13106, "the first of the rarest gives");
        for masses in [&[1.0][..], &[]] {
            assert!(matches!(
                compressai_cdf(masses),
                Err(Error::TableSize { .. })
            ));
        }
        assert!(matches!(
            compressai_cdf(&[0.0, 0.0]),
            Err(Error::NoMass { .. })
        ));
        assert!(matches!(
            compressai_cdf(&[0.5, f32::NAN]),
            Err(Error::InvalidMass { symbol: 1, .. })
        ));
    }

    #[test]
    fn an_empty_string_is_the_first_state() {
        let none: [usize; 0] = [];
        let bytes = encode_compressai(&[], &none, &tables()).unwrap();
        assert_eq!(bytes, [0, 0, 0, 0x80, 0, 0, 0, 0]);
        decode_compressai(&bytes, &none, &tables(), &mut []).unwrap();
    }

    proptest! {
        #[test]
        fn anything_comes_back(
            values in prop::collection::vec((prop_oneof![-3i32..4, -300i32..300, any::<i32>()], 0usize..2), 0..200)
        ) {
            let (symbols, indexes): (Vec<i32>, Vec<usize>) = values.into_iter().unzip();
            let bytes = encode_compressai(&symbols, &indexes, &tables()).unwrap();
            let mut back = vec![0; symbols.len()];
            decode_compressai(&bytes, &indexes, &tables(), &mut back).unwrap();
            prop_assert_eq!(back, symbols);
        }

        #[test]
        fn noise_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0usize..60) {
            let indexes: Vec<usize> = (0..count).map(|i| i % 2).collect();
            let mut symbols = vec![0; count];
            let _ = decode_compressai(&bytes, &indexes, &tables(), &mut symbols);
        }
    }
}
