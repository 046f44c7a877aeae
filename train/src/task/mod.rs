//! What a model family tells the training loop.

pub mod index_context;
pub mod index_restorer;
mod pictures;
mod sounds;
pub mod srvq;
mod tokenizer;
pub mod vqgan;
pub mod walloc;
pub mod walloc1d;
pub mod wpmr;

use std::collections::BTreeMap;

use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::data::Item;
use crate::events::{Metrics, Sample};
use crate::losses::Domain;
use crate::parameters::Parameters;
use crate::recipe::Stage;

/// The model of a task without automatic differentiation, as it is averaged, validated and exported.
pub type Averaged<T, B> = <<T as Task<B>>::Model as AutodiffModule<B>>::InnerModule;

/// A batch of pictures or of pieces of sound.
#[derive(Debug, Clone)]
pub enum Signal<B: Backend> {
    /// `[n, 3, h, w]` in 0..1.
    Pictures(Tensor<B, 4>),
    /// Sound.
    Sound {
        /// `[n, c, t]` in -1..=1.
        samples: Tensor<B, 3>,
        /// Samples per second.
        rate: u32,
    },
}

impl<B: Backend> Signal<B> {
    /// Pictures or sound in the batch.
    pub fn count(&self) -> usize {
        match self {
            Self::Pictures(x) => x.dims()[0],
            Self::Sound { samples, .. } => samples.dims()[0],
        }
    }

    /// The pictures.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for sound.
    pub fn pictures(&self) -> Result<Tensor<B, 4>, TrainError> {
        match self {
            Self::Pictures(x) => Ok(x.clone()),
            Self::Sound { .. } => Err(TrainError::Recipe(
                "the family takes pictures, the data are sound".into(),
            )),
        }
    }

    /// The sound, with its rate.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for pictures.
    pub fn sound(&self) -> Result<(Tensor<B, 3>, u32), TrainError> {
        match self {
            Self::Sound { samples, rate } => Ok((samples.clone(), *rate)),
            Self::Pictures(_) => Err(TrainError::Recipe(
                "the family takes sound, the data are pictures".into(),
            )),
        }
    }
}

impl<B: AutodiffBackend> Signal<B> {
    /// The same values without their graph, to be differentiated by.
    pub(crate) fn leaf(&self) -> Self {
        match self {
            Self::Pictures(x) => Self::Pictures(x.clone().detach().require_grad()),
            Self::Sound { samples, rate } => Self::Sound {
                samples: samples.clone().detach().require_grad(),
                rate: *rate,
            },
        }
    }
}

/// How a term enters the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermKind {
    /// As it is.
    Rate,
    /// Times the Lagrangian of the sample.
    Distortion,
    /// As a rate, but only where a recipe names it: no part of the family's own loss.
    Offered,
}

/// One part of the loss.
#[derive(Debug, Clone)]
pub struct Term<B: Backend> {
    /// Name in logs and recipes.
    pub name: String,
    /// How it enters.
    pub kind: TermKind,
    /// One value a sample, `[n]`.
    pub value: Tensor<B, 1>,
}

/// What a training pass gives. The loss is the sum over samples of
/// `weight * (sum of rate terms + lambda * sum of distortion terms)`.
#[derive(Debug, Clone)]
pub struct Pass<B: Backend> {
    /// Parts of the loss.
    pub terms: Vec<Term<B>>,
    /// Lagrangian of each sample.
    pub lambdas: Vec<f32>,
    /// Weight of each sample; a plain mean is `1 / n`.
    pub weights: Vec<f32>,
    /// Further values, one or more a sample, from which [`Task::metrics`] makes figures.
    pub readings: Vec<(String, Tensor<B, 1>)>,
    /// What a decoder would give, with gradients.
    pub output: Signal<B>,
}

/// Values of terms and readings on the host, by name.
#[derive(Debug, Clone, Default)]
pub struct Readings(BTreeMap<String, Vec<f32>>);

