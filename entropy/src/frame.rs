//! Words and states as bytes, and the word source and sink that constriction's coders work on.
//!
//! All lanes share one sequence of words: an encoder appends them, a decoder takes them from the end, so the bytes hold
//! them in reverse. This needs every lane to keep its state at or above 2^32 whenever it is about to take a word, which
//! starting each at [`INITIAL`] ensures; it also lets a decoder tell a truncated stream at once.

use constriction::Stack;
use constriction::backends::{ReadWords, WriteWords};

use crate::error::{Error, Result};

/// State of a lane before its first symbol is encoded, hence after its last symbol is decoded.
pub(crate) const INITIAL: u64 = 1 << 32;
/// Largest number of lanes.
pub(crate) const MAX_LANES: usize = 4;

/// Appends words.
pub(crate) struct Sink<'a>(pub &'a mut Vec<u32>);

impl WriteWords<u32> for Sink<'_> {
    type WriteError = std::convert::Infallible;

    #[inline(always)]
    fn write(&mut self, word: u32) -> Result<(), Self::WriteError> {
        self.0.push(word);
        Ok(())
    }
}

/// The words of a stream, in decoding order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a>(pub &'a [u8]);

/// No word is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// Takes words.
pub(crate) struct Source<'a, 'b>(pub &'a mut Words<'b>);

impl ReadWords<u32, Stack> for Source<'_, '_> {
    type ReadError = Exhausted;

    #[inline(always)]
    fn read(&mut self) -> Result<Option<u32>, Exhausted> {
        let (word, rest) = self.0.0.split_first_chunk().ok_or(Exhausted)?;
        self.0.0 = rest;
        Ok(Some(u32::from_le_bytes(*word)))
    }

    fn maybe_exhausted(&self) -> bool {
        self.0.0.is_empty()
    }
}

/// Writes a stream of 0, 1 or 4 lanes.
pub(crate) fn write(states: &[u64], words: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + 8 * states.len() + 4 * words.len());
    bytes.push(states.len() as u8);
    match states {
        // A single state goes without its leading zero bytes; the length of the stream tells how many there are.
        [state] => bytes.extend(
            state
                .to_le_bytes()
                .iter()
                .take(8 - state.leading_zeros() as usize / 8),
        ),
        _ => bytes.extend(states.iter().flat_map(|state| state.to_le_bytes())),
    }
    bytes.extend(words.iter().rev().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// Reads what [`write`] wrote: the number of lanes, their states, and the words.
pub(crate) fn read(bytes: &[u8]) -> Result<(usize, [u64; MAX_LANES], Words<'_>)> {
    let (&lanes, payload) = bytes.split_first().ok_or(Error::Truncated)?;
    let mut states = [INITIAL; MAX_LANES];
    let state_bytes = match lanes {
        0 if payload.is_empty() => return Ok((0, states, Words(payload))),
        0 => {
            return Err(Error::TrailingData {
                bytes: payload.len(),
            });
        }
        1 => 5 + payload.len().checked_sub(5).ok_or(Error::Truncated)? % 4,
        4 => 8,
        found => return Err(Error::InvalidLanes { found }),
    };
    let mut rest = payload;
    for (lane, state) in states.iter_mut().enumerate().take(usize::from(lanes)) {
        let (head, tail) = rest.split_at_checked(state_bytes).ok_or(Error::Truncated)?;
        rest = tail;
        *state = head.iter().rev().fold(0, |s, &b| s << 8 | u64::from(b));
        let least = if lanes == 1 {
            1 << (8 * state_bytes - 8)
        } else {
            INITIAL
        };
        if *state < least {
            return Err(Error::InvalidState {
                lane,
                found: *state,
            });
        }
    }
    if rest.len() % 4 != 0 {
        return Err(Error::Truncated);
    }
    Ok((usize::from(lanes), states, Words(rest)))
}

/// Checks that a decoder ends where the encoder began.
pub(crate) fn check_end(states: &[u64], words: Words<'_>) -> Result<()> {
    if !words.0.is_empty() {
        return Err(Error::TrailingData {
            bytes: words.0.len(),
        });
    }
    match states.iter().enumerate().find(|(_, s)| **s != INITIAL) {
        Some((lane, &found)) => Err(Error::FinalState { lane, found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back() {
        for shift in 32..64 {
            for words in [&[][..], &[7], &[7, 0], &[0; 5]] {
                for state in [
                    1u64 << shift,
                    (1 << shift) | 0x1234_5678,
                    u64::MAX >> (63 - shift),
                ] {
                    for states in [&[state][..], &[state, INITIAL, u64::MAX, state]] {
                        let bytes = write(states, words);
                        let (lanes, back, rest) = read(&bytes).unwrap();
                        assert_eq!(&back[..lanes], states);
                        let expected: Vec<u8> = words
                            .iter()
                            .rev()
                            .flat_map(|w: &u32| w.to_le_bytes())
                            .collect();
                        assert_eq!(rest.0, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_frames_are_refused() {
        assert_eq!(read(&[]).unwrap_err(), Error::Truncated);
        assert_eq!(read(&[0, 0]).unwrap_err(), Error::TrailingData { bytes: 1 });
        assert_eq!(read(&[1, 0, 0, 0, 1]).unwrap_err(), Error::Truncated);
        assert_eq!(
            read(&[1, 0, 0, 0, 1, 0]).unwrap_err(),
            Error::InvalidState {
                lane: 0,
                found: 1 << 24
            }
        );
        assert_eq!(read(&[2, 0]).unwrap_err(), Error::InvalidLanes { found: 2 });
        assert_eq!(read(&[4; 32]).unwrap_err(), Error::Truncated);
        assert_eq!(read(&[4; 34]).unwrap_err(), Error::Truncated);
        assert!(read(&[4; 37]).is_ok());
    }
}
