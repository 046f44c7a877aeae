//! The training loop, the same for every family.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_datasets::SplitMix64;

use crate::TrainError;
use crate::checkpoint::{self, Best, State};
use crate::data::{Batches, HostBatch, Source};
use crate::events::{Event, Metrics, MetricsFile, Observer, StepMetrics, ValidationPoint};
use crate::fault::{self, Found};
use crate::gradients::{Alone, Exchange};
use crate::history::METRICS;
use crate::init;
use crate::networks::Networks;
use crate::objective::Objective;
use crate::options::{BEST, Outcome, Resume, RunOptions, WEIGHTS};
use crate::recipe::{Optim, Recipe};
use crate::recorder::Recorder;
use crate::step::{Mean, Regime, batch};
use crate::storage::{Disk, replace};
use crate::task::Task;
use crate::task::wpmr::WpmrTask;

/// Steps between reports.
const REPORT_EVERY: u64 = 20;

/// Runs a recipe; the newest checkpoint in the run folder holds the averaged weights afterwards.
///
/// The result on the CPU is a function of the recipe alone, whether interrupted and resumed or not.
///
/// # Errors
/// See [`TrainError`].
pub fn train<B>(
    recipe: &Recipe,
    options: &RunOptions,
    device: &<B as BackendTypes>::Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    train_with::<B, _>(recipe, options, device, stop, observer, &mut Alone)
}

/// As [`train`], as one of several members that exchange gradients. Every member does the same updates; member 0 writes.
///
/// # Errors
/// See [`TrainError`].
pub fn train_with<B, E>(
    recipe: &Recipe,
    options: &RunOptions,
    device: &<B as BackendTypes>::Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
    exchange: &mut E,
) -> Result<Outcome, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    E: Exchange<B>,
{
    match recipe.family.as_str() {
        "wpmr" => {
            let task = WpmrTask::new(recipe)?;
            Trainer::<B, _>::start(task, recipe, options, device, observer, exchange)?
                .run(stop, exchange)
        }
        other => Err(crate::family::unknown_family(other)),
    }
}

/// Sums since the last report.
#[derive(Default)]
struct Sums {
    steps: f64,
    loss: f64,
    metrics: Metrics,
    terms: Metrics,
    norm: f64,
    amount: f64,
}

fn add(sum: &mut Metrics, values: &Metrics, share: f64) {
    for (name, value) in values {
        *sum.entry(name.clone()).or_default() += share * value;
    }
}

fn mean(sum: &Metrics, n: f64) -> Metrics {
    sum.iter().map(|(name, v)| (name.clone(), v / n)).collect()
}

struct Trainer<'a, B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    task: T,
    recipe: &'a Recipe,
    resolved: String,
    options: &'a RunOptions,
    device: &'a <B as BackendTypes>::Device,
    observer: &'a mut dyn Observer,
    /// Only of the member that writes.
    log: Option<MetricsFile>,
    recorder: Option<Recorder>,
    source: Source,
    objective: Objective<B>,
    networks: Networks<B, T>,
    step: u64,
    batches: u64,
    best: Option<Best>,
    /// The newest batch with its qualities, for the report of a fault.
    newest: Option<(HostBatch, Vec<f32>)>,
}

