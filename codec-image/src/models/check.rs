//! The check value that float-profile tiles begin with.
//!
//! Float networks choose probability tables, and another backend or machine may choose others: the entropy decoder then
//! reads noise. The encoder stores a CRC-32 of everything that it coded, so that a decoder notices.

use codec_core::Error;

/// Bytes that the check value takes.
const LENGTH: usize = 4;

/// Sums up what was coded: symbols and the tables they were coded with, in coding order.
#[derive(Debug, Clone, Default)]
pub struct Check(crc32fast::Hasher);

impl Check {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds symbols.
    pub fn symbols(&mut self, symbols: &[i32]) {
        for symbol in symbols {
            self.0.update(&symbol.to_le_bytes());
        }
    }

    /// Adds indexes of tables.
    pub fn tables(&mut self, indexes: &[u8]) {
        self.0.update(indexes);
    }

    /// A payload: the check value, then `stream`.
    pub fn seal(self, stream: &[u8]) -> Vec<u8> {
        let mut payload = self.0.finalize().to_le_bytes().to_vec();
        payload.extend_from_slice(stream);
        payload
    }

    /// Takes a payload apart: the check value that [`Check::verify`] wants, and the stream.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn open(payload: &[u8]) -> Result<(u32, &[u8]), Error> {
        let truncated = || Error::Truncated {
            needed: LENGTH as u64,
            available: payload.len() as u64,
        };
        let (check, stream) = payload.split_first_chunk().ok_or_else(truncated)?;
        Ok((u32::from_le_bytes(*check), stream))
    }

    /// Compares with the encoder's value.
    ///
    /// # Errors
    /// [`Error::CheckFailed`] if anything was decoded differently from how it was encoded.
    pub fn verify(self, expected: u32) -> Result<(), Error> {
        let actual = self.0.finalize();
        if actual == expected {
            return Ok(());
        }
        Err(Error::CheckFailed {
            what: WHAT.to_owned(),
            expected,
            actual,
        })
    }

    /// The error for a stream that cannot even be decoded: with the wrong tables that is as likely as a wrong value.
    pub fn drift(error: codec_entropy::Error) -> Error {
        Error::malformed(format!("{WHAT}: {error}"))
    }
}

/// What failed, in words.
const WHAT: &str =
    "the tile's symbols (damaged, or a float model on another device than the encoder's)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_noticed() {
        let summed = |last: i32| {
            let mut check = Check::new();
            check.tables(&[3, 4]);
            check.symbols(&[-1, last]);
            check
        };
        let payload = summed(7).seal(b"stream");
        let (value, stream) = Check::open(&payload).unwrap();
        assert_eq!(stream, b"stream");
        summed(7).verify(value).unwrap();
        let error = summed(8).verify(value).unwrap_err();
        assert_eq!(error.kind().exit_status(), 3, "{error}");
        assert!(Check::open(&payload[..3]).unwrap_err().is_truncated());
    }
}
