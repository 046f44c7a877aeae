//! EXIF orientation: turning pixels upright and saying so in the tag.

use image::metadata::Orientation;

/// Prefix of EXIF data in JPEG segments, and by mistake in some WebP files.
const PREFIX: &[u8] = b"Exif\0\0";

/// Strips the JPEG prefix, sets the orientation tag to 1 and returns what it was.
pub(super) fn take_from_exif(exif: &mut Vec<u8>) -> Orientation {
    if exif.starts_with(PREFIX) {
        exif.drain(..PREFIX.len());
    }
    Orientation::remove_from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// Turns interleaved samples of `width * height` pixels; returns the new size with them.
pub(super) fn apply(
    samples: Vec<u8>,
    (width, height): (u32, u32),
    channels: usize,
    orientation: Orientation,
) -> (Vec<u8>, (u32, u32)) {
    use Orientation as O;
    let (swap, flip_x, flip_y) = match orientation {
        O::NoTransforms => return (samples, (width, height)),
        O::FlipHorizontal => (false, true, false),
        O::Rotate180 => (false, true, true),
        O::FlipVertical => (false, false, true),
        // After swapping the axes: which of the source's axes runs backwards.
        O::Rotate90FlipH => (true, false, false),
        O::Rotate90 => (true, false, true),
        O::Rotate270FlipH => (true, true, true),
        O::Rotate270 => (true, true, false),
    };
    let (columns, rows) = (width as usize, height as usize);
    let size = if swap {
        (height, width)
    } else {
        (width, height)
    };
    let mut turned = Vec::with_capacity(samples.len());
    for y in 0..size.1 as usize {
        for x in 0..size.0 as usize {
            let (from_x, from_y) = if swap { (y, x) } else { (x, y) };
            let from_x = if flip_x { columns - 1 - from_x } else { from_x };
            let from_y = if flip_y { rows - 1 - from_y } else { from_y };
            let at = (from_y * columns + from_x) * channels;
            turned.extend_from_slice(samples.get(at..at + channels).unwrap_or_default());
        }
    }
    (turned, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_image_crate_for_every_orientation() {
        let source = image::RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 7]));
        for tag in 1..=8 {
            let orientation = Orientation::from_exif(tag).unwrap();
            let mut expected = image::DynamicImage::from(source.clone());
            expected.apply_orientation(orientation);
            let (turned, size) = apply(source.clone().into_raw(), (5, 3), 3, orientation);
            assert_eq!(size, (expected.width(), expected.height()), "{tag}");
            assert_eq!(turned, expected.into_bytes(), "{tag}");
        }
    }
}
