//! The file layer: a [`Picture`] to the bytes of a container and back, tile by tile, with any [`ImageCoder`].
//!
//! Grayscale is coded as RGB with equal channels and comes back as the rounded mean of the three. Alpha is kept
//! losslessly, metadata byte for byte.

pub(crate) mod pixels;
mod rate;
#[cfg(test)]
mod tests;

pub use codec_core::container::ModelId;
pub use rate::{Encoding, RateGoal, encode_to_goal};

use codec_core::container::{self, Color, Container, Header, ImageInfo, Media, Section, SectionId};
use codec_core::error::Error;
use codec_core::limits::Limits;

use crate::alpha;
use crate::coder::{ImageCoder, Quality, RgbTile, Stages, TileOptions};
use crate::picture::{Metadata, Picture};

/// Most pixels in one tile. Encoders and decoders need memory in proportion to the tile, not to the picture.
pub const MAX_TILE_PIXELS: u64 = 1 << 24;
/// Side of the tiles that [`Tile::Auto`] cuts larger pictures into.
pub const AUTO_TILE: u32 = 2048;
/// Smallest and largest side for [`Tile::Size`].
pub const TILE_SIZES: std::ops::RangeInclusive<u32> = 64..=4096;

/// How a picture is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tile {
    /// One tile as long as the model's memory allows it, at most up to [`MAX_TILE_PIXELS`]; squares of at most [`AUTO_TILE`]
    /// pixels beyond.
    #[default]
    Auto,
    /// Squares of this side, in [`TILE_SIZES`].
    Size(u32),
}

/// Which metadata are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The ICC colour profile.
    pub icc: bool,
    /// EXIF data.
    pub exif: bool,
    /// The XMP packet.
    pub xmp: bool,
}

impl Keep {
    /// Everything.
    pub const ALL: Self = Self {
        icc: true,
        exif: true,
        xmp: true,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        icc: false,
        exif: false,
        xmp: false,
    };
}

impl Default for Keep {
    fn default() -> Self {
        Self::ALL
    }
}

/// Choices of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Quality of every tile.
    pub quality: Quality,
    /// Effort, `1..=10`; higher is slower and smaller.
    pub effort: u8,
    /// How the picture is cut.
    pub tile: Tile,
    /// Which metadata are kept.
    pub keep: Keep,
}

impl EncodeOptions {
    /// The effort that suits most.
    pub const DEFAULT_EFFORT: u8 = 7;
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            quality: Quality::DEFAULT,
            effort: Self::DEFAULT_EFFORT,
            tile: Tile::Auto,
            keep: Keep::ALL,
        }
    }
}

/// A finished file.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Where the time of its tiles went.
    pub stages: Stages,
    /// Bits of all tiles by the model's likelihoods, where it computes them.
    pub estimate: Option<f64>,
}

