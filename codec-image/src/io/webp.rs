//! WebP through `image-webp` itself: unlike the `image` crate's wrapper it takes limits and writes
//! XMP.

use std::io::Cursor;

use codec_core::Limits;
use image::metadata::Orientation;
use image_webp::{ColorType, DecodingError, WebPDecoder, WebPEncoder};

use super::{Format, buffer, orientation, to_picture};
use crate::error::Error;
use crate::picture::{Color, Metadata, Picture};

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, Error> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(from_webp)?;
    let (width, height) = decoder.dimensions();
    limits.check_picture(width, height)?;
    if decoder.is_animated() {
        return Err(Error::Unsupported {
            format: Format::WebP.name(),
            what: format!("{} animation frames", decoder.num_frames()),
            advice: "extract one frame first",
        });
    }
    decoder.set_memory_limit(usize::try_from(limits.max_metadata_bytes).unwrap_or(usize::MAX));
    let mut metadata = Metadata {
        icc: decoder.icc_profile().map_err(from_webp)?,
        exif: decoder.exif_metadata().map_err(from_webp)?,
        xmp: decoder.xmp_metadata().map_err(from_webp)?,
    };
    limits.check_metadata(metadata.size())?;
    let turn = metadata
        .exif
        .as_mut()
        .map_or(Orientation::NoTransforms, orientation::take_from_exif);
    let alpha = decoder.has_alpha();
    let channels = if alpha { 4 } else { 3 };
    let mut samples = buffer(
        Format::WebP,
        u64::from(width) * u64::from(height) * channels,
    )?;
    decoder.read_image(&mut samples).map_err(from_webp)?;
    to_picture(samples, (width, height), Color::Rgb, alpha, turn, metadata)
}

pub(super) fn write(picture: &Picture) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let mut encoder = WebPEncoder::new(&mut file);
    let Metadata { icc, exif, xmp } = picture.metadata.clone();
    encoder.set_icc_profile(icc.unwrap_or_default());
    encoder.set_exif_metadata(exif.unwrap_or_default());
    encoder.set_xmp_metadata(xmp.unwrap_or_default());
    let color = match (picture.color, picture.alpha.is_some()) {
        (Color::Gray, false) => ColorType::L8,
        (Color::Gray, true) => ColorType::La8,
        (Color::Rgb, false) => ColorType::Rgb8,
        (Color::Rgb, true) => ColorType::Rgba8,
    };
    encoder
        .encode(&picture.interleaved(), picture.width, picture.height, color)
        .map_err(|error| Error::Encoder {
            format: Format::WebP.name(),
            reason: error.to_string(),
        })?;
    Ok(file)
}

fn from_webp(error: DecodingError) -> Error {
    let format = Format::WebP.name();
    let reason = error.to_string();
    match error {
        DecodingError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::Truncated { format, reason }
        }
        DecodingError::ImageTooLarge | DecodingError::MemoryLimitExceeded => {
            Error::Limit { format, reason }
        }
        _ => Error::Malformed { format, reason },
    }
}
