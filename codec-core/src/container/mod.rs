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

mod audio;
mod header;
mod section;
mod stream;
mod wire;

pub use audio::{AudioEnd, AudioInfo, join_passes, put_tags, split_passes, take_tags};
pub use header::{Color, Header, ImageInfo, MAX_MODEL_NAME, MAX_QUALITY, Media, ModelId, Profile};
pub use section::{MAX_NUMBER as MAX_SECTION_NUMBER, Section, SectionId, SectionRef};

pub use stream::{Part, StreamReader};

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
/// (one tile section per tile; one alpha section if and only if there is alpha; the chunks of a recording and its end in
/// this order, as many as its length asks for; ICC, EXIF, XMP and tags at most once; no unknown required section).
pub fn write(header: &Header, sections: &[Section]) -> Result<Vec<u8>, Error> {
    let limits = Limits {
        max_samples: u64::MAX,
        max_channels: u16::MAX,
        ..Limits::default()
    };
    let references: Vec<_> = sections
        .iter()
        .map(|section| SectionRef {
            id: section.id,
            data: &section.data,
        })
        .collect();
    check_sections(header, &references, &limits)
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
        check_size(&header, limits)?;

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
        check_sections(&header, &sections, limits)?;
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

    /// Data of a recording's chunks in their order; as many as [`AudioInfo::chunk_count`], the last without the length.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.sections.iter().filter_map(|section| match section.id {
            SectionId::AUDIO_CHUNK => Some(section.data),
            SectionId::AUDIO_END => Some(AudioEnd::parse(section.data).ok()?.payload),
            _ => None,
        })
    }

    /// Samples of a channel of the recording that the file holds, 0 for pictures.
    #[must_use]
    pub fn samples(&self) -> u64 {
        let end = self.get(SectionId::AUDIO_END).map(AudioEnd::parse);
        end.and_then(Result::ok).map_or(0, |end| end.samples)
    }
}

/// What a header alone can ask too much of.
fn check_size(header: &Header, limits: &Limits) -> Result<(), Error> {
    match &header.media {
        Media::Image(info) => limits.check_picture(info.width, info.height),
        Media::Audio(info) => limits.check_sound(info.channels, 0),
    }
}

/// The rules that join header and sections; the same for writing and reading.
fn check_sections(
    header: &Header,
    sections: &[SectionRef<'_>],
    limits: &Limits,
) -> Result<(), Error> {
    let mut counts = [0u64; SectionId::KNOWN.len()];
    let mut ended = false;
    for id in sections.iter().map(|section| section.id) {
        check_id(id)?;
        if let Some(index) = SectionId::KNOWN.iter().position(|(known, _)| *known == id)
            && let Some(count) = counts.get_mut(index)
        {
            *count += 1;
        }
        if ended && id == SectionId::AUDIO_CHUNK {
            return Err(Error::malformed("a chunk after the last one"));
        }
        ended |= id == SectionId::AUDIO_END;
    }
    let mut chunks = 0;
    for ((id, name), count) in SectionId::KNOWN.iter().zip(counts) {
        let (least, most) = match (*id, &header.media) {
            (SectionId::IMAGE_TILE, Media::Image(info)) => (info.tile_count(), info.tile_count()),
            (SectionId::ALPHA, Media::Image(info)) => (info.alpha.into(), info.alpha.into()),
            (SectionId::AUDIO_CHUNK, Media::Audio(_)) => (0, u64::MAX),
            (SectionId::AUDIO_END, Media::Audio(_)) => (1, 1),
            (SectionId::TAGS, Media::Audio(_)) => (0, 1),
            (SectionId::ICC | SectionId::EXIF | SectionId::XMP, Media::Image(_)) => (0, 1),
            _ => (0, 0),
        };
        if !(least..=most).contains(&count) {
            return Err(Error::malformed(format!(
                "{count} sections of kind '{name}' (expected {least}..={most})"
            )));
        }
        if [SectionId::AUDIO_CHUNK, SectionId::AUDIO_END].contains(id) {
            chunks += count;
        }
    }
    let end = sections
        .iter()
        .find(|section| section.id == SectionId::AUDIO_END);
    match (&header.media, end) {
        (Media::Audio(info), Some(end)) => audio::check_chunks(info, chunks, end.data, limits),
        _ => Ok(()),
    }
}

/// Refuses sections that a decoder would have to know, and known numbers with the wrong required bit.
fn check_id(id: SectionId) -> Result<(), Error> {
    if id.is_known() {
        return Ok(());
    }
    let mut known = SectionId::KNOWN.iter();
    if known.any(|(known, _)| known.number() == id.number()) {
        return Err(Error::malformed(format!("{id} has the wrong required bit")));
    }
    if id.is_required() {
        return Err(Error::unsupported(format!(
            "{id} is required but not known"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
