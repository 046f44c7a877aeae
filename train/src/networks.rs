//! Everything that learns in a run, and its way into checkpoints and back.

use std::collections::HashSet;
use std::path::Path;

use burn::module::{AutodiffModule, Module, ParamId};
use burn::optim::GradientsParams;
use burn::record::{BinBytesRecorder, BinFileRecorder, FullPrecisionSettings, Recorder};
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::average::{average, ids};
use crate::checkpoint::{self, AVERAGE};
use crate::gradients::{Exchange, clip_by_global_norm, split};
use crate::hold::hold;
use crate::optim::AnyOptimizer;
use crate::parameters::Parameters;
use crate::recipe::Optim;
use crate::task::{Averaged, Task};

const MODEL: &str = "model";
const MODEL_FILE: &str = "model.bin";
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
}

/// The gradient of a step, clipped.
pub(crate) struct Prepared {
    pub main: GradientsParams,
    pub auxiliary: GradientsParams,
    /// Norm of both before clipping.
    pub norm: f32,
}

impl<B, T> Networks<B, T>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    /// A new model.
    pub(crate) fn new(task: &T, optim: &Optim, device: &<B as BackendTypes>::Device) -> Self {
        let model = task.init(device);
        Self {
            average: model.valid(),
            model,
            held: HashSet::new(),
            optimizer: AnyOptimizer::new(optim),
            auxiliary: optim
                .aux
                .is_some()
                .then(|| AnyOptimizer::new(&optim.auxiliary())),
            constants: Vec::new(),
        }
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
        gradients: GradientsParams,
        freeze: &[String],
        auxiliary: &[&str],
        optim: &Optim,
        exchange: &mut E,
    ) -> Result<Prepared, TrainError> {
        let mut main = exchange.exchange(&self.model, gradients)?;
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
        Ok(Prepared {
            main,
            auxiliary: own,
            norm: if own_norm == 0.0 {
                norm
            } else {
                norm.hypot(own_norm)
            },
        })
    }

    /// One update of model and average.
    pub(crate) fn update(
        mut self,
        gradients: Prepared,
        lr: f64,
        optim: &Optim,
        decay: f32,
    ) -> Self {
        self.model = self.optimizer.step(lr, self.model, gradients.main);
        if let Some(optimizer) = &mut self.auxiliary {
            self.model = optimizer.step(optim.auxiliary().lr, self.model, gradients.auxiliary);
        }
        self.average = average(self.average, &self.model, decay, &self.held);
        self
    }

    /// Files of a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, TrainError> {
        let bad = |e: burn::record::RecorderError| TrainError::Checkpoint {
            path: MODEL.into(),
            reason: e.to_string(),
        };
        // The model goes through Burn's recorder because the optimizer's state refers to its parameter ids.
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        let model = Recorder::<B>::record(&recorder, self.model.clone().into_record(), ());
        let mut files = vec![
            (MODEL_FILE, model.map_err(bad)?),
            ("optimizer.bin", self.optimizer.to_bytes().map_err(bad)?),
            (
                AVERAGE,
                checkpoint::parameter_file(&Parameters::of(&self.average))?,
            ),
        ];
        if let Some(auxiliary) = &self.auxiliary {
            files.push(("auxiliary.bin", auxiliary.to_bytes().map_err(bad)?));
        }
        Ok(files)
    }

    /// Bytes of the optimizers' state.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn optimizer_bytes(&self) -> Result<u64, TrainError> {
        let files = self.files()?;
        let optimizers = files
            .iter()
            .filter(|(name, _)| ![MODEL_FILE, AVERAGE].contains(name));
        Ok(optimizers.map(|(_, bytes)| bytes.len() as u64).sum())
    }

    /// Takes over a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn load(
        mut self,
        path: &Path,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Self, TrainError> {
        let bad = |reason: String| TrainError::Checkpoint {
            path: path.to_path_buf(),
            reason,
        };
        let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
        let expected = shapes(&Parameters::of(&self.model));
        let record = Recorder::<B>::load(&recorder, path.join(MODEL), device)
            .map_err(|e| bad(e.to_string()))?;
        self.model = self.model.load_record(record);
        // Burn takes over whatever shape the file has.
        let mut average = Parameters::of(&self.model);
        if let Some((name, _)) = shapes(&average)
            .iter()
            .zip(&expected)
            .find(|(found, expected)| found != expected)
            .map(|(found, _)| found)
        {
            return Err(bad(format!("{name} has another shape than in the recipe")));
        }
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
            .map_err(|e| bad(format!("optimizer: {e}")))?;
        if let Some(auxiliary) = self.auxiliary {
            let loaded = auxiliary.load(path.join(AUXILIARY), device);
            self.auxiliary = Some(loaded.map_err(|e| bad(format!("auxiliary optimizer: {e}")))?);
        }
        Ok(self)
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

fn shapes(parameters: &Parameters) -> Vec<(String, Vec<usize>)> {
    let tensors = parameters.tensors().iter();
    tensors.map(|t| (t.name.clone(), t.shape.clone())).collect()
}
