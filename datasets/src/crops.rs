//! One random crop of a picture.

use crate::resample::downscale;
use crate::{Picture, SplitMix64};

/// Most values in one batch (4 GiB of f32).
pub(crate) const MAX_BATCH_VALUES: usize = 1 << 30;

/// How one crop is cut from a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crop {
    /// Side in pixels.
    pub(crate) size: usize,
    /// Mirror left-right and top-bottom at random, each with chance 1/2.
    pub(crate) flips: bool,
    /// Swap rows and columns at random with chance 1/2. Together with `flips` all eight orientations are equally likely.
    pub(crate) transpose: bool,
    /// Downscale by a factor drawn evenly from this range, `0 < low <= high <= 1`, with antialiasing. A picture that
    /// would become smaller than the crop is scaled as far as it allows.
    pub(crate) rescale: Option<(f32, f32)>,
}

impl Crop {
    /// `[3, size, size]` in 0..1 from a picture whose sides are `size` at least. All draws happen in every case, so that
    /// switching one option leaves the others' draws alone.
    pub(crate) fn draw(&self, picture: &Picture, rng: &mut SplitMix64) -> Vec<f32> {
        let (width, height, size) = (picture.width(), picture.height(), self.size);

        let unit = rng.unit();
        let side = match self.rescale {
            None => size,
            Some((low, high)) => {
                let scale = low + (high - low) * unit;
                ((size as f32 / scale).round() as usize).clamp(size, width.min(height))
            }
        };
        let x = rng.below((width - side + 1) as u64) as usize;
        let y = rng.below((height - side + 1) as u64) as usize;
        let (mirror, upend, swap) = (rng.coin(), rng.coin(), rng.coin());

        let planes = if side == size {
            cut(picture, x, y, size)
        } else {
            downscale(picture, x, y, side, size)
        };
        let (mirror, upend) = (mirror && self.flips, upend && self.flips);
        let swap = swap && self.transpose;
        if !(mirror || upend || swap) {
            return planes;
        }
        let mut data = Vec::with_capacity(planes.len());
        for plane in planes.chunks_exact(size * size) {
            for row in 0..size {
                for column in 0..size {
                    let (from_row, from_column) = if swap { (column, row) } else { (row, column) };
                    let from_row = if upend { size - 1 - from_row } else { from_row };
                    let from_column = if mirror {
                        size - 1 - from_column
                    } else {
                        from_column
                    };
                    data.push(plane[from_row * size + from_column]);
                }
            }
        }
        data
    }
}

/// `[3, size, size]` in 0..1 of the region at (`x`, `y`).
fn cut(picture: &Picture, x: usize, y: usize, size: usize) -> Vec<f32> {
    let mut out = vec![0.0; 3 * size * size];
    for row in 0..size {
        let start = ((y + row) * picture.width() + x) * 3;
        for (column, pixel) in picture.pixels()[start..start + size * 3]
            .chunks_exact(3)
            .enumerate()
        {
            for (channel, &value) in pixel.iter().enumerate() {
                out[(channel * size + row) * size + column] = f32::from(value) / 255.0;
            }
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Checksums of 20 batches of 5 crops of 24x24 with seed 7: as by default, rescaled to 0.5..1, and without
    /// orientations or weights.
    pub(crate) const GOLDEN: [u64; 3] = [
        0xd97e_490f_760b_e86a,
        0x78cd_b07c_9853_4d21,
        0x4067_8b9d_ce78_09bd,
    ];

    /// The pictures of noise that [`GOLDEN`] is about.
    pub(crate) fn golden_pictures() -> Vec<Picture> {
        [(60, 40, 1), (20, 90, 2), (120, 80, 3), (33, 35, 4)]
            .into_iter()
            .map(|(width, height, seed)| {
                let mut rng = SplitMix64::new(seed);
                let pixels = (0..width * height * 3)
                    .map(|_| rng.next_u64() as u8)
                    .collect();
                Picture::new(width, height, pixels).unwrap()
            })
            .collect()
    }

    /// FNV-1a of the bits.
    pub(crate) fn checksum(data: &[f32]) -> u64 {
        data.iter()
            .flat_map(|v| v.to_bits().to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            })
    }

    /// Picture whose red is x, green is y and blue is a constant.
    fn coordinates(width: usize, height: usize, blue: u8) -> Picture {
        let pixels = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, blue]))
            .collect();
        Picture::new(width, height, pixels).unwrap()
    }

    const PLAIN: Crop = Crop {
        size: 24,
        flips: false,
        transpose: false,
        rescale: None,
    };

    fn levels(crop: &Crop, picture: &Picture, rng: &mut SplitMix64) -> Vec<u8> {
        let values = crop.draw(picture, rng).into_iter();
        values.map(|v| (v * 255.0).round() as u8).collect()
    }

    #[test]
    fn plain_crops_hold_the_pictures_pixels() {
        let picture = coordinates(60, 40, 1);
        let mut rng = SplitMix64::new(7);
        for _ in 0..200 {
            let crop = levels(&PLAIN, &picture, &mut rng);
            let (left, top) = (crop[0], crop[24 * 24]);
            for row in 0..24 {
                for column in 0..24 {
                    assert_eq!(crop[row * 24 + column], left + column as u8);
                    assert_eq!(crop[(24 + row) * 24 + column], top + row as u8);
                    assert_eq!(crop[(48 + row) * 24 + column], 1);
                }
            }
        }
    }

    #[test]
    fn all_orientations_are_equally_likely() {
        let crop = Crop {
            size: 16,
            flips: true,
            transpose: true,
            rescale: None,
        };
        let picture = coordinates(60, 40, 1);
        let mut rng = SplitMix64::new(0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..1600 {
            let crop = levels(&crop, &picture, &mut rng);
            // Direction of growing x and y tells the orientation.
            let step = |from: usize, to: usize| i16::from(crop[to]) - i16::from(crop[from]);
            *counts
                .entry((step(0, 1), step(0, 16), step(256, 257), step(256, 272)))
                .or_insert(0usize) += 1;
        }
        assert_eq!(counts.len(), 8, "{counts:?}");
        assert!(counts.values().all(|&n| n.abs_diff(200) < 80), "{counts:?}");
    }

    #[test]
    fn rescaled_crops_cover_more_of_the_picture() {
        let halved = Crop {
            size: 32,
            rescale: Some((0.5, 0.5)),
            ..PLAIN
        };
        // The first is 40 high: it cannot be halved, only brought to 32. The other one can.
        for (picture, expected) in [
            (coordinates(60, 40, 1), 39u8),
            (coordinates(120, 80, 3), 62),
        ] {
            let crop = levels(&halved, &picture, &mut SplitMix64::new(1));
            let span = crop[31] - crop[0];
            assert!(span.abs_diff(expected) <= 2, "{span}");
        }
    }
}
