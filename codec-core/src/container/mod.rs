//! The file format: a header and sections, each with a check value.
//!
//! `docs/bitstream.md` describes it to the byte. A file is recognised by its magic, whatever its
//! name. Reading borrows: nothing is allocated on the word of a header, and every check value has
//! been verified by the time [`Container::parse`] returns.
//!
//! ```
//! use codec_core::container::{self, Color, Container, Header, ImageInfo, Media, Profile};
//! use codec_core::container::{Section, SectionId};
//! use codec_core::{digest::Digest, limits::Limits};
//!
//! let header = Header {
//!     model: "wpmr/v1".into(),
//!     digest: Digest::of(b"weights"),
//!     profile: Profile::Portable,
//!     quality: 5000,
//!     media: Media::Image(ImageInfo {
//!         width: 768,
//!         height: 512,
//!         color: Color::Rgb,
//!         alpha: false,
//!         bit_depth: 8,
//!         tile_size: 0,
//!     }),
//! };
//! let tile = Section { id: SectionId::IMAGE_TILE, data: vec![1, 2, 3] };
//! let bytes = container::write(&header, &[tile])?;
//! let file = Container::parse(&bytes, &Limits::default())?;
//! assert_eq!(file.header(), &header);
//! assert_eq!(file.tiles().next(), Some(&[1, 2, 3][..]));
//! # Ok::<(), codec_core::error::Error>(())
//! ```
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod header;
mod section;
mod wire;

pub use header::{Color, Header, ImageInfo, MAX_MODEL_NAME, MAX_QUALITY, Media, Profile};
pub use section::{MAX_NUMBER as MAX_SECTION_NUMBER, Section, SectionId, SectionRef};

use crate::error::Error;
use crate::limits::Limits;
use wire::Reader;

/// First bytes of every file. The first one is not ASCII, so that no text file begins like this.
pub const MAGIC: [u8; 4] = [0x9e, b'N', b'C', b'X'];
/// Format version that this crate writes, and the only one it reads.
pub const VERSION: u8 = 1;
/// Extension of names that are derived, without the dot.
pub const EXTENSION: &str = "ncx";

/// Whether `bytes` begin like a file of this format, whatever its version.
#[must_use]
pub fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The bytes of a file with this header and these sections.
///
/// # Errors
/// [`Error::BadParameter`] if a header field is out of range or the sections do not fit the header
/// (one tile section per tile; one alpha section if and only if there is alpha; ICC, EXIF and XMP
/// at most once; no unknown required section).
pub fn write(header: &Header, sections: &[Section]) -> Result<Vec<u8>, Error> {
    check_sections(header, sections.iter().map(|section| section.id))
        .map_err(|error| Error::BadParameter(error.to_string()))?;
    let payload: usize = sections.iter().map(|section| section.data.len() + 16).sum();
    let mut out = Vec::with_capacity(payload + 64);
    header.put(&mut out)?;
    for (index, section) in sections.iter().enumerate() {
        section.put(&mut out, index + 1 == sections.len());
    }
    Ok(out)
}

/// A parsed file that borrows from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    header: Header,
    header_bytes: usize,
    sections: Vec<SectionRef<'a>>,
}

impl<'a> Container<'a> {
    /// Reads a whole file and verifies every check value.
    ///
    /// # Errors
    /// [`Error::Truncated`] for every proper prefix of a valid file, [`Error::CheckFailed`] or
    /// [`Error::Malformed`] for damaged ones, [`Error::LimitExceeded`] if it asks for more than
    /// `limits`, and the unsupported kinds for versions and required sections that are not known.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        limits.check_file(bytes.len() as u64)?;
        let (header, header_bytes) = Header::parse_prefix(bytes)?;
        let Media::Image(info) = &header.media;
        limits.check_picture(info.width, info.height)?;

        let mut reader = Reader::new(bytes, header_bytes);
        let mut sections = Vec::new();
        let mut metadata = 0u64;
        loop {
            let (section, last) = SectionRef::take(&mut reader, sections.len())?;
            if !section.id.is_required() {
                metadata = metadata.saturating_add(section.data.len() as u64);
                limits.check_metadata(metadata)?;
            }
            sections.push(section);
            if last {
                break;
            }
        }
        let trailing = bytes.len().saturating_sub(reader.position());
        if trailing > 0 {
            return Err(Error::malformed(format!(
                "{trailing} bytes after the last section"
            )));
        }
        check_sections(&header, sections.iter().map(|section| section.id))?;
        Ok(Self {
            header,
            header_bytes,
            sections,
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the header in bytes, its check value included.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        self.header_bytes
    }

    /// All sections in the order of the file, unknown optional ones included.
    #[must_use]
    pub fn sections(&self) -> &[SectionRef<'a>] {
        &self.sections
    }

    /// Data of the first section with this identifier.
    #[must_use]
    pub fn get(&self, id: SectionId) -> Option<&'a [u8]> {
        self.sections
            .iter()
            .find(|section| section.id == id)
            .map(|section| section.data)
    }

    /// Data of the tiles in raster order; as many as [`ImageInfo::tile_count`].
    pub fn tiles(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let tiles = self
            .sections
            .iter()
            .filter(|section| section.id == SectionId::IMAGE_TILE);
        tiles.map(|section| section.data)
    }
}

/// The rules that join header and sections; the same for writing and reading.
fn check_sections(header: &Header, ids: impl Iterator<Item = SectionId>) -> Result<(), Error> {
    let Media::Image(info) = &header.media;
    let mut counts = [0u64; SectionId::KNOWN.len()];
    for id in ids {
        if let Some(index) = SectionId::KNOWN.iter().position(|(known, _)| *known == id) {
            if let Some(count) = counts.get_mut(index) {
                *count += 1;
            }
        } else if SectionId::KNOWN
            .iter()
            .any(|(known, _)| known.number() == id.number())
        {
            return Err(Error::malformed(format!("{id} has the wrong required bit")));
        } else if id.is_required() {
            return Err(Error::unsupported(format!(
                "{id} is required but not known"
            )));
        }
    }
    for ((id, name), count) in SectionId::KNOWN.iter().zip(counts) {
        let (least, most) = match *id {
            SectionId::IMAGE_TILE => (info.tile_count(), info.tile_count()),
            SectionId::ALPHA => (info.alpha.into(), info.alpha.into()),
            _ => (0, 1),
        };
        if !(least..=most).contains(&count) {
            return Err(Error::malformed(format!(
                "{count} sections of kind '{name}' (expected {least}..={most})"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
