//! The header: what the file holds, and which model and weights turn it back.

use super::audio::AudioInfo;
use super::wire::{Reader, crc16, put_varint};
use super::{MAGIC, VERSION};
use crate::digest::Digest;
use crate::error::Error;

/// Longest model name in bytes.
pub const MAX_MODEL_NAME: usize = 64;
/// Largest value of [`Header::quality`]: 100.00.
pub const MAX_QUALITY: u16 = 10_000;
/// Bit depths that have a code, in the order of their codes.
const DEPTHS: [u8; 4] = [8, 10, 12, 16];

const KIND_IMAGE: u8 = 0;
const KIND_AUDIO: u8 = 1;
const KIND_MASK: u8 = 0b11;
const FLOAT_BIT: u8 = 1 << 2;
const RGB_BIT: u8 = 1 << 3;
const ALPHA_BIT: u8 = 1 << 4;
const DEPTH_SHIFT: u32 = 5;

/// What a decoder may rely on to reproduce the probability tables (`docs/architecture.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Tables are selected by exact integers: decodes alike on every machine and back end.
    Portable,
    /// Tables depend on floats: decodes reliably on the kind of machine that encoded.
    Float,
}

/// Colour channels of a picture, without alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Color {
    /// One channel.
    Gray,
    /// Red, green, blue.
    Rgb,
}

impl Color {
    /// Number of channels: 1 or 3.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb => 3,
        }
    }
}

/// The picture that a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageInfo {
    /// True width in pixels, at least 1.
    pub width: u32,
    /// True height in pixels, at least 1.
    pub height: u32,
    /// Colour channels.
    pub color: Color,
    /// Whether there is an alpha plane, in a section of its own.
    pub alpha: bool,
    /// Bits a sample: 8, 10, 12 or 16.
    pub bit_depth: u8,
    /// Side of the square tiles in pixels; 0 means one tile of the picture's size.
    pub tile_size: u32,
}

impl ImageInfo {
    /// Number of tile columns and tile rows.
    #[must_use]
    pub fn tile_grid(&self) -> (u32, u32) {
        match self.tile_size {
            0 => (1, 1),
            side => (self.width.div_ceil(side), self.height.div_ceil(side)),
        }
    }

    /// Number of tiles, and so of tile sections.
    #[must_use]
    pub fn tile_count(&self) -> u64 {
        let (columns, rows) = self.tile_grid();
        u64::from(columns) * u64::from(rows)
    }
}

/// What kind of media a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Media {
    /// One picture.
    Image(ImageInfo),
    /// One recording.
    Audio(AudioInfo),
}

/// Which model and weights a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId {
    /// Name as in the header, for instance `wpmr/v1`.
    pub name: String,
    /// Digest of the weights.
    pub digest: Digest,
    /// What decoding may rely on.
    pub profile: Profile,
}

/// Everything before the sections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Name of the model, for instance `wpmr/v1`: 1 to 64 of `a-z 0-9 . _ - /`.
    pub model: String,
    /// Digest of the weights that decode this file.
    pub digest: Digest,
    /// What decoding depends on.
    pub profile: Profile,
    /// Quality in hundredths, 0 to 10000.
    pub quality: u16,
    /// Kind and shape of the content.
    pub media: Media,
}

impl Header {
    /// The picture's description.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the file does not hold a picture.
    pub fn image(&self) -> Result<&ImageInfo, Error> {
        match &self.media {
            Media::Image(info) => Ok(info),
            Media::Audio(_) => Err(Error::unsupported(
                "a recording where a picture is expected",
            )),
        }
    }

    /// The recording's description.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the file does not hold a recording.
    pub fn audio(&self) -> Result<&AudioInfo, Error> {
        match &self.media {
            Media::Audio(info) => Ok(info),
            Media::Image(_) => Err(Error::unsupported(
                "a picture where a recording is expected",
            )),
        }
    }