impl<'a, B, T> Trainer<'a, B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    fn start<E: Exchange<B>>(
        task: T,
        recipe: &'a Recipe,
        options: &'a RunOptions,
        device: &'a <B as BackendTypes>::Device,
        observer: &'a mut dyn Observer,
        exchange: &E,
    ) -> Result<Self, TrainError> {
        let leads = exchange.rank() == 0;
        let out = &options.out;
        let resolved = recipe.to_toml()?;
        let candidates = candidates(options)?;
        fs::create_dir_all(out).map_err(TrainError::io(out))?;
        let source = Source::open(&recipe.data)?;
        let objective = Objective::new(&recipe.loss, task.domain(), device)?;

        let mut warnings = Vec::new();
        let mut restored = None;
        for path in candidates.iter().rev() {
            match restore::<B, T>(&task, recipe, path, device) {
                Ok(found) => {
                    restored = Some(found);
                    break;
                }
                Err(error @ (TrainError::Checkpoint { .. } | TrainError::Io { .. }))
                    if candidates.len() > 1 =>
                {
                    warnings.push(format!("{error}; going back to the checkpoint before"));
                    if leads && path.starts_with(out) {
                        checkpoint::set_aside(path, "damaged")?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if restored.is_none() && !candidates.is_empty() {
            return Err(TrainError::Checkpoint {
                path: out.clone(),
                reason: "all checkpoints are damaged".into(),
            });
        }
        let (networks, step, batches, best) = match restored {
            Some((networks, state)) => {
                if leads {
                    checkpoint::set_aside_after(out, state.step)?;
                }
                if state.recipe != resolved {
                    warnings.push("the recipe differs from that of the checkpoint".into());
                }
                (
                    networks,
                    state.step,
                    state.batches.unwrap_or(state.step),
                    state.best,
                )
            }
            None => {
                let optim = optim_at(recipe, 0)?;
                B::seed(device, recipe.seed);
                let mut networks = Networks::new(&task, &optim, device);
                if let Some(path) = &options.init {
                    let source = init::read(path)?;
                    let (started, new) = networks.start_from(&task, path, &source)?;
                    networks = started;
                    if !new.is_empty() {
                        warnings.push(format!("tensors that start afresh: {}", new.join(", ")));
                    }
                }
                (networks, 0, 0, None)
            }
        };
        let (log, recorder) = if leads {
            let path = out.join("recipe.toml");
            replace(&Disk, &path, resolved.as_bytes())?;
            let log = MetricsFile::resume(&out.join(METRICS), step)?;
            (Some(log), Some(Recorder::open(out, step)?))
        } else {
            (None, None)
        };
        let mut trainer = Self {
            task,
            recipe,
            resolved,
            options,
            device,
            observer,
            log,
            recorder,
            source,
            objective,
            networks,
            step,
            batches,
            best,
            newest: None,
        };
        for message in warnings {
            trainer.report(Event::Warning { message })?;
        }
        trainer.report(Event::Start {
            step,
            total: recipe.total_steps(),
            files: trainer.source.files(),
            skipped: trainer.source.skipped(),
            parameters: trainer.networks.model.num_params(),
        })?;
        Ok(trainer)
    }

    fn report(&mut self, event: Event) -> Result<(), TrainError> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        self.observer.event(&event);
        log.write(&event)?;
        match &mut self.recorder {
            Some(recorder) => recorder.event(&event),
            None => Ok(()),
        }
    }

    fn run<E: Exchange<B>>(
        mut self,
        stop: &AtomicBool,
        exchange: &mut E,
    ) -> Result<Outcome, TrainError> {
        let mut outcome = Outcome::Finished;
        let paused = |step| self.options.max_steps.is_some_and(|max| step >= max);
        if paused(self.step) || self.recipe.stage_at(self.step).is_none() {
            // A run that was killed between its last checkpoint and the export still gets its weights.
            self.write_weights(WEIGHTS)?;
            let done = self.recipe.stage_at(self.step).is_none();
            return Ok(if done { outcome } else { Outcome::Paused });
        }
        'stages: while let Some((index, first)) = self.recipe.stage_at(self.step) {
            let Some(stage) = self.recipe.stages.get(index) else {
                break;
            };
            let regime = Regime {
                stage: stage.clone(),
                optim: self.recipe.optim_in(stage)?,
            };
            self.networks = self.networks.reconfigure(&regime.optim);
            let mut batches = self.source.batches(
                stage,
                self.recipe.seed,
                self.batches,
                self.options.prefetch,
            )?;
            let mut sums = Sums::default();
            let mut since = Instant::now();
            for within in first..stage.steps {
                let lr = regime.optim.learning_rate(within, stage.steps);
                self = self.advance(&regime, lr, &mut batches, &mut sums, exchange)?;
                if self.step % REPORT_EVERY == 0 {
                    self.report_step(&regime, lr, &sums, since, &batches)?;
                    sums = Sums::default();
                    since = Instant::now();
                }
                let last = self.step == self.recipe.total_steps();
                let stopped = exchange.agree(stop.load(Ordering::Relaxed))?;
                let mut improved = false;
                if self.step % self.recipe.validation.every == 0 || last {
                    improved = self.validate(&regime)?;
                    since = Instant::now();
                    sums = Sums::default();
                }
                let paused = self.options.max_steps.is_some_and(|max| self.step >= max);
                let due = self.step % self.recipe.checkpoints.every == 0;
                if due || improved || last || stopped || paused {
                    if let Some(found) = Found::in_parameters(&self.networks.average) {
                        return Err(self.fault(&found, lr, &regime));
                    }
                    self.save(improved)?;
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
        Ok(outcome)
    }

    /// One step.
    fn advance<E: Exchange<B>>(
        mut self,
        regime: &Regime,
        lr: f64,
        batches: &mut Batches,
        sums: &mut Sums,
        exchange: &mut E,
    ) -> Result<Self, TrainError> {
        let (rank, members) = (exchange.rank(), exchange.members());
        let seed = self.recipe.seed;
        let count = regime.optim.accumulate;
        let share = 1.0 / count as f64;
        let mut gradients = Mean::new();
        for _ in 0..count {
            let host = batches.next()?;
            let (index, all) = (host.index, host.count());
            let host = host.part(rank, members)?;
            let t: Vec<f32> = self
                .recipe
                .quality
                .draw(seed, index, all)
                .into_iter()
                .skip(rank * host.count())
                .take(host.count())
                .collect();
            let mut key = vec![seed, index];
            if rank > 0 {
                key.push(rank as u64);
            }
            B::seed(self.device, SplitMix64::keyed(&key).next_u64());
            let input = host.to_device::<B>(self.device);
            let model = &self.networks.model;
            let result = batch(
                &self.task,
                &self.objective,
                model,
                &input,
                &t,
                &regime.stage,
                self.device,
            )?;
            let amount = host.amount() * members as f64;
            self.newest = Some((host, t));
            if !result.not_finite.is_empty() {
                let found = Found::in_loss::<B, _>(model, result.not_finite);
                return Err(self.fault(&found, lr, regime));
            }
            gradients.add::<B>(model, result.gradients);
            sums.loss += share * result.loss;
            add(&mut sums.metrics, &result.metrics, share);
            add(&mut sums.terms, &result.terms, share);
            sums.amount += amount;
            self.batches = index + 1;
        }
        let prepared = self.networks.prepare(
            gradients.take::<B>(&self.networks.model),
            &regime.stage.freeze,
            self.task.parts().auxiliary,
            &regime.optim,
            exchange,
        )?;
        if !prepared.norm.is_finite() {
            let found = Found::in_gradient::<B, _>(&self.networks.model, &prepared);
            return Err(self.fault(&found, lr, regime));
        }
        sums.norm += f64::from(prepared.norm);
        let warm = 1.0 - 10.0 / (self.step as f32 + 20.0);
        let decay = self.recipe.ema.decay.min(warm);
        self.networks = self.networks.update(prepared, lr, &regime.optim, decay);
        sums.steps += 1.0;
        self.step += 1;
        Ok(self)
    }

    fn report_step(
        &mut self,
        regime: &Regime,
        lr: f64,
        sums: &Sums,
        since: Instant,
        batches: &Batches,
    ) -> Result<(), TrainError> {
        let n = sums.steps.max(1.0);
        self.report(Event::Step(StepMetrics {
            step: self.step,
            stage: regime.stage.name.clone(),
            loss: sums.loss / n,
            metrics: mean(&sums.metrics, n),
            terms: mean(&sums.terms, n),
            gradient_norm: sums.norm / n,
            lr,
            crops_per_second: sums.amount / since.elapsed().as_secs_f64().max(1e-9),
            pixels: self.recipe.pixels_seen(self.step),
            waiting: batches.waited(),
        }))
    }

    /// Validates the average; tells whether it is better than ever.
    fn validate(&mut self, regime: &Regime) -> Result<bool, TrainError> {
        let v = &self.recipe.validation;
        let mut points = Vec::with_capacity(v.qualities.len());
        let mut samples = Vec::new();
        for &quality in &v.qualities {
            let mut sums = Metrics::new();
            let mut count = 0usize;
            for item in self.source.held_out(v.pictures) {
                let evaluated = self.task.evaluate(
                    &self.networks.average,
                    &item,
                    quality / 100.0,
                    &regime.stage,
                    count == 0,
                    self.device,
                )?;
                let Some(evaluated) = evaluated else {
                    continue;
                };
                add(&mut sums, &evaluated.metrics, 1.0);
                samples.extend(evaluated.sample);
                count += 1;
            }
            points.push(ValidationPoint {
                quality,
                metrics: mean(&sums, count.max(1) as f64),
            });
        }
        let costs = points.iter().filter_map(|p| p.get("cost"));
        let score = costs.map(f64::ln).sum::<f64>() / points.len().max(1) as f64;
        let step = self.step;
        let best = score.is_finite() && self.best.is_none_or(|best| score < best.score);
        if best {
            self.best = Some(Best { step, score });
        }
        self.report(Event::Validation {
            step,
            score,
            best,
            points,
            samples,
        })?;
        Ok(best && self.recipe.checkpoints.keep_best)
    }

    /// Writes a checkpoint and the weights.
    fn save(&mut self, best: bool) -> Result<(), TrainError> {
        if self.log.is_none() {
            return Ok(());
        }
        let state = State {
            step: self.step,
            batches: Some(self.batches),
            best: self.best.filter(|_| self.recipe.checkpoints.keep_best),
            recipe: self.resolved.clone(),
            digests: Default::default(),
        };
        let keep = self.recipe.checkpoints.keep;
        checkpoint::save(
            &Disk,
            &self.options.out,
            state,
            self.networks.files()?,
            keep,
        )?;
        self.write_weights(WEIGHTS)?;
        if best {
            self.write_weights(BEST)?;
        }
        self.report(Event::Checkpoint { step: self.step })
    }

    /// Exports the average.
    fn write_weights(&self, name: &str) -> Result<(), TrainError> {
        if self.log.is_none() {
            return Ok(());
        }
        let average = &self.networks.average;
        let bytes = self
            .task
            .export(average, &self.recipe.name, &self.resolved)?;
        replace(&Disk, &self.options.out.join(name), &bytes)
    }

    /// Saves what is known about a fault and makes the error of it.
    fn fault(&mut self, found: &Found, lr: f64, regime: &Regime) -> TrainError {
        let folder = self.options.out.join("fault");
        let error = TrainError::NotFinite {
            step: self.step,
            what: found.what,
            layer: found.layer(),
            folder: folder.clone(),
        };
        let report = fault::Report {
            step: self.step,
            stage: &regime.stage.name,
            lr,
            batch: self.newest.as_ref().map(|(batch, _)| batch.index),
            qualities: self.newest.as_ref().map_or(&[], |(_, t)| t),
            found,
            message: error.to_string(),
        };
        if let Err(why) = fault::write(
            &folder,
            &report,
            self.newest.as_ref().map(|(batch, _)| batch),
        ) {
            tracing::error!("the report of a fault cannot be written: {why}");
        }
        // The log must not hide the fault.
        let _ = self.report(Event::Fault {
            step: self.step,
            message: error.to_string(),
            folder,
        });
        error
    }
}

/// Optimizer of the stage of a step.
fn optim_at(recipe: &Recipe, step: u64) -> Result<Optim, TrainError> {
    let index = recipe.stage_at(step).map(|(index, _)| index);
    let stage = index.map_or(recipe.stages.last(), |index| recipe.stages.get(index));
    match stage {
        Some(stage) => recipe.optim_in(stage),
        None => Err(TrainError::Recipe("no stages".into())),
    }
}

/// Checkpoints to try, the last first.
fn candidates(options: &RunOptions) -> Result<Vec<PathBuf>, TrainError> {
    let here = checkpoint::list(&options.out);
    match &options.resume {
        Resume::No if here.is_empty() => Ok(Vec::new()),
        Resume::No => Err(TrainError::Exists(options.out.clone())),
        Resume::Auto => Ok(here),
        Resume::From(path) => {
            let listed = checkpoint::list(path);
            Ok(if listed.is_empty() {
                vec![path.clone()]
            } else {
                listed
            })
        }
    }
}

fn restore<B, T>(
    task: &T,
    recipe: &Recipe,
    path: &Path,
    device: &<B as BackendTypes>::Device,
) -> Result<(Networks<B, T>, State), TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let state = checkpoint::verify(path)?;
    // The optimizer whose state lies there is that of the last step done.
    let optim = optim_at(recipe, state.step.saturating_sub(1))?;
    B::seed(device, recipe.seed);
    let networks = Networks::new(task, &optim, device).load(path, device)?;
    Ok((networks, state))
}
