//! Tables as bytes, for storage with a model's weights.
//!
//! Little-endian: the signature `CDF1`; `u32` number of tables; per table `i32` offset and `u32` number of symbols with
//! the escape; then per table its cumulative distribution without the leading 0 and the closing 65536, `u16` each.
//! There is one encoding for every set of tables.

use crate::error::{Error, Result};
use crate::table::{Cdf, MAX_ENTRIES, MAX_TABLES, TableSet};

const SIGNATURE: [u8; 4] = *b"CDF1";

impl TableSet {
    /// Serializes the set.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 8 * self.len() + 2 * self.entries().len());
        bytes.extend(SIGNATURE);
        bytes.extend((self.len() as u32).to_le_bytes());
        for t in self.tables() {
            bytes.extend(t.offset.to_le_bytes());
            bytes.extend((t.escape + 1).to_le_bytes());
        }
        for t in self.tables() {
            let starts = self.table_entries(t).iter().skip(1);
            bytes.extend(starts.flat_map(|&entry| (entry as u16).to_le_bytes()));
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and validates it.
    ///
    /// # Errors
    /// [`Error::TableSignature`], [`Error::TableLength`], and what [`from_cdfs`](Self::from_cdfs) reports. Memory is
    /// taken only in proportion to the bytes given.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let actual = bytes.len();
        let short = |expected| Error::TableLength { expected, actual };
        let (signature, rest) = bytes.split_first_chunk().ok_or(short(8))?;
        if *signature != SIGNATURE {
            return Err(Error::TableSignature);
        }
        let (count, rest) = rest.split_first_chunk().ok_or(short(8))?;
        let tables = u32::from_le_bytes(*count) as usize;
        if tables == 0 || tables > MAX_TABLES {
            return Err(Error::TableCount {
                tables,
                max: MAX_TABLES,
            });
        }
        let expected = 8 + 8 * tables;
        let (headers, body) = rest.split_at_checked(8 * tables).ok_or(short(expected))?;

        let headers: Vec<(i32, usize)> = headers
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&[a, b, c, d, e, f, g, h]| {
                (
                    i32::from_le_bytes([a, b, c, d]),
                    u32::from_le_bytes([e, f, g, h]) as usize,
                )
            })
            .collect();
        let entries = headers.iter().map(|h| h.1).fold(0, usize::saturating_add);
        if entries > MAX_ENTRIES {
            return Err(Error::TooManyEntries {
                entries,
                max: MAX_ENTRIES,
            });
        }
        // An invalid size is reported as such and not as a wrong length.
        if let Some((table, &(_, symbols))) = headers
            .iter()
            .enumerate()
            .find(|(_, h)| !(2..=65536).contains(&h.1))
        {
            return Err(Error::TableSize { table, symbols });
        }
        let expected = expected + 2 * (entries - tables);
        if actual != expected {
            return Err(short(expected));
        }

        let mut edges = body
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&edge| u32::from(u16::from_le_bytes(edge)));
        let cdfs: Vec<Vec<u32>> = headers
            .iter()
            .map(|&(_, symbols)| {
                let inner = edges.by_ref().take(symbols - 1);
                std::iter::once(0)
                    .chain(inner)
                    .chain(std::iter::once(65536))
                    .collect()
            })
            .collect();
        let cdfs: Vec<Cdf<'_>> = headers
            .iter()
            .zip(&cdfs)
            .map(|(&(offset, _), cdf)| Cdf { offset, cdf })
            .collect();
        Self::from_cdfs(&cdfs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> TableSet {
        let first = Cdf {
            offset: -2,
            cdf: &[0, 0x1234, 65535, 65536],
        };
        TableSet::from_cdfs(&[
            first,
            Cdf {
                offset: 7,
                cdf: &[0, 0x8000, 65536],
            },
        ])
        .unwrap()
    }

    #[test]
    fn layout_is_fixed() {
        let bytes = example().to_bytes();
        let expected = [
            b'C', b'D', b'F', b'1', 2, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0, 7, 0, 0, 0, 2,
            0, 0, 0, 0x34, 0x12, 0xff, 0xff, 0, 0x80,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(TableSet::from_bytes(&bytes).unwrap(), example());
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let mut bytes = example().to_bytes();
        for n in 0..bytes.len() {
            assert!(
                matches!(
                    TableSet::from_bytes(&bytes[..n]),
                    Err(Error::TableLength { .. })
                ),
                "{n}"
            );
        }
        bytes.push(0);
        assert!(matches!(
            TableSet::from_bytes(&bytes),
            Err(Error::TableLength { .. })
        ));
    }

    #[test]
    fn flipped_bits_never_give_an_invalid_set() {
        let bytes = example().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(set) = TableSet::from_bytes(&flipped) {
                assert_eq!(set.to_bytes(), flipped);
            }
        }
    }

    #[test]
    fn sizes_are_limited() {
        let header = |tables: u32, symbols: u32| {
            let mut bytes = b"CDF1".to_vec();
            bytes.extend(tables.to_le_bytes());
            for _ in 0..tables.min(32) {
                bytes.extend(0i32.to_le_bytes());
                bytes.extend(symbols.to_le_bytes());
            }
            TableSet::from_bytes(&bytes).unwrap_err()
        };
        assert_eq!(
            header(0, 0),
            Error::TableCount {
                tables: 0,
                max: MAX_TABLES
            }
        );
        assert_eq!(
            header(u32::MAX, 0),
            Error::TableCount {
                tables: u32::MAX as usize,
                max: MAX_TABLES
            }
        );
        assert_eq!(
            header(17, 65536),
            Error::TooManyEntries {
                entries: 17 << 16,
                max: MAX_ENTRIES
            }
        );
        assert_eq!(
            header(1, 65537),
            Error::TableSize {
                table: 0,
                symbols: 65537
            }
        );
        assert_eq!(
            header(1, 0),
            Error::TableSize {
                table: 0,
                symbols: 0
            }
        );
    }
}
