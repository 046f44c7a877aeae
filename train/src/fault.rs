//! What is saved when numbers stop being finite: the batch and a report of where.

use std::fs;
use std::path::Path;

use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use crate::TrainError;
use crate::data::HostBatch;
use crate::parameters::Parameters;
use crate::storage::{Disk, replace};

/// Parameters of largest magnitude that are listed.
const LARGEST: usize = 5;
/// Names that are listed at most.
const LISTED: usize = 32;

/// What is not finite.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Found {
    /// Loss, gradient or parameters.
    pub what: &'static str,
    /// Terms of the loss and readings.
    pub terms: Vec<String>,
    /// Parameters, in the order of the model.
    pub parameters: Vec<String>,
    /// Parameters whose gradients are not finite, in the order of the model.
    pub gradients: Vec<String>,
    /// Parameters of largest magnitude: where numbers were about to overflow.
    pub largest: Vec<(String, f32)>,
}

impl Found {
    /// Of a loss that is not finite.
    pub(crate) fn in_loss<B: AutodiffBackend, M: AutodiffModule<B>>(
        model: &M,
        terms: Vec<String>,
    ) -> Self {
        let parameters = parameters(model);
        Self {
            what: if parameters.is_empty() {
                "loss"
            } else {
                "parameters"
            },
            terms,
            parameters,
            gradients: Vec::new(),
            largest: largest(model),
        }
    }

    /// Of a gradient that is not finite.
    pub(crate) fn in_gradient<B: AutodiffBackend, M: AutodiffModule<B>>(
        model: &M,
        groups: &[&GradientsParams],
    ) -> Self {
        let mut visitor = Gradients {
            groups,
            names: Names::default(),
        };
        model.visit(&mut visitor);
        Self {
            what: "gradient",
            terms: Vec::new(),
            parameters: parameters(model),
            gradients: visitor.names.found,
            largest: largest(model),
        }
    }

    /// Of a model after an update, if there is something.
    pub(crate) fn in_parameters<B: Backend, M: Module<B>>(model: &M) -> Option<Self> {
        let parameters = parameters(model);
        (!parameters.is_empty()).then(|| Self {
            what: "parameters",
            terms: Vec::new(),
            parameters,
            gradients: Vec::new(),
            largest: largest(model),
        })
    }

    /// The same of a discriminator, whose name stands before those of its parameters.
    #[must_use]
    pub(crate) fn of(mut self, discriminator: &str) -> Self {
        let rename = |name: &mut String| *name = format!("{discriminator}.{name}");
        self.parameters.iter_mut().for_each(rename);
        self.gradients.iter_mut().for_each(rename);
        let largest = self.largest.iter_mut();
        largest.for_each(|(name, _)| rename(name));
        self
    }

    /// The first thing to blame: a parameter, else a gradient, else a term of the loss.
    pub(crate) fn layer(&self) -> String {
        let first = [&self.parameters, &self.gradients, &self.terms];
        first
            .into_iter()
            .find_map(|names| names.first().cloned())
            .unwrap_or_else(|| "an unknown place".into())
    }
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: Vec<String>,
}

impl Names {
    fn check<B: Backend, const D: usize>(&mut self, tensor: Tensor<B, D>) {
        let values: Vec<f32> = tensor
            .into_data()
            .convert::<f32>()
            .into_vec()
            .unwrap_or_default();
        if self.found.len() < LISTED && values.iter().any(|v| !v.is_finite()) {
            self.found.push(self.path.join("."));
        }
    }
}

fn parameters<B: Backend, M: Module<B>>(model: &M) -> Vec<String> {
    struct Values(Names);
    impl<B: Backend> ModuleVisitor<B> for Values {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.check(param.val());
        }
    }
    let mut values = Values(Names::default());
    model.visit(&mut values);
    values.0.found
}

fn largest<B: Backend, M: Module<B>>(model: &M) -> Vec<(String, f32)> {
    let mut all: Vec<(String, f32)> = Parameters::of(model)
        .tensors()
        .iter()
        .map(|tensor| {
            let magnitudes = tensor.values.iter().filter(|v| v.is_finite());
            let peak = magnitudes.fold(0f32, |peak, v| peak.max(v.abs()));
            (tensor.name.clone(), peak)
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(LARGEST);
    all
}

struct Gradients<'a> {
    groups: &'a [&'a GradientsParams],
    names: Names,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.names.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.names.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        for gradients in self.groups {
            if let Some(g) = gradients.get::<B::InnerBackend, D>(param.id) {
                self.names.check(g);
            }
        }
    }
}

/// `report.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    /// Steps done before.
    pub step: u64,
    /// Stage.
    pub stage: &'a str,
    /// Learning rate.
    pub lr: f64,
    /// Number of the newest batch.
    pub batch: Option<u64>,
    /// Qualities of its samples in 0..=1.
    pub qualities: &'a [f32],
    /// What is not finite.
    #[serde(flatten)]
    pub found: &'a Found,
    /// All in one sentence.
    pub message: String,
}

/// Writes `report.json` and `batch.safetensors` (the tensor `input`).
pub(crate) fn write(
    folder: &Path,
    report: &Report<'_>,
    batch: Option<&HostBatch>,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
    let bad = |e: &dyn std::fmt::Display| TrainError::Checkpoint {
        path: folder.to_path_buf(),
        reason: e.to_string(),
    };
    let text = serde_json::to_vec_pretty(report).map_err(|e| bad(&e))?;
    replace(&Disk, &folder.join("report.json"), &text)?;
    let Some(batch) = batch else {
        return Ok(());
    };
    let bytes: Vec<u8> = batch.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, batch.shape.clone(), &bytes).map_err(|e| bad(&e))?;
    let file = safetensors::serialize([("input", view)], None).map_err(|e| bad(&e))?;
    replace(&Disk, &folder.join("batch.safetensors"), &file)
}
