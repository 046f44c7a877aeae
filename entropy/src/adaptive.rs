//! Categories whose statistics are learnt while coding.
//!
//! Both sides start with a count of 1 for every symbol and add to the count of each symbol as it comes; counts are
//! halved when their sum passes a limit, so that old symbols fade. What is added (nothing, 1, 4 or 16) is the encoder's
//! choice, in the first byte: it takes the one that gives the shortest stream. "Nothing" codes at a flat price, so a
//! stream never exceeds that by more than a few bytes. The rest is a stream of one lane with intervals of 24 bit.

use std::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EntropyModel};

use crate::decoder::decode;
use crate::encoder::encode;
use crate::error::{Error, Result};
use crate::fenwick::Fenwick;
use crate::frame::{self, INITIAL};
use crate::interval::Interval;

/// Largest alphabet of categorical coding.
pub const MAX_ALPHABET: usize = 1 << 14;

/// What a symbol adds to its count, by code.
const INCREMENTS: [u32; 4] = [0, 1, 4, 16];
/// Counts are halved when their sum exceeds this. Far above [`MAX_ALPHABET`], so a halving always helps.
const MAX_TOTAL: u32 = 1 << 18;
/// Bits of the intervals; every count is worth at least 2^6 of them.
const PRECISION: usize = 24;

/// The state that encoder and decoder share.
#[derive(Debug, Clone)]
struct Model {
    counts: Fenwick,
    increment: u32,
}

impl Model {
    fn new(alphabet: usize, increment: u32) -> Self {
        Self {
            counts: Fenwick::new(alphabet),
            increment,
        }
    }

    /// Stretches a cumulative count to 24 bit.
    fn edge(&self, sum: u32) -> u32 {
        ((u64::from(sum) << PRECISION) / u64::from(self.counts.total().max(1))) as u32
    }

    /// Interval of a symbol with `before` counts in front of it.
    fn interval(&self, symbol: usize, before: u32) -> Interval {
        let start = self.edge(before);
        Interval {
            start,
            width: self.edge(before + self.counts.count(symbol)) - start,
        }
    }

    fn update(&mut self, symbol: usize) {
        if self.increment != 0 {
            self.counts.add(symbol, self.increment);
            if self.counts.total() > MAX_TOTAL {
                self.counts.halve();
            }
        }
    }
}

impl EntropyModel<PRECISION> for &Model {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for &Model {
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        // The largest cumulative count whose edge does not exceed the quantile.
        let scaled = (u64::from(quantile) + 1) * u64::from(self.counts.total());
        let (symbol, before) = self
            .counts
            .find((scaled.saturating_sub(1) >> PRECISION) as u32);
        let Interval { start, width } = self.interval(symbol, before);
        (
            symbol as u32,
            start,
            NonZeroU32::new(width).unwrap_or(NonZeroU32::MIN),
        )
    }
}

/// Encodes symbols below `alphabet`. The number of symbols is not in the stream.
///
/// # Errors
/// [`Error::AlphabetSize`] unless the alphabet has 1 to [`MAX_ALPHABET`] symbols, [`Error::OutsideAlphabet`].
pub fn encode_adaptive(symbols: &[u32], alphabet: usize) -> Result<Vec<u8>> {
    check_alphabet(alphabet)?;
    if let Some((position, &symbol)) = symbols
        .iter()
        .enumerate()
        .find(|(_, s)| **s as usize >= alphabet)
    {
        return Err(Error::OutsideAlphabet {
            position,
            symbol,
            alphabet,
        });
    }
    let mut best: Option<Vec<u8>> = None;
    for (code, increment) in INCREMENTS.into_iter().enumerate() {
        let stream = encode_with(symbols, alphabet, code as u8, increment)?;
        if best.as_ref().is_none_or(|best| stream.len() < best.len()) {
            best = Some(stream);
        }
    }
    Ok(best.unwrap_or_default())
}

fn encode_with(symbols: &[u32], alphabet: usize, code: u8, increment: u32) -> Result<Vec<u8>> {
    let mut model = Model::new(alphabet, increment);
    // The model runs forwards, the coder backwards.
    let intervals: Vec<Interval> = symbols
        .iter()
        .map(|&symbol| {
            let symbol = symbol as usize;
            let interval = model.interval(symbol, model.counts.before(symbol));
            model.update(symbol);
            interval
        })
        .collect();
    let mut state = INITIAL;
    let mut words = Vec::new();
    for &interval in intervals.iter().rev() {
        encode::<PRECISION>(&mut state, &mut words, interval)?;
    }
    let states = [state];
    let mut bytes = vec![code];
    bytes.extend(frame::write(
        if symbols.is_empty() { &[] } else { &states },
        &words,
    ));
    Ok(bytes)
}