/// Encodes a picture. `progress` is told tiles done and tiles in all.
///
/// # Errors
/// [`Error::BadParameter`] for an effort or tile size out of range or buffers that do not fit the picture's size, and
/// whatever the coder returns.
pub fn encode_picture(
    coder: &dyn ImageCoder,
    model: &ModelId,
    picture: &Picture,
    options: &EncodeOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Encoded, Error> {
    Prepared::new(coder, model, picture, options)?.encode(coder, options.quality, progress)
}

/// What does not depend on the quality, so that a search over qualities does it once.
struct Prepared {
    header: Header,
    info: ImageInfo,
    effort: u8,
    rgb: Vec<u8>,
    /// Alpha and metadata.
    others: Vec<Section>,
}

impl Prepared {
    fn new(
        coder: &dyn ImageCoder,
        model: &ModelId,
        picture: &Picture,
        options: &EncodeOptions,
    ) -> Result<Self, Error> {
        if !(1..=10).contains(&options.effort) {
            return Err(Error::bad_parameter(format!(
                "invalid effort {} (expected 1..=10)",
                options.effort
            )));
        }
        picture.validate()?;
        let info = ImageInfo {
            width: picture.width,
            height: picture.height,
            color: picture.color,
            alpha: picture.alpha.is_some(),
            bit_depth: 8,
            tile_size: tile_size(
                options.tile,
                coder.comfortable_pixels(),
                [picture.width, picture.height],
            )?,
        };
        let header = Header {
            model: model.name.clone(),
            digest: model.digest,
            profile: model.profile,
            quality: options.quality.hundredths(),
            media: Media::Image(info),
        };
        let mut others = Vec::new();
        if let Some(plane) = &picture.alpha {
            let data = alpha::encode(plane, picture.width, picture.height)?;
            others.push(Section {
                id: SectionId::ALPHA,
                data,
            });
        }
        let metadata = &picture.metadata;
        for (id, data, keep) in [
            (SectionId::ICC, &metadata.icc, options.keep.icc),
            (SectionId::EXIF, &metadata.exif, options.keep.exif),
            (SectionId::XMP, &metadata.xmp, options.keep.xmp),
        ] {
            if let (Some(data), true) = (data, keep) {
                others.push(Section {
                    id,
                    data: data.clone(),
                });
            }
        }
        let rgb = match picture.color {
            Color::Rgb => picture.pixels.clone(),
            Color::Gray => pixels::gray_to_rgb(&picture.pixels),
        };
        Ok(Self {
            header,
            info,
            effort: options.effort,
            rgb,
            others,
        })
    }

    fn encode(
        &self,
        coder: &dyn ImageCoder,
        quality: Quality,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoded, Error> {
        let grid = Grid::new(&self.info)?;
        let options = TileOptions {
            quality,
            effort: self.effort,
        };
        let mut stages = Stages::default();
        let mut estimate = Some(0.0);
        let mut sections = Vec::new();
        progress(0, grid.count());
        for index in 0..grid.count() {
            let area = grid.area(index);
            let samples = pixels::cut(&self.rgb, grid.width, &area);
            let tile = RgbTile {
                width: area.width,
                height: area.height,
                samples: &samples,
            };
            let encoded = coder.encode_tile(tile, options)?;
            stages.add(encoded.stages);
            estimate = estimate.zip(encoded.estimate).map(|(sum, bits)| sum + bits);
            sections.push(Section {
                id: SectionId::IMAGE_TILE,
                data: encoded.bytes,
            });
            progress(index + 1, grid.count());
        }
        sections.extend(self.others.iter().cloned());
        let header = Header {
            quality: quality.hundredths(),
            ..self.header.clone()
        };
        Ok(Encoded {
            bytes: container::write(&header, &sections)?,
            stages,
            estimate,
        })
    }
}

/// Decodes a parsed file. `progress` is told tiles done and tiles in all.
///
/// Memory grows with the tiles that were decoded, not on the header's word.
///
/// # Errors
/// [`Error::LimitExceeded`] for pictures beyond `limits` and tiles beyond [`MAX_TILE_PIXELS`], [`Error::Malformed`] for
/// sections that do not fit the header, [`Error::Unsupported`] for bit depths other than 8, and whatever the coder
/// returns.
pub fn decode_picture(
    coder: &dyn ImageCoder,
    container: &Container<'_>,
    limits: &Limits,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(Picture, Stages), Error> {
    let info = *container.header().image()?;
    limits.check_picture(info.width, info.height)?;
    if info.bit_depth != 8 {
        return Err(Error::unsupported(format!(
            "{} bits a sample (this build decodes 8)",
            info.bit_depth
        )));
    }
    let quality = Quality::from_hundredths(container.header().quality)?;
    let grid = Grid::new(&info)?;
    let mut stages = Stages::default();
    let mut samples = Vec::new();
    progress(0, grid.count());
    for (index, bytes) in container.tiles().enumerate().take(grid.count()) {
        let area = grid.area(index);
        let tile = coder.decode_tile(bytes, area.width, area.height, quality)?;
        stages.add(tile.stages);
        let expected = 3 * area.width * area.height;
        if tile.samples.len() != expected {
            let got = tile.samples.len();
            return Err(Error::malformed(format!(
                "tile {index} has {got} samples (expected {expected})"
            )));
        }
        if area.x == 0 {
            pixels::grow(&mut samples, 3 * grid.width * (area.y + area.height))?;
        }
        pixels::paste(&mut samples, grid.width, &area, &tile.samples);
        progress(index + 1, grid.count());
    }
    if samples.len() != 3 * grid.width * grid.height {
        return Err(Error::malformed("tiles are missing"));
    }
    let alpha = match container.get(SectionId::ALPHA) {
        Some(bytes) => Some(alpha::decode(bytes, info.width, info.height, limits)?),
        None => None,
    };
    let section = |id| container.get(id).map(<[u8]>::to_vec);
    let metadata = Metadata {
        icc: section(SectionId::ICC),
        exif: section(SectionId::EXIF),
        xmp: section(SectionId::XMP),
    };
    let pixels = match info.color {
        Color::Rgb => samples,
        Color::Gray => pixels::rgb_to_gray(samples),
    };
    let picture = Picture {
        width: info.width,
        height: info.height,
        color: info.color,
        pixels,
        alpha,
        metadata,
    };
    Ok((picture, stages))
}

/// The header's tile size for a choice. `comfortable` is the most pixels that the model likes in one tile.
fn tile_size(tile: Tile, comfortable: u64, [width, height]: [u32; 2]) -> Result<u32, Error> {
    match tile {
        Tile::Auto if u64::from(width) * u64::from(height) <= comfortable => Ok(0),
        Tile::Auto => Ok(comfortable.isqrt().min(AUTO_TILE.into()) as u32),
        Tile::Size(side) if TILE_SIZES.contains(&side) => {
            // One tile that holds everything is the plain case.
            Ok(if width <= side && height <= side {
                0
            } else {
                side
            })
        }
        Tile::Size(side) => {
            let (least, most) = (TILE_SIZES.start(), TILE_SIZES.end());
            Err(Error::bad_parameter(format!(
                "invalid tile size {side} (expected {least}..={most})"
            )))
        }
    }
}

/// A rectangle in the picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// Tiles in raster order; those at the right and lower border are smaller.
struct Grid {
    width: usize,
    height: usize,
    tile_width: usize,
    tile_height: usize,
    columns: usize,
    rows: usize,
}

impl Grid {
    fn new(info: &ImageInfo) -> Result<Self, Error> {
        let (columns, rows) = info.tile_grid();
        let side = |whole: u32| {
            if info.tile_size == 0 {
                whole
            } else {
                whole.min(info.tile_size)
            }
        };
        let (tile_width, tile_height) = (side(info.width), side(info.height));
        let pixels = u64::from(tile_width) * u64::from(tile_height);
        if pixels > MAX_TILE_PIXELS {
            return Err(Error::LimitExceeded {
                what: "number of pixels in a tile",
                limit: MAX_TILE_PIXELS,
                actual: pixels,
            });
        }
        let size = |value: u32| {
            usize::try_from(value)
                .map_err(|_| Error::unsupported("pictures of this size on this machine"))
        };
        Ok(Self {
            width: size(info.width)?,
            height: size(info.height)?,
            tile_width: size(tile_width)?,
            tile_height: size(tile_height)?,
            columns: size(columns)?,
            rows: size(rows)?,
        })
    }

    fn count(&self) -> usize {
        self.columns * self.rows
    }

    fn area(&self, index: usize) -> Area {
        let x = index % self.columns * self.tile_width;
        let y = index / self.columns * self.tile_height;
        let width = self.tile_width.min(self.width - x);
        Area {
            x,
            y,
            width,
            height: self.tile_height.min(self.height - y),
        }
    }
}
