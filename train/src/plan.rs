//! What a run would cost: by counting, and by one step on noise.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_datasets::SplitMix64;

use crate::TrainError;
use crate::data::HostBatch;
use crate::family::with_task;
use crate::gradients::Alone;
use crate::losses::Domain;
use crate::networks::{Networks, Raw};
use crate::objective::Objective;
use crate::recipe::{Recipe, Stage};
use crate::step::{Samples, batch};
use crate::task::{Macs, Task};

/// What training a recipe's model costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Learned numbers.
    pub parameters: usize,
    /// Learned numbers of the discriminators.
    pub discriminators: usize,
    /// Multiply-accumulates of coding.
    pub macs: Macs,
    /// Steps of all stages.
    pub steps: u64,
    /// Bytes of weights, their average, gradients, optimizers and discriminators.
    pub state_bytes: u64,
    /// Stage with the most values in a batch; the step was one of it.
    pub stage: String,
    /// Loss of the step, on noise.
    pub loss: f64,
    /// Seconds of the step.
    pub seconds: f64,
    /// Most bytes that this process has had in memory (host memory; `None` where the system does not tell).
    pub peak_bytes: Option<u64>,
}

/// Sizes up a recipe and runs one step of its largest stage on noise.
///
/// # Errors
/// Those of a step.
pub fn plan<B>(recipe: &Recipe, device: &<B as BackendTypes>::Device) -> Result<Plan, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    with_task!(B, recipe, task => of::<B, _>(&task, recipe, device))
}

fn of<B, T>(
    task: &T,
    recipe: &Recipe,
    device: &<B as BackendTypes>::Device,
) -> Result<Plan, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let size = |stage: &&Stage| shape(task.domain(), stage).iter().product::<usize>();
    let stage = recipe
        .stages
        .iter()
        .max_by_key(size)
        .ok_or_else(|| TrainError::Recipe("no stages".into()))?;
    let optim = recipe.optim_in(stage)?;
    B::seed(device, recipe.seed);
    let networks = Networks::new(task, recipe, &optim, device)?;
    let parameters = networks.model.num_params();
    let discriminators = networks.adversaries.iter();
    let discriminators = discriminators.map(|a| a.network.num_params()).sum();

    let shape = shape(task.domain(), stage);
    let mut rng = SplitMix64::keyed(&[recipe.seed, 0]);
    let host = HostBatch {
        index: 0,
        data: (0..shape.iter().product()).map(|_| rng.unit()).collect(),
        shape,
        rate: (task.domain() == Domain::Sound).then(|| recipe.data.rate.unwrap_or(48_000)),
    };
    let t = recipe.quality.draw(recipe.seed, 0, stage.batch);
    let objective = Objective::new(&recipe.loss, task.domain(), device)?;
    let start = Instant::now();
    let input = host.to_device::<B>(device);
    let samples = Samples {
        input: &input,
        t: &t,
    };
    // One of the steps in which all discriminators play.
    let step = recipe.adversary.iter().map(|a| a.start).max().unwrap_or(0);
    let result = batch(
        task,
        &objective,
        &networks.model,
        &networks.playing(step),
        samples,
        stage,
        device,
    )?;
    let gradients = networks.prepare(
        Raw {
            model: result.gradients,
            played: result.played,
            step,
        },
        &stage.freeze,
        task.parts().auxiliary,
        &optim,
        &mut Alone,
    )?;
    let networks = networks
        .update(gradients, optim.lr, &optim)
        .follow(recipe.ema.decay);
    let others = networks.other_bytes()? + 4 * discriminators as u64;
    Ok(Plan {
        parameters,
        discriminators,
        macs: task.macs(),
        steps: recipe.total_steps(),
        state_bytes: 3 * 4 * parameters as u64 + others,
        stage: stage.name.clone(),
        loss: result.loss,
        seconds: start.elapsed().as_secs_f64(),
        peak_bytes: peak(),
    })
}

/// Shape of a batch of a stage.
fn shape(domain: Domain, stage: &Stage) -> Vec<usize> {
    match domain {
        Domain::Pictures => vec![stage.batch, 3, stage.patch, stage.patch],
        Domain::Sound => vec![stage.batch, 1, stage.patch],
    }
}

/// The high-water mark of this process, on Linux.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(1024 * kibibytes)
}
