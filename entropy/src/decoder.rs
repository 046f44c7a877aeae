//! Bytes to symbols.

use std::num::NonZeroU32;

use constriction::stream::Decode;
use constriction::stream::model::{DecoderModel, EntropyModel};
use constriction::stream::stack::AnsCoder;

use crate::error::{Error, Result};
use crate::escape;
use crate::frame::{self, Exhausted, MAX_LANES, Source, Words};
use crate::interval::Interval;
use crate::table::{Table, TableSet};

/// Returns the segments of a stream in the order in which an [`Encoder`](crate::Encoder) got them.
///
/// ```
/// # use codec_entropy::{Decoder, Encoder, gaussian_tables};
/// let tables = gaussian_tables()?;
/// let mut encoder = Encoder::new();
/// encoder.push(&[3, -1], &[40u8, 30], &tables)?;
/// encoder.push(&[0], &[12u8], &tables)?;
/// let bytes = encoder.finish()?;
///
/// let mut decoder = Decoder::new(&bytes)?;
/// let (mut first, mut second) = ([0; 2], [0; 1]);
/// decoder.decode(&[40u8, 30], &tables, &mut first)?;
/// // ... here a network looks at `first` and chooses the next tables ...
/// decoder.decode(&[12u8], &tables, &mut second)?;
/// decoder.finish()?;
/// assert_eq!((first, second), ([3, -1], [0]));
/// # Ok::<(), codec_entropy::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    lanes: usize,
    states: [u64; MAX_LANES],
    /// Lane of the next symbol.
    next: usize,
    words: Words<'a>,
}

/// Why a symbol cannot be decoded.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Truncated,
    Escape,
    Table,
}

impl From<Exhausted> for Fault {
    fn from(_: Exhausted) -> Self {
        Self::Truncated
    }
}

impl<'a> Decoder<'a> {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::InvalidLanes`], [`Error::InvalidState`], [`Error::TrailingData`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (lanes, states, words) = frame::read(bytes)?;
        Ok(Self {
            lanes,
            states,
            next: 0,
            words,
        })
    }

    /// Decodes the next `out.len()` symbols, `out[i]` with table `indexes[i]` (`u8`, `u16` or `usize`).
    ///
    /// Damaged bytes may give wrong symbols; [`finish`](Self::finish) tells.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::Truncated`], [`Error::InvalidEscape`], [`Error::UnknownTable`]. After any but
    /// the first, `out` holds garbage in part and the decoder is of no use any more: it goes on to return errors.
    pub fn decode<I: Copy + Into<usize>>(
        &mut self,
        indexes: &[I],
        tables: &TableSet,
        out: &mut [i32],
    ) -> Result<()> {
        if out.len() != indexes.len() {
            return Err(Error::LengthMismatch {
                symbols: out.len(),
                indexes: indexes.len(),
            });
        }
        match self.lanes {
            _ if out.is_empty() => Ok(()),
            1 => self.decode_lanes::<I, 1>(indexes, tables, out),
            4 => self.decode_lanes::<I, 4>(indexes, tables, out),
            _ => Err(Error::Truncated),
        }
    }

    fn decode_lanes<I: Copy + Into<usize>, const LANES: usize>(
        &mut self,
        indexes: &[I],
        tables: &TableSet,
        out: &mut [i32],
    ) -> Result<()> {
        // Turn the lanes so that this segment starts in lane 0; turn them back at the end.
        let mut states = [0; LANES];
        let turned = self.states.iter().take(LANES).cycle().skip(self.next);
        states
            .iter_mut()
            .zip(turned)
            .for_each(|(to, from)| *to = *from);

        let result = decode_segment(&mut states, &mut self.words, indexes, tables, out);

        let turned = self.states.iter_mut().take(LANES);
        turned.enumerate().for_each(|(lane, state)| {
            *state = states
                .get((lane + LANES - self.next) % LANES)
                .copied()
                .unwrap_or(0);
        });
        self.next = (self.next + out.len()) % LANES;
        result.map_err(|(fault, position)| {
            // States of 0 and no words: everything that follows fails.
            self.states = [0; MAX_LANES];
            self.words = Words(&[]);
            match fault {
                Fault::Truncated => Error::Truncated,
                Fault::Escape => Error::InvalidEscape,
                Fault::Table => {
                    let index = indexes.get(position).map_or(0, |&index| index.into());
                    Error::UnknownTable {
                        position,
                        index,
                        tables: tables.len(),
                    }
                }
            }
        })
    }

    /// Ends decoding.
    ///
    /// This finds every truncation and most damage, but not all: a stream that differs in a bit may be the right stream
    /// of other symbols. Where that matters, keep a check value beside the stream.
    ///
    /// # Errors
    /// [`Error::TrailingData`] if not every word was used, [`Error::FinalState`] if a lane is not where encoding began:
    /// the stream is damaged, or tables, indexes or the number of symbols differ from those of the encoder.
    pub fn finish(self) -> Result<()> {
        frame::check_end(
            self.states.get(..self.lanes).unwrap_or_default(),
            self.words,
        )
    }
}