    /// Reads a header from the start of `bytes` and returns it with its length in bytes.
    /// Nothing after it is looked at, so a prefix of a file will do.
    ///
    /// # Errors
    /// Malformed, truncated or damaged headers, and versions or kinds that are not known.
    pub fn parse_prefix(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let known = bytes
            .iter()
            .zip(MAGIC)
            .take_while(|(a, b)| **a == *b)
            .count();
        if known < MAGIC.len().min(bytes.len()) {
            return Err(Error::malformed("not a codec file (wrong magic)"));
        }
        let mut reader = Reader::new(bytes, 0);
        reader.array::<{ MAGIC.len() }>()?;
        let version = reader.byte()?;
        if version != VERSION {
            return Err(Error::UnsupportedVersion {
                found: version,
                supported: VERSION,
            });
        }
        let flags = reader.byte()?;
        // Another kind has other fields, so its check value cannot be found.
        match flags & KIND_MASK {
            KIND_IMAGE | KIND_AUDIO => {}
            kind => return Err(Error::unsupported(format!("content of kind {kind}"))),
        }
        let length = reader.byte()?;
        if !(1..=MAX_MODEL_NAME).contains(&usize::from(length)) {
            return Err(Error::malformed(format!(
                "model name of {length} bytes (expected 1..={MAX_MODEL_NAME})"
            )));
        }
        let model = reader.take(length.into())?;
        let digest = Digest(reader.array()?);
        let quality = u16::from_le_bytes(reader.array()?);
        let fields = if flags & KIND_MASK == KIND_AUDIO {
            Fields::Audio(AudioInfo::take(&mut reader)?)
        } else {
            let width = reader.varint32("width")?;
            let height = reader.varint32("height")?;
            Fields::Image([width, height, reader.varint32("tile size")?])
        };

        let actual = crc16(reader.since(0));
        let expected = u16::from_le_bytes(reader.array()?);
        if actual != expected {
            let what = "header".to_owned();
            return Err(Error::CheckFailed {
                what,
                expected: expected.into(),
                actual: actual.into(),
            });
        }
        // From here on the bytes are those that were written.
        let media = match fields {
            Fields::Audio(fields) => Media::Audio(fields.info(flags)?),
            Fields::Image(fields) => Media::Image(image(fields, flags)?),
        };
        let header = Self {
            model: String::from_utf8_lossy(model).into_owned(),
            digest,
            profile: if flags & FLOAT_BIT == 0 {
                Profile::Portable
            } else {
                Profile::Float
            },
            quality,
            media,
        };
        header.validate().map_err(Error::Malformed)?;
        Ok((header, reader.position()))
    }

    /// The header's bytes, as a stream begins with them.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for values out of range.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.put(&mut out)?;
        Ok(out)
    }

    /// Appends the header's bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.validate().map_err(Error::BadParameter)?;
        let mut flags = match &self.media {
            Media::Image(info) => KIND_IMAGE | image_flags(info),
            Media::Audio(info) => KIND_AUDIO | info.flags(),
        };
        if self.profile == Profile::Float {
            flags |= FLOAT_BIT;
        }
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, flags, self.model.len() as u8]);
        out.extend_from_slice(self.model.as_bytes());
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(&self.quality.to_le_bytes());
        match &self.media {
            Media::Image(info) => {
                for value in [info.width, info.height, info.tile_size] {
                    put_varint(out, value.into());
                }
            }
            Media::Audio(info) => info.put(out),
        }
        let check = crc16(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&check.to_le_bytes());
        Ok(())
    }

    /// The rules that hold on both sides.
    fn validate(&self) -> Result<(), String> {
        let length = self.model.len();
        if !(1..=MAX_MODEL_NAME).contains(&length) {
            return Err(format!(
                "model name of {length} bytes (expected 1..={MAX_MODEL_NAME})"
            ));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if let Some(bad) = self.model.chars().find(|c| !allowed(*c)) {
            return Err(format!(
                "model name has {bad:?} (expected a-z, 0-9, '.', '_', '-', '/')"
            ));
        }
        if self.quality > MAX_QUALITY {
            return Err(format!(
                "quality {} (expected 0..={MAX_QUALITY} hundredths)",
                self.quality
            ));
        }
        let info = match &self.media {
            Media::Image(info) => info,
            Media::Audio(info) => return info.validate(),
        };
        if info.width == 0 || info.height == 0 {
            return Err(format!("picture of {}x{} pixels", info.width, info.height));
        }
        if !DEPTHS.contains(&info.bit_depth) {
            return Err(format!(
                "bit depth {} (expected one of {DEPTHS:?})",
                info.bit_depth
            ));
        }
        Ok(())
    }
}

