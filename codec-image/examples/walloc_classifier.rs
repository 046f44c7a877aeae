//! Learning on WaLLoC latents without decoding (section 5 of the paper): which photograph is a crop from?
//!
//! `cargo run --release -p codec-image --example walloc_classifier -- WEIGHTS.safetensors PICTURES OUT.json [--steps N]
//! [--seeds N] [--crops N] [--batch N]`
//!
//! Every photograph of the folder is a class. Training crops of 128x128 pixels come from all but the last 128 columns (rows
//! of upright pictures), test crops from those, so no pixel is in both. The same crops are learnt from in three forms: rounded
//! latents, pixels averaged down to as many numbers, and all pixels. Blocks of pixels become channels, so that all forms are
//! grids of one size; then the same network, the same steps and the same batches follow. Each channel is brought to mean 0 and
//! deviation 1 on the training crops.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use burn_flex::Flex;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{Conv, ConvConfig};
use codec_core::weights::WeightsFile;
use codec_core::{Digest, Limits};
use codec_image::coder::RgbTile;
use codec_image::models::Model;
use codec_image::models::walloc::{Coder, Walloc};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;
type Train = Autodiff<Flex>;

/// Side of a crop in pixels.
const SIDE: usize = 128;
/// Test crops of a picture, evenly along its test strip.
const TEST_CROPS: usize = 8;
/// Width of the classifier's first layers.
const WIDTH: usize = 64;
/// Learning rate at the start; it falls to 0 along half a cosine.
const LEARNING_RATE: f64 = 2e-3;

/// What may be set on the command line.
struct Options {
    steps: usize,
    seeds: u64,
    crops: usize,
    batch: usize,
}

/// A small generator of random numbers (xorshift), so that crops and batches never change.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.below(2);
        random
    }

    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % count.max(1)
    }
}

/// RGB samples of a crop.
struct Crop {
    class: usize,
    samples: Vec<u8>,
}

/// Crops of every photograph that is large enough.
struct Data {
    classes: usize,
    train: Vec<Crop>,
    test: Vec<Crop>,
}

impl Data {
    fn read(folder: &Path, crops: usize) -> Result<Self, Failure> {
        let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path()));
        let mut paths = entries.collect::<Result<Vec<PathBuf>, _>>()?;
        paths.sort();
        let mut random = Random::new(1);
        let mut data = Self {
            classes: 0,
            train: Vec::new(),
            test: Vec::new(),
        };
        for path in paths {
            let Ok(picture) = codec_image::io::read(&std::fs::read(&path)?, &Limits::default())
            else {
                continue;
            };
            let (width, height) = (picture.width as usize, picture.height as usize);
            let (long, short) = (width.max(height), width.min(height));
            if short < SIDE || long < 2 * SIDE || picture.pixels.len() != 3 * width * height {
                continue;
            }
            let class = data.classes;
            data.classes += 1;
            let crop = |along: usize, across: usize, flip: bool| {
                let (x, y) = if width >= height {
                    (along, across)
                } else {
                    (across, along)
                };
                let rows = (y..y + SIDE).flat_map(|y| {
                    (0..SIDE).map(move |i| y * width + x + if flip { SIDE - 1 - i } else { i })
                });
                let pixels = rows.flat_map(|at| &picture.pixels[3 * at..3 * at + 3]);
                Crop {
                    class,
                    samples: pixels.copied().collect(),
                }
            };
            for _ in 0..crops {
                let along = random.below(long - 2 * SIDE + 1);
                let across = random.below(short - SIDE + 1);
                data.train.push(crop(along, across, random.below(2) == 1));
            }
            for i in 0..TEST_CROPS {
                let across = i * (short - SIDE) / (TEST_CROPS - 1);
                data.test.push(crop(long - SIDE, across, false));
            }
        }
        Ok(data)
    }
}

/// What the classifier sees of a crop: a grid of `channels` numbers a place, in planes.
struct Form<'a> {
    name: &'static str,
    channels: usize,
    grid: usize,
    values: Box<dyn Fn(&Crop) -> Result<Vec<f32>, Failure> + 'a>,
}

/// Pixels averaged over squares of `factor`, then blocks of them as channels: planes of `grid` x `grid`.
fn pixels(crop: &Crop, factor: usize, grid: usize) -> Vec<f32> {
    let side = SIDE / factor;
    let block = side / grid;
    let mut values = vec![0.0; 3 * side * side];
    let scale = 1.0 / (255 * factor * factor) as f32;
    for (at, pixel) in crop.samples.chunks(3).enumerate() {
        let (x, y) = (at % SIDE / factor, at / SIDE / factor);
        for (c, &v) in pixel.iter().enumerate() {
            let channel = (c * block + y % block) * block + x % block;
            values[(channel * grid + y / block) * grid + x / block] += f32::from(v) * scale;
        }
    }
    values
}

/// Crops in one form, of every channel mean 0 and deviation 1 over the training crops.
struct Set {
    values: Vec<f32>,
    classes: Vec<i64>,
    shape: [usize; 3],
}

