//! From the bytes of a picture file to a [`Picture`].

use std::io::Cursor;

use codec_core::Limits;
use image::codecs::{bmp, gif, jpeg, png, pnm, qoi, tiff};
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError};

use super::{Format, orientation};
use crate::error::Error;
use crate::picture::{Color, Metadata, Picture};

/// A picture, and what is known of the file it came from.
#[derive(Clone, Debug)]
pub struct ReadPicture {
    /// The picture.
    pub picture: Picture,
    /// Format of the file.
    pub format: Format,
    /// Whether the file has further frames that were not read (GIF only; animations in other
    /// formats are an error).
    pub frames_dropped: bool,
}

/// Reads a picture file; the format is recognised from its bytes.
///
/// The picture comes upright: an EXIF orientation is applied and the tag set to 1. Grayscale stays
/// grayscale (except in WebP and GIF, which have none), palettes become RGB, and an alpha channel
/// is returned even where it is opaque.
///
/// # Errors
/// Unknown, malformed and truncated files; sizes above `limits`, which are checked before anything
/// is allocated for pixels; and [`Error::Unsupported`] for what cannot be kept as it is: more than
/// 8 bits a sample, CMYK, animations (of a GIF the first frame is read), several pages.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, Error> {
    read_with_source(bytes, limits).map(|read| read.picture)
}

/// As [`read`], with what is known of the file.
///
/// # Errors
/// As [`read`].
pub fn read_with_source(bytes: &[u8], limits: &Limits) -> Result<ReadPicture, Error> {
    limits.check_file(bytes.len() as u64)?;
    let format = Format::guess(bytes)?;
    let mut frames_dropped = false;
    let fail = |error| from_image(error, format);
    let source = Cursor::new(bytes);
    let picture = match format {
        Format::Png => {
            let chunks = super::png::check(bytes)?;
            // The decoder unpacks profiles before it can be given limits, so its size goes first.
            limits.check_picture(chunks.size.0, chunks.size.1)?;
            let allowed = decoder_limits(chunks.size, limits);
            let decoder = png::PngDecoder::with_limits(source, allowed).map_err(fail)?;
            decode(decoder, format, limits, chunks.exif)?
        }
        Format::Jpeg => {
            super::jpeg::check(bytes)?;
            decode(
                jpeg::JpegDecoder::new(source).map_err(fail)?,
                format,
                limits,
                None,
            )?
        }
        Format::WebP => super::webp::read(bytes, limits)?,
        Format::Tiff => {
            super::tiff::check(bytes)?;
            decode(
                tiff::TiffDecoder::new(source).map_err(fail)?,
                format,
                limits,
                None,
            )?
        }
        Format::Bmp => decode(
            bmp::BmpDecoder::new(source).map_err(fail)?,
            format,
            limits,
            None,
        )?,
        Format::Gif => {
            frames_dropped = super::gif::frame_count(bytes) > 1;
            let decoder = gif::GifDecoder::new(source).map_err(fail)?;
            let mut picture = decode(decoder, format, limits, None)?;
            // The decoder always adds alpha; GIF has it only where a transparent index is used.
            picture
                .alpha
                .take_if(|alpha| alpha.iter().all(|value| *value == 255));
            picture
        }
        Format::Pnm | Format::Pam => decode(
            pnm::PnmDecoder::new(source).map_err(fail)?,
            format,
            limits,
            None,
        )?,
        Format::Qoi => decode(
            qoi::QoiDecoder::new(source).map_err(fail)?,
            format,
            limits,
            None,
        )?,
    };
    Ok(ReadPicture {
        picture,
        format,
        frames_dropped,
    })
}

/// Limits for a decoder of the `image` crate whose size has been checked: pixels twice over (tiles,
/// rows, planes), metadata, and a little more.
fn decoder_limits((width, height): (u32, u32), limits: &Limits) -> image::Limits {
    let pixels = u64::from(width) * u64::from(height);
    let metadata = limits.max_metadata_bytes.saturating_mul(2);
    let mut allowed = image::Limits::no_limits();
    allowed.max_image_width = Some(limits.max_width);
    allowed.max_image_height = Some(limits.max_height);
    allowed.max_alloc = Some(pixels.saturating_mul(16).saturating_add(metadata) + (1 << 20));
    allowed
}

