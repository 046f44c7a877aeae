//! Bytes in and out: a bounds-checked reader, variable-length integers and check values.

use crate::error::Error;

/// Reads from the front of a byte slice and remembers where it is.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bytes read so far, counted from the start of the slice.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// What was read since position `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], Error> {
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| Some((self.bytes.get(self.at..end)?, end))) {
            Some((taken, end)) => {
                self.at = end;
                Ok(taken)
            }
            None => Err(Error::Truncated {
                needed: (self.at as u64).saturating_add(count),
                available: self.bytes.len() as u64,
            }),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.take(N as u64)?) {
            *to = *from;
        }
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Unsigned LEB128 of at most 64 bits, in its shortest form only: a value has one spelling.
    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Error::malformed("integer is not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(Error::malformed("integer is longer than 64 bits"))
    }

    /// A [`Self::varint`] of at most 32 bits.
    pub(super) fn varint32(&mut self, what: &str) -> Result<u32, Error> {
        let value = self.varint()?;
        u32::try_from(value)
            .map_err(|_| Error::malformed(format!("{what} {value} is above {}", u32::MAX)))
    }
}

/// Appends `value` as unsigned LEB128.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// CRC-16/IBM-SDLC (also called X-25): polynomial 0x1021 reflected, start and final xor 0xffff.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xffffu16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x8408
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// CRC-32/ISO-HDLC, the one of zip and PNG.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(crc16(b"123456789"), 0x906e);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn overlong_integers_are_refused() {
        for bytes in [
            &[0x80, 0x00][..],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            let error = Reader::new(bytes, 0).varint().unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{error}");
        }
        assert!(Reader::new(&[0x80], 0).varint().unwrap_err().is_truncated());
        assert!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10], 0)
                .varint32("x")
                .is_err()
        );
    }

    #[test]
    fn taking_too_much_says_how_much_is_missing() {
        let mut reader = Reader::new(&[1, 2, 3], 1);
        let error = reader.take(u64::MAX).unwrap_err();
        assert!(matches!(
            error,
            Error::Truncated {
                needed: u64::MAX,
                available: 3
            }
        ));
        assert_eq!(reader.take(2).unwrap(), [2, 3]);
        assert_eq!((reader.position(), reader.since(1)), (3, &[2, 3][..]));
    }

    proptest! {
        #[test]
        fn integers_round_trip(value: u64, shift in 0u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes, 0);
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert_eq!(reader.position(), bytes.len());
        }
    }
}