impl Set {
    fn new(crops: &[Crop], form: &Form<'_>) -> Result<Self, Failure> {
        let mut values = Vec::new();
        for crop in crops {
            values.extend((form.values)(crop)?);
        }
        Ok(Self {
            values,
            classes: crops.iter().map(|crop| crop.class as i64).collect(),
            shape: [form.channels, form.grid, form.grid],
        })
    }

    fn planes(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let [channels, h, w] = self.shape;
        let planes = self.values.chunks_mut(h * w);
        planes.enumerate().map(move |(i, p)| (i % channels, p))
    }

    /// Mean and deviation of each channel.
    fn moments(&mut self) -> Vec<[f64; 2]> {
        let mut sums = vec![[0.0; 2]; self.shape[0]];
        let count = self.values.len() as f64 / self.shape[0] as f64;
        for (channel, plane) in self.planes() {
            for &mut v in plane {
                sums[channel][0] += f64::from(v);
                sums[channel][1] += f64::from(v).powi(2);
            }
        }
        let moments = sums.into_iter().map(|[sum, squares]| {
            let mean = sum / count;
            [mean, (squares / count - mean * mean).max(1e-12).sqrt()]
        });
        moments.collect()
    }

    fn normalize(&mut self, moments: &[[f64; 2]]) {
        for (channel, plane) in self.planes() {
            let [mean, deviation] = moments[channel].map(|v| v as f32);
            plane.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
        }
    }

    fn batch<B: Backend>(&self, crops: &[usize]) -> (Tensor<B, 4>, Tensor<B, 2, Int>) {
        let [c, h, w] = self.shape;
        let size = c * h * w;
        let values = crops.iter().flat_map(|&i| &self.values[i * size..][..size]);
        let values = TensorData::new(values.copied().collect(), [crops.len(), c, h, w]);
        let classes: Vec<i64> = crops.iter().map(|&i| self.classes[i]).collect();
        let classes = TensorData::new(classes, [crops.len(), 1]);
        let device = Default::default();
        (
            Tensor::from_data(values, &device),
            Tensor::from_data(classes, &device),
        )
    }
}

/// Four convolutions, the mean over all places, and a linear layer.
#[derive(Module, Debug)]
struct Classifier<B: Backend> {
    layers: Vec<Conv<B>>,
    output: Conv<B>,
}

impl<B: CodecBackend> Classifier<B> {
    fn new(channels: usize, classes: usize, device: &B::Device) -> Self {
        let conv = |channels, stride| {
            let config = ConvConfig::new(channels, 3).with_stride(stride);
            config.init(device)
        };
        Self {
            layers: vec![
                conv([channels, WIDTH], 1),
                conv([WIDTH, WIDTH], 2),
                conv([WIDTH, 2 * WIDTH], 2),
                conv([2 * WIDTH, 2 * WIDTH], 1),
            ],
            output: ConvConfig::new([2 * WIDTH, classes], 1)
                .with_gain(0.5)
                .init(device),
        }
    }

    /// `[n, channels, h, w]` to logarithms of probabilities `[n, classes]`.
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let layers = self.layers.iter();
        let h = layers.fold(x, |x, layer| layer.forward(x, Activation::Relu));
        let h = self
            .output
            .forward(h.mean_dim(3).mean_dim(2), Activation::None);
        log_softmax(h.flatten(1, 3), 1)
    }
}

/// Trains a classifier and gives the parts of the test crops for which it is right, and right among five, and the parameters.
fn run(train: &Set, test: &Set, classes: usize, seed: u64, options: &Options) -> ([f64; 2], usize) {
    let device = Default::default();
    Train::seed(&device, seed);
    let mut network = Classifier::<Train>::new(train.shape[0], classes, &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let mut random = Random::new(1000 + seed);
    let mut order: Vec<usize> = (0..train.classes.len()).collect();
    let mut next = order.len();
    let mut loss = 0.0;
    for step in 0..options.steps {
        if next + options.batch > order.len() {
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i + 1));
            }
            next = 0;
        }
        let (x, target) = train.batch::<Train>(&order[next..next + options.batch]);
        next += options.batch;
        let error = network.forward(x).gather(1, target).mean().neg();
        if step % 50 == 49 {
            let value: f64 = error.clone().into_scalar().into();
            loss = if loss == 0.0 {
                value
            } else {
                0.7 * loss + 0.3 * value
            };
        }
        let gradients = GradientsParams::from_grads(error.backward(), &network);
        let angle = std::f64::consts::PI * step as f64 / options.steps as f64;
        let rate = LEARNING_RATE * 0.5 * (1.0 + angle.cos());
        network = adam.step(rate, network, gradients);
    }
    let network = network.valid();
    let all: Vec<usize> = (0..test.classes.len()).collect();
    let mut right = [0usize; 2];
    for crops in all.chunks(256) {
        let (x, target) = test.batch::<Flex>(crops);
        let scores = network.forward(x);
        let own = scores.clone().gather(1, target);
        let better = scores.greater(own.expand([crops.len(), classes])).int();
        let better = better.sum_dim(1).into_data();
        for rank in better.iter::<i64>() {
            right[0] += usize::from(rank == 0);
            right[1] += usize::from(rank < 5);
        }
    }
    eprintln!("seed {seed}: training loss {loss:.3}");
    let parts = right.map(|count| count as f64 / all.len() as f64);
    (parts, network.num_params())
}

