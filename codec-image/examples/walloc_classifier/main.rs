//! Learning on WaLLoC latents without decoding (section 5 of the paper): which photograph is a crop from?
//!
//! `cargo run --release -p codec-image --example walloc_classifier -- WEIGHTS.safetensors PICTURES OUT.json [--steps N]
//! [--seeds N] [--batch N] [--all-pixels] [--only NAME]...`
//!
//! Every photograph of the folder is a class. Its last 192 columns (rows of upright pictures) are for tests, the rest for
//! training, mirrored and begun at four places, and both are encoded apart, so nothing of a test crop is in training. Crops of
//! 128x128 pixels are learnt from as rounded latents, as what the decoder's network makes of them (expanded), as pixels averaged
//! down to as many numbers and, with `--all-pixels`, as all pixels. `--only latents --only "pixels of equal dimension"` takes some
//! of these. Blocks of pixels become channels, so that all forms are grids of one size; then the same network, steps and crops
//! follow. Each channel is brought to mean 0 and deviation 1 over the parts for training.

mod data;

use std::path::Path;
use std::time::Instant;

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use codec_core::Digest;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{Companding, Conv, ConvConfig};
use codec_core::weights::WeightsFile;
use codec_image::coder::RgbTile;
use codec_image::models::Model;
use codec_image::models::walloc::{Coder, Walloc};
use data::{Crop, Data, Form, Grid, Photograph, Random, Region, SIDE, TEST_CROPS, pixels};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;
type Train = Autodiff<Flex>;

/// Width of the classifier's first layer.
const WIDTH: usize = 64;
/// Learning rate at the start; it falls to 0 along half a cosine.
const LEARNING_RATE: f64 = 2e-3;

/// What may be set on the command line.
struct Options {
    steps: usize,
    seeds: u64,
    batch: usize,
    all_pixels: bool,
    /// Names of the forms to learn from; all if empty.
    only: Vec<String>,
}

