//! The context model of a tokenizer's codes in training.
//!
//! The tokenizer is a finished model; pictures become codes on the way, and what is learned is to predict them
//! ([`codec_core::index_context`]). The weights file that comes out is the tokenizer's with the context model in it.

use std::path::PathBuf;

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::index_context::{ContextConfig, ContextNetwork, IndexGrid, Sampled, similar};
use codec_core::layers::Precision;
use serde::{Deserialize, Serialize};

use super::pictures::{hyperparameters, macs_per_pixel, named};
use super::tokenizer::{Tokenizer, no_import};
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::Domain;
use crate::parameters::Parameters;
use crate::recipe::{Recipe, Stage, StagePrecision};

/// Names of the parts: all of it is needed to decode.
pub(crate) const PARTS: Parts = Parts {
    encoder: &[],
    decoder: &["stages"],
    auxiliary: &[],
};

/// Hyperparameters in a recipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hyperparameters {
    /// Weights file of the tokenizer.
    tokenizer: PathBuf,
    rows: usize,
    columns: usize,
    embedding: usize,
    width: usize,
}

/// `index_context` by a recipe.
pub struct ContextTask<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    tokenizer: Tokenizer<B>,
    config: ContextConfig,
    ranks: Vec<Vec<u32>>,
}

impl<B> ContextTask<B>
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
        let sizes = ContextConfig::pictures(2);
        let defaults = Hyperparameters {
            tokenizer: PathBuf::new(),
            rows: sizes.rows,
            columns: sizes.columns,
            embedding: sizes.embedding,
            width: sizes.width,
        };
        let given: Hyperparameters = hyperparameters(&defaults, &recipe.model)?;
        let tokenizer = Tokenizer::<B>::open(&given.tokenizer, recipe)?;
        let config = ContextConfig {
            codes: vec![tokenizer.config().n_embed],
            rows: given.rows,
            columns: given.columns,
            embedding: given.embedding,
            width: given.width,
        };
        config.check().map_err(bad)?;
        let rows = tokenizer.codebook().map_err(bad)?;
        let width = tokenizer.config().embed_dim;
        Ok(Self {
            ranks: vec![similar(rows.as_floats().unwrap_or_default(), width)],
            tokenizer,
            config,
        })
    }
}

impl<B> Task<B> for ContextTask<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = ContextNetwork<B>;

    fn from_recipe(recipe: &Recipe) -> Result<Self, TrainError> {
        Self::new(recipe)
    }

    fn domain(&self) -> Domain {
        Domain::Pictures
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> ContextNetwork<B> {
        ContextNetwork::init(&self.config, device)
    }

    fn forward(
        &self,
        model: &ContextNetwork<B>,
        input: &Signal<B>,
        _t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let pixels = input.pictures()?;
        let count = pixels.dims()[0];
        let mut sampled = Sampled::default();
        let ranks = self.ranks.first().map_or(&[][..], Vec::as_slice);
        for tokens in self.tokenizer.batch(pixels.clone().inner())? {
            let grid = grid(tokens.shape());
            sampled.add(&self.config, ranks, 0, tokens.codes(), grid, || true);
        }
        let precision = match stage.precision {
            StagePrecision::Float => Precision::Float,
            StagePrecision::Integer => Precision::Integer,
        };
        let each = |bits: Tensor<B, 1>| {
            bits.reshape([count as i32, -1])
                .mean_dim(1)
                .reshape([count])
        };
        let bits = each(model.bits(&self.config, 0, &sampled, precision)?);
        let statistics = each(model.static_bits(0, &sampled)?);
        let term = |name: &str, value| Term {
            name: name.to_owned(),
            kind: TermKind::Rate,
            value,
        };
        Ok(Pass {
            terms: vec![term("bits", bits), term("static_bits", statistics)],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: Vec::new(),
            output: Signal::Pictures(pixels),
        })
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        let mean = |name: &str| (name.to_owned(), readings.mean(name, |bits| bits));
        [mean("bits"), mean("static_bits")].into()
    }

    /// Bits of an index in files: by the network or by statistics, adaptive, and as they are.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        _t: f32,
        _stage: &Stage,
        _sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let Some(tokens) = self.tokenizer.item(item, device)? else {
            return Ok(None);
        };
        let context = model.export(&self.config, &self.ranks)?;
        let codes = tokens.codes();
        let coded = context.encode(codes, grid(tokens.shape()))?;
        let size = self.tokenizer.config().n_embed;
        let adaptive = codec_entropy::encode_indexes(codes, size)
            .map_err(|e| Error::bad_parameter(format!("codes: {e}")))?;
        let bits = |bytes: usize| 8.0 * bytes as f64 / codes.len().max(1) as f64;
        let metrics = [
            ("bits", bits(coded.len())),
            ("adaptive_bits", bits(adaptive.len())),
            ("raw_bits", (size as f64).log2()),
            ("cost", bits(coded.len())),
        ];
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
        let mut config = self.tokenizer.config().clone();
        config.context = Some(self.config.clone());
        let context = model.export(&self.config, &self.ranks)?;
        let part = ("context", &context.tensors()?);
        self.tokenizer.with(part, &config, name, recipe)
    }

    fn import(&self, _bytes: &[u8]) -> Result<Parameters, TrainError> {
        no_import()
    }

    fn macs(&self) -> Macs {
        let factor = self.tokenizer.config().ddconfig.factor();
        let per_pixel = self.config.macs() as f64 / (factor * factor) as f64;
        macs_per_pixel([per_pixel; 2])
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}

/// The grid of tokens of a picture, `[codebooks, height, width]`.
fn grid(shape: &[usize]) -> IndexGrid {
    let side = |dimension: usize| shape.get(dimension).copied().unwrap_or(0);
    IndexGrid {
        codebooks: side(0),
        height: side(1),
        width: side(2),
    }
}