/// Fields of a kind of content, before they are judged.
enum Fields {
    /// Width, height, tile size.
    Image([u32; 3]),
    Audio(super::audio::Fields),
}

fn image_flags(info: &ImageInfo) -> u8 {
    let depth = DEPTHS.iter().position(|depth| *depth == info.bit_depth);
    let mut flags = (depth.unwrap_or_default() as u8) << DEPTH_SHIFT;
    for (bit, set) in [(RGB_BIT, info.color == Color::Rgb), (ALPHA_BIT, info.alpha)] {
        flags |= if set { bit } else { 0 };
    }
    flags
}

fn image([width, height, tile_size]: [u32; 3], flags: u8) -> Result<ImageInfo, Error> {
    let depth = usize::from(flags >> DEPTH_SHIFT);
    let Some(&bit_depth) = DEPTHS.get(depth) else {
        return Err(Error::unsupported(format!("bit depth code {depth}")));
    };
    Ok(ImageInfo {
        width,
        height,
        color: if flags & RGB_BIT == 0 {
            Color::Gray
        } else {
            Color::Rgb
        },
        alpha: flags & ALPHA_BIT != 0,
        bit_depth,
        tile_size,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::header;
    use super::*;

    fn bytes(header: &Header) -> Vec<u8> {
        let mut out = Vec::new();
        header.put(&mut out).unwrap();
        out
    }

    /// Puts the right check value under a header that was tampered with.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let body = bytes.len() - 2;
        let check = crc16(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&check);
        bytes
    }

    #[test]
    fn golden_header() {
        #[rustfmt::skip]
        let expected = [
            0x9e, b'N', b'C', b'X', 1, 0b0000_1000,
            7, b'w', b'p', b'm', b'r', b'/', b'v', b'1',
            0, 1, 2, 3, 4, 5, 6, 7,
            0xb0, 0x13, // quality 5040
            0x80, 0x06, 0x80, 0x04, 0x00, // 768, 512, one tile
            0x34, 0x9d,
        ];
        assert_eq!(bytes(&header()), expected);
        assert_eq!(
            Header::parse_prefix(&expected).unwrap(),
            (header(), expected.len())
        );
    }

    #[test]
    fn bad_values_are_the_callers_fault_when_writing_and_the_files_when_reading() {
        let image = |change: fn(&mut ImageInfo)| {
            let mut header = header();
            let Media::Image(info) = &mut header.media else {
                panic!("a picture")
            };
            change(info);
            header
        };
        let cases = [
            Header {
                model: String::new(),
                ..header()
            },
            Header {
                model: "a".repeat(65),
                ..header()
            },
            Header {
                model: "Upper".into(),
                ..header()
            },
            Header {
                quality: 10_001,
                ..header()
            },
            image(|info| info.width = 0),
            image(|info| info.height = 0),
            image(|info| info.bit_depth = 9),
        ];
        for case in cases {
            let error = case.put(&mut Vec::new()).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{error}");
        }
        // The same on the way in: name, quality, width.
        for (at, value) in [(6, 0), (6, 65), (7, b'W'), (23, 0x40), (24, 0)] {
            let mut bad = bytes(&header());
            bad[at] = value;
            if at == 24 {
                bad.remove(25); // width 0 takes one byte
            }
            let error = Header::parse_prefix(&resealed(bad)).unwrap_err();
            assert!(
                matches!(error, Error::Malformed(_) | Error::Truncated { .. }),
                "{at}: {error}"
            );
        }
    }

    #[test]
    fn unknown_versions_kinds_and_depths_are_unsupported() {
        for (at, value) in [(4, 0), (4, 2), (5, 3), (5, 2), (5, 0b1000_1000)] {
            let mut newer = bytes(&header());
            newer[at] = value;
            let error = Header::parse_prefix(&resealed(newer)).unwrap_err();
            assert_eq!(
                error.kind(),
                crate::error::ErrorKind::Unsupported,
                "{error}"
            );
        }
    }
}
