//! Symbols to bytes.

use constriction::stream::Encode;
use constriction::stream::stack::AnsCoder;

use crate::error::{Error, Result};
use crate::escape;
use crate::frame::{self, INITIAL, Sink};
use crate::interval::Interval;
use crate::table::TableSet;

/// Fewer symbols than this go into a single lane.
const MANY_SYMBOLS: usize = 1 << 14;
/// So do streams with fewer bytes than this: four states would be more than 0.1% of them.
const MANY_BYTES: usize = 1 << 15;

/// Collects segments of symbols and turns them into one stream.
///
/// Asymmetric numeral systems encode backwards, so everything is recorded (4 bytes a symbol) and
/// [`finish`](Self::finish) does the work.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    /// Packed interval of every symbol; 0 stands for the next of `escapes`.
    records: Vec<u32>,
    escapes: Vec<Escape>,
}

#[derive(Debug, Clone, Copy)]
struct Escape {
    /// Packed interval of the escape symbol.
    entry: u32,
    raw: u64,
}

impl Encoder {
    /// An encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a segment: `symbols[i]` is coded with table `indexes[i]` (`u8`, `u16` or `usize`).
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] and [`Error::UnknownTable`]; nothing is appended then.
    pub fn push<I: Copy + Into<usize>>(
        &mut self,
        symbols: &[i32],
        indexes: &[I],
        tables: &TableSet,
    ) -> Result<()> {
        if symbols.len() != indexes.len() {
            return Err(Error::LengthMismatch {
                symbols: symbols.len(),
                indexes: indexes.len(),
            });
        }
        let (first, escapes) = (self.records.len(), self.escapes.len());
        self.records.resize(first + symbols.len(), 0);
        let slots = self.records.get_mut(first..).unwrap_or_default();
        let (all, entries) = (tables.tables(), tables.entries());
        let mut failed = None;
        for (position, ((slot, &symbol), &index)) in
            slots.iter_mut().zip(symbols).zip(indexes).enumerate()
        {
            let Some(table) = all.get(index.into()) else {
                failed = Some(position);
                break;
            };
            let place = symbol.wrapping_sub(table.offset) as u32;
            let entry = entries
                .get((table.start + place.min(table.escape)) as usize)
                .copied()
                .unwrap_or(0);
            if place < table.escape {
                *slot = entry;
            } else {
                self.escapes.push(Escape {
                    entry,
                    raw: escape::fold(symbol, table.offset, table.escape),
                });
            }
        }
        match failed {
            None => Ok(()),
            Some(position) => {
                self.records.truncate(first);
                self.escapes.truncate(escapes);
                let index = indexes.get(position).map_or(0, |&index| index.into());
                Err(Error::UnknownTable {
                    position,
                    index,
                    tables: tables.len(),
                })
            }
        }
    }

    /// Number of symbols so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there are no symbols so far.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Encodes everything.
    ///
    /// One lane for small streams, four for large ones. Beyond what the tables' probabilities ask for, a stream costs
    /// 1 byte if it is empty, at most 6 bytes with one lane and 33 with four.
    ///
    /// # Errors
    /// [`Error::ZeroProbability`], which validated tables exclude.
    pub fn finish(self) -> Result<Vec<u8>> {
        if self.is_empty() {
            return Ok(frame::write(&[], &[]));
        }
        if self.len() >= MANY_SYMBOLS {
            let (states, words) = self.encode::<4>()?;
            if words.len() * 4 >= MANY_BYTES {
                return Ok(frame::write(&states, &words));
            }
        }
        let (states, words) = self.encode::<1>()?;
        Ok(frame::write(&states, &words))
    }

    fn encode<const LANES: usize>(&self) -> Result<([u64; LANES], Vec<u32>)> {
        let mut states = [INITIAL; LANES];
        let mut words = Vec::new();
        let mut escapes = self.escapes.iter().rev();
        let (rounds, rest) = self.records.as_chunks::<LANES>();
        for (state, &record) in states.iter_mut().zip(rest).rev() {
            step(state, &mut words, record, &mut escapes)?;
        }
        for round in rounds.iter().rev() {
            for (state, &record) in states.iter_mut().zip(round).rev() {
                step(state, &mut words, record, &mut escapes)?;
            }
        }
        Ok((states, words))
    }
}

#[inline(always)]
fn step<'a>(
    state: &mut u64,
    words: &mut Vec<u32>,
    record: u32,
    escapes: &mut impl Iterator<Item = &'a Escape>,
) -> Result<()> {
    if record != 0 {
        encode::<16>(state, words, Interval::unpack(record))
    } else {
        let &Escape { entry, raw } = escapes.next().ok_or(Error::ZeroProbability)?;
        encode_escape(state, words, entry, raw)
    }
}

#[cold]
#[inline(never)]
fn encode_escape(state: &mut u64, words: &mut Vec<u32>, entry: u32, raw: u64) -> Result<()> {
    for interval in escape::intervals(raw).rev() {
        encode::<16>(state, words, interval)?;
    }
    encode::<16>(state, words, Interval::unpack(entry))
}

/// One interval into one lane.
#[inline(always)]
pub(crate) fn encode<const PRECISION: usize>(
    state: &mut u64,
    words: &mut Vec<u32>,
    interval: Interval,
) -> Result<()> {
    let mut coder = AnsCoder::<u32, u64, _>::from_raw_parts(Sink(words), *state);
    Encode::<PRECISION>::encode_symbol(&mut coder, (), interval)
        .map_err(|_| Error::ZeroProbability)?;
    *state = coder.into_raw_parts().1;
    Ok(())
}
