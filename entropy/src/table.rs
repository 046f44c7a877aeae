//! A validated set of integer probability tables.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::escape;

/// Bits of a probability: those of one table add up to 2^16.
pub const PRECISION: u32 = 16;
/// Largest number of tables in a [`TableSet`].
pub const MAX_TABLES: usize = 4096;
/// Largest number of symbols of all tables of a [`TableSet`], escapes included.
pub const MAX_ENTRIES: usize = 1 << 20;

/// Tables of more symbols than this get a finer decoding look-up, because a long walk through many symbols is what
/// decoding them would spend its time on (uniform over the Gaussian scales: 170 instead of 120 Msymbols/s). It is never
/// stored, and at most 16 MiB for all of [`MAX_TABLES`].
const NARROW: usize = 48;
/// 256 buckets of 256 quantiles.
const COARSE_SHIFT: u32 = 8;
/// 2048 buckets of 32 quantiles.
const FINE_SHIFT: u32 = 5;

const TOTAL: u32 = 1 << PRECISION;

/// One cumulative distribution, as [`TableSet::from_cdfs`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cdf<'a> {
    /// First symbol of the support.
    pub offset: i32,
    /// Strictly increasing from 0 to 65536. The last step belongs to the escape, the others to `offset`,
    /// `offset + 1` and so on.
    pub cdf: &'a [u32],
}

/// Where one table lies, and where its decoder starts to look.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// First entry in [`TableSet::entries`].
    pub start: u32,
    /// Number of ordinary symbols; the escape comes right after them.
    pub escape: u32,
    /// Value of the first symbol.
    pub offset: i32,
    /// First entry in [`TableSet::lookup`].
    pub lookup: u32,
    /// Log2 of the quantiles in one bucket of the look-up.
    pub shift: u32,
}

/// Many integer probability tables in one flat structure: what an [`Encoder`](crate::Encoder) and a
/// [`Decoder`](crate::Decoder) work with.
///
/// Every table has a support of consecutive integers and an escape for all others, each with a probability that is a
/// positive multiple of 2^-16. That is checked when the set is made and relied upon afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSet {
    tables: Vec<Table>,
    /// For every bucket of `1 << shift` quantiles of every table, the symbol that holds the first of them.
    lookup: Vec<u16>,
    /// Start (low half) and width (high half) of every symbol of every table. A width is below 2^16 because a table
    /// has at least two symbols, and never 0.
    entries: Vec<u32>,
    /// Cost of every entry in bits. Not for coding.
    costs: Vec<f32>,
}

