//! Everything that learns in a run, and its way into checkpoints and back.

use std::collections::HashSet;
use std::path::Path;

use burn::module::{AutodiffModule, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::adversary::Adversary;
use crate::average::{average, ids};
use crate::checkpoint::{self, AVERAGE};
use crate::gradients::{Exchange, clip_by_global_norm, split};
use crate::hold::hold;
use crate::optim::AnyOptimizer;
use crate::parameters::Parameters;
use crate::recipe::{Optim, Recipe};
use crate::record;
use crate::task::{Averaged, Task};

const MODEL: &str = "model";
const OPTIMIZER: &str = "optimizer";
const AUXILIARY: &str = "auxiliary";

/// Model, average and optimizers.
pub(crate) struct Networks<B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    pub model: T::Model,
    pub average: Averaged<T, B>,
    optimizer: AnyOptimizer<T::Model, B>,
    /// Parameters that never learn. Their average would drift by its rounding.
    held: HashSet<ParamId>,
    /// Of the auxiliary parameters.
    auxiliary: Option<AnyOptimizer<T::Model, B>>,
    /// Names of the parameters that are constants in this stage.
    constants: Vec<String>,
    /// Discriminators, in the order of the recipe.
    pub adversaries: Vec<Adversary<B>>,
}

/// The gradients of a step as the backward pass gave them.
pub(crate) struct Raw {
    /// Of the model.
    pub model: GradientsParams,
    /// Of the discriminators that [`Networks::playing`] gave for `step`.
    pub played: Vec<GradientsParams>,
    /// Steps done before.
    pub step: u64,
}

/// The gradient of a step, clipped.
pub(crate) struct Prepared {
    pub main: GradientsParams,
    pub auxiliary: GradientsParams,
    /// Norm of both before clipping.
    pub norm: f32,
    /// Gradients of the discriminators that played, clipped, with their norms before; `None` for the others.
    pub adversaries: Vec<Option<(GradientsParams, f32)>>,
}

