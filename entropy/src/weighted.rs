//! Symbols among integer weights that a model makes one symbol at a time.
//!
//! A symbol of weight w among weights of sum t gets the interval from `floor(before * 2^24 / t)` to
//! `floor((before + w) * 2^24 / t)`, where `before` is the sum of the weights in front of it. The stream has one lane.

use std::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EntropyModel};

use crate::decoder::decode;
use crate::encoder::encode;
use crate::error::{Error, Result};
use crate::frame::{self, INITIAL, Words};
use crate::interval::Interval;

/// Largest sum of weights: every weight is then worth at least 2^6 units of its interval.
pub const WEIGHTS_MAX: u32 = 1 << 18;
/// Bits of the intervals.
const PRECISION: usize = 24;

fn edge(sum: u32, total: u32) -> u32 {
    ((u64::from(sum) << PRECISION) / u64::from(total.max(1))) as u32
}

fn total(weights: &[u32]) -> Result<u32> {
    let sum = weights
        .iter()
        .try_fold(0u32, |sum, &weight| sum.checked_add(weight));
    sum.filter(|sum| (1..=WEIGHTS_MAX).contains(sum))
        .ok_or(Error::ZeroProbability)
}

/// Collects symbols with their weights.
///
/// ```
/// # use codec_entropy::{WeightedDecoder, WeightedEncoder};
/// let mut encoder = WeightedEncoder::new();
/// encoder.push(&[1, 60, 3], 1)?;
/// encoder.push(&[5, 5], 0)?;
/// let bytes = encoder.finish()?;
///
/// let mut decoder = WeightedDecoder::new(&bytes)?;
/// assert_eq!(decoder.decode(&[1, 60, 3])?, 1);
/// assert_eq!(decoder.decode(&[5, 5])?, 0);
/// decoder.finish()?;
/// # Ok::<(), codec_entropy::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct WeightedEncoder {
    intervals: Vec<Interval>,
}

impl WeightedEncoder {
    /// An encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a symbol, a position in `weights`.
    ///
    /// # Errors
    /// [`Error::ZeroProbability`] if its weight is 0 or the sum not in 1..=[`WEIGHTS_MAX`], [`Error::OutsideAlphabet`].
    pub fn push(&mut self, weights: &[u32], symbol: usize) -> Result<()> {
        let total = total(weights)?;
        let Some(&weight) = weights.get(symbol) else {
            return Err(Error::OutsideAlphabet {
                position: self.intervals.len(),
                symbol: symbol as u32,
                alphabet: weights.len(),
            });
        };
        if weight == 0 {
            return Err(Error::ZeroProbability);
        }
        let before: u32 = weights.iter().take(symbol).sum();
        let start = edge(before, total);
        self.intervals.push(Interval {
            start,
            width: edge(before + weight, total) - start,
        });
        Ok(())
    }

    /// Bits of all symbols so far, without the few bytes of the stream's frame.
    pub fn bits(&self) -> f64 {
        let cost = |interval: &Interval| PRECISION as f64 - f64::from(interval.width).log2();
        self.intervals.iter().map(cost).sum()
    }

    /// The stream.
    ///
    /// # Errors
    /// None for symbols that were taken.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut state = INITIAL;
        let mut words = Vec::new();
        for &interval in self.intervals.iter().rev() {
            encode::<PRECISION>(&mut state, &mut words, interval)?;
        }
        let states = [state];
        let none = self.intervals.is_empty();
        Ok(frame::write(if none { &[] } else { &states }, &words))
    }
}

/// Returns symbols in the order in which a [`WeightedEncoder`] got them, for the same weights.
#[derive(Debug, Clone)]
pub struct WeightedDecoder<'a> {
    state: u64,
    words: Words<'a>,
    empty: bool,
}

/// Weights as constriction's decoder sees them.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    weights: &'a [u32],
    total: u32,
}

impl EntropyModel<PRECISION> for Lookup<'_> {
    type Symbol = usize;
    type Probability = u32;
}

