//! Sections: an identifier, data, and a check value over both.

use std::fmt;

use super::wire::{Reader, crc32, put_varint};
use crate::error::Error;

const LAST_BIT: u8 = 1 << 7;
const REQUIRED_BIT: u8 = 1 << 6;
/// Largest section number that is free to assign; 63 is kept to extend the range.
pub const MAX_NUMBER: u8 = 62;

/// What a section holds. Numbers are assigned by hand and never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(u8);

impl SectionId {
    /// One tile of a picture; as many as the header's grid has, in raster order.
    pub const IMAGE_TILE: Self = Self(REQUIRED_BIT | 1);
    /// The alpha plane of the whole picture.
    pub const ALPHA: Self = Self(REQUIRED_BIT | 2);
    /// A chunk of a recording that is not its last; in their order.
    pub const AUDIO_CHUNK: Self = Self(REQUIRED_BIT | 3);
    /// The last chunk of a recording, with its length.
    pub const AUDIO_END: Self = Self(REQUIRED_BIT | 4);
    /// An ICC profile.
    pub const ICC: Self = Self(16);
    /// EXIF data, beginning with their TIFF header.
    pub const EXIF: Self = Self(17);
    /// An XMP packet.
    pub const XMP: Self = Self(18);
    /// Names and values, such as title and artist.
    pub const TAGS: Self = Self(19);

    /// Every identifier that this version knows, with its name.
    pub const KNOWN: [(Self, &'static str); 8] = [
        (Self::IMAGE_TILE, "image tile"),
        (Self::ALPHA, "alpha"),
        (Self::AUDIO_CHUNK, "audio chunk"),
        (Self::AUDIO_END, "audio end"),
        (Self::ICC, "icc"),
        (Self::EXIF, "exif"),
        (Self::XMP, "xmp"),
        (Self::TAGS, "tags"),
    ];

    /// An identifier from its number, 0 to 62, and whether a decoder must understand it.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a larger number.
    pub fn new(number: u8, required: bool) -> Result<Self, Error> {
        if number > MAX_NUMBER {
            return Err(Error::bad_parameter(format!(
                "section number {number} (expected 0..={MAX_NUMBER})"
            )));
        }
        Ok(Self(number | if required { REQUIRED_BIT } else { 0 }))
    }

    /// The number alone.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0 & !REQUIRED_BIT
    }

    /// Whether a decoder that does not know the section must give up.
    #[must_use]
    pub const fn is_required(self) -> bool {
        self.0 & REQUIRED_BIT != 0
    }

    /// Whether this version knows the section.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.name().is_some()
    }

    /// Name of a known section.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::KNOWN
            .iter()
            .find(|(id, _)| *id == self)
            .map(|(_, name)| *name)
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "section {}", self.number()),
        }
    }
}

impl fmt::Debug for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SectionId({}, required: {})",
            self.number(),
            self.is_required()
        )
    }
}

/// A section to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub id: SectionId,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A section inside the bytes of a file; its check value was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionRef<'a> {
    /// What it holds.
    pub id: SectionId,
    /// Its bytes.
    pub data: &'a [u8],
}

impl Section {
    /// The section's bytes; `last` closes the file.
    #[must_use]
    pub fn to_bytes(&self, last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 16);
        self.put(&mut out, last);
        out
    }

    /// Appends the section's bytes; `last` closes the file.
    pub(super) fn put(&self, out: &mut Vec<u8>, last: bool) {
        let start = out.len();
        out.push(self.id.0 | if last { LAST_BIT } else { 0 });
        put_varint(out, self.data.len() as u64);
        out.extend_from_slice(&self.data);
        let check = crc32(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&check.to_le_bytes());
    }
}

impl<'a> SectionRef<'a> {
    /// Reads one section and tells whether it is the last; `index` is for messages.
    pub(super) fn take(reader: &mut Reader<'a>, index: usize) -> Result<(Self, bool), Error> {
        let start = reader.position();
        let byte = reader.byte()?;
        let length = reader.varint()?;
        let data = reader.take(length)?;
        let actual = crc32(reader.since(start));
        let expected = u32::from_le_bytes(reader.array()?);
        if actual != expected {
            let what = format!("section {index}");
            return Err(Error::CheckFailed {
                what,
                expected,
                actual,
            });
        }
        let id = SectionId(byte & !LAST_BIT);
        if id.number() > MAX_NUMBER {
            return Err(Error::unsupported(format!(
                "section number {}",
                id.number()
            )));
        }
        Ok((Self { id, data }, byte & LAST_BIT != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_section() {
        let mut out = Vec::new();
        Section {
            id: SectionId::IMAGE_TILE,
            data: b"abc".to_vec(),
        }
        .put(&mut out, true);
        let mut expected = vec![0b1100_0001, 3, b'a', b'b', b'c'];
        expected.extend(crc32(&expected).to_le_bytes());
        assert_eq!(out, expected);
        let (section, last) = SectionRef::take(&mut Reader::new(&out, 0), 0).unwrap();
        assert!(last && section.id == SectionId::IMAGE_TILE && section.data == b"abc");
    }

    #[test]
    fn identifiers_keep_their_numbers() {
        let numbers: Vec<_> = SectionId::KNOWN
            .iter()
            .map(|(id, name)| (id.number(), id.is_required(), *name))
            .collect();
        let expected = [
            (1, true, "image tile"),
            (2, true, "alpha"),
            (3, true, "audio chunk"),
            (4, true, "audio end"),
            (16, false, "icc"),
            (17, false, "exif"),
            (18, false, "xmp"),
            (19, false, "tags"),
        ];
        assert_eq!(numbers, expected);
        assert_eq!(SectionId::new(16, false).unwrap(), SectionId::ICC);
        assert_eq!(SectionId::new(62, true).unwrap().to_string(), "section 62");
        assert!(SectionId::new(63, false).is_err());
    }
}
