//! Speed of training steps, by part.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_datasets::SplitMix64;

use crate::TrainError;
use crate::data::{Batches, HostBatch, Source};
use crate::family::with_task;
use crate::gradients::Alone;
use crate::losses::Domain;
use crate::networks::{Networks, Raw};
use crate::objective::Objective;
use crate::recipe::{Recipe, Stage};
use crate::task::{Readings, Task};

/// Batches of generated pictures, used in turn.
const GENERATED: u64 = 4;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchOptions {
    /// Number of the recipe's stage, from 0.
    pub stage: usize,
    /// Steps that are not counted.
    pub warmup: u64,
    /// Steps that are counted.
    pub steps: u64,
    /// Crops of the recipe's pictures instead of noise.
    pub pictures: bool,
    /// Batches prepared ahead, with `pictures`.
    pub prefetch: usize,
}

/// Time of the parts of all counted steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Waiting for a batch and moving it to the device.
    pub data: Duration,
    /// Networks and loss, until the loss is known.
    pub forward: Duration,
    /// Gradients.
    pub backward: Duration,
    /// Norm and clipping.
    pub clip: Duration,
    /// Optimizer and average of the weights.
    pub update: Duration,
}

impl StepTimes {
    /// Parts with their names.
    pub fn parts(&self) -> [(&'static str, Duration); 5] {
        [
            ("data", self.data),
            ("forward", self.forward),
            ("backward", self.backward),
            ("clip", self.clip),
            ("update", self.update),
        ]
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchReport {
    /// Name of the stage.
    pub stage: String,
    /// Side of a crop, or samples.
    pub patch: usize,
    /// Samples a step.
    pub batch: usize,
    /// Learned numbers.
    pub parameters: usize,
    /// Counted steps.
    pub steps: u64,
    /// Time of all counted steps.
    pub total: Duration,
    /// The same by part.
    pub times: StepTimes,
}

impl BenchReport {
    /// Samples per second.
    pub fn throughput(&self) -> f64 {
        self.steps as f64 * self.batch as f64 / self.total.as_secs_f64().max(1e-9)
    }
}

/// Times training steps of a recipe, without files of a run.
///
/// # Errors
/// [`TrainError::Recipe`] for a stage that the recipe lacks and for a loss that is not finite; those of the model and of
/// the data.
pub fn bench<B>(
    recipe: &Recipe,
    options: &BenchOptions,
    device: &<B as BackendTypes>::Device,
) -> Result<BenchReport, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    with_task!(B, recipe, task => measure::<B, _>(&task, recipe, options, device))
}

/// Where the batches come from.
enum Feed {
    Noise(Vec<HostBatch>),
    Pictures(Batches),
}

impl Feed {
    fn new(recipe: &Recipe, stage: &Stage, options: &BenchOptions) -> Result<Self, TrainError> {
        if options.pictures {
            let source = Source::open(&recipe.data, Domain::Pictures)?;
            let batches = source.batches(stage, recipe.seed, 0, options.prefetch)?;
            return Ok(Self::Pictures(batches));
        }
        let shape = vec![stage.batch, 3, stage.patch, stage.patch];
        let batch = |index: u64| {
            let mut random = SplitMix64::keyed(&[recipe.seed, index]);
            HostBatch {
                index,
                shape: shape.clone(),
                data: (0..shape.iter().product()).map(|_| random.unit()).collect(),
                rate: None,
            }
        };
        Ok(Self::Noise((0..GENERATED).map(batch).collect()))
    }

    fn next(&mut self, step: u64) -> Result<HostBatch, TrainError> {
        match self {
            Self::Pictures(batches) => batches.next(),
            Self::Noise(batches) => batches
                .get((step % GENERATED) as usize)
                .cloned()
                .ok_or(TrainError::WorkersStopped),
        }
    }
}

fn measure<B, T>(
    task: &T,
    recipe: &Recipe,
    options: &BenchOptions,
    device: &<B as BackendTypes>::Device,
) -> Result<BenchReport, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let stage = recipe.stages.get(options.stage).ok_or_else(|| {
        TrainError::Recipe(format!(
            "invalid stage {} (the recipe has {})",
            options.stage,
            recipe.stages.len()
        ))
    })?;
    if !recipe.adversary.is_empty() {
        return Err(TrainError::Recipe(
            "steps against discriminators are not measured by part; leave [[adversary]] out".into(),
        ));
    }
    let optim = recipe.optim_in(stage)?;
    let objective = Objective::<B>::new(&recipe.loss, task.domain(), device)?;
    let mut feed = Feed::new(recipe, stage, options)?;
    B::seed(device, recipe.seed);
    let mut networks =
        Networks::<B, T>::new(task, recipe, &optim, device)?.with_constants(&stage.freeze);
    let parameters = networks.model.num_params();
    let wait = || {
        B::sync(device).map_err(|e| TrainError::Recipe(format!("the device does not answer: {e}")))
    };
    let mut times = StepTimes::default();
    let mut started = Instant::now();
    for step in 0..options.warmup + options.steps {
        if step == options.warmup {
            wait()?;
            times = StepTimes::default();
            started = Instant::now();
        }
        let mut mark = Instant::now();
        let mut lap = |part: &mut Duration| {
            *part += mark.elapsed();
            mark = Instant::now();
        };
        let host = feed.next(step)?;
        let t = recipe.quality.draw(recipe.seed, step, host.count());
        B::seed(device, SplitMix64::keyed(&[recipe.seed, step]).next_u64());
        let input = host.to_device::<B>(device);
        lap(&mut times.data);
        let mut pass = task.forward(&networks.model, &input, &t, stage)?;
        let loss = objective.compose(&mut pass, &input, device)?.total()?;
        let readings = Readings::of(vec![("loss".to_owned(), loss.clone().inner())]);
        lap(&mut times.forward);
        if !readings.not_finite().is_empty() {
            return Err(TrainError::Recipe(format!(
                "the loss of step {step} is not finite"
            )));
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &networks.model);
        drop(pass);
        wait()?;
        lap(&mut times.backward);
        let auxiliary = task.parts().auxiliary;
        let raw = Raw {
            model: gradients,
            played: Vec::new(),
            step,
        };
        let prepared = networks.prepare(raw, &stage.freeze, auxiliary, &optim, &mut Alone)?;
        lap(&mut times.clip);
        let lr = optim.learning_rate(step, stage.steps);
        networks = networks
            .update(prepared, lr, &optim)
            .follow(recipe.ema.decay);
        wait()?;
        lap(&mut times.update);
    }
    Ok(BenchReport {
        stage: stage.name.clone(),
        patch: stage.patch,
        batch: stage.batch,
        parameters,
        steps: options.steps,
        total: started.elapsed(),
        times,
    })
}
