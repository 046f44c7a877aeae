//! What a run leaves: validations, checkpoints, weights, reports of faults.

use burn::tensor::backend::AutodiffBackend;
use codec_core::backend::CodecBackend;

use super::{Trainer, add, mean};
use crate::TrainError;
use crate::checkpoint::{self, Best, State};
use crate::events::{Event, Metrics, ValidationPoint};
use crate::fault::{self, Found};
use crate::options::{BEST, WEIGHTS};
use crate::step::Regime;
use crate::storage::replace;
use crate::task::Task;

impl<B, T> Trainer<'_, B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    /// Validates the average; tells whether it is better than ever.
    pub(super) fn validate(&mut self, regime: &Regime) -> Result<bool, TrainError> {
        let v = &self.recipe.validation;
        let items = self.source.held_out(v.pictures)?;
        let mut points = Vec::with_capacity(v.qualities.len());
        let mut samples = Vec::new();
        for &quality in &v.qualities {
            let mut sums = Metrics::new();
            let mut count = 0usize;
            for item in &items {
                let evaluated = self.task.evaluate(
                    &self.networks.average,
                    item,
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
    pub(super) fn save(&mut self, best: bool, last: bool) -> Result<(), TrainError> {
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
            self.storage,
            &self.options.out,
            state,
            self.networks.files()?,
            keep,
        )?;
        for name in [WEIGHTS, BEST].into_iter().take(1 + usize::from(best)) {
            match self.write_weights(name) {
                // A model may get back to where its weights fit the file; the checkpoint is there in any case.
                Err(TrainError::Model(error)) if !last => {
                    let message = format!("{name} is not written: {error}");
                    self.report(Event::Warning { message })?;
                }
                other => other?,
            }
        }
        self.report(Event::Checkpoint { step: self.step })
    }

    /// Exports the average.
    pub(super) fn write_weights(&self, name: &str) -> Result<(), TrainError> {
        if self.log.is_none() {
            return Ok(());
        }
        let average = &self.networks.average;
        let bytes = self
            .task
            .export(average, &self.recipe.name, &self.resolved)?;
        replace(self.storage, &self.options.out.join(name), &bytes)
    }

    /// Saves what is known about a fault and makes the error of it.
    pub(super) fn fault(&mut self, found: &Found, lr: f64, regime: &Regime) -> TrainError {
        let folder = match self.rank {
            0 => self.options.out.join("fault"),
            rank => self.options.out.join(format!("fault-{rank}")),
        };
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
