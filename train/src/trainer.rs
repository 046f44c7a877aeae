//! The training loop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::{AutodiffModule, Module};
use burn::optim::{AdamConfig, GradientsParams, Optimizer as _};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;
use codec_datasets::{CropConfig, CropSampler, ImageFolder, Prefetcher, SplitMix64};
use codec_image::models::wpmr::{Wpmr, WpmrConfig, export, quality};

use crate::TrainError;
use crate::checkpoint::{self, State};
use crate::gradients::{clip_by_global_norm, freeze};
use crate::log::{Event, MetricsFile, Observer, StepMetrics};
use crate::parameters::Parameters;
use crate::recipe::{Recipe, Stage};
use crate::validate::validate;

/// Exported weights in the run folder, averaged, as of the newest checkpoint.
pub const WEIGHTS: &str = "weights.safetensors";
/// Steps between reports.
const REPORT_EVERY: u64 = 20;
/// Checkpoints kept.
const KEEP: usize = 2;
/// The loss of a picture is divided by `lambda` to this power (over a reference): costs grow by about that law over the
/// quality range, and every quality should count alike.
const BALANCE_POWER: f64 = 0.45;
const BALANCE_LAMBDA: f64 = 0.02;

/// How a run is started.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Run folder.
    pub out: PathBuf,
    /// Go on from the newest checkpoint there.
    pub resume: bool,
    /// Averaged parameters (a checkpoint's `average.safetensors`) to start from instead of random ones. Layers that the
    /// file lacks start afresh; layers that have got more inputs start as if they had not.
    pub init: Option<PathBuf>,
    /// Stop after this step, checkpointed.
    pub max_steps: Option<u64>,
    /// Batches prepared ahead.
    pub prefetch: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// `max_steps` was reached.
    Paused,
    /// The stop flag was raised; a checkpoint was written.
    Interrupted,
}

/// Qualities of a batch: one from each of `n` equal parts of `0..=1`, in random order, a pure function of seed and step.
fn sample_qualities(seed: u64, step: u64, n: usize) -> Vec<f32> {
    let mut rng = SplitMix64::keyed(&[seed, step, 0x71]);
    let mut t: Vec<f32> = (0..n).map(|i| (i as f32 + rng.unit()) / n as f32).collect();
    for i in (1..n).rev() {
        t.swap(i, rng.below(i as u64 + 1) as usize);
    }
    t
}

#[derive(Default)]
struct Sums {
    steps: f64,
    loss: f64,
    bpp: f64,
    hyper_bpp: f64,
    psnr: f64,
    norm: f64,
    crops: f64,
}

