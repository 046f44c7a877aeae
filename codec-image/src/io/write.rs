//! From a [`Picture`] to the bytes of a picture file.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::pnm::{PnmEncoder, PnmSubtype, SampleEncoding};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, qoi::QoiEncoder, tiff::TiffEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::{Format, jpeg, png, webp};
use crate::error::Error;
use crate::picture::{Color, Metadata, Picture};

/// Quality of JPEG output: high, because what is written here has been compressed once already.
pub const JPEG_QUALITY: u8 = 95;

/// Writes a picture file; without loss except for JPEG (quality [`JPEG_QUALITY`], 4:4:4).
///
/// ICC, EXIF and XMP are written where the format has a place for them; [`lost_metadata`] tells
/// beforehand which are not. WebP and QOI have no grayscale: three equal channels are stored.
///
/// # Errors
/// [`Error::CannotWrite`] if pixels or alpha would not survive (alpha in JPEG, anything in GIF),
/// [`Error::Core`] if buffers do not fit the size, [`Error::Encoder`] if the picture is too large
/// for the format.
pub fn write(picture: &Picture, format: Format) -> Result<Vec<u8>, Error> {
    picture.validate()?;
    check_alpha(picture, format)?;
    match format {
        Format::Png => {
            let mut file = Vec::new();
            let encoder = PngEncoder::new_with_quality(
                &mut file,
                CompressionType::Fast,
                FilterType::Adaptive,
            );
            encode(encoder, picture, format)?;
            if let Some(xmp) = kept(picture, format).xmp {
                png::insert_xmp(&mut file, xmp);
            }
            Ok(file)
        }
        Format::Jpeg => {
            let mut file = Vec::new();
            encode(
                JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY),
                picture,
                format,
            )?;
            if let Some(xmp) = kept(picture, format).xmp {
                jpeg::insert_xmp(&mut file, xmp);
            }
            Ok(file)
        }
        Format::WebP => webp::write(picture),
        Format::Tiff => {
            let mut file = Cursor::new(Vec::new());
            encode(TiffEncoder::new(&mut file), picture, format)?;
            Ok(file.into_inner())
        }
        Format::Bmp => {
            let mut file = Vec::new();
            encode(BmpEncoder::new(&mut file), picture, format)?;
            Ok(file)
        }
        Format::Pnm | Format::Pam => {
            let subtype = match (format, picture.color) {
                (Format::Pam, _) => PnmSubtype::ArbitraryMap,
                (_, Color::Gray) => PnmSubtype::Graymap(SampleEncoding::Binary),
                (_, Color::Rgb) => PnmSubtype::Pixmap(SampleEncoding::Binary),
            };
            let mut file = Vec::new();
            encode(
                PnmEncoder::new(&mut file).with_subtype(subtype),
                picture,
                format,
            )?;
            Ok(file)
        }
        Format::Qoi => {
            let mut file = Vec::new();
            encode(QoiEncoder::new(&mut file), &as_rgb(picture), format)?;
            Ok(file)
        }
        Format::Gif => Err(Error::CannotWrite {
            format: format.name(),
            what: "more than 256 colours".into(),
            advice: "write png, webp or qoi instead",
        }),
    }
}

/// Names of the picture's metadata that [`write()`] leaves out because the format or its encoder has
/// no place for them.
#[must_use]
pub fn lost_metadata(picture: &Picture, format: Format) -> Vec<&'static str> {
    let (has, keeps) = (&picture.metadata, kept(picture, format));
    [
        ("icc", has.icc.is_some(), keeps.icc.is_some()),
        ("exif", has.exif.is_some(), keeps.exif.is_some()),
        ("xmp", has.xmp.is_some(), keeps.xmp.is_some()),
    ]
    .into_iter()
    .filter(|(_, has, keeps)| *has && !keeps)
    .map(|(name, ..)| name)
    .collect()
}

/// The metadata that the format holds.
#[derive(Default)]
struct Kept<'a> {
    icc: Option<&'a [u8]>,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
}

fn kept(picture: &Picture, format: Format) -> Kept<'_> {
    let Metadata { icc, exif, xmp } = &picture.metadata;
    // Empty data would be written as if there were none.
    let up_to = |data: &'_ Option<Vec<u8>>, most: usize| {
        data.as_ref()
            .is_some_and(|data| (1..=most).contains(&data.len()))
    };
    let (most_icc, most_exif, most_xmp) = match format {
        Format::Png => (MAX_PNG_CHUNK, MAX_PNG_CHUNK, MAX_PNG_CHUNK),
        Format::Jpeg => (jpeg::MAX_ICC, jpeg::MAX_EXIF, jpeg::MAX_XMP),
        Format::WebP => (MAX_WEBP_CHUNK, MAX_WEBP_CHUNK, MAX_WEBP_CHUNK),
        Format::Tiff => (MAX_WEBP_CHUNK, 0, 0),
        _ => (0, 0, 0),
    };
    Kept {
        icc: icc.as_deref().filter(|_| up_to(icc, most_icc)),
        exif: exif.as_deref().filter(|_| up_to(exif, most_exif)),
        xmp: xmp.as_deref().filter(|_| up_to(xmp, most_xmp)),
    }
}

/// A PNG chunk is shorter than 2^31 bytes; less leaves room for what stands before the data.
const MAX_PNG_CHUNK: usize = 1 << 30;
/// A WebP file, and an offset in TIFF, is shorter than 2^32 bytes.
const MAX_WEBP_CHUNK: usize = 1 << 30;

fn check_alpha(picture: &Picture, format: Format) -> Result<(), Error> {
    let (what, advice) = match (format, picture.color, picture.alpha.is_some()) {
        (Format::Jpeg, _, true) => ("alpha", "write png or webp instead"),
        (Format::Pnm, _, true) => ("alpha", "write pam or png instead"),
        (Format::Tiff | Format::Bmp, Color::Gray, true) => ("gray with alpha", "write png instead"),
        _ => return Ok(()),
    };
    Err(Error::CannotWrite {
        format: format.name(),
        what: what.into(),
        advice,
    })
}

fn encode(mut encoder: impl ImageEncoder, picture: &Picture, format: Format) -> Result<(), Error> {
    let fail = |reason: String| Error::Encoder {
        format: format.name(),
        reason,
    };
    let keeps = kept(picture, format);
    if let Some(icc) = keeps.icc {
        encoder
            .set_icc_profile(icc.to_vec())
            .map_err(|error| fail(error.to_string()))?;
    }
    if let Some(exif) = keeps.exif {
        encoder
            .set_exif_metadata(exif.to_vec())
            .map_err(|error| fail(error.to_string()))?;
    }
    let color = match (picture.color, picture.alpha.is_some()) {
        (Color::Gray, false) => ExtendedColorType::L8,
        (Color::Gray, true) => ExtendedColorType::La8,
        (Color::Rgb, false) => ExtendedColorType::Rgb8,
        (Color::Rgb, true) => ExtendedColorType::Rgba8,
    };
    encoder
        .write_image(&picture.interleaved(), picture.width, picture.height, color)
        .map_err(|error| fail(error.to_string()))
}

/// The picture with its gray channel three times, for formats without grayscale.
fn as_rgb(picture: &Picture) -> std::borrow::Cow<'_, Picture> {
    use std::borrow::Cow;
    match picture.color {
        Color::Rgb => Cow::Borrowed(picture),
        Color::Gray => {
            let pixels = picture
                .pixels
                .iter()
                .flat_map(|value| [*value; 3])
                .collect();
            Cow::Owned(Picture {
                color: Color::Rgb,
                pixels,
                ..picture.clone()
            })
        }
    }
}
