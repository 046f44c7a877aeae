//! Random crops whose content depends on nothing but the seed and the step.

use crate::resample::downscale;
use crate::{BatchSource, DatasetError, ImageFolder, Picture, SplitMix64};
use std::sync::Arc;

/// Most values in one batch (4 GiB of f32).
pub(crate) const MAX_BATCH_VALUES: usize = 1 << 30;

/// How crops are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct CropConfig {
    /// Side of the square crop in pixels.
    pub size: usize,
    /// Crops in a batch.
    pub batch: usize,
    /// Seed of the whole sequence.
    pub seed: u64,
    /// Mirror left-right and top-bottom at random, each with chance 1/2.
    pub flips: bool,
    /// Swap rows and columns at random with chance 1/2. Together with `flips` all eight orientations are equally likely.
    pub transpose: bool,
    /// Downscale by a factor drawn evenly from this range, `0 < low <= high <= 1`, with antialiasing. A picture that
    /// would become smaller than the crop is scaled as far as it allows.
    pub rescale: Option<(f32, f32)>,
    /// Draw pictures in proportion to their number of pixels, so that every pixel is about equally likely. Otherwise
    /// every picture is.
    pub weight_by_area: bool,
}

impl Default for CropConfig {
    fn default() -> Self {
        Self {
            size: 256,
            batch: 8,
            seed: 0,
            flips: true,
            transpose: true,
            rescale: None,
            weight_by_area: true,
        }
    }
}

/// A batch of crops.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBatch {
    /// Number of this batch in the sequence.
    pub index: u64,
    /// Crops in the batch, `N`.
    pub batch: usize,
    /// Side of a crop, `S`.
    pub size: usize,
    /// `[N, 3, S, S]` in 0..1, RGB planes, rows first.
    pub data: Vec<f32>,
}

/// Draws batches of random crops.
#[derive(Debug, Clone)]
pub struct CropSampler {
    folder: Arc<ImageFolder>,
    config: CropConfig,
    /// Usable pictures with the running sum of weights up to and including each.
    cumulative: Vec<(usize, u64)>,
    total: u64,
}

