//! A folder of pictures, decoded once.

use crate::DatasetError;
use image::{ImageDecoder, ImageReader, Limits};
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
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
        /// The bound from [`FolderOptions::min_side`].
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

/// Limits for [`ImageFolder::open_with`].
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// Most bytes that all decoded pictures may take together. Default 4 GiB.
    pub max_bytes: u64,
    /// Pictures with a shorter side are skipped. Default 16.
    pub min_side: u32,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            min_side: 16,
        }
    }
}

/// All pictures of a folder and its subfolders, sorted by path, as 8-bit RGB in memory.
///
/// Formats are told by content, not by name. Alpha is dropped, deeper samples are rounded to 8 bits, gray is repeated
/// and EXIF orientation is not applied: to a codec every orientation is as good as another.
#[derive(Debug)]
pub struct ImageFolder {
    pictures: Vec<Picture>,
    skipped: Vec<Skipped>,
}

impl ImageFolder {
    /// Opens `dir` with [`FolderOptions::default`].
    ///
    /// # Errors
    /// As [`ImageFolder::open_with`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, DatasetError> {
        Self::open_with(dir, &FolderOptions::default())
    }

    /// Decodes all pictures under `dir` in parallel. Sizes are read from the headers first, so that the memory bound
    /// is checked before anything large is allocated. Links to folders are not followed.
    ///
    /// # Errors
    /// An unreadable folder, nothing usable in it, or more data than `options.max_bytes`.
    pub fn open_with(dir: impl AsRef<Path>, options: &FolderOptions) -> Result<Self, DatasetError> {
        let dir = dir.as_ref();
        let mut files = Vec::new();
        collect_files(dir, 0, &mut files)?;
        files.sort();

        let sizes: Vec<Result<u64, SkipReason>> =
            files.par_iter().map(|path| probe(path, options)).collect();
        let needed = sizes
            .iter()
            .flatten()
            .fold(0u64, |sum, &bytes| sum.saturating_add(bytes));
        if needed > options.max_bytes {
            return Err(DatasetError::MemoryLimit {
                needed,
                limit: options.max_bytes,
            });
        }
        let decoded: Vec<Result<Picture, Skipped>> = files
            .into_par_iter()
            .zip(sizes)
            .map(
                |(path, size)| match size.and_then(|bytes| decode(&path, bytes)) {
                    Ok(picture) => Ok(Picture { path, ..picture }),
                    Err(reason) => Err(Skipped { path, reason }),
                },
            )
            .collect();

        let (mut pictures, mut skipped) = (Vec::new(), Vec::new());
        for result in decoded {
            match result {
                Ok(picture) => pictures.push(picture),
                Err(skip) => skipped.push(skip),
            }
        }
        if pictures.is_empty() {
            return Err(DatasetError::Empty {
                path: dir.to_path_buf(),
                skipped: skipped.len(),
            });
        }
        Ok(Self { pictures, skipped })
    }

    /// A data set from pictures that are in memory already, in the given order.
    pub fn from_pictures(pictures: Vec<Picture>) -> Self {
        Self {
            pictures,
            skipped: Vec::new(),
        }
    }

    /// The pictures, sorted by path.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// Files that were found but not used, sorted by path.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Bytes of all decoded pixels.
    pub fn bytes(&self) -> u64 {
        self.pictures
            .iter()
            .map(|picture| picture.pixels.len() as u64)
            .sum()
    }
}

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

fn open(path: &Path) -> Result<BufReader<File>, SkipReason> {
    Ok(BufReader::new(File::open(path).map_err(SkipReason::Io)?))
}

/// Bytes of the picture as 8-bit RGB, from its header alone.
fn probe(path: &Path, options: &FolderOptions) -> Result<u64, SkipReason> {
    let (width, height) = probe_picture(open(path)?, options.min_side, u64::MAX)?;
    Ok(u64::from(width) * u64::from(height) * 3)
}

