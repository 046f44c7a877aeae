//! Short digests that tell one set of weights from another.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The first 8 bytes of the SHA-256 of a weights file.
///
/// This names weights, it does not authenticate them: 64 bits rule out accidents, not attacks.
///
/// ```
/// use codec_core::digest::Digest;
/// assert_eq!(Digest::of(b"abc").to_string(), "ba7816bf8f01cfea");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 8]);

impl Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(Sha256::digest(bytes)) {
            *to = from;
        }
        Self(short)
    }
}

impl fmt::Display for Digest {
    /// 16 lower-case hexadecimal digits, first byte first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Digest {
    type Err = crate::Error;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::Error::malformed(format!("'{text}' is no digest"));
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = <&[[u8; 2]; 8]>::try_from(pairs).map_err(|_| bad())?;
        if !rest.is_empty() || !text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit.wrapping_sub(b'a' - 10),
        };
        Ok(Self(bytes.map(|[high, low]| value(high) << 4 | value(low))))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_of_sha256() {
        // SHA-256 of the empty string, FIPS 180-4.
        assert_eq!(
            Digest::of(b"").0,
            [0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14]
        );
    }

    #[test]
    fn digests_read_back() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for wrong in [
            "",
            "ba7816bf8f01cfe",
            "ba7816bf8f01cfeaa",
            "BA7816BF8F01CFEA",
            "+a7816bf8f01cfea",
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