impl TableSet {
    /// Makes a set from cumulative distributions, in the order of their indexes.
    ///
    /// # Errors
    /// [`Error::TableCount`], [`Error::TableSize`], [`Error::TooManyEntries`], [`Error::TableOffset`] and
    /// [`Error::InvalidCdf`].
    pub fn from_cdfs(cdfs: &[Cdf<'_>]) -> Result<Self> {
        if cdfs.is_empty() || cdfs.len() > MAX_TABLES {
            return Err(Error::TableCount {
                tables: cdfs.len(),
                max: MAX_TABLES,
            });
        }
        let entries = cdfs
            .iter()
            .map(|c| c.cdf.len().saturating_sub(1))
            .fold(0, usize::saturating_add);
        if entries > MAX_ENTRIES {
            return Err(Error::TooManyEntries {
                entries,
                max: MAX_ENTRIES,
            });
        }
        let mut set = Self {
            tables: Vec::with_capacity(cdfs.len()),
            lookup: Vec::new(),
            entries: Vec::with_capacity(entries),
            costs: Vec::with_capacity(entries),
        };
        for cdf in cdfs {
            set.add(*cdf)?;
        }
        Ok(set)
    }

    fn add(&mut self, Cdf { offset, cdf }: Cdf<'_>) -> Result<()> {
        let table = self.tables.len();
        let symbols = cdf.len().saturating_sub(1);
        if !(2..=TOTAL as usize).contains(&symbols) {
            return Err(Error::TableSize { table, symbols });
        }
        let escape = symbols as u32 - 1;
        if offset.checked_add_unsigned(escape - 1).is_none() {
            return Err(Error::TableOffset {
                table,
                offset,
                symbols,
            });
        }
        if cdf.first() != Some(&0) {
            return Err(Error::InvalidCdf { table, entry: 0 });
        }
        let shift = if symbols > NARROW {
            FINE_SHIFT
        } else {
            COARSE_SHIFT
        };
        let lookup = self.lookup.len() as u32;
        let start = self.entries.len() as u32;
        for (symbol, (&from, &to)) in cdf.iter().zip(cdf.iter().skip(1)).enumerate() {
            let last = symbol + 1 == symbols;
            if to <= from || to > TOTAL || last != (to == TOTAL) {
                return Err(Error::InvalidCdf {
                    table,
                    entry: symbol + 1,
                });
            }
            let width = to - from;
            self.entries.push(from | width << 16);
            self.costs
                .push((PRECISION as f64 - f64::from(width).log2()) as f32);
            // Buckets whose first quantile lies below `to`.
            let reached = lookup + (to >> shift) + u32::from(to % (1 << shift) != 0);
            self.lookup.resize(reached as usize, symbol as u16);
        }
        self.tables.push(Table {
            start,
            escape,
            offset,
            lookup,
            shift,
        });
        Ok(())
    }

    /// Number of tables, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// The values that a table codes without its escape; `None` if there is no such table.
    pub fn support(&self, table: usize) -> Option<RangeInclusive<i32>> {
        let t = self.tables.get(table)?;
        Some(t.offset..=t.offset.saturating_add_unsigned(t.escape - 1))
    }

    /// The cumulative distribution of a table, as in [`Cdf::cdf`]; `None` if there is no such table.
    pub fn cdf(&self, table: usize) -> Option<Vec<u32>> {
        let t = self.tables.get(table)?;
        let starts = self.table_entries(t).iter().map(|e| e & 0xffff);
        Some(starts.chain([TOTAL]).collect())
    }

    /// What `symbol` costs with `table`, in bits, all parts of an escape included: an array look-up unless it is one.
    ///
    /// For rate-distortion decisions and for accounting; coding never uses it. Infinite if there is no such table.
    #[inline]
    pub fn bits(&self, table: usize, symbol: i32) -> f32 {
        let Some(t) = self.tables.get(table) else {
            return f32::INFINITY;
        };
        let position = symbol.wrapping_sub(t.offset) as u32;
        let at = t.start + position.min(t.escape);
        let cost = self
            .costs
            .get(at as usize)
            .copied()
            .unwrap_or(f32::INFINITY);
        if position < t.escape {
            cost
        } else {
            cost + escape::cost(escape::fold(symbol, t.offset, t.escape)) as f32
        }
    }

    /// All tables.
    #[inline(always)]
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// All look-ups.
    #[inline(always)]
    pub(crate) fn lookup(&self) -> &[u16] {
        &self.lookup
    }

    /// All packed entries.
    #[inline(always)]
    pub(crate) fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// The packed entries of one table.
    pub(crate) fn table_entries(&self, t: &Table) -> &[u32] {
        let start = t.start as usize;
        self.entries
            .get(start..=start + t.escape as usize)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(offset: i32, cdf: &[u32]) -> Result<TableSet> {
        TableSet::from_cdfs(&[Cdf { offset, cdf }])
    }

    #[test]
    fn distributions_are_validated() {
        let bad = |entry| Error::InvalidCdf { table: 0, entry };
        assert_eq!(one(0, &[1, 2, 65536]).unwrap_err(), bad(0));
        assert_eq!(one(0, &[0, 0, 65536]).unwrap_err(), bad(1));
        assert_eq!(one(0, &[0, 5, 4, 65536]).unwrap_err(), bad(2));
        assert_eq!(one(0, &[0, 5, 65535]).unwrap_err(), bad(2));
        assert_eq!(one(0, &[0, 65536, 65537]).unwrap_err(), bad(1));
        assert_eq!(one(0, &[0, u32::MAX, 65536]).unwrap_err(), bad(1));
        assert_eq!(
            one(0, &[0, 65536]).unwrap_err(),
            Error::TableSize {
                table: 0,
                symbols: 1
            }
        );
        assert_eq!(
            one(0, &[]).unwrap_err(),
            Error::TableSize {
                table: 0,
                symbols: 0
            }
        );
        let offset = i32::MAX;
        assert!(one(offset, &[0, 5, 65536]).is_ok());
        assert_eq!(
            one(offset, &[0, 5, 6, 65536]).unwrap_err(),
            Error::TableOffset {
                table: 0,
                offset,
                symbols: 3
            }
        );
        assert_eq!(
            TableSet::from_cdfs(&[]).unwrap_err(),
            Error::TableCount {
                tables: 0,
                max: MAX_TABLES
            }
        );
    }

    #[test]
    fn full_table_fits() {
        let cdf: Vec<u32> = (0..=65536).collect();
        let set = one(-5, &cdf).unwrap();
        assert_eq!(set.cdf(0).unwrap(), cdf);
        assert_eq!(set.support(0), Some(-5..=65529));
        assert_eq!(set.bits(0, 0), 16.0);
    }

    #[test]
    fn lookup_starts_at_the_right_symbol() {
        let cdf = [0, 1, 255, 256, 257, 512, 1030, 65535, 65536];
        let set = one(0, &cdf).unwrap();
        for (bucket, &symbol) in set.lookup().iter().enumerate() {
            let quantile = (bucket as u32) << set.tables()[0].shift;
            let symbol = usize::from(symbol);
            assert!(cdf[symbol] <= quantile && quantile < cdf[symbol + 1]);
        }
    }

    #[test]
    fn costs_include_the_escape() {
        let set = one(-1, &[0, 16384, 49152, 65535, 65536]).unwrap();
        assert_eq!(set.bits(0, -1), 2.0);
        assert_eq!(set.bits(0, 0), 1.0);
        assert_eq!(set.bits(0, 2), 16.0 + 4.0);
        assert_eq!(set.bits(0, -2), 16.0 + 5.0);
        assert_eq!(set.bits(0, i32::MIN), 16.0 + 9.0 + 31.0);
        assert_eq!(set.bits(1, 0), f32::INFINITY);
    }
}