fn decode(path: &Path, bytes: u64) -> Result<Picture, SkipReason> {
    let decoder = decoder(open(path)?, bytes)?;
    let (width, height) = decoder.dimensions();
    // The file may have changed since it was probed; the memory bound was checked for the size seen then.
    if u64::from(width) * u64::from(height) * 3 != bytes {
        return Err(SkipReason::TooLarge { width, height });
    }
    into_picture(decoder)
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

    #[test]
    fn walks_sorts_and_tells_formats_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("b").join("deep");
        std::fs::create_dir_all(&sub).unwrap();
        pattern(20, 30)
            .save_with_format(dir.path().join("z.txt"), image::ImageFormat::Png)
            .unwrap();
        pattern(33, 17)
            .save_with_format(dir.path().join("a"), image::ImageFormat::WebP)
            .unwrap();
        GrayImage::from_pixel(16, 16, image::Luma([7]))
            .save(sub.join("gray.png"))
            .unwrap();
        RgbaImage::from_pixel(16, 18, image::Rgba([1, 2, 3, 4]))
            .save(sub.join("alpha.png"))
            .unwrap();
        pattern(64, 64).save(dir.path().join("photo.jpg")).unwrap();

        let folder = ImageFolder::open(dir.path()).unwrap();
        let names: Vec<_> = folder
            .pictures()
            .iter()
            .map(|p| p.path().strip_prefix(dir.path()).unwrap())
            .collect();
        let expected = [
            "a",
            "b/deep/alpha.png",
            "b/deep/gray.png",
            "photo.jpg",
            "z.txt",
        ];
        assert_eq!(names, expected.map(Path::new));
        assert!(folder.skipped().is_empty());
        assert_eq!(folder.pictures()[0].pixels(), pattern(33, 17).as_raw());
        assert_eq!(folder.pictures()[1].pixels()[..3], [1, 2, 3]);
        assert_eq!(folder.pictures()[2].pixels()[..3], [7, 7, 7]);
        assert_eq!(
            (folder.pictures()[4].width(), folder.pictures()[4].height()),
            (20, 30)
        );
        assert_eq!(
            folder.bytes(),
            3 * (20 * 30 + 33 * 17 + 16 * 16 + 16 * 18 + 64 * 64)
        );
    }

    #[test]
    fn bad_files_are_skipped_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        pattern(64, 64).save(dir.path().join("good.png")).unwrap();
        pattern(64, 8).save(dir.path().join("small.png")).unwrap();
        let bytes = std::fs::read(dir.path().join("good.png")).unwrap();
        std::fs::write(dir.path().join("cut.png"), &bytes[..bytes.len() / 2]).unwrap();
        std::fs::write(dir.path().join("empty.png"), []).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "not a picture").unwrap();

        let folder = ImageFolder::open(dir.path()).unwrap();
        assert_eq!(folder.len(), 1);
        let reasons: Vec<_> = folder
            .skipped()
            .iter()
            .map(|s| {
                (
                    s.path.file_name().unwrap().to_str().unwrap(),
                    matches!(s.reason, SkipReason::TooSmall { .. }),
                )
            })
            .collect();
        assert_eq!(
            reasons,
            [
                ("cut.png", false),
                ("empty.png", false),
                ("notes.txt", false),
                ("small.png", true)
            ]
        );
    }

    #[test]
    fn limits_and_empty_folders_are_typed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            ImageFolder::open(dir.path()),
            Err(DatasetError::Empty { skipped: 0, .. })
        ));
        assert!(matches!(
            ImageFolder::open(dir.path().join("none")),
            Err(DatasetError::Io { .. })
        ));
        pattern(64, 64).save(dir.path().join("good.png")).unwrap();
        let options = FolderOptions {
            max_bytes: 3 * 64 * 64 - 1,
            ..FolderOptions::default()
        };
        let error = ImageFolder::open_with(dir.path(), &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "decoded pictures need 12288 bytes (limit 12287)"
        );
        assert!(Picture::new(2, 2, vec![0; 11]).is_err());
        assert!(Picture::new(0, 2, vec![]).is_err());
    }
}
