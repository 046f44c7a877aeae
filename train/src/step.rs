//! One step: forward, backward, clipping, update.

use burn::module::AutodiffModule;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::events::Metrics;
use crate::gradients::scale;
use crate::objective::Objective;
use crate::recipe::{Optim, Stage};
use crate::task::{Readings, Signal, Task, TermKind};

/// A stage with its optimizer.
#[derive(Debug, Clone)]
pub(crate) struct Regime {
    pub stage: Stage,
    pub optim: Optim,
}

/// What one batch gave.
pub(crate) struct BatchResult {
    pub gradients: GradientsParams,
    pub loss: f64,
    pub metrics: Metrics,
    /// Shares of the loss.
    pub terms: Metrics,
    /// Names of terms and readings with values that are not finite; empty for a sound batch.
    pub not_finite: Vec<String>,
}

/// Forward and backward of a batch.
///
/// # Errors
/// Those of the model.
pub(crate) fn batch<B, T>(
    task: &T,
    objective: &Objective<B>,
    model: &T::Model,
    input: &Signal<B>,
    t: &[f32],
    stage: &Stage,
    device: &<B as BackendTypes>::Device,
) -> Result<BatchResult, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    let mut pass = task.forward(model, input, t, stage)?;
    let loss = objective.compose(&mut pass, input, device)?;
    let mut tensors = vec![("loss".to_owned(), loss.clone().inner())];
    for term in &pass.terms {
        tensors.push((term.name.clone(), term.value.clone().inner()));
    }
    for (name, reading) in &pass.readings {
        tensors.push((name.clone(), reading.clone().inner()));
    }
    let readings = Readings::of(tensors);
    let not_finite = readings.not_finite();
    let terms = pass
        .terms
        .iter()
        .map(|term| {
            let share = readings
                .get(&term.name)
                .iter()
                .zip(&pass.weights)
                .zip(&pass.lambdas)
                .map(|((&v, &w), &l)| {
                    let lambda = if term.kind == TermKind::Distortion {
                        l
                    } else {
                        1.0
                    };
                    f64::from(v) * f64::from(w) * f64::from(lambda)
                })
                .sum();
            (term.name.clone(), share)
        })
        .collect();
    let gradients = if not_finite.is_empty() {
        GradientsParams::from_grads(loss.backward(), model)
    } else {
        GradientsParams::new()
    };
    Ok(BatchResult {
        gradients,
        loss: readings.mean("loss", |v| v),
        metrics: task.metrics(&readings, stage),
        terms,
        not_finite,
    })
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
