//! The audio family `srvq` in training.
//!
//! What a reconstruction is compared by is in the recipe (`[[loss]]`, `[[adversary]]`); the family itself adds the distance
//! of latents to their codes. Codebooks follow their latents by moving averages.

use std::cell::{OnceCell, RefCell};

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use burn::tensor::{Int, Tensor};
use codec_audio::coder::AudioTokenizer;
use codec_audio::models::srvq::{
    Autoencoder, Fresh, Network, Srvq, SrvqConfig, Transforms, tokenizer_of,
};
use codec_core::backend::CodecBackend;

use super::pictures::{hyperparameters, network, scalar, weights_file};
use super::sounds::{Shape, powers, snr, tensor};
use super::tokenizer::once;
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::spectral::MultiScaleStftConfig;
use crate::losses::{CodebookUsage, Domain};
use crate::parameters::Parameters;
use crate::recipe::suggest::invalid;
use crate::recipe::{Recipe, Stage};

/// Names of the parts.
pub(crate) const PARTS: Parts = Parts {
    encoder: &["encoder"],
    decoder: &["codebooks", "decoder"],
    auxiliary: &[],
};

/// What the codebooks learn from: what each saw and what it chose.
type Seen<B> = (Vec<Tensor<B, 2>>, Vec<Tensor<B, 1, Int>>);

/// `srvq` by a recipe.
pub struct SrvqTask<B: AutodiffBackend> {
    fresh: Fresh,
    transforms: OnceCell<Transforms<B>>,
    seen: RefCell<Option<Seen<B>>>,
}

impl<B: AutodiffBackend> SrvqTask<B> {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let config: SrvqConfig = hyperparameters(&SrvqConfig::default(), &recipe.model)?;
        let fresh = Fresh::new(&config, recipe.seed)
            .map_err(|e| TrainError::Recipe(format!("model: {e}")))?;
        for stage in &recipe.stages {
            let frames = stage.batch * (stage.patch / config.hop);
            if !stage.patch.is_multiple_of(config.hop) || frames < config.codes {
                let key = format!("stage {}: patch", stage.name);
                let expected = format!(
                    "a multiple of {}, and {} frames in a batch",
                    config.hop, config.codes
                );
                return Err(invalid(&key, &stage.patch, &expected));
            }
        }
        let task = Self {
            fresh,
            transforms: OnceCell::new(),
            seen: RefCell::new(None),
        };
        task.shape().check(recipe)?;
        Ok(task)
    }

    fn shape(&self) -> Shape {
        let config = self.fresh.config();
        Shape {
            rate: config.rate,
            channels: 1,
            hop: config.hop,
        }
    }
}

impl<B> Task<B> for SrvqTask<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Autoencoder<B>;

    fn domain(&self) -> Domain {
        Domain::Sound
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Autoencoder<B> {
        self.fresh.init(device)
    }

    fn forward(
        &self,
        model: &Autoencoder<B>,
        input: &Signal<B>,
        t: &[f32],
        _stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let samples = self.shape().samples(input)?;
        let (config, [count, _, _]) = (self.fresh.config(), samples.dims());
        let transforms = once(&self.transforms, || {
            Transforms::new(config, &samples.device())
        })?;
        let codebooks: Vec<usize> = t
            .iter()
            .map(|&t| self.fresh.config().codebooks_for(t))
            .collect();
        let pass = model.forward_training(transforms, samples.clone(), &codebooks)?;
        self.seen.replace(Some((pass.latents, pass.codes)));
        Ok(Pass {
            terms: vec![Term {
                name: "commitment".to_owned(),
                kind: TermKind::Rate,
                value: pass.commitment,
            }],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: powers(&pass.reconstruction, &samples),
            output: Signal::Sound {
                samples: pass.reconstruction,
                rate: self.shape().rate,
            },
        })
    }

    fn settle(&self, model: Autoencoder<B>, step: u64) -> Result<Autoencoder<B>, TrainError> {
        match self.seen.take() {
            Some((latents, codes)) => Ok(model.settle(latents, codes, step)?),
            None => Ok(model),
        }
    }

    fn settles(&self) -> bool {
        true
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        snr(readings)
    }

    /// Spectral distance, rate of raw codes and health of the last codebook in use.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        _stage: &Stage,
        sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let (config, shape) = (self.fresh.config(), self.shape());
        let Some(x) = shape.excerpt(item) else {
            return Ok(None);
        };
        let network = Network::of(model.clone(), config, device)?;
        let tokenizer = tokenizer_of(network, config, device);
        let codes = tokenizer.tokenize(&x, self.fresh.config().codebooks_for(t))?;
        let y = tokenizer.detokenize(&codes)?;
        let y: Vec<&[f32]> = y.iter().map(Vec::as_slice).collect();
        let stft = MultiScaleStftConfig::default().init::<B::InnerBackend>(device)?;
        let distance = scalar(stft.forward(tensor(&y, device), tensor(&x, device))?);
        let last = codes.values.chunks(codes.frames().max(1)).last();
        let last: Vec<i64> = last
            .unwrap_or_default()
            .iter()
            .map(|&code| code.into())
            .collect();
        let mut usage = CodebookUsage::new(config.codes, 1)?;
        usage.update(&last)?;
        let books = config.books().into_iter().take(codes.codebooks);
        let bits: f64 = books.map(|codes| (codes as f64).log2()).sum();
        let metrics = [
            (
                "kbps",
                bits * f64::from(config.rate) / config.hop as f64 / 1000.0,
            ),
            ("perplexity", usage.health().perplexity),
            ("cost", distance),
        ];
        Ok(Some(shape.evaluation(metrics, sample, item, t, [&x, &y])))
    }

    fn export(
        &self,
        model: &Averaged<Self, B>,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError> {
        let tensors = self.fresh.export(model)?;
        weights_file::<Srvq>(self.fresh.config(), tensors, name, recipe)
    }

    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError> {
        Ok(Parameters::of(network::<Srvq>(bytes)?.autoencoder()))
    }

    fn macs(&self) -> Macs {
        let [encode, decode] = self.fresh.config().macs();
        Macs {
            encode,
            decode,
            unit: "sample",
        }
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}