impl<B, T> Networks<B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    /// A new model, and the discriminators of the recipe.
    ///
    /// # Errors
    /// [`TrainError::Loss`] for a discriminator that does not fit.
    pub(crate) fn new(
        task: &T,
        recipe: &Recipe,
        optim: &Optim,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Self, TrainError> {
        let model = task.init(device);
        let average = model.valid();
        let terms = recipe.adversary.iter();
        let adversaries: Result<_, _> = terms
            .map(|term| Adversary::new(term, task.domain(), device))
            .collect();
        Ok(Self {
            average,
            model,
            held: HashSet::new(),
            optimizer: AnyOptimizer::new(optim),
            auxiliary: optim
                .aux
                .is_some()
                .then(|| AnyOptimizer::new(&optim.auxiliary())),
            constants: Vec::new(),
            adversaries: adversaries?,
        })
    }

    /// Discriminators that play at a step.
    pub(crate) fn playing(&self, step: u64) -> Vec<&Adversary<B>> {
        self.adversaries.iter().filter(|a| a.plays(step)).collect()
    }

    /// Leaves parameters whose names satisfy a condition out of averaging.
    pub(crate) fn hold(&mut self, condition: impl Fn(&str) -> bool) {
        self.held = ids::<B, _>(&self.model, condition);
    }

    /// Makes the parameters of `patterns` constants, and those that were constants before learned again.
    pub(crate) fn with_constants(mut self, patterns: &[String]) -> Self {
        let (model, constants) = hold(self.model, &self.constants, patterns);
        self.model = model;
        self.constants = constants;
        self
    }

    /// Goes over to the optimizer of another stage.
    pub(crate) fn reconfigure(mut self, optim: &Optim) -> Self {
        self.optimizer = self.optimizer.reconfigured(optim);
        self.auxiliary = optim.aux.is_some().then(|| {
            let aux = optim.auxiliary();
            match self.auxiliary {
                Some(old) => old.reconfigured(&aux),
                None => AnyOptimizer::new(&aux),
            }
        });
        self
    }

    /// Exchanges, freezes, splits and clips the gradient of a step, so that [`Networks::update`] may follow if it is finite.
    ///
    /// # Errors
    /// Those of the exchange.
    pub(crate) fn prepare<E: Exchange<B>>(
        &self,
        raw: Raw,
        freeze: &[String],
        auxiliary: &[&str],
        optim: &Optim,
        exchange: &mut E,
    ) -> Result<Prepared, TrainError> {
        let mut main = exchange.exchange(&self.model, raw.model)?;
        drop(split(&self.model, &mut main, freeze));
        let mut own = GradientsParams::new();
        if self.auxiliary.is_some() {
            own = split(&self.model, &mut main, auxiliary);
        }
        let norm = clip_by_global_norm(&self.model, &mut main, optim.clip_norm);
        let own_norm = if own.is_empty() {
            0.0
        } else {
            clip_by_global_norm(&self.model, &mut own, optim.auxiliary().clip_norm)
        };
        let mut played = raw.played.into_iter();
        let mut adversaries = Vec::with_capacity(self.adversaries.len());
        for adversary in &self.adversaries {
            let own = if adversary.plays(raw.step) {
                played.next()
            } else {
                None
            };
            let prepared = own.map(|own| adversary.prepare(own, exchange));
            adversaries.push(prepared.transpose()?);
        }
        Ok(Prepared {
            adversaries,
            main,
            auxiliary: own,
            norm: if own_norm == 0.0 {
                norm
            } else {
                norm.hypot(own_norm)
            },
        })
    }

    /// One update of the model.
    pub(crate) fn update(mut self, gradients: Prepared, lr: f64, optim: &Optim) -> Self {
        self.model = self.optimizer.step(lr, self.model, gradients.main);
        if let Some(optimizer) = &mut self.auxiliary {
            self.model = optimizer.step(optim.auxiliary().lr, self.model, gradients.auxiliary);
        }
        let adversaries = self.adversaries.into_iter().zip(gradients.adversaries);
        self.adversaries = adversaries
            .map(|(adversary, own)| match own {
                Some((own, _)) => adversary.update(own),
                None => adversary,
            })
            .collect();
        self
    }

    /// What changes without a gradient.
    ///
    /// # Errors
    /// Those of the task.
    pub(crate) fn settle(mut self, task: &T, step: u64) -> Result<Self, TrainError> {
        self.model = task.settle(self.model, step)?;
        Ok(self)
    }

    /// Moves the average towards the model.
    pub(crate) fn follow(mut self, decay: f32) -> Self {
        self.average = average(self.average, &self.model, decay, &self.held);
        self
    }

    /// Files of a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn files(&self) -> Result<Vec<(String, Vec<u8>)>, TrainError> {
        let state =
            |optimizer: &AnyOptimizer<T::Model, B>| optimizer.to_bytes().map_err(record::unwritten);
        let average = Parameters::of(&self.average);
        let mut files = vec![
            (format!("{MODEL}.bin"), record::bytes(&self.model)?),
            (format!("{OPTIMIZER}.bin"), state(&self.optimizer)?),
            (AVERAGE.to_owned(), checkpoint::parameter_file(&average)?),
        ];
        if let Some(auxiliary) = &self.auxiliary {
            files.push((format!("{AUXILIARY}.bin"), state(auxiliary)?));
        }
        for adversary in &self.adversaries {
            files.extend(adversary.files()?);
        }
        Ok(files)
    }

    /// Bytes of the state that is not the model's: optimizers and discriminators.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn other_bytes(&self) -> Result<u64, TrainError> {
        let model = [format!("{MODEL}.bin"), AVERAGE.to_owned()];
        let files = self.files()?;
        let others = files.iter().filter(|(name, _)| !model.contains(name));
        Ok(others.map(|(_, bytes)| bytes.len() as u64).sum())
    }

    /// Takes over a checkpoint; gives the names of the discriminators that it lacks, which start afresh.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn load(
        mut self,
        path: &Path,
        device: &<B as BackendTypes>::Device,
    ) -> Result<(Self, Vec<String>), TrainError> {
        let bad = |reason: String| TrainError::Checkpoint {
            path: path.to_path_buf(),
            reason,
        };
        self.model = record::load(self.model, path, MODEL, device)?;
        let mut average = Parameters::of(&self.model);
        let source = checkpoint::read_parameters(&path.join(AVERAGE))?;
        match average.grow_from(&source, &|_| 0) {
            Ok(new) if new.is_empty() => {}
            Ok(names) | Err(names) => {
                return Err(bad(format!(
                    "tensors missing or of other shapes: {}",
                    names.join(", ")
                )));
            }
        }
        self.average = average
            .apply(self.model.valid())
            .ok_or_else(|| bad("the averaged weights do not fit the model".into()))?;
        self.optimizer = self
            .optimizer
            .load(path.join(OPTIMIZER), device)
            .map_err(|e| record::unread(path, OPTIMIZER, &e))?;
        if let Some(auxiliary) = self.auxiliary {
            let loaded = auxiliary.load(path.join(AUXILIARY), device);
            self.auxiliary = Some(loaded.map_err(|e| record::unread(path, AUXILIARY, &e))?);
        }
        let mut afresh = Vec::new();
        let mut adversaries = Vec::with_capacity(self.adversaries.len());
        for adversary in self.adversaries {
            let (adversary, found) = adversary.load(path, device)?;
            if !found {
                afresh.push(adversary.name().to_owned());
            }
            adversaries.push(adversary);
        }
        self.adversaries = adversaries;
        Ok((self, afresh))
    }

    /// Starts from given parameters; gives the names that they lack.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`] for tensors of other shapes.
    pub(crate) fn start_from(
        mut self,
        task: &T,
        path: &Path,
        source: &Parameters,
    ) -> Result<(Self, Vec<String>), TrainError> {
        let bad = |reason: String| TrainError::Checkpoint {
            path: path.to_path_buf(),
            reason,
        };
        let mut parameters = Parameters::of(&self.model);
        let new = parameters
            .grow_from(source, &|name| task.trailing_inputs(name))
            .map_err(|names| bad(format!("tensors of other shapes: {}", names.join(", "))))?;
        if new.len() == parameters.tensors().len() {
            return Err(bad("it has no tensor of this model".into()));
        }
        self.model = parameters
            .apply(self.model)
            .ok_or_else(|| bad("the parameters do not fit the model".into()))?;
        self.average = self.model.valid();
        Ok((self, new))
    }
}