fn mean_and_deviation(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    [mean, (squares / (count - 1.0).max(1.0)).sqrt()]
}

fn main() -> Result<(), Failure> {
    let mut places = Vec::new();
    let mut options = Options {
        steps: 1500,
        seeds: 3,
        crops: 40,
        batch: 128,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .ok_or("a number is missing")?
                .parse()
                .map_err(Failure::from)
        };
        match arg.as_str() {
            "--steps" => options.steps = number()?,
            "--seeds" => options.seeds = number()? as u64,
            "--crops" => options.crops = number()?,
            "--batch" => options.batch = number()?,
            _ => places.push(arg),
        }
    }
    let [weights, folder, out] = places.as_slice() else {
        return Err("expected WEIGHTS PICTURES OUT.json".into());
    };
    let bytes = std::fs::read(weights)?;
    let digest = Digest::of(&bytes);
    let model = Model::<Walloc>::new(WeightsFile::from_bytes(&bytes)?, digest)?;
    let config = &model.config;
    let grid = SIDE / config.alignment();
    // Channels of latents are those of blocks of `block` x `block` pixels in three colours.
    let block = (config.latent_dim as f64 / 3.0).sqrt() as usize;
    let factor = config.alignment() / block.max(1);
    if 3 * block * block != config.latent_dim || factor * block != config.alignment() {
        return Err("no picture has as many numbers as these latents".into());
    }
    let coder = Coder::<Flex>::new(&model, &Default::default())?;
    let latents = |crop: &Crop| {
        let tile = RgbTile {
            width: SIDE,
            height: SIDE,
            samples: &crop.samples,
        };
        let latents = coder.latents(tile)?;
        Ok(latents.values.iter().map(|&v| v as f32).collect())
    };
    let forms = [
        Form {
            name: "latents",
            channels: config.latent_dim,
            grid,
            values: Box::new(latents),
        },
        Form {
            name: "pixels of equal dimension",
            channels: config.latent_dim,
            grid,
            values: Box::new(|crop| Ok(pixels(crop, factor, grid))),
        },
        Form {
            name: "all pixels",
            channels: 3 * config.alignment() * config.alignment(),
            grid,
            values: Box::new(|crop| Ok(pixels(crop, 1, grid))),
        },
    ];
    let data = Data::read(Path::new(folder), options.crops)?;
    let (classes, train, test) = (data.classes, data.train.len(), data.test.len());
    if train < options.batch || options.seeds == 0 || options.steps == 0 {
        return Err("too few pictures, seeds or steps".into());
    }
    println!("{classes} classes, {train} training crops, {test} test crops");
    println!(
        "input                       numbers  parameters  top 1           top 5           seconds/run"
    );
    let mut results = Vec::new();
    for form in &forms {
        let [mut train, mut test] = [Set::new(&data.train, form)?, Set::new(&data.test, form)?];
        let moments = train.moments();
        train.normalize(&moments);
        test.normalize(&moments);
        let clock = Instant::now();
        let runs = (1..=options.seeds).map(|seed| run(&train, &test, classes, seed, &options));
        let runs: Vec<([f64; 2], usize)> = runs.collect();
        let seconds = clock.elapsed().as_secs_f64() / runs.len() as f64;
        let parameters = runs.first().map_or(0, |run| run.1);
        let numbers = form.channels * grid * grid;
        let [first, five] = [0, 1].map(|k| runs.iter().map(|run| run.0[k]).collect::<Vec<_>>());
        let [top1, top5] = [mean_and_deviation(&first), mean_and_deviation(&five)];
        println!(
            "{:<27} {numbers:>7} {parameters:>11}  {:.4} +- {:.4}  {:.4} +- {:.4}  {seconds:.0}",
            form.name, top1[0], top1[1], top5[0], top5[1]
        );
        results.push(json!({
            "input": form.name,
            "numbers": numbers,
            "parameters": parameters,
            "top1": first,
            "top1_mean": top1[0],
            "top1_deviation": top1[1],
            "top5": five,
            "top5_mean": top5[0],
            "top5_deviation": top5[1],
            "seconds_per_run": seconds,
        }));
    }
    let report: Value = json!({
        "format": "codec-walloc-classifier/1",
        "model": model.name,
        "digest": digest.to_string(),
        "config": config,
        "classes": classes,
        "training_crops": train,
        "test_crops": test,
        "crop": SIDE,
        "steps": options.steps,
        "batch": options.batch,
        "learning_rate": LEARNING_RATE,
        "results": results,
    });
    std::fs::write(out, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(())
}
