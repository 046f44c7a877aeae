//! The context model of a tokenizer's codes in training.
//!
//! The tokenizer is a finished model; pictures become codes on the way, and what is learned is to predict them
//! ([`codec_core::index_context`]). The weights file that comes out is the tokenizer's with the context model in it.

use std::path::PathBuf;

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::index_context::{ContextConfig, ContextNetwork, Sampled, similar};
use codec_core::layers::Precision;
use serde::{Deserialize, Serialize};

use super::pictures::{hyperparameters, macs_per_pixel, named};
use super::tokenizer::{Indexes, Tokenizer, no_import};
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
            codes: tokenizer.codes(),
            rows: match tokenizer.domain() {
                Domain::Pictures => given.rows,
                Domain::Sound => 0,
            },
            columns: given.columns,
            embedding: given.embedding,
            width: given.width,
        };
        config.check().map_err(bad)?;
        let rows = tokenizer.rows().map_err(bad)?;
        let ranks = rows.iter().map(|rows| {
            let width = rows.shape().get(1).copied().unwrap_or(1);
            similar(rows.as_floats().unwrap_or_default(), width)
        });
        Ok(Self {
            ranks: ranks.collect(),
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

    fn domain(&self) -> Domain {
        self.tokenizer.domain()
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> ContextNetwork<B> {
        ContextNetwork::init(&self.config, device)
    }

    fn forward(
        &self,
        model: &ContextNetwork<B>,
        input: &Signal<B>,
        t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let count = input.count();
        // A finer codebook is a neighbour only where it is coded.
        let codebooks = self.tokenizer.codebooks(t.first().copied().unwrap_or(1.0));
        let indexes = self.tokenizer.batch(input, codebooks)?;
        let precision = match stage.precision {
            StagePrecision::Float => Precision::Float,
            StagePrecision::Integer => Precision::Integer,
        };
        let each = |bits: Tensor<B, 1>| {
            let bits = bits.reshape([count as i32, -1]);
            bits.mean_dim(1).reshape([count])
        };
        let (mut bits, mut statistics) = (Vec::new(), Vec::new());
        for (codebook, ranks) in self.ranks.iter().enumerate().take(codebooks) {
            let mut sampled = Sampled::default();
            for Indexes { codes, grid } in &indexes {
                sampled.add(&self.config, ranks, codebook, codes, *grid, || true);
            }
            bits.push(each(model.bits(
                &self.config,
                codebook,
                &sampled,
                precision,
            )?));
            statistics.push(each(model.static_bits(codebook, &sampled)?));
        }
        let sum = |parts: Vec<Tensor<B, 1>>| parts.into_iter().reduce(|a, b| a + b);
        let (Some(bits), Some(statistics)) = (sum(bits), sum(statistics)) else {
            return Err(TrainError::Recipe("a tokenizer without codebooks".into()));
        };
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
            output: input.clone(),
        })
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        let mean = |name: &str| readings.mean(name, |bits| bits);
        named([("bits", mean("bits")), ("static_bits", mean("static_bits"))])
    }

    /// Bits of all indexes of a place in files: by the network or by statistics, adaptive, and as they are.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        _stage: &Stage,
        _sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let codebooks = self.tokenizer.codebooks(t);
        let Some(Indexes { codes, grid }) = self.tokenizer.item(item, codebooks, device)? else {
            return Ok(None);
        };
        let context = model.export(&self.config, &self.ranks)?;
        let coded = context.encode(&codes, grid)?.len();
        let places = grid.height * grid.width;
        let (mut adaptive, mut raw) = (0, 0.0);
        for (codes, &size) in codes.chunks(places.max(1)).zip(&self.config.codes) {
            let stream = codec_entropy::encode_indexes(codes, size)
                .map_err(|e| Error::bad_parameter(format!("codes: {e}")))?;
            adaptive += stream.len();
            raw += (size as f64).log2();
        }
        let bits = |bytes: usize| 8.0 * bytes as f64 / places.max(1) as f64;
        let metrics = [
            ("bits", bits(coded)),
            ("adaptive_bits", bits(adaptive)),
            ("raw_bits", raw),
            ("cost", bits(coded)),
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
        let tensors = model.export(&self.config, &self.ranks)?.tensors()?;
        self.tokenizer
            .with("context", &self.config, &tensors, (name, recipe))
    }

    fn import(&self, _bytes: &[u8]) -> Result<Parameters, TrainError> {
        no_import()
    }

    fn macs(&self) -> Macs {
        let (factor, macs) = (self.tokenizer.factor() as f64, self.config.macs() as f64);
        match self.tokenizer.domain() {
            Domain::Pictures => macs_per_pixel([macs / (factor * factor); 2]),
            Domain::Sound => Macs {
                encode: macs / factor,
                decode: macs / factor,
                unit: "sample",
            },
        }
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}