/// Decodes a segment that starts in lane 0. An error comes with the position (for an unknown table).
#[inline]
fn decode_segment<I: Copy + Into<usize>, const LANES: usize>(
    states: &mut [u64; LANES],
    words: &mut Words<'_>,
    indexes: &[I],
    tables: &TableSet,
    out: &mut [i32],
) -> Result<(), (Fault, usize)> {
    let (all, entries, starts) = (tables.tables(), tables.entries(), tables.lookup());
    // Copies that live in registers.
    let (mut lanes, mut source) = (*states, *words);
    let (index_rounds, index_rest) = indexes.as_chunks::<LANES>();
    let (rounds, rest) = out.as_chunks_mut::<LANES>();
    let done = rounds.len() * LANES;
    for (round, (to, from)) in rounds.iter_mut().zip(index_rounds).enumerate() {
        for (lane, ((state, to), &index)) in lanes.iter_mut().zip(to).zip(from).enumerate() {
            *to = step(state, &mut source, all, entries, starts, index.into())
                .map_err(|f| (f, round * LANES + lane))?;
        }
    }
    for (lane, ((state, to), &index)) in lanes.iter_mut().zip(rest).zip(index_rest).enumerate() {
        *to = step(state, &mut source, all, entries, starts, index.into())
            .map_err(|f| (f, done + lane))?;
    }
    (*states, *words) = (lanes, source);
    Ok(())
}

#[inline(always)]
fn step(
    state: &mut u64,
    words: &mut Words<'_>,
    all: &[Table],
    entries: &[u32],
    starts: &[u16],
    index: usize,
) -> Result<i32, Fault> {
    let table = all.get(index).ok_or(Fault::Table)?;
    let symbol = decode::<16, _>(
        state,
        words,
        Lookup {
            table,
            entries,
            starts,
        },
    )?;
    if symbol < table.escape {
        Ok(table.offset.wrapping_add_unsigned(symbol))
    } else {
        decode_escape(state, words, table)
    }
}

#[cold]
#[inline(never)]
fn decode_escape(state: &mut u64, words: &mut Words<'_>, table: &Table) -> Result<i32, Fault> {
    let raw = escape::read(|bits| decode::<16, _>(state, words, bits))?.ok_or(Fault::Escape)?;
    escape::unfold(raw, table.offset, table.escape).ok_or(Fault::Escape)
}

/// One symbol from one lane.
#[inline(always)]
pub(crate) fn decode<const PRECISION: usize, M>(
    state: &mut u64,
    words: &mut Words<'_>,
    model: M,
) -> Result<M::Symbol, Exhausted>
where
    M: DecoderModel<PRECISION, Probability = u32>,
{
    let mut coder = AnsCoder::<u32, u64, _>::from_raw_parts(Source(words), *state);
    let symbol = Decode::<PRECISION>::decode_symbol(&mut coder, model).map_err(|_| Exhausted)?;
    *state = coder.into_raw_parts().1;
    Ok(symbol)
}

/// A table as constriction's decoder sees it; the symbol is a position in the table.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    table: &'a Table,
    entries: &'a [u32],
    starts: &'a [u16],
}

impl EntropyModel<16> for Lookup<'_> {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<16> for Lookup<'_> {
    #[inline(always)]
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        // The look-up gives the symbol at the start of a bucket of quantiles; a short walk leads to the right one.
        let bucket = self.table.lookup + (quantile >> self.table.shift);
        let mut symbol = self
            .starts
            .get(bucket as usize)
            .map_or(0, |&symbol| u32::from(symbol));
        // Tables are validated: the walk ends at the table's last entry at the latest, and no width is 0.
        while let Some(&entry) = self.entries.get((self.table.start + symbol) as usize) {
            let Interval { start, width } = Interval::unpack(entry);
            if quantile.wrapping_sub(start) < width {
                return (
                    symbol,
                    start,
                    NonZeroU32::new(width).unwrap_or(NonZeroU32::MIN),
                );
            }
            symbol += 1;
        }
        (self.table.escape, quantile, NonZeroU32::MIN)
    }
}
