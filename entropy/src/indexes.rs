//! Indexes of a vector quantizer, of any number of codes, in the shortest of several forms.
//!
//! The first byte tells the form:
//!
//! - 0: every index in as many bits as the largest takes, the lowest bit first, the last byte filled with zeros;
//! - 1: the stream of [`encode_adaptive`], for at most [`MAX_ALPHABET`] codes;
//! - 2: the length of a stream as `u32`, little-endian, that stream, and another. The first is that of the indexes
//!   divided by 8192, the second that of the remainders, both by [`encode_adaptive`].

use crate::adaptive::{MAX_ALPHABET, decode_adaptive, encode_adaptive};
use crate::error::{Error, Result};

const PACKED: u8 = 0;
const ADAPTIVE: u8 = 1;
const DIGITS: u8 = 2;

/// The remainder of form 2 is below this; a power of two at most [`MAX_ALPHABET`].
const DIGIT: u32 = 1 << 13;
/// Most codes.
pub const MAX_CODES: usize = DIGIT as usize * MAX_ALPHABET;

/// Encodes indexes below `codes`. Their number is not in the stream.
///
/// ```
/// # use codec_entropy::{decode_indexes, encode_indexes};
/// let indexes = [7, 99_999, 12];
/// let bytes = encode_indexes(&indexes, 100_000)?;
/// assert_eq!(bytes.len(), 1 + (3 * 17usize).div_ceil(8));
/// assert_eq!(decode_indexes(&bytes, 100_000, 3, 3)?, indexes);
/// # Ok::<(), codec_entropy::Error>(())
/// ```
///
/// # Errors
/// [`Error::AlphabetSize`] unless there are 1 to [`MAX_CODES`] codes, [`Error::OutsideAlphabet`].
pub fn encode_indexes(indexes: &[u32], codes: usize) -> Result<Vec<u8>> {
    let bits = bits(codes)?;
    if let Some((position, symbol)) = beyond(indexes, codes) {
        return Err(Error::OutsideAlphabet {
            position,
            symbol,
            alphabet: codes,
        });
    }
    let packed = pack(indexes, bits);
    let (form, other) = if codes <= MAX_ALPHABET {
        (ADAPTIVE, encode_adaptive(indexes, codes)?)
    } else {
        let high: Vec<u32> = indexes.iter().map(|index| index / DIGIT).collect();
        let low: Vec<u32> = indexes.iter().map(|index| index % DIGIT).collect();
        let high = encode_adaptive(&high, codes.div_ceil(DIGIT as usize))?;
        let mut stream = (high.len() as u32).to_le_bytes().to_vec();
        stream.extend(high);
        stream.extend(encode_adaptive(&low, DIGIT as usize)?);
        (DIGITS, stream)
    };
    let (form, payload) = if packed.len() <= other.len() {
        (PACKED, packed)
    } else {
        (form, other)
    };
    let mut bytes = Vec::with_capacity(1 + payload.len());
    bytes.push(form);
    bytes.extend(payload);
    Ok(bytes)
}

/// Decodes `count` indexes below `codes`.
///
/// # Errors
/// [`Error::AlphabetSize`], [`Error::TooManySymbols`] if `count` exceeds `limit`, [`Error::Truncated`],
/// [`Error::TrailingData`], [`Error::InvalidForm`], [`Error::InvalidIndex`], and those of [`decode_adaptive`].
pub fn decode_indexes(bytes: &[u8], codes: usize, count: usize, limit: usize) -> Result<Vec<u32>> {
    let bits = bits(codes)?;
    if count > limit {
        return Err(Error::TooManySymbols { count, limit });
    }
    let (&form, payload) = bytes.split_first().ok_or(Error::Truncated)?;
    match form {
        PACKED => unpack(payload, bits, codes, count),
        ADAPTIVE if codes <= MAX_ALPHABET => decode_adaptive(payload, codes, count, limit),
        DIGITS if codes > MAX_ALPHABET => {
            let (length, rest) = payload.split_first_chunk().ok_or(Error::Truncated)?;
            let (high, low) = rest
                .split_at_checked(u32::from_le_bytes(*length) as usize)
                .ok_or(Error::Truncated)?;
            let high = decode_adaptive(high, codes.div_ceil(DIGIT as usize), count, limit)?;
            let low = decode_adaptive(low, DIGIT as usize, count, limit)?;
            let joined = high.iter().zip(&low).map(|(high, low)| high * DIGIT + low);
            let joined: Vec<u32> = joined.collect();
            inside(&joined, codes)?;
            Ok(joined)
        }
        found => Err(Error::InvalidForm { found }),
    }
}

/// Bits of the largest index.
fn bits(codes: usize) -> Result<usize> {
    if codes == 0 || codes > MAX_CODES {
        return Err(Error::AlphabetSize {
            size: codes,
            max: MAX_CODES,
        });
    }
    Ok((usize::BITS - (codes - 1).leading_zeros()) as usize)
}

