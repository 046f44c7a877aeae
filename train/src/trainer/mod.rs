//! The training loop, the same for every family.

mod save;
mod start;

use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "distributed")]
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_datasets::SplitMix64;

use crate::TrainError;
use crate::checkpoint::Best;
use crate::collective::{digest, with_noise};
use crate::data::{Batches, HostBatch, Source};
use crate::events::{Event, Metrics, MetricsFile, Observer, StepMetrics};
use crate::family::with_task;
use crate::fault::Found;
use crate::gradients::{Alone, Exchange};
use crate::losses::adversarial::Discriminator;
use crate::networks::{Networks, Raw};
use crate::objective::Objective;
use crate::options::{Outcome, RunOptions, WEIGHTS};
use crate::parameters::Parameters;
use crate::recipe::Recipe;
use crate::recorder::Recorder;
use crate::step::{Mean, Regime, Samples, batch};
use crate::storage::{Disk, Storage};
use crate::task::Task;

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
    train_stored::<B, E>(recipe, options, &Disk, device, stop, observer, exchange)
}

/// As [`train_with`], with files written by `storage`.
pub fn train_stored<B, E>(
    recipe: &Recipe,
    options: &RunOptions,
    storage: &dyn Storage,
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
    with_task!(B, recipe, task => {
        Trainer::<B, _>::start(task, recipe, options, storage, device, observer, exchange)?
            .run(stop, exchange)
    })
}

/// As [`train`], on several devices of this machine and, with `nodes`, of others. See [`collective`](crate::collective).
///
/// Nodes that start from a checkpoint must see the same run folder.
///
/// # Errors
/// See [`TrainError`].
#[cfg(feature = "distributed")]
#[allow(clippy::too_many_arguments)] // what `train` takes, and what says where
pub fn train_on<B>(
    recipe: &Recipe,
    options: &RunOptions,
    devices: &[<B::InnerBackend as BackendTypes>::Device],
    nodes: Option<&crate::collective::Nodes>,
    timeout: std::time::Duration,
    stop: &AtomicBool,
    observer: &mut (dyn Observer + Send),
) -> Result<Outcome, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    struct Silent;
    impl Observer for Silent {
        fn event(&mut self, _event: &Event) {}
    }
    let observer = Mutex::new(observer);
    crate::collective::run::<B::InnerBackend, _, TrainError>(
        devices,
        nodes,
        timeout,
        |mut peer, device| {
            if Exchange::<B>::rank(&peer) == 0 {
                let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
                train_with::<B, _>(recipe, options, device, stop, &mut **observer, &mut peer)
            } else {
                train_with::<B, _>(recipe, options, device, stop, &mut Silent, &mut peer)
            }
        },
    )
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