/// Three convolutions, the mean over all places, and a linear layer.
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
                conv([channels, WIDTH], 2),
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
fn run(data: &Data, seed: u64, options: &Options) -> ([f64; 2], usize) {
    let classes = data.train.len();
    let device = Default::default();
    Train::seed(&device, seed);
    let mut network = Classifier::<Train>::new(data.channels, classes, &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let mut random = Random::new(1000 + seed);
    let (mut loss, mut averaged) = (0.0, 0);
    for step in 0..options.steps {
        let crops: Vec<Crop> = (0..options.batch)
            .map(|_| data.train_crop(&mut random))
            .collect();
        let (x, target) = data.batch::<Train>(&crops, false);
        let error = network.forward(x).gather(1, target).mean().neg();
        if step * 10 >= options.steps * 9 {
            let value: f64 = error.clone().into_scalar().into();
            loss += value;
            averaged += 1;
        }
        let gradients = GradientsParams::from_grads(error.backward(), &network);
        let angle = std::f64::consts::PI * step as f64 / options.steps as f64;
        let rate = LEARNING_RATE * 0.5 * (1.0 + angle.cos());
        network = adam.step(rate, network, gradients);
    }
    let network = network.valid();
    let crops = data.test_crops();
    let mut right = [0usize; 2];
    for crops in crops.chunks(256) {
        let (x, target) = data.batch::<Flex>(crops, true);
        let scores = network.forward(x);
        let own = scores.clone().gather(1, target);
        let better = scores.greater(own.expand([crops.len(), classes])).int();
        for rank in better.sum_dim(1).into_data().iter::<i64>() {
            right[0] += usize::from(rank == 0);
            right[1] += usize::from(rank < 5);
        }
    }
    eprintln!(
        "seed {seed}: training loss {:.3}",
        loss / f64::from(averaged.max(1))
    );
    let parts = right.map(|count| count as f64 / crops.len() as f64);
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
        batch: 64,
        all_pixels: false,
        only: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = |value: Option<String>| -> Result<usize, Failure> {
            Ok(value.ok_or("a number is missing")?.parse()?)
        };
        match arg.as_str() {
            "--steps" => options.steps = number(args.next())?,
            "--seeds" => options.seeds = number(args.next())? as u64,
            "--batch" => options.batch = number(args.next())?,
            "--all-pixels" => options.all_pixels = true,
            "--only" => options.only.push(args.next().ok_or("a name is missing")?),
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
    let alignment = config.alignment();
    let side = SIDE / alignment;
    // Channels of latents are those of blocks of `block` x `block` pixels in three colours.
    let block = (config.latent_dim as f64 / 3.0).sqrt() as usize;
    let factor = alignment / block.max(1);
    if 3 * block * block != config.latent_dim
        || factor * block != alignment
        || side * alignment != SIDE
    {
        return Err("no picture has as many numbers as these latents".into());
    }
    let coder = Coder::<Flex>::new(&model, &Default::default())?;
    let latents = |region: &Region| -> Result<Grid, Failure> {
        let latents = coder.latents(RgbTile {
            width: region.width,
            height: region.height,
            samples: &region.samples,
        })?;
        let [_, height, width] = latents.shape;
        Ok(Grid {
            width,
            height,
            values: latents.values.iter().map(|&v| v as f32).collect(),
        })
    };
    let companding = Companding::new(config.latent_bits)?;
    let expanded = |region: &Region| -> Result<Grid, Failure> {
        let grid = latents(region)?;
        let count = grid.values.len();
        let values = TensorData::new(grid.values, [count]);
        let values = Tensor::<Flex, 1>::from_data(values, &Default::default());
        let values = companding.expand(values).into_data();
        let values = values.into_vec().map_err(|e| format!("{e:?}"))?;
        Ok(Grid { values, ..grid })
    };
    let mut forms = vec![
        Form {
            name: "latents",
            channels: config.latent_dim,
            grid: Box::new(latents),
        },
        Form {
            name: "latents, expanded",
            channels: config.latent_dim,
            grid: Box::new(expanded),
        },
        Form {
            name: "pixels of equal dimension",
            channels: config.latent_dim,
            grid: Box::new(|region| Ok(pixels(region, factor, block))),
        },
    ];
    if options.all_pixels {
        forms.push(Form {
            name: "all pixels",
            channels: 3 * alignment * alignment,
            grid: Box::new(|region| Ok(pixels(region, 1, alignment))),
        });
    }
    if !options.only.is_empty() {
        let known: Vec<&str> = forms.iter().map(|form| form.name).collect();
        if let Some(stranger) = options.only.iter().find(|n| !known.contains(&n.as_str())) {
            return Err(format!(
                "no input is called {stranger} (known: {})",
                known.join(", ")
            )
            .into());
        }
        forms.retain(|form| options.only.iter().any(|name| name == form.name));
    }
    let photographs = Photograph::read(Path::new(folder), alignment)?;
    let classes = photographs.len();
    if classes == 0 || options.seeds == 0 || options.steps == 0 || options.batch == 0 {
        return Err("no pictures of enough pixels, or no seeds, steps or crops".into());
    }
    println!("{classes} classes, {} test crops", classes * TEST_CROPS);
    println!(
        "input                       numbers  parameters  top 1             top 5             seconds/run"
    );
    let mut results = Vec::new();
    for form in &forms {
        let data = Data::new(&photographs, form, side)?;
        let clock = Instant::now();
        let runs = (1..=options.seeds).map(|seed| run(&data, seed, &options));
        let runs: Vec<([f64; 2], usize)> = runs.collect();
        let seconds = clock.elapsed().as_secs_f64() / runs.len() as f64;
        let parameters = runs.first().map_or(0, |run| run.1);
        let numbers = form.channels * side * side;
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
        "test_crops": classes * TEST_CROPS,
        "crop": SIDE,
        "steps": options.steps,
        "batch": options.batch,
        "learning_rate": LEARNING_RATE,
        "results": results,
    });
    std::fs::write(out, serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(())
}
