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

use super::pictures::{hyperparameters, named, network, scalar, weights_file};
use super::tokenizer::once;
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::{Metrics, Sample, SampleData};
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

/// Most seconds of a held-out file that are looked at.
const SECONDS: usize = 6;

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
        if recipe.data.rate.is_some_and(|rate| rate != config.rate) {
            return Err(invalid(
                "data.rate",
                &recipe.data.rate.unwrap_or(0),
                &config.rate.to_string(),
            ));
        }
        Ok(Self {
            fresh,
            transforms: OnceCell::new(),
            seen: RefCell::new(None),
        })
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
        let (samples, rate) = input.sound()?;
        let (config, [count, channels, _]) = (self.fresh.config(), samples.dims());
        if rate != config.rate || channels != 1 {
            return Err(TrainError::Recipe(format!(
                "sound with {channels} channels at {rate} Hz (expected 1 at {} Hz)",
                config.rate
            )));
        }
        let transforms = once(&self.transforms, || {
            Transforms::new(config, &samples.device())
        })?;
        let codebooks: Vec<usize> = t
            .iter()
            .map(|&t| self.fresh.config().codebooks_for(t))
            .collect();
        let pass = model.forward_training(transforms, samples.clone(), &codebooks)?;
        let error = (pass.reconstruction.clone() - samples.clone()).square();
        let error = error
            .reshape([count as i32, -1])
            .mean_dim(1)
            .reshape([count]);
        let power = samples.square().reshape([count as i32, -1]).mean_dim(1);
        self.seen.replace(Some((pass.latents, pass.codes)));
        Ok(Pass {
            terms: vec![Term {
                name: "commitment".to_owned(),
                kind: TermKind::Rate,
                value: pass.commitment,
            }],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: vec![
                ("error".to_owned(), error),
                ("power".to_owned(), power.reshape([count])),
            ],
            output: Signal::Sound {
                samples: pass.reconstruction,
                rate,
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
        let mean = |name: &str| readings.mean(name, |value| value);
        let snr = 10.0 * (mean("power") / mean("error").max(1e-12)).log10();
        named([("snr", snr)])
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
        let config = self.fresh.config();
        let Content::Sound(sound) = item.content() else {
            return Ok(None);
        };
        let Some(channel) = sound
            .channels()
            .first()
            .filter(|_| sound.rate() == config.rate)
        else {
            return Ok(None);
        };
        let length = channel.len().min(SECONDS * config.rate as usize) / config.hop * config.hop;
        let Some(x) = channel.get(..length).filter(|x| !x.is_empty()) else {
            return Ok(None);
        };
        let network = Network::of(model.clone(), config, device)?;
        let tokenizer = tokenizer_of(network, config, device);
        let codes = tokenizer.tokenize(&[x], self.fresh.config().codebooks_for(t))?;
        let y = tokenizer.detokenize(&codes)?;
        let y = y.first().map_or(&[][..], Vec::as_slice);
        let tensor = |values: &[f32]| {
            Tensor::<B::InnerBackend, 1>::from_floats(values, device).reshape([1, 1, length])
        };
        let stft = MultiScaleStftConfig::default().init(device)?;
        let distance = scalar(stft.forward(tensor(y), tensor(x))?);
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
        Ok(Some(Evaluation {
            metrics: named(metrics),
            sample: sample.then(|| Sample {
                name: item.name(),
                quality: 100.0 * t,
                original: wave(x, config.rate),
                reconstruction: wave(y, config.rate),
            }),
        }))
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

fn wave(samples: &[f32], rate: u32) -> SampleData {
    SampleData::Sound {
        rate,
        channels: vec![samples.to_vec()],
    }
}
