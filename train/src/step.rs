//! One step: forward, backward, clipping, update.

use burn::module::AutodiffModule;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::adversary::{Adversary, Judge, Played, Table, play};
use crate::events::Metrics;
use crate::gradients::scale;
use crate::losses::adversarial::Discriminator;
use crate::objective::Objective;
use crate::recipe::{Optim, Stage};
use crate::task::{Pass, Readings, Signal, Task, Term, TermKind};

/// A stage with its optimizer.
#[derive(Debug, Clone)]
pub(crate) struct Regime {
    pub stage: Stage,
    pub optim: Optim,
}

/// What one batch gave.
pub(crate) struct BatchResult {
    pub gradients: GradientsParams,
    /// Gradients of the discriminators that played, in their order.
    pub played: Vec<GradientsParams>,
    pub loss: f64,
    pub metrics: Metrics,
    /// Shares of the loss.
    pub terms: Metrics,
    /// Names of terms and readings with values that are not finite; empty for a sound batch.
    pub not_finite: Vec<String>,
}

/// A batch with the qualities of its samples.
pub(crate) struct Samples<'a, B: Backend> {
    pub input: &'a Signal<B>,
    pub t: &'a [f32],
}

/// Forward and backward of a batch, against the discriminators of `adversaries`.
///
/// # Errors
/// Those of the model and of the discriminators.
pub(crate) fn batch<B, T>(
    task: &T,
    objective: &Objective<B>,
    model: &T::Model,
    adversaries: &[&Adversary<B>],
    samples: Samples<'_, B>,
    stage: &Stage,
    device: &<B as BackendTypes>::Device,
) -> Result<BatchResult, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let input = samples.input;
    let mut pass = task.forward(model, input, samples.t, stage)?;
    // Discriminators need the gradient of the other losses at the output: these get an output without a graph.
    let output = pass.output.clone();
    if !adversaries.is_empty() {
        pass.output = output.leaf();
    }
    let cost = objective.compose(&mut pass, input, device)?;
    let loss = cost.total()?;
    let mut tensors = vec![("loss".to_owned(), loss.clone().inner())];
    for term in &pass.terms {
        tensors.push((term.name.clone(), term.value.clone().inner()));
    }
    for (name, reading) in &pass.readings {
        tensors.push((name.clone(), reading.clone().inner()));
    }
    let readings = Readings::of(tensors);
    let mut terms = shares(&pass, &readings);
    let mut metrics = task.metrics(&readings, stage);
    let mut result = |gradients, played, loss, not_finite| BatchResult {
        gradients,
        played,
        loss,
        metrics: std::mem::take(&mut metrics),
        terms: std::mem::take(&mut terms),
        not_finite,
    };
    let value = readings.mean("loss", |v| v);
    let not_finite = readings.not_finite();
    if !not_finite.is_empty() {
        return Ok(result(
            GradientsParams::new(),
            Vec::new(),
            value,
            not_finite,
        ));
    }
    if adversaries.is_empty() {
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        return Ok(result(gradients, Vec::new(), value, not_finite));
    }

    let factors = objective.factors(&pass);
    let game = (adversaries, cost.output, factors);
    let played = match (&output, &pass.output, input) {
        (Signal::Pictures(output), Signal::Pictures(leaf), Signal::Pictures(target)) => {
            against(game, [output, leaf, target], Discriminator::pictures)?
        }
        (
            Signal::Sound {
                samples: output, ..
            },
            Signal::Sound { samples: leaf, .. },
            Signal::Sound {
                samples: target, ..
            },
        ) => against(game, [output, leaf, target], Discriminator::sound)?,
        _ => {
            return Err(TrainError::Recipe(
                "output and input are of two kinds".into(),
            ));
        }
    };
    let of_game = |values: Vec<(String, Tensor<B, 1>)>| {
        let inner = values.into_iter().map(|(name, x)| (name, x.inner()));
        Readings::of(inner.collect::<Vec<_>>())
    };
    let (values, game) = (of_game(played.values), of_game(played.shares));
    let mut not_finite = values.not_finite();
    not_finite.extend(game.not_finite());
    let cost = match cost.model {
        Some(model) => model + played.injected,
        None => played.injected,
    };
    let gradients = if not_finite.is_empty() {
        GradientsParams::from_grads(cost.backward(), model)
    } else {
        GradientsParams::new()
    };
    let mut result = result(gradients, played.gradients, value, not_finite);
    for (name, share) in game.means() {
        result.loss += share;
        result.terms.insert(name, share);
    }
    result.metrics.extend(values.means());
    Ok(result)
}

/// Shares of the terms of a pass in its loss.
fn shares<B: Backend>(pass: &Pass<B>, readings: &Readings) -> Metrics {
    let share = |term: &Term<B>| {
        let values = readings.get(&term.name).iter();
        let samples = values.zip(&pass.weights).zip(&pass.lambdas);
        samples
            .map(|((&v, &w), &l)| {
                let lambda = if term.kind == TermKind::Distortion {
                    l
                } else {
                    1.0
                };
                f64::from(v) * f64::from(w) * f64::from(lambda)
            })
            .sum()
    };
    let terms = pass.terms.iter();
    terms.map(|term| (term.name.clone(), share(term))).collect()
}

/// Plays for an output, the leaf that its losses were computed from, and a target: with whom, for what other loss, and
/// with which weight of each sample.
fn against<B, const D: usize>(
    (adversaries, loss, factors): (&[&Adversary<B>], Option<Tensor<B, 1>>, Vec<f32>),
    [output, leaf, target]: [&Tensor<B, D>; 3],
    judge: Judge<B, D>,
) -> Result<Played<B>, TrainError>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    let table = Table {
        output: output.clone(),
        target: target.clone(),
        others: loss.and_then(|loss| leaf.grad(&loss.backward())),
        factors,
    };
    play(adversaries, table, judge)
}

/// Mean of the gradients of several batches.
pub(crate) struct Mean<M> {
    first: Option<GradientsParams>,
    sum: GradientsAccumulator<M>,
    count: u32,
}

impl<M> Mean<M> {
    pub(crate) fn new() -> Self {
        Self {
            first: None,
            sum: GradientsAccumulator::new(),
            count: 0,
        }
    }

    pub(crate) fn add<B: AutodiffBackend>(&mut self, model: &M, gradients: GradientsParams)
    where
        M: AutodiffModule<B>,
    {
        self.count += 1;
        match (self.count, self.first.take()) {
            (1, _) => self.first = Some(gradients),
            (_, first) => {
                if let Some(first) = first {
                    self.sum.accumulate(model, first);
                }
                self.sum.accumulate(model, gradients);
            }
        }
    }

    pub(crate) fn take<B: AutodiffBackend>(mut self, model: &M) -> GradientsParams
    where
        B::InnerBackend: CodecBackend,
        M: AutodiffModule<B>,
    {
        if let Some(first) = self.first {
            return first;
        }
        let mut gradients = self.sum.grads();
        scale(model, &mut gradients, 1.0 / self.count.max(1) as f32);
        gradients
    }
}
