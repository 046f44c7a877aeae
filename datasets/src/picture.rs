//! Pictures in memory, and their way there.
//!
//! Formats are told by content, not by name. Alpha is dropped, deeper samples are rounded to 8 bits, gray is repeated
//! and EXIF orientation is not applied: to a codec every orientation is as good as another.

use crate::DatasetError;
use image::{ImageDecoder, ImageReader, Limits};
use std::io::{BufRead, Cursor, Seek};
use std::path::{Path, PathBuf};

/// Folders nested deeper than this are not searched.
const MAX_DEPTH: usize = 64;
/// Longer sides are not photographs for training, and would let one file spoil the memory bound.
const MAX_SIDE: u32 = 1 << 16;

/// One picture in memory, 8-bit RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    path: PathBuf,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Picture from `width * height * 3` interleaved values.
    ///
    /// # Errors
    /// [`DatasetError::BadParameter`] when the number of values does not match or a side is 0.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, DatasetError> {
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if expected != Some(pixels.len()) || pixels.is_empty() {
            return Err(DatasetError::BadParameter {
                name: "pixel values",
                value: format!("{} for {width}x{height}", pixels.len()),
                expected: "width * height * 3, not 0",
            });
        }
        Ok(Self {
            path: PathBuf::new(),
            width,
            height,
            pixels,
        })
    }

    /// The same picture, said to come from `path`.
    pub(crate) fn with_path(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// File it came from; empty for a picture made in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Interleaved 8-bit RGB, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// Why a file was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The file cannot be read, or is cut or damaged.
    #[error("cannot decode: {0}")]
    Decode(#[source] image::ImageError),
    /// A side is shorter than the smallest useful one.
    #[error("too small: {width}x{height} (smallest side {min_side})")]
    TooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The bound from [`DataLimits`](crate::DataLimits).
        min_side: u32,
    },
    /// The sound cannot be read, or is cut or damaged.
    #[error("cannot decode: {0}")]
    Sound(String),
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Io(#[source] std::io::Error),
    /// The name says picture or sound, the content neither.
    #[error("neither a picture nor a sound of a known format")]
    Unrecognized,
    /// A sound is shorter than the shortest useful one.
    #[error("too short: {frames} samples (shortest {min_frames})")]
    TooShort {
        /// Samples per channel.
        frames: u64,
        /// The bound.
        min_frames: u64,
    },
    /// A sound has more samples than [`DataLimits::max_samples`](crate::DataLimits::max_samples).
    #[error("too long: {samples} samples (limit {limit})")]
    TooManySamples {
        /// Samples in all channels.
        samples: u64,
        /// The limit.
        limit: u64,
    },
    /// A picture has more pixels than [`DataLimits::max_pixels`](crate::DataLimits::max_pixels).
    #[error("too large: {width}x{height} (limit {limit} pixels)")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit.
        limit: u64,
    },
    /// A file or member has more bytes than [`DataLimits::max_entry_bytes`](crate::DataLimits::max_entry_bytes).
    #[error("too large: {bytes} bytes (limit {limit})")]
    TooManyBytes {
        /// Bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A tar shard is cut or damaged from here on; what comes before is used.
    #[error("damaged shard after {members} members: {reason}")]
    Shard {
        /// Members before the damage.
        members: usize,
        /// What is wrong.
        reason: String,
    },
    /// The content has another size than the header said when the set was opened.
    #[error("the content does not match the header that was read first")]
    Changed,
    /// A manifest names a member that its shard does not have.
    #[error("no such member in the shard")]
    NoMember,
    /// A sound has another rate or channel count than the sampler was asked for.
    #[error("{channels} channels at {rate} Hz are not what was asked for")]
    OtherLayout {
        /// Samples per second and channel, Hz.
        rate: u32,
        /// Channels.
        channels: u16,
    },
    /// A side is longer than 65536.
    #[error("too large: {width}x{height} (largest side {MAX_SIDE})")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

/// One file that was not used.
#[derive(Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Files under a folder, in the order of the file system. Links to folders are not followed.
///
/// # Errors
/// [`DatasetError::Io`] for a folder that cannot be read.
pub(crate) fn collect_files(
    dir: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
) -> Result<(), DatasetError> {
    let fail = |source| DatasetError::Io {
        path: dir.to_path_buf(),
        source,
    };
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let kind = entry.file_type().map_err(fail)?;
        let path = entry.path();
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                collect_files(&path, depth + 1, files)?;
            }
        } else if kind.is_file() || path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Decoder over any source, bounded by [`MAX_SIDE`] and by what `max_pixels` pixels may need.
fn decoder<'a, R: BufRead + Seek + 'a>(
    source: R,
    max_pixels: u64,
) -> Result<impl ImageDecoder + use<'a, R>, SkipReason> {
    let mut reader = ImageReader::new(source)
        .with_guessed_format()
        .map_err(|error| SkipReason::Decode(error.into()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // 16-bit RGBA, twice, and what decoders need beside it.
    limits.max_alloc = Some(max_pixels.saturating_mul(16).saturating_add(64 << 20));
    reader.limits(limits);
    reader.into_decoder().map_err(SkipReason::Decode)
}

/// Width and height from a header, checked.
pub(crate) fn probe_picture<R: BufRead + Seek>(
    source: R,
    min_side: u32,
    max_pixels: u64,
) -> Result<(u32, u32), SkipReason> {
    let (width, height) = decoder(source, max_pixels)?.dimensions();
    let min_side = min_side.max(1);
    if width.min(height) < min_side {
        return Err(SkipReason::TooSmall {
            width,
            height,
            min_side,
        });
    }
    check_pixels(width, height, max_pixels)?;
    Ok((width, height))
}

fn check_pixels(width: u32, height: u32, limit: u64) -> Result<(), SkipReason> {
    if width.max(height) > MAX_SIDE {
        return Err(SkipReason::TooLarge { width, height });
    }
    if u64::from(width) * u64::from(height) > limit {
        return Err(SkipReason::TooManyPixels {
            width,
            height,
            limit,
        });
    }
    Ok(())
}

/// Decodes a picture that is in memory.
pub(crate) fn decode_picture(bytes: &[u8], max_pixels: u64) -> Result<Picture, SkipReason> {
    let decoder = decoder(Cursor::new(bytes), max_pixels)?;
    let (width, height) = decoder.dimensions();
    check_pixels(width, height, max_pixels)?;
    into_picture(decoder)
}

fn into_picture(decoder: impl ImageDecoder) -> Result<Picture, SkipReason> {
    let (width, height) = decoder.dimensions();
    let pixels = image::DynamicImage::from_decoder(decoder)
        .map_err(SkipReason::Decode)?
        .into_rgb8()
        .into_raw();
    Ok(Picture {
        path: PathBuf::new(),
        width: width as usize,
        height: height as usize,
        pixels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbImage, RgbaImage};

    fn pattern(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 3) as u8, (y * 5) as u8, (x ^ y) as u8])
        })
    }

    fn file(picture: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_sample_becomes_rgb() {
        let rgb = file(&pattern(33, 17).into(), image::ImageFormat::WebP);
        let picture = decode_picture(&rgb, 1 << 20).unwrap();
        assert_eq!(picture.pixels(), pattern(33, 17).as_raw());
        assert_eq!((picture.width(), picture.height()), (33, 17));
        let alpha = RgbaImage::from_pixel(16, 18, image::Rgba([1, 2, 3, 4]));
        let alpha = file(&alpha.into(), image::ImageFormat::Png);
        assert_eq!(
            decode_picture(&alpha, 1 << 20).unwrap().pixels()[..3],
            [1, 2, 3]
        );
        let gray = GrayImage::from_pixel(16, 16, image::Luma([7]));
        let gray = file(&gray.into(), image::ImageFormat::Png);
        assert_eq!(
            decode_picture(&gray, 1 << 20).unwrap().pixels()[..3],
            [7, 7, 7]
        );
    }

    #[test]
    fn bad_files_and_sizes_are_typed() {
        let good = file(&pattern(64, 8).into(), image::ImageFormat::Png);
        for bytes in [&good[..good.len() / 2], b"", b"not a picture"] {
            let error = decode_picture(bytes, 1 << 20).unwrap_err();
            assert!(matches!(error, SkipReason::Decode(_)), "{error:?}");
        }
        let probe = |min_side, max| probe_picture(Cursor::new(&good), min_side, max);
        assert_eq!(probe(8, 512).unwrap(), (64, 8));
        assert!(matches!(probe(9, 512), Err(SkipReason::TooSmall { .. })));
        assert!(matches!(
            probe(8, 511),
            Err(SkipReason::TooManyPixels { .. })
        ));
        let large = decode_picture(&good, 511).unwrap_err();
        assert!(matches!(large, SkipReason::TooManyPixels { .. }));
        assert!(Picture::new(2, 2, vec![0; 11]).is_err());
        assert!(Picture::new(0, 2, vec![]).is_err());
    }
}