/// Decodes `count` symbols that [`encode_adaptive`] wrote for the same alphabet.
///
/// # Errors
/// [`Error::AlphabetSize`]; [`Error::TooManySymbols`] if `count` exceeds `limit`, before anything is allocated;
/// [`Error::OutOfMemory`]; what [`Decoder`](crate::Decoder) reports for damaged streams;
/// [`Error::InvalidAdaptation`].
pub fn decode_adaptive(
    bytes: &[u8],
    alphabet: usize,
    count: usize,
    limit: usize,
) -> Result<Vec<u32>> {
    check_alphabet(alphabet)?;
    if count > limit {
        return Err(Error::TooManySymbols { count, limit });
    }
    let (&code, rest) = bytes.split_first().ok_or(Error::Truncated)?;
    let invalid = Error::InvalidAdaptation {
        found: code,
        max: INCREMENTS.len() as u8 - 1,
    };
    let &increment = INCREMENTS.get(usize::from(code)).ok_or(invalid)?;
    let (lanes, [mut state, ..], mut words) = frame::read(rest)?;
    match lanes {
        1 => {}
        0 if count == 0 => return Ok(Vec::new()),
        0 => return Err(Error::Truncated),
        _ => return Err(Error::InvalidLanes { found: lanes as u8 }),
    }
    let mut symbols = Vec::new();
    symbols
        .try_reserve_exact(count)
        .map_err(|_| Error::OutOfMemory { count })?;
    let mut model = Model::new(alphabet, increment);
    for _ in 0..count {
        let symbol =
            decode::<PRECISION, _>(&mut state, &mut words, &model).map_err(|_| Error::Truncated)?;
        model.update(symbol as usize);
        symbols.push(symbol);
    }
    frame::check_end(&[state], words)?;
    Ok(symbols)
}

fn check_alphabet(size: usize) -> Result<()> {
    match size {
        1..=MAX_ALPHABET => Ok(()),
        _ => Err(Error::AlphabetSize {
            size,
            max: MAX_ALPHABET,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skewed_symbols_cost_little() {
        let symbols: Vec<u32> = (0..20_000)
            .map(|i: u32| {
                if i.is_multiple_of(10) {
                    i / 10 % 1024
                } else {
                    5
                }
            })
            .collect();
        let bytes = encode_adaptive(&symbols, 1024).unwrap();
        // 0.47 bits for which kind, and a tenth of 10 bits: 1.47 bits a symbol.
        assert!(bytes.len() < 4500, "{}", bytes.len());
        assert_eq!(
            decode_adaptive(&bytes, 1024, symbols.len(), 20_000).unwrap(),
            symbols
        );
    }

    #[test]
    fn flat_symbols_cost_no_more_than_flat() {
        // All of an alphabet once, in some order: adaptation can only hurt.
        let symbols: Vec<u32> = (0..1024).map(|i| i * 411 % 1024).collect();
        let bytes = encode_adaptive(&symbols, 1024).unwrap();
        assert!(bytes.len() <= 1024 * 10 / 8 + 8, "{}", bytes.len());
        assert_eq!(decode_adaptive(&bytes, 1024, 1024, 1024).unwrap(), symbols);
    }

    #[test]
    fn counts_are_halved_in_step() {
        let symbols: Vec<u32> = (0..100_000u32).map(|i| (i / 9000) * 1000 + i % 3).collect();
        for (code, increment) in INCREMENTS.into_iter().enumerate() {
            let bytes = encode_with(&symbols, MAX_ALPHABET, code as u8, increment).unwrap();
            assert_eq!(
                decode_adaptive(&bytes, MAX_ALPHABET, 100_000, 100_000).unwrap(),
                symbols
            );
        }
    }

    #[test]
    fn parameters_are_checked() {
        let max = MAX_ALPHABET;
        assert_eq!(
            encode_adaptive(&[], 0).unwrap_err(),
            Error::AlphabetSize { size: 0, max }
        );
        assert_eq!(
            encode_adaptive(&[], max + 1).unwrap_err(),
            Error::AlphabetSize { size: max + 1, max }
        );
        let outside = Error::OutsideAlphabet {
            position: 1,
            symbol: 2,
            alphabet: 2,
        };
        assert_eq!(encode_adaptive(&[1, 2], 2).unwrap_err(), outside);
        let many = Error::TooManySymbols {
            count: 10,
            limit: 9,
        };
        assert_eq!(decode_adaptive(&[0, 0], 2, 10, 9).unwrap_err(), many);
        assert_eq!(decode_adaptive(&[0, 0], 2, 0, 9).unwrap(), []);
        assert_eq!(
            decode_adaptive(&[0, 0], 2, 1, 9).unwrap_err(),
            Error::Truncated
        );
        assert_eq!(
            decode_adaptive(&[4, 0], 2, 1, 9).unwrap_err(),
            Error::InvalidAdaptation { found: 4, max: 3 }
        );
        assert!(decode_adaptive(&[], 2, 1, 9).unwrap_err().is_truncated());
    }
}