impl Readings {
    /// Copies all tensors to the host in one transfer.
    pub fn of<B: Backend>(tensors: Vec<(String, Tensor<B, 1>)>) -> Self {
        let lengths: Vec<usize> = tensors.iter().map(|(_, x)| x.dims()[0]).collect();
        let (names, tensors): (Vec<String>, Vec<Tensor<B, 1>>) = tensors.into_iter().unzip();
        if tensors.is_empty() {
            return Self::default();
        }
        let all: Vec<f32> = Tensor::cat(tensors, 0)
            .into_data()
            .convert::<f32>()
            .into_vec()
            .unwrap_or_default();
        let mut rest = all.as_slice();
        let mut values = BTreeMap::new();
        for (name, length) in names.into_iter().zip(lengths) {
            let (head, tail) = rest.split_at(length.min(rest.len()));
            values.insert(name, head.to_vec());
            rest = tail;
        }
        Self(values)
    }

    /// Values by name; empty if there are none.
    pub fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Mean of a function of the values.
    pub fn mean(&self, name: &str, f: impl Fn(f64) -> f64) -> f64 {
        let values = self.get(name);
        values.iter().map(|&v| f(f64::from(v))).sum::<f64>() / values.len().max(1) as f64
    }

    /// Names with the means of their values.
    pub fn means(&self) -> impl Iterator<Item = (String, f64)> {
        let names = self.0.keys();
        names.map(|name| (name.clone(), self.mean(name, |v| v)))
    }

    /// Names with values that are not finite.
    pub fn not_finite(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, values)| values.iter().any(|v| !v.is_finite()))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// One validation file at one quality.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Figures; `cost` among them is what training minimizes.
    pub metrics: Metrics,
    /// Before and after, when asked for.
    pub sample: Option<Sample>,
}

/// Multiply-accumulates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Macs {
    /// Of encoding, per unit.
    pub encode: f64,
    /// Of decoding, per unit.
    pub decode: f64,
    /// `pixel` or `sample`.
    pub unit: &'static str,
}

/// Patterns of parameter names (as in a stage's `freeze`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// What only an encoder has.
    pub encoder: &'static [&'static str],
    /// What a decoder has.
    pub decoder: &'static [&'static str],
    /// What `[optim.aux]` updates, if the recipe has it.
    pub auxiliary: &'static [&'static str],
}

/// A model family in training. One value of it stands for one recipe.
pub trait Task<B>: Sized
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    /// The model.
    type Model: AutodiffModule<B>;

    /// What goes in and comes out.
    fn domain(&self) -> Domain;

    /// A model with initial parameters, drawn from the device's seeded generator.
    fn init(&self, device: &<B as BackendTypes>::Device) -> Self::Model;

    /// One pass over a batch; `t` is the quality of each sample in `0..=1`.
    ///
    /// # Errors
    /// Those of the model.
    fn forward(
        &self,
        model: &Self::Model,
        input: &Signal<B>,
        t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError>;

    /// What changes after a step without a gradient, for instance codebooks with moving averages. It looks at the last pass.
    ///
    /// # Errors
    /// Those of the model.
    fn settle(&self, model: Self::Model, step: u64) -> Result<Self::Model, TrainError> {
        let _ = step;
        Ok(model)
    }

    /// Whether [`Task::settle`] does anything. Such a family learns on one device: replicas would see other batches.
    fn settles(&self) -> bool {
        false
    }

    /// Figures of a pass, averaged over its samples. `readings` holds terms and readings by name.
    fn metrics(&self, readings: &Readings, stage: &Stage) -> Metrics;

    /// A validation file at a quality in `0..=1`, symbols chosen as in the encoder. `None` if the family cannot use the file.
    ///
    /// # Errors
    /// Those of the model.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        stage: &Stage,
        sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError>;

    /// The weights file that codes.
    ///
    /// # Errors
    /// Those of the model.
    fn export(
        &self,
        model: &Averaged<Self, B>,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError>;

    /// Parameters of a weights file that [`Task::export`] has made, as far as they can be had from it.
    ///
    /// # Errors
    /// Those of reading weights.
    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError>;

    /// Cost of coding.
    fn macs(&self) -> Macs;

    /// Input channels of a parameter that stand behind those of its own network, where a layer reads a concatenation: a
    /// wider model gets its new channels before these.
    fn trailing_inputs(&self, _parameter: &str) -> usize {
        0
    }

    /// Names of the parts.
    fn parts(&self) -> Parts;
}
