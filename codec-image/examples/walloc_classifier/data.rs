//! Photographs as classes, and crops of them in every form.

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Limits;
use codec_image::picture::Picture;

use crate::Failure;

/// Side of a crop in pixels.
pub const SIDE: usize = 128;
/// Columns (rows of upright pictures) for tests; crops keep away from their ends, where a transform sees beyond them.
pub const STRIP: usize = 192;
/// Test crops of a picture, evenly along its test strip.
pub const TEST_CROPS: usize = 8;

/// Where the parts for training begin, in halves of the alignment: what a block sees changes with its place.
const SHIFTS: [[usize; 2]; 4] = [[0, 0], [1, 0], [0, 1], [1, 1]];

/// A small generator of random numbers (xorshift), so that crops never change.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % count.max(1)
    }
}

/// A part of a photograph.
pub struct Region {
    pub width: usize,
    pub height: usize,
    pub samples: Vec<u8>,
}

/// What one class is learnt and tested on.
pub struct Photograph {
    /// As it is and its mirror image, from every start of [`SHIFTS`].
    pub train: Vec<Region>,
    pub test: Region,
}

impl Photograph {
    /// `None` for pictures that are too small. Sides become multiples of `alignment`.
    pub fn new(picture: &Picture, alignment: usize) -> Option<Self> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let (long, short) = (width.max(height), width.min(height));
        if long < STRIP + SIDE + alignment
            || short < SIDE + alignment
            || picture.pixels.len() != 3 * width * height
        {
            return None;
        }
        // Columns (rows of upright pictures) `from..to`, without so many pixels at the beginning of either side.
        let cut = |from: usize, to: usize, flip: bool, skipped: [usize; 2]| {
            let [along, across] = skipped;
            let length = (to - from - along) / alignment * alignment;
            let short = (short - across) / alignment * alignment;
            let from = from + along;
            let (x, y, w, h) = if width >= height {
                (from, across, length, short)
            } else {
                (across, from, short, length)
            };
            let places = (y..y + h).flat_map(|y| {
                (0..w).map(move |i| y * width + x + if flip { w - 1 - i } else { i })
            });
            let samples = places.flat_map(|at| &picture.pixels[3 * at..3 * at + 3]);
            Region {
                width: w,
                height: h,
                samples: samples.copied().collect(),
            }
        };
        let shifts = SHIFTS.map(|shift| shift.map(|halves| halves * alignment / 2));
        let train = shifts.iter().flat_map(|&shift| {
            let part = |flip| cut(0, long - STRIP, flip, shift);
            [part(false), part(true)]
        });
        Some(Self {
            train: train.collect(),
            test: cut(long - STRIP, long, false, [0, 0]),
        })
    }

    pub fn read(folder: &Path, alignment: usize) -> Result<Vec<Self>, Failure> {
        let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path()));
        let mut paths = entries.collect::<Result<Vec<PathBuf>, _>>()?;
        paths.sort();
        let mut all = Vec::new();
        for path in paths {
            let read = codec_image::io::read(&std::fs::read(&path)?, &Limits::default());
            all.extend(read.ok().and_then(|picture| Self::new(&picture, alignment)));
        }
        Ok(all)
    }
}

/// What the classifier sees of a region: planes of numbers, one place for each block of pixels.
pub struct Grid {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

/// What makes an input of a region.
pub type ToGrid<'a> = Box<dyn Fn(&Region) -> Result<Grid, Failure> + 'a>;

/// How regions become grids.
pub struct Form<'a> {
    pub name: &'static str,
    pub channels: usize,
    pub grid: ToGrid<'a>,
}

/// Pixels averaged over squares of `factor`, then blocks of `block` x `block` of them as channels.
pub fn pixels(region: &Region, factor: usize, block: usize) -> Grid {
    let side = factor * block;
    let (width, height) = (region.width / side, region.height / side);
    let mut values = vec![0.0; 3 * block * block * width * height];
    let scale = 1.0 / (255 * factor * factor) as f32;
    for (at, pixel) in region.samples.chunks(3).enumerate() {
        let (x, y) = (at % region.width / factor, at / region.width / factor);
        for (c, &v) in pixel.iter().enumerate() {
            let channel = (c * block + y % block) * block + x % block;
            let place = y / block * width + x / block;
            values[channel * width * height + place] += f32::from(v) * scale;
        }
    }
    Grid {
        width,
        height,
        values,
    }
}