/// Runs a recipe; the newest checkpoint in the run folder holds the averaged weights afterwards.
///
/// The result on the CPU is a function of the recipe alone, whether interrupted and resumed or not.
///
/// # Errors
/// See [`TrainError`].
pub fn train<B>(
    recipe: &Recipe,
    options: &RunOptions,
    device: &<B as burn::tensor::backend::BackendTypes>::Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<(Outcome, Wpmr<B::InnerBackend>), TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    let config = recipe.model_config()?;
    fs::create_dir_all(&options.out).map_err(TrainError::io(&options.out))?;
    let resolved = toml::to_string(recipe).map_err(|e| TrainError::Recipe(e.to_string()))?;
    let existing = checkpoint::list(&options.out);
    if !existing.is_empty() && !options.resume {
        return Err(TrainError::Recipe(format!(
            "{} holds a run already; resume it",
            options.out.display()
        )));
    }
    fs::write(options.out.join("recipe.toml"), &resolved).map_err(TrainError::io(&options.out))?;
    let mut log = MetricsFile::append(&options.out.join("metrics.jsonl"))?;
    let mut report = |event: Event| -> Result<(), TrainError> {
        observer.event(&event);
        log.write(&event)
    };

    B::seed(device, recipe.seed);
    let mut model = config.init::<B>(device);
    let o = &recipe.optimizer;
    let mut optimizer = AdamConfig::new()
        .with_beta_1(o.beta_1)
        .with_beta_2(o.beta_2)
        .init::<B, Wpmr<B>>();
    let mut average = Parameters::of(&model);
    let mut step = 0;
    if let Some(newest) = existing.last() {
        let loaded = checkpoint::load::<B, B, _, _>(newest, device, device)?;
        model = model.load_record(loaded.model);
        optimizer = optimizer.load_record(loaded.optimizer);
        average
            .grow_from(&loaded.average)
            .map_err(|bad| TrainError::Checkpoint {
                path: newest.clone(),
                reason: format!("tensors of other shapes: {}", bad.join(", ")),
            })?;
        step = loaded.state.step;
    } else if let Some(path) = &options.init {
        let source = checkpoint::read_parameters(path)?;
        let new = average
            .grow_from(&source)
            .map_err(|bad| TrainError::Checkpoint {
                path: path.clone(),
                reason: format!("tensors of other shapes: {}", bad.join(", ")),
            })?;
        tracing::info!("new tensors: {}", new.join(", "));
        model = average.apply(model).ok_or_else(|| TrainError::Checkpoint {
            path: path.clone(),
            reason: "the parameters do not fit the model".into(),
        })?;
    }

    let training = Arc::new(ImageFolder::open(&recipe.data.train)?);
    let held_out = Arc::new(ImageFolder::open(&recipe.data.validation)?);
    report(Event::Start {
        step,
        total: recipe.total_steps(),
        pictures: training.len(),
        skipped: training.skipped().len(),
        parameters: model.num_params(),
    })?;

    let save = |step: u64, model: &Wpmr<B>, average: &Parameters, record| {
        let state = State {
            step,
            recipe: resolved.clone(),
        };
        checkpoint::save::<B, _, _>(
            &options.out,
            &state,
            model.clone().into_record(),
            average,
            record,
            KEEP,
        )
    };

    let mut outcome = Outcome::Finished;
    if options.max_steps.is_some_and(|max| step >= max) {
        let averaged = averaged::<B>(&average, &model, &options.out)?;
        write_weights(&options.out, &averaged, &config, &recipe.name, &resolved)?;
        return Ok((Outcome::Paused, averaged));
    }
    'stages: while let Some((index, first)) = recipe.stage_at(step) {
        let Some(stage) = recipe.stages.get(index) else {
            break;
        };
        let crops = CropConfig {
            size: stage.patch,
            batch: stage.batch,
            seed: recipe.seed,
            flips: true,
            transpose: true,
            rescale: recipe.data.rescale,
            weight_by_area: true,
        };
        let sampler = Arc::new(CropSampler::new(training.clone(), crops)?);
        let mut batches = Prefetcher::spawn(sampler, step, recipe.data.workers, options.prefetch)?;
        let mut sums = Sums::default();
        let mut since = Instant::now();
        for within in first..stage.steps {
            let Some(batch) = batches.next() else {
                return Err(TrainError::Recipe("the data workers stopped".into()));
            };
            let t = sample_qualities(recipe.seed, step, stage.batch);
            B::seed(device, SplitMix64::keyed(&[recipe.seed, step]).next_u64());
            let pixels = TensorData::new(batch.data, [stage.batch, 3, stage.patch, stage.patch]);
            let pixels = Tensor::<B, 4>::from_data(pixels, device);
            let lr = stage.learning_rate(within);
            (model, optimizer) = advance(
                &config,
                stage,
                o.clip_norm,
                step,
                model,
                optimizer,
                pixels,
                &t,
                lr,
                &mut sums,
            )?;
            let warm = 1.0 - 10.0 / (step as f32 + 20.0);
            average.average(&Parameters::of(&model), o.ema.min(warm));
            step += 1;

            if step % REPORT_EVERY == 0 {
                let n = sums.steps.max(1.0);
                report(Event::Step(StepMetrics {
                    step,
                    stage: stage.name.clone(),
                    loss: sums.loss / n,
                    bpp: sums.bpp / n,
                    hyper_bpp: sums.hyper_bpp / n,
                    psnr: sums.psnr / n,
                    gradient_norm: sums.norm / n,
                    lr,
                    crops_per_second: sums.crops / since.elapsed().as_secs_f64().max(1e-9),
                    waiting: batches.waited(),
                }))?;
                sums = Sums::default();
                since = Instant::now();
            }
            let last = step == recipe.total_steps();
            let stopped = stop.load(Ordering::Relaxed);
            let paused = options.max_steps.is_some_and(|max| step >= max);
            if step % recipe.validation.every == 0 || last {
                let averaged = averaged::<B>(&average, &model, &options.out)?;
                let v = &recipe.validation;
                let points = validate(
                    &averaged,
                    &config,
                    &held_out,
                    v.pictures,
                    &v.qualities,
                    stage.mode().precision,
                    device,
                )?;
                let log_cost =
                    points.iter().map(|p| p.cost.ln()).sum::<f64>() / points.len().max(1) as f64;
                report(Event::Validation {
                    step,
                    log_cost,
                    points,
                })?;
                since = Instant::now();
                sums = Sums::default();
            }
            if step % recipe.validation.checkpoint_every == 0 || last || stopped || paused {
                save(step, &model, &average, optimizer.to_record())?;
                let averaged = averaged::<B>(&average, &model, &options.out)?;
                write_weights(&options.out, &averaged, &config, &recipe.name, &resolved)?;
                report(Event::Checkpoint { step })?;
            }
            if (stopped || paused) && !last {
                outcome = if stopped {
                    Outcome::Interrupted
                } else {
                    Outcome::Paused
                };
                break 'stages;
            }
        }
    }
    let averaged = averaged::<B>(&average, &model, &options.out)?;
    Ok((outcome, averaged))
}

