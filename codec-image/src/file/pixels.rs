//! Moving samples between pictures and tiles.

use codec_core::error::Error;

use super::Area;

/// Repeats every sample three times.
pub(crate) fn gray_to_rgb(gray: &[u8]) -> Vec<u8> {
    gray.iter().flat_map(|sample| [*sample; 3]).collect()
}

/// Rounded mean of the three channels, in place.
pub(super) fn rgb_to_gray(mut rgb: Vec<u8>) -> Vec<u8> {
    let gray: Vec<u8> = rgb
        .chunks_exact(3)
        .map(|pixel| {
            let sum: u16 = pixel.iter().map(|sample| u16::from(*sample)).sum();
            // Thirds never tie, so that adding one third rounds to the nearest.
            ((sum + 1) / 3) as u8
        })
        .collect();
    rgb.clear();
    gray
}

/// Copies the tile `area` out of an RGB picture of `width` columns; `area` lies inside.
pub(super) fn cut(rgb: &[u8], width: usize, area: &Area) -> Vec<u8> {
    let mut tile = Vec::with_capacity(3 * area.width * area.height);
    for row in rgb.chunks_exact(3 * width).skip(area.y).take(area.height) {
        tile.extend(row.iter().skip(3 * area.x).take(3 * area.width));
    }
    tile
}

/// Lengthens a buffer with zeros.
///
/// # Errors
/// [`Error::LimitExceeded`] if the memory is not there.
pub(super) fn grow(samples: &mut Vec<u8>, length: usize) -> Result<(), Error> {
    let more = length.saturating_sub(samples.len());
    samples
        .try_reserve_exact(more)
        .map_err(|_| Error::LimitExceeded {
            what: "picture size in bytes",
            limit: samples.len() as u64,
            actual: length as u64,
        })?;
    samples.resize(length, 0);
    Ok(())
}

/// Copies the tile `area` into an RGB picture of `width` columns; `area` lies inside.
pub(super) fn paste(rgb: &mut [u8], width: usize, area: &Area, tile: &[u8]) {
    let rows = rgb.chunks_exact_mut(3 * width).skip(area.y);
    for (row, from) in rows.zip(tile.chunks_exact(3 * area.width)) {
        for (to, from) in row.iter_mut().skip(3 * area.x).zip(from) {
            *to = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_survives_and_rounds_to_the_nearest() {
        let gray: Vec<u8> = (0..=255).collect();
        assert_eq!(rgb_to_gray(gray_to_rgb(&gray)), gray);
        assert_eq!(
            rgb_to_gray(vec![1, 1, 2, 1, 2, 2, 255, 255, 254]),
            [1, 2, 255]
        );
    }

    #[test]
    fn tiles_are_cut_and_pasted_back() {
        let rgb: Vec<u8> = (0..5 * 4 * 3).collect();
        let mut copy = vec![0; rgb.len()];
        for (x, width) in [(0, 3), (3, 2)] {
            for (y, height) in [(0, 3), (3, 1)] {
                let area = Area {
                    x,
                    y,
                    width,
                    height,
                };
                let tile = cut(&rgb, 5, &area);
                assert_eq!(tile.len(), 3 * width * height);
                paste(&mut copy, 5, &area, &tile);
            }
        }
        assert_eq!(copy, rgb);
    }
}
