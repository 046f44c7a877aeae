//! Pictures without loss, in whichever of PNG and WebP is shorter.

use crate::{EvalError, RgbImage};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::path::PathBuf;

/// Media type and bytes of the file.
pub(super) fn encode(picture: &RgbImage) -> Result<(&'static str, Vec<u8>), EvalError> {
    let mut png = Vec::new();
    write(
        png_encoder(&mut png),
        picture.as_raw(),
        picture.dimensions(),
        ExtendedColorType::Rgb8,
    )?;
    let mut webp = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut webp);
    // WebP has a largest side; PNG has none to speak of.
    let written = write(
        encoder,
        picture.as_raw(),
        picture.dimensions(),
        ExtendedColorType::Rgb8,
    );
    if written.is_ok() && webp.len() < png.len() {
        return Ok(("image/webp", webp));
    }
    Ok(("image/png", png))
}

/// One byte a pixel as a PNG.
pub(super) fn encode_grey(pixels: &[u8], size: (u32, u32)) -> Result<Vec<u8>, EvalError> {
    let mut png = Vec::new();
    write(png_encoder(&mut png), pixels, size, ExtendedColorType::L8)?;
    Ok(png)
}

fn png_encoder(out: &mut Vec<u8>) -> PngEncoder<&mut Vec<u8>> {
    PngEncoder::new_with_quality(out, CompressionType::Default, FilterType::Adaptive)
}

fn write(
    encoder: impl ImageEncoder,
    pixels: &[u8],
    (width, height): (u32, u32),
    colour: ExtendedColorType,
) -> Result<(), EvalError> {
    let written = encoder.write_image(pixels, width, height, colour);
    written.map_err(|source| EvalError::Picture {
        path: PathBuf::new(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn nothing_is_lost() {
        let smooth = RgbImage::from_fn(64, 48, |x, y| Rgb([x as u8 * 2, y as u8 * 3, 90]));
        let noisy = RgbImage::from_fn(9, 5, |x, y| {
            let seed = (x * 31 + y * 17).wrapping_mul(2_654_435_761);
            Rgb([(seed >> 3) as u8, (seed >> 11) as u8, (seed >> 19) as u8])
        });
        for picture in [smooth, noisy] {
            let (kind, bytes) = encode(&picture).unwrap();
            assert!(kind.starts_with("image/"));
            let back = image::load_from_memory(&bytes).unwrap().to_rgb8();
            assert_eq!(back, picture);
        }
    }
}