fn decode(
    mut decoder: impl ImageDecoder,
    format: Format,
    limits: &Limits,
    exif: Option<&[u8]>,
) -> Result<Picture, Error> {
    let fail = |error| from_image(error, format);
    let size = decoder.dimensions();
    limits.check_picture(size.0, size.1)?;
    let (color, alpha) =
        accepted_color(decoder.color_type(), decoder.original_color_type(), format)?;
    let mut metadata = Metadata {
        icc: decoder.icc_profile().map_err(fail)?,
        exif: match exif {
            Some(exif) => Some(exif.to_vec()),
            None => decoder.exif_metadata().map_err(fail)?,
        },
        xmp: decoder.xmp_metadata().map_err(fail)?,
    };
    limits.check_metadata(metadata.size())?;
    let turn = match metadata.exif.as_mut() {
        Some(exif) => orientation::take_from_exif(exif),
        None => decoder.orientation().map_err(fail)?,
    };
    // Not earlier: the TIFF decoder holds metadata to the limit for pixels and drops what is larger.
    decoder
        .set_limits(decoder_limits(size, limits))
        .map_err(fail)?;
    let mut samples = buffer(format, decoder.total_bytes())?;
    decoder.read_image(&mut samples).map_err(fail)?;
    to_picture(samples, size, color, alpha, turn, metadata)
}

/// Colour and alpha of what a decoder returns, or why it would not be the picture in the file.
fn accepted_color(
    decoded: ColorType,
    original: ExtendedColorType,
    format: Format,
) -> Result<(Color, bool), Error> {
    let refuse = |what: &str, advice| {
        Err(Error::Unsupported {
            format: format.name(),
            what: what.into(),
            advice,
        })
    };
    if matches!(
        original,
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
    ) {
        return refuse("cmyk colour", "convert it to rgb first");
    }
    match decoded {
        ColorType::L8 => Ok((Color::Gray, false)),
        ColorType::La8 => Ok((Color::Gray, true)),
        ColorType::Rgb8 => Ok((Color::Rgb, false)),
        ColorType::Rgba8 => Ok((Color::Rgb, true)),
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            refuse("16 bits a sample", "convert it to 8 bits first")
        }
        _ => refuse("floating-point samples", "convert it to 8 bits first"),
    }
}

/// A zeroed buffer whose size was checked, or an error where memory is short.
pub(super) fn buffer(format: Format, bytes: u64) -> Result<Vec<u8>, Error> {
    let short = || Error::Limit {
        format: format.name(),
        reason: format!("{bytes} bytes of memory for its pixels are not there"),
    };
    let length = usize::try_from(bytes).map_err(|_| short())?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).map_err(|_| short())?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// Turns decoded samples upright and splits alpha off.
pub(super) fn to_picture(
    samples: Vec<u8>,
    size: (u32, u32),
    color: Color,
    alpha: bool,
    turn: Orientation,
    metadata: Metadata,
) -> Result<Picture, Error> {
    let channels = color.channels() + usize::from(alpha);
    let (samples, (width, height)) = orientation::apply(samples, size, channels, turn);
    let picture = if alpha {
        Picture::from_interleaved_alpha(width, height, color, &samples)?
    } else {
        Picture::new(width, height, color, samples)?
    };
    Ok(picture.with_metadata(metadata))
}

fn from_image(error: ImageError, format: Format) -> Error {
    let reason = error.to_string();
    let truncated = ends_early(&error);
    let format = format.name();
    match error {
        ImageError::Unsupported(_) => Error::Unsupported {
            format,
            what: reason,
            advice: "convert it to png first",
        },
        ImageError::Limits(_) => Error::Limit { format, reason },
        _ if truncated => Error::Truncated { format, reason },
        _ => Error::Malformed { format, reason },
    }
}

/// Whether an unexpected end of file is among the causes.
fn ends_early(error: &ImageError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(ImageError::IoError(io)) = error.downcast_ref() {
            return io.kind() == std::io::ErrorKind::UnexpectedEof;
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::UnexpectedEof;
        }
        cause = error.source();
    }
    false
}
