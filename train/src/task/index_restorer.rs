//! The transformer that restores lost codes of a tokenizer, in training.
//!
//! Pictures become codes on the way, a share of them is left out, and what is learned is to name those
//! ([`codec_core::index_restorer`]). The weights file that comes out is the tokenizer's with the transformer in it.

use std::path::PathBuf;

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::index_restorer::{Restorer, RestorerConfig};
use codec_core::noise;
use codec_core::weights::{HostTensor, Loader, Start};
use codec_datasets::SplitMix64;
use serde::{Deserialize, Serialize};

use super::pictures::{hyperparameters, macs_per_pixel, named};
use super::tokenizer::{Indexes, Tokenizer, no_import};
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::Domain;
use crate::parameters::Parameters;
use crate::recipe::suggest::invalid;
use crate::recipe::{Recipe, Stage};

/// Names of the parts: all of it is needed to decode.
pub(crate) const PARTS: Parts = Parts {
    encoder: &[],
    decoder: &["*"],
    auxiliary: &[],
};

/// Share of codes that are lost in validation.
const LOSS: f32 = 0.2;

/// Hyperparameters in a recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hyperparameters {
    /// Weights file of the tokenizer.
    tokenizer: PathBuf,
    side: usize,
    width: usize,
    heads: usize,
    blocks: usize,
    /// Largest share of codes that are left out.
    loss: f32,
}

/// `index_restorer` by a recipe.
pub struct RestorerTask<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    tokenizer: Tokenizer<B>,
    codebook: HostTensor,
    config: RestorerConfig,
    start: Start,
    loss: f32,
}

impl<B> RestorerTask<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`], [`TrainError::Io`] for a tokenizer that cannot be read.
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let bad = |e: Error| TrainError::Recipe(format!("model: {e}"));
        let defaults = Hyperparameters {
            tokenizer: PathBuf::new(),
            side: 16,
            width: 128,
            heads: 4,
            blocks: 4,
            loss: 0.5,
        };
        let given: Hyperparameters = hyperparameters(&defaults, &recipe.model)?;
        if !(given.loss > 0.0 && given.loss <= 1.0) {
            return Err(invalid("model.loss", &given.loss, "above 0, at most 1"));
        }
        let tokenizer = Tokenizer::<B>::open(&given.tokenizer, recipe)?;
        let (factor, codebook) = (tokenizer.factor(), tokenizer.rows().map_err(bad)?);
        let (Domain::Pictures, Some(codebook)) = (tokenizer.domain(), codebook.into_iter().next())
        else {
            return Err(TrainError::Recipe(
                "a tokenizer of sound (expected one of pictures)".into(),
            ));
        };
        for stage in &recipe.stages {
            if stage.patch != given.side * factor {
                let key = format!("stage {}: patch", stage.name);
                let expected = format!(
                    "{} pixels, for {} codes a side",
                    given.side * factor,
                    given.side
                );
                return Err(invalid(&key, &stage.patch, &expected));
            }
        }
        let config = RestorerConfig {
            codes: codebook.shape().first().copied().unwrap_or(0),
            row: codebook.shape().get(1).copied().unwrap_or(0),
            side: given.side,
            width: given.width,
            heads: given.heads,
            blocks: given.blocks,
        };
        config.check().map_err(bad)?;
        let start = Start::new(recipe.seed, |loader| Restorer::load(&config, loader));
        Ok(Self {
            codebook,
            start: start.map_err(bad)?,
            tokenizer,
            config,
            loss: given.loss,
        })
    }
}

impl<B> Task<B> for RestorerTask<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Restorer<B>;

    fn domain(&self) -> Domain {
        Domain::Pictures
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Restorer<B> {
        Restorer::load(&self.config, &Loader::new(self.start.tensors(), device))
    }

    fn forward(
        &self,
        model: &Restorer<B>,
        input: &Signal<B>,
        _t: &[f32],
        _stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let pixels = input.pictures()?;
        let (count, device) = (pixels.dims()[0], pixels.device());
        let indexes = self.tokenizer.batch(input, 1)?;
        let codes: Vec<i64> = indexes
            .iter()
            .flat_map(|of_one| of_one.codes.iter().map(|&code| code.into()))
            .collect();
        let (all, places) = (codes.len(), codes.len() / count.max(1));
        let codes = Tensor::<B, 1, Int>::from_data(TensorData::new(codes, [all]), &device);
        // Every picture loses a share of its own.
        let share = noise::uniform::<B, 2>([count, 1], &device)
            .add_scalar(0.5)
            .mul_scalar(self.loss);
        let lost = noise::uniform::<B, 2>([count, places], &device)
            .add_scalar(0.5)
            .lower(share.expand([count, places]))
            .float();
        let codebook: Tensor<B, 2> = self.codebook.to_device(&device)?;
        let rows = codebook.select(0, codes.clone());
        let logits = model.forward(rows, lost.clone().reshape([all]));
        let bits = log_softmax(logits.clone(), 1)
            .gather(1, codes.clone().reshape([all, 1]))
            .reshape([count, places])
            .div_scalar(-std::f64::consts::LN_2);
        let right = logits.argmax(1).reshape([all]).equal(codes).float();
        let each = |values: Tensor<B, 2>| {
            let number = lost.clone().sum_dim(1).clamp_min(1.0);
            ((values * lost.clone()).sum_dim(1) / number).reshape([count])
        };
        let right = each(right.reshape([count, places]));
        Ok(Pass {
            terms: vec![Term {
                name: "bits".to_owned(),
                kind: TermKind::Rate,
                value: each(bits),
            }],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: vec![("accuracy".to_owned(), right)],
            output: Signal::Pictures(pixels),
        })
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        let mean = |name: &str| readings.mean(name, |value| value);
        named([("bits", mean("bits")), ("accuracy", mean("accuracy"))])
    }

    /// Share of the lost codes that come back, with a fifth of them lost.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        _t: f32,
        _stage: &Stage,
        _sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let Some(Indexes { codes, grid }) = self.tokenizer.item(item, 1, device)? else {
            return Ok(None);
        };
        let mut random = SplitMix64::keyed(&[codes.len() as u64]);
        let lost: Vec<bool> = codes.iter().map(|_| random.unit() < LOSS).collect();
        let codebook = self.codebook.to_device(device)?;
        let restored = model.restore(&codes, &lost, [grid.height, grid.width], codebook)?;
        let number = lost.iter().filter(|lost| **lost).count().max(1) as f64;
        let pairs = restored.iter().zip(&codes).zip(&lost);
        let right = pairs.filter(|((a, b), lost)| **lost && a == b).count() as f64;
        let metrics = [("accuracy", right / number), ("cost", 1.0 - right / number)];
        Ok(Some(Evaluation {
            metrics: named(metrics),
            sample: None,
        }))
    }

    fn export(
        &self,
        model: &Averaged<Self, B>,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError> {
        let tensors = self.start.collect(model)?;
        self.tokenizer
            .with("restorer", &self.config, &tensors, (name, recipe))
    }

    fn import(&self, _bytes: &[u8]) -> Result<Parameters, TrainError> {
        no_import()
    }

    fn macs(&self) -> Macs {
        let factor = self.tokenizer.factor();
        let per_pixel = self.config.macs() as f64 / (factor * factor) as f64;
        macs_per_pixel([0.0, per_pixel])
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}