fn inside(indexes: &[u32], codes: usize) -> Result<()> {
    match beyond(indexes, codes) {
        Some((position, index)) => Err(Error::InvalidIndex {
            position,
            index,
            codes,
        }),
        None => Ok(()),
    }
}

/// The first index that is none, with its position.
fn beyond(indexes: &[u32], codes: usize) -> Option<(usize, u32)> {
    let position = indexes.iter().position(|&index| index as usize >= codes)?;
    Some((position, indexes.get(position).copied()?))
}

fn pack(indexes: &[u32], bits: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((indexes.len() * bits).div_ceil(8));
    let (mut pending, mut filled) = (0u64, 0);
    for &index in indexes {
        pending |= u64::from(index) << filled;
        filled += bits;
        while filled >= 8 {
            bytes.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(pending as u8);
    }
    bytes
}

fn unpack(bytes: &[u8], bits: usize, codes: usize, count: usize) -> Result<Vec<u32>> {
    let expected = count
        .checked_mul(bits)
        .map(|bits| bits.div_ceil(8))
        .ok_or(Error::Truncated)?;
    if bytes.len() < expected {
        return Err(Error::Truncated);
    }
    if bytes.len() > expected {
        return Err(Error::TrailingData {
            bytes: bytes.len() - expected,
        });
    }
    let mask = (1u64 << bits) - 1;
    let (mut pending, mut filled) = (0u64, 0);
    let mut bytes = bytes.iter();
    let mut indexes = Vec::new();
    indexes
        .try_reserve_exact(count)
        .map_err(|_| Error::OutOfMemory { count })?;
    for _ in 0..count {
        while filled < bits {
            let byte = bytes.next().ok_or(Error::Truncated)?;
            pending |= u64::from(*byte) << filled;
            filled += 8;
        }
        indexes.push((pending & mask) as u32);
        pending >>= bits;
        filled -= bits;
    }
    // One stream for every list of indexes.
    if pending != 0 {
        return Err(Error::TrailingData { bytes: 1 });
    }
    inside(&indexes, codes)?;
    Ok(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, codes: u32) -> Vec<u32> {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u32 % codes
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_size_comes_back() {
        for codes in [
            1,
            2,
            3,
            256,
            1000,
            1 << 14,
            (1 << 14) + 1,
            100_000,
            MAX_CODES,
        ] {
            for count in [0, 1, 7, 300] {
                let indexes = noise(count, codes as u32);
                let bytes = encode_indexes(&indexes, codes).unwrap();
                assert_eq!(
                    decode_indexes(&bytes, codes, count, count).unwrap(),
                    indexes
                );
                let most = 1 + (count * bits(codes).unwrap()).div_ceil(8);
                assert!(bytes.len() <= most, "{} of {most}", bytes.len());
            }
        }
    }

    #[test]
    fn repetition_is_cheap() {
        for codes in [1024, 100_000] {
            let mut indexes = vec![codes as u32 - 1; 4000];
            indexes[17] = 3;
            let bytes = encode_indexes(&indexes, codes).unwrap();
            assert!(bytes.len() < 1500, "{codes}: {}", bytes.len());
            assert_eq!(decode_indexes(&bytes, codes, 4000, 4000).unwrap(), indexes);
        }
    }

    #[test]
    fn damage_is_an_error_or_other_indexes() {
        for codes in [1000, 100_000] {
            let mut indexes = vec![5; 600];
            indexes.extend(noise(50, codes as u32));
            for indexes in [&indexes[..], &indexes[600..]] {
                let bytes = encode_indexes(indexes, codes).unwrap();
                for length in 0..bytes.len() {
                    assert!(decode_indexes(&bytes[..length], codes, indexes.len(), 1000).is_err());
                }
                for position in 0..bytes.len() {
                    for bit in 0..8 {
                        let mut damaged = bytes.clone();
                        damaged[position] ^= 1 << bit;
                        if let Ok(found) = decode_indexes(&damaged, codes, indexes.len(), 1000) {
                            assert!(found.iter().all(|&index| (index as usize) < codes));
                        }
                    }
                }
            }
        }
        let wrong = encode_indexes(&[4], 4).unwrap_err();
        assert!(matches!(wrong, Error::OutsideAlphabet { symbol: 4, .. }));
        assert!(matches!(
            decode_indexes(&[9, 0], 4, 1, 1).unwrap_err(),
            Error::InvalidForm { found: 9 }
        ));
        assert!(decode_indexes(&[0], usize::MAX, 1, 1).is_err());
        assert!(decode_indexes(&[0], 4, usize::MAX, 9).is_err());
        assert!(decode_indexes(&[0, 0xff], 3, 1, 1).is_err());
    }
}