/// A window of a grid.
#[derive(Clone, Copy)]
pub struct Crop {
    pub class: usize,
    /// Which of the parts for training.
    pub part: usize,
    pub x: usize,
    pub y: usize,
}

/// All photographs in one form; every channel has mean 0 and deviation 1 over the parts for training.
pub struct Data {
    pub channels: usize,
    /// Places along a side of a crop.
    pub side: usize,
    pub train: Vec<Vec<Grid>>,
    pub test: Vec<Grid>,
}

impl Data {
    pub fn new(photographs: &[Photograph], form: &Form<'_>, side: usize) -> Result<Self, Failure> {
        let mut data = Self {
            channels: form.channels,
            side,
            train: Vec::new(),
            test: Vec::new(),
        };
        for photograph in photographs {
            let parts = photograph.train.iter().map(|part| (form.grid)(part));
            data.train.push(parts.collect::<Result<_, _>>()?);
            data.test.push((form.grid)(&photograph.test)?);
        }
        let mut sums = vec![[0.0f64; 3]; form.channels];
        for grid in data.train.iter().flatten() {
            let planes = grid.values.chunks(grid.width * grid.height);
            for (sum, plane) in sums.iter_mut().zip(planes) {
                for v in plane.iter().map(|&v| f64::from(v)) {
                    *sum = [sum[0] + 1.0, sum[1] + v, sum[2] + v * v];
                }
            }
        }
        for grid in data.train.iter_mut().flatten().chain(&mut data.test) {
            let planes = grid.values.chunks_mut(grid.width * grid.height);
            for ([count, sum, squares], plane) in sums.iter().zip(planes) {
                let mean = sum / count;
                let deviation = (squares / count - mean * mean).max(1e-12).sqrt();
                plane
                    .iter_mut()
                    .for_each(|v| *v = (*v - mean as f32) / deviation as f32);
            }
        }
        Ok(data)
    }

    pub fn train_crop(&self, random: &mut Random) -> Crop {
        let class = random.below(self.train.len());
        let part = random.below(self.train[class].len());
        let grid = &self.train[class][part];
        Crop {
            class,
            part,
            x: random.below(grid.width - self.side + 1),
            y: random.below(grid.height - self.side + 1),
        }
    }

    pub fn test_crops(&self) -> Vec<Crop> {
        let grids = self.test.iter().enumerate();
        grids
            .flat_map(|(class, grid)| {
                let across = (grid.width.min(grid.height) - self.side) / 2;
                (0..TEST_CROPS).map(move |i| {
                    let spread = |length: usize| i * (length - self.side) / (TEST_CROPS - 1);
                    // The strip runs down wide pictures and along upright ones.
                    let down = grid.width * SIDE == STRIP * self.side;
                    Crop {
                        class,
                        part: 0,
                        x: if down { across } else { spread(grid.width) },
                        y: if down { spread(grid.height) } else { across },
                    }
                })
            })
            .collect()
    }

    pub fn batch<B: Backend>(
        &self,
        crops: &[Crop],
        test: bool,
    ) -> (Tensor<B, 4>, Tensor<B, 2, Int>) {
        let (channels, side) = (self.channels, self.side);
        let mut values = Vec::with_capacity(crops.len() * channels * side * side);
        for crop in crops {
            let grid = match test {
                true => &self.test[crop.class],
                false => &self.train[crop.class][crop.part],
            };
            for plane in grid.values.chunks(grid.width * grid.height) {
                for row in plane.chunks(grid.width).skip(crop.y).take(side) {
                    values.extend_from_slice(&row[crop.x..crop.x + side]);
                }
            }
        }
        let classes: Vec<i64> = crops.iter().map(|crop| crop.class as i64).collect();
        let (values, classes) = (
            TensorData::new(values, [crops.len(), channels, side, side]),
            TensorData::new(classes, [crops.len(), 1]),
        );
        let device = Default::default();
        (
            Tensor::from_data(values, &device),
            Tensor::from_data(classes, &device),
        )
    }
}