impl Sums {
    /// Takes the means over all members.
    fn share<B: AutodiffBackend, E: Exchange<B>>(
        &mut self,
        exchange: &mut E,
    ) -> Result<(), TrainError> {
        let mut figures = vec![self.loss];
        figures.extend(self.metrics.values().chain(self.terms.values()));
        exchange.mean(&mut figures)?;
        let slots = std::iter::once(&mut self.loss)
            .chain(self.metrics.values_mut())
            .chain(self.terms.values_mut());
        slots.zip(figures).for_each(|(slot, mean)| *slot = mean);
        Ok(())
    }
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
    storage: &'a dyn Storage,
    device: &'a <B as BackendTypes>::Device,
    observer: &'a mut dyn Observer,
    /// Number of this member.
    rank: usize,
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

impl<B, T> Trainer<'_, B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
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
        self.compare(exchange)?;
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
            self.networks = self
                .networks
                .reconfigure(&regime.optim)
                .with_constants(&regime.stage.freeze);
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
                if self.step.is_multiple_of(REPORT_EVERY) {
                    sums.share::<B, E>(exchange)?;
                    self.report_step(&regime, lr, &sums, since, &batches)?;
                    sums = Sums::default();
                    since = Instant::now();
                }
                let last = self.step == self.recipe.total_steps();
                let stopped = exchange.agree(stop.load(Ordering::Relaxed))?;
                let mut improved = false;
                if self.step.is_multiple_of(self.recipe.validation.every) || last {
                    self.compare(exchange)?;
                    improved = exchange.rank() == 0 && self.validate(&regime)?;
                    since = Instant::now();
                    sums = Sums::default();
                }
                let paused = self.options.max_steps.is_some_and(|max| self.step >= max);
                let due = self.step.is_multiple_of(self.recipe.checkpoints.every);
                if due || improved || last || stopped || paused {
                    if let Some(found) = Found::in_parameters(&self.networks.average) {
                        return Err(self.fault(&found, lr, &regime));
                    }
                    self.save(improved, last)?;
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

    /// Makes sure that all members stand at the same step with the same parameters.
    fn compare<E: Exchange<B>>(&self, exchange: &mut E) -> Result<(), TrainError> {
        if exchange.members() > 1 {
            exchange.same(self.step, "step")?;
            exchange.same(digest(&Parameters::of(&self.networks.model)), "parameters")?;
            for adversary in &self.networks.adversaries {
                exchange.same(digest(&Parameters::of(&adversary.network)), "discriminator")?;
            }
        }
        Ok(())
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
        let playing = self.networks.playing(self.step);
        let mut played: Vec<Mean<Discriminator<B>>> = playing.iter().map(|_| Mean::new()).collect();
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
            B::seed(self.device, SplitMix64::keyed(&[seed, index]).next_u64());
            let input = host.to_device::<B>(self.device);
            let model = &self.networks.model;
            let step = || {
                batch(
                    &self.task,
                    &self.objective,
                    model,
                    &playing,
                    Samples {
                        input: &input,
                        t: &t,
                    },
                    &regime.stage,
                    self.device,
                )
            };
            // Alone, the device's own generator is faster.
            let result = if members > 1 {
                with_noise(&[seed, index], rank * host.count(), step)?
            } else {
                step()?
            };
            let amount = host.amount() * members as f64;
            self.newest = Some((host, t));
            if !result.not_finite.is_empty() {
                let found = Found::in_loss::<B, _>(model, result.not_finite);
                return Err(self.fault(&found, lr, regime));
            }
            gradients.add::<B>(model, result.gradients);
            let each = played.iter_mut().zip(&playing).zip(result.played);
            each.for_each(|((mean, adversary), own)| mean.add::<B>(&adversary.network, own));
            sums.loss += share * result.loss;
            add(&mut sums.metrics, &result.metrics, share);
            add(&mut sums.terms, &result.terms, share);
            sums.amount += amount;
            self.batches = index + 1;
        }
        let played = played.into_iter().zip(&playing);
        let played = played.map(|(mean, adversary)| mean.take::<B>(&adversary.network));
        let prepared = self.networks.prepare(
            Raw {
                model: gradients.take::<B>(&self.networks.model),
                played: played.collect(),
                step: self.step,
            },
            &regime.stage.freeze,
            self.task.parts().auxiliary,
            &regime.optim,
            exchange,
        )?;
        if !prepared.norm.is_finite() {
            let groups = [&prepared.main, &prepared.auxiliary];
            let found = Found::in_gradient::<B, _>(&self.networks.model, &groups);
            return Err(self.fault(&found, lr, regime));
        }
        let own = self.networks.adversaries.iter().zip(&prepared.adversaries);
        for (adversary, own) in own {
            if let Some((own, norm)) = own
                && !norm.is_finite()
            {
                let found = Found::in_gradient::<B, _>(&adversary.network, &[own]);
                let found = found.of(adversary.name());
                return Err(self.fault(&found, lr, regime));
            }
        }
        sums.norm += f64::from(prepared.norm);
        let warm = 1.0 - 10.0 / (self.step as f32 + 20.0);
        let decay = self.recipe.ema.decay.min(warm);
        if members > 1 && self.task.settles() {
            return Err(TrainError::Recipe(format!(
                "family {} learns on one device",
                self.recipe.family
            )));
        }
        self.networks = self
            .networks
            .update(prepared, lr, &regime.optim)
            .settle(&self.task, self.step)?
            .follow(decay);
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
}