impl DecoderModel<PRECISION> for Lookup<'_> {
    fn quantile_function(&self, quantile: u32) -> (usize, u32, NonZeroU32) {
        let mut before = 0;
        let mut last = (0, 0, NonZeroU32::MIN);
        for (symbol, &weight) in self.weights.iter().enumerate() {
            let start = edge(before, self.total);
            before += weight;
            let end = edge(before, self.total);
            if let Some(width) = NonZeroU32::new(end - start) {
                last = (symbol, start, width);
                if quantile < end {
                    break;
                }
            }
        }
        last
    }
}

impl<'a> WeightedDecoder<'a> {
    /// Opens a stream.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::InvalidLanes`], [`Error::InvalidState`], [`Error::TrailingData`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let (lanes, [state, ..], words) = frame::read(bytes)?;
        match lanes {
            0 | 1 => Ok(Self {
                state,
                words,
                empty: lanes == 0,
            }),
            found => Err(Error::InvalidLanes { found: found as u8 }),
        }
    }

    /// The next symbol. Damaged bytes may give wrong ones; [`finish`](Self::finish) tells.
    ///
    /// # Errors
    /// [`Error::ZeroProbability`] if the sum of the weights is not in 1..=[`WEIGHTS_MAX`], [`Error::Truncated`].
    pub fn decode(&mut self, weights: &[u32]) -> Result<usize> {
        let lookup = Lookup {
            total: total(weights)?,
            weights,
        };
        if self.empty {
            return Err(Error::Truncated);
        }
        decode::<PRECISION, _>(&mut self.state, &mut self.words, lookup)
            .map_err(|_| Error::Truncated)
    }

    /// Checks that the stream ends here.
    ///
    /// # Errors
    /// [`Error::TrailingData`], [`Error::FinalState`].
    pub fn finish(self) -> Result<()> {
        frame::check_end(&[self.state], self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_back_at_their_price() {
        let weights = |i: usize| [[1u32, 0, 200, 7], [50, 50, 1, 0], [0, 0, 0, WEIGHTS_MAX]][i % 3];
        let symbols: Vec<usize> = (0..9000)
            .map(|i: usize| match i % 3 {
                0 => [2, 2, 2, 3, 0][i / 3 % 5],
                1 => i / 3 % 2,
                _ => 3,
            })
            .collect();
        let mut encoder = WeightedEncoder::new();
        for (i, &symbol) in symbols.iter().enumerate() {
            encoder.push(&weights(i), symbol).unwrap();
        }
        let bits = encoder.bits();
        let bytes = encoder.finish().unwrap();
        assert!((8.0 * bytes.len() as f64 - bits).abs() < 80.0);
        let mut decoder = WeightedDecoder::new(&bytes).unwrap();
        let back: Vec<usize> = (0..symbols.len())
            .map(|i| decoder.decode(&weights(i)).unwrap())
            .collect();
        assert_eq!(back, symbols);
        decoder.finish().unwrap();
    }

    #[test]
    fn impossible_symbols_and_damage_are_refused() {
        let mut encoder = WeightedEncoder::new();
        assert_eq!(encoder.push(&[1, 0], 1), Err(Error::ZeroProbability));
        assert_eq!(encoder.push(&[0, 0], 1), Err(Error::ZeroProbability));
        assert_eq!(encoder.push(&[], 0), Err(Error::ZeroProbability));
        assert_eq!(encoder.push(&[u32::MAX, 2], 1), Err(Error::ZeroProbability));
        assert_eq!(
            encoder.push(&[WEIGHTS_MAX, 1], 1),
            Err(Error::ZeroProbability)
        );
        assert!(matches!(
            encoder.push(&[1, 1], 2),
            Err(Error::OutsideAlphabet { .. })
        ));
        for _ in 0..100 {
            encoder.push(&[1, 9], 0).unwrap();
        }
        let bytes = encoder.finish().unwrap();
        for length in 0..bytes.len() {
            let Ok(mut decoder) = WeightedDecoder::new(&bytes[..length]) else {
                continue;
            };
            let all = (0..100).try_for_each(|_| decoder.decode(&[1, 9]).map(drop));
            assert!(all.and_then(|()| decoder.finish()).is_err());
        }
        assert!(WeightedDecoder::new(&[0]).unwrap().decode(&[1]).is_err());
        assert!(WeightedDecoder::new(&[0]).unwrap().finish().is_ok());
    }
}