fn averaged<B>(
    average: &Parameters,
    model: &Wpmr<B>,
    run: &Path,
) -> Result<Wpmr<B::InnerBackend>, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    average
        .apply(model.valid())
        .ok_or_else(|| TrainError::Checkpoint {
            path: run.to_path_buf(),
            reason: "the averaged weights do not fit the model".into(),
        })
}

/// Writes the exported weights under a temporary name and renames them.
fn write_weights<B: CodecBackend>(
    run: &Path,
    model: &Wpmr<B>,
    config: &WpmrConfig,
    name: &str,
    recipe: &str,
) -> Result<(), TrainError> {
    let path = run.join(WEIGHTS);
    let partial = path.with_extension("partial");
    let bytes = export(model, config, name, recipe)?;
    fs::write(&partial, bytes).map_err(TrainError::io(&partial))?;
    fs::rename(&partial, &path).map_err(TrainError::io(&path))
}

/// One step: forward, backward, clipping, update.
#[allow(clippy::too_many_arguments)] // one call site; a struct would only rename the arguments
fn advance<B, O>(
    config: &WpmrConfig,
    stage: &Stage,
    clip_norm: f32,
    step: u64,
    model: Wpmr<B>,
    mut optimizer: O,
    pixels: Tensor<B, 4>,
    t: &[f32],
    lr: f64,
    sums: &mut Sums,
) -> Result<(Wpmr<B>, O), TrainError>
where
    B: AutodiffBackend + CodecBackend,
    O: burn::optim::Optimizer<Wpmr<B>, B>,
{
    let n = t.len();
    let device = pixels.device();
    let area = (stage.patch * stage.patch) as f32;
    let lambdas: Vec<f64> = t.iter().map(|&t| quality::lambda(config, t)).collect();
    let weights: Vec<f32> = lambdas
        .iter()
        .map(|l| ((BALANCE_LAMBDA / l).powf(BALANCE_POWER) / n as f64) as f32)
        .collect();
    let lambdas: Vec<f32> = lambdas.iter().map(|&l| l as f32).collect();
    let vector =
        |values: Vec<f32>| Tensor::<B, 1>::from_data(TensorData::new(values, [n]), &device);

    let losses = model.forward(config, pixels, t, stage.mode())?;
    let rate = (losses.latent_bits + losses.hyper_bits.clone()).div_scalar(area);
    let cost = (rate.clone() + losses.mse.clone() * vector(lambdas)) * vector(weights);
    let loss = cost.sum();
    let values = |x: Tensor<B, 1>| -> Vec<f32> {
        x.into_data()
            .convert::<f32>()
            .into_vec()
            .unwrap_or_default()
    };
    let (rate, hyper, mse) = (values(rate), values(losses.hyper_bits), values(losses.mse));
    let loss_value = f64::from(values(loss.clone()).first().copied().unwrap_or(f32::NAN));
    if !loss_value.is_finite() {
        return Err(TrainError::NotFinite { step, what: "loss" });
    }

    let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
    freeze(&model, &mut gradients, &stage.freeze);
    let norm = clip_by_global_norm(&model, &mut gradients, clip_norm);
    if !norm.is_finite() {
        return Err(TrainError::NotFinite {
            step,
            what: "gradient norm",
        });
    }
    let model = optimizer.step(lr, model, gradients);

    let mean = |values: &[f32], f: &dyn Fn(f32) -> f64| {
        values.iter().map(|&v| f(v)).sum::<f64>() / n as f64
    };
    sums.steps += 1.0;
    sums.loss += loss_value;
    sums.bpp += mean(&rate, &f64::from);
    sums.hyper_bpp += mean(&hyper, &|v| f64::from(v / area));
    sums.psnr += mean(&mse, &|v| 10.0 * (65025.0 / f64::from(v).max(1e-9)).log10());
    sums.norm += f64::from(norm);
    sums.crops += n as f64;
    Ok((model, optimizer))
}