impl CropSampler {
    /// Sampler over all pictures that are at least as large as the crop; smaller ones are left out
    /// ([`CropSampler::usable`] says how many remain).
    ///
    /// # Errors
    /// A parameter out of range, or no picture large enough.
    pub fn new(folder: Arc<ImageFolder>, config: CropConfig) -> Result<Self, DatasetError> {
        let values = config
            .size
            .checked_mul(config.size)
            .and_then(|n| n.checked_mul(3));
        let values = values.and_then(|n| n.checked_mul(config.batch));
        if !values.is_some_and(|n| (1..=MAX_BATCH_VALUES).contains(&n)) {
            return Err(DatasetError::BadParameter {
                name: "batch",
                value: format!("{} of {}x{}", config.batch, config.size, config.size),
                expected: "1..=2^30 values in all",
            });
        }
        if let Some((low, high)) = config.rescale
            && !(low > 0.0 && low <= high && high <= 1.0)
        {
            return Err(DatasetError::BadParameter {
                name: "rescale range",
                value: format!("{low}..={high}"),
                expected: "0 < low <= high <= 1",
            });
        }
        let mut cumulative = Vec::new();
        let (mut total, mut largest) = (0u64, 0);
        for (i, picture) in folder.pictures().iter().enumerate() {
            let side = picture.width().min(picture.height());
            largest = largest.max(side);
            if side >= config.size {
                total += if config.weight_by_area {
                    (picture.pixels().len() / 3) as u64
                } else {
                    1
                };
                cumulative.push((i, total));
            }
        }
        if cumulative.is_empty() {
            return Err(DatasetError::PicturesTooSmall {
                size: config.size,
                largest,
            });
        }
        Ok(Self {
            folder,
            config,
            cumulative,
            total,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &CropConfig {
        &self.config
    }

    /// Number of pictures that are large enough.
    pub fn usable(&self) -> usize {
        self.cumulative.len()
    }

    /// The `k`-th batch: a pure function of pictures, configuration and `k`.
    pub fn batch(&self, k: u64) -> ImageBatch {
        let mut data =
            Vec::with_capacity(self.config.batch * 3 * self.config.size * self.config.size);
        for sample in 0..self.config.batch as u64 {
            self.crop(SplitMix64::keyed(&[self.config.seed, k, sample]), &mut data);
        }
        ImageBatch {
            index: k,
            batch: self.config.batch,
            size: self.config.size,
            data,
        }
    }

    /// Appends one crop. All draws happen in every case, so that switching one option leaves the others' draws alone.
    fn crop(&self, mut rng: SplitMix64, data: &mut Vec<f32>) {
        let draw = rng.below(self.total);
        let slot = self.cumulative.partition_point(|&(_, sum)| sum <= draw);
        let picture = &self.folder.pictures()[self.cumulative[slot].0];
        let crop = Crop {
            size: self.config.size,
            flips: self.config.flips,
            transpose: self.config.transpose,
            rescale: self.config.rescale,
        };
        data.extend_from_slice(&crop.draw(picture, &mut rng));
    }
}

impl BatchSource for CropSampler {
    type Batch = ImageBatch;

    fn make(&self, k: u64) -> ImageBatch {
        self.batch(k)
    }
}

/// How one crop is cut from a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crop {
    pub(crate) size: usize,
    pub(crate) flips: bool,
    pub(crate) transpose: bool,
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

    fn sampler(config: CropConfig) -> CropSampler {
        let pictures = vec![
            coordinates(60, 40, 1),
            coordinates(20, 90, 2),
            coordinates(120, 80, 3),
        ];
        CropSampler::new(Arc::new(ImageFolder::from_pictures(pictures)), config).unwrap()
    }

    fn levels(batch: &ImageBatch) -> Vec<u8> {
        batch
            .data
            .iter()
            .map(|v| (v * 255.0).round() as u8)
            .collect()
    }

    #[test]
    fn plain_crops_hold_the_pictures_pixels() {
        let config = CropConfig {
            size: 24,
            batch: 5,
            flips: false,
            transpose: false,
            ..CropConfig::default()
        };
        let sampler = sampler(config);
        assert_eq!(
            sampler.usable(),
            2,
            "the 20 pixel wide picture is too small"
        );
        let mut seen = [0; 4];
        for k in 0..200 {
            let batch = sampler.batch(k);
            assert_eq!((batch.index, batch.batch, batch.size), (k, 5, 24));
            for crop in levels(&batch).chunks_exact(3 * 24 * 24) {
                let (left, top, blue) = (crop[0], crop[24 * 24], crop[2 * 24 * 24]);
                seen[usize::from(blue)] += 1;
                for row in 0..24 {
                    for column in 0..24 {
                        assert_eq!(crop[row * 24 + column], left + column as u8);
                        assert_eq!(crop[(24 + row) * 24 + column], top + row as u8);
                    }
                }
            }
        }
        // Areas are 2400 and 9600: 200 and 800 of 1000 crops, standard deviation 13.
        assert_eq!(seen[2], 0);
        assert!((140..260).contains(&seen[1]), "{seen:?}");
    }

    #[test]
    fn all_orientations_are_equally_likely() {
        let sampler = sampler(CropConfig {
            size: 16,
            batch: 8,
            ..CropConfig::default()
        });
        let mut counts = std::collections::BTreeMap::new();
        for k in 0..200 {
            for crop in levels(&sampler.batch(k)).chunks_exact(3 * 256) {
                // Direction of growing x and y tells the orientation.
                let step = |from: usize, to: usize| i16::from(crop[to]) - i16::from(crop[from]);
                *counts
                    .entry((step(0, 1), step(0, 16), step(256, 257), step(256, 272)))
                    .or_insert(0usize) += 1;
            }
        }
        assert_eq!(counts.len(), 8, "{counts:?}");
        assert!(counts.values().all(|&n| n.abs_diff(200) < 80), "{counts:?}");
    }

    #[test]
    fn same_seed_and_step_same_batch() {
        let config = CropConfig {
            size: 32,
            batch: 3,
            seed: 9,
            rescale: Some((0.5, 1.0)),
            ..CropConfig::default()
        };
        let (first, second) = (sampler(config.clone()), sampler(config.clone()));
        let later = first.batch(17);
        for k in 0..17 {
            assert_ne!(first.batch(k).data, later.data);
        }
        assert_eq!(second.batch(17), later);
        assert_ne!(
            sampler(CropConfig { seed: 10, ..config }).batch(17).data,
            later.data
        );
    }

    /// Checksums of what the first version drew. They hold for ever: a run resumes only if its data does.
    #[test]
    fn sampling_is_what_it_was() {
        let plain = CropConfig {
            size: 24,
            batch: 5,
            seed: 7,
            ..CropConfig::default()
        };
        let rescale = CropConfig {
            rescale: Some((0.5, 1.0)),
            ..plain.clone()
        };
        let even = CropConfig {
            flips: false,
            transpose: false,
            weight_by_area: false,
            ..plain.clone()
        };
        for (config, expected) in [plain, rescale, even].into_iter().zip(GOLDEN) {
            let folder = Arc::new(ImageFolder::from_pictures(golden_pictures()));
            let sampler = CropSampler::new(folder, config).unwrap();
            let data: Vec<f32> = (0..20).flat_map(|k| sampler.batch(k).data).collect();
            assert_eq!(checksum(&data), expected);
        }
    }

    #[test]
    fn rescaled_crops_cover_more_of_the_picture() {
        let config = CropConfig {
            size: 32,
            batch: 4,
            flips: false,
            transpose: false,
            ..CropConfig::default()
        };
        let sampler = sampler(CropConfig {
            rescale: Some((0.5, 0.5)),
            ..config
        });
        for crop in levels(&sampler.batch(0)).chunks_exact(3 * 32 * 32) {
            let span = crop[31] - crop[0];
            // Blue 1 is 40 high: it cannot be halved, only brought to 32. The other one can.
            let expected = if crop[2 * 32 * 32] == 1 { 39 } else { 62 };
            assert!(span.abs_diff(expected) <= 2, "{span}");
        }
    }

    #[test]
    fn bad_parameters_are_typed() {
        let folder = Arc::new(ImageFolder::from_pictures(vec![coordinates(60, 40, 1)]));
        let bad = |config| CropSampler::new(folder.clone(), config).unwrap_err();
        let ok = CropConfig {
            size: 32,
            ..CropConfig::default()
        };
        for config in [
            CropConfig {
                size: 0,
                ..ok.clone()
            },
            CropConfig {
                batch: 0,
                ..ok.clone()
            },
            CropConfig {
                batch: usize::MAX,
                ..ok.clone()
            },
            CropConfig {
                rescale: Some((0.0, 1.0)),
                ..ok.clone()
            },
            CropConfig {
                rescale: Some((0.8, 0.5)),
                ..ok.clone()
            },
            CropConfig {
                rescale: Some((0.5, 1.5)),
                ..ok.clone()
            },
            CropConfig {
                rescale: Some((f32::NAN, 1.0)),
                ..ok.clone()
            },
        ] {
            assert!(matches!(bad(config), DatasetError::BadParameter { .. }));
        }
        let error = bad(CropConfig { size: 41, ..ok });
        assert_eq!(
            error.to_string(),
            "no picture is at least 41x41 (smaller side of the largest: 40)"
        );
    }
}
