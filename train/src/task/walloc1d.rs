//! The audio family `walloc1d` in training.
//!
//! Without `[[loss]]` the mean squared error alone is minimized, as in the paper: the bits of a latent bound the rate. A recipe
//! may name `rate`, an estimate of what the entropy coder needs, and so trade it for what it hears in the reconstruction.

use std::cell::OnceCell;

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use burn::tensor::{Tensor, TensorData};
use codec_audio::coder::AudioCoder;
use codec_audio::models::Model;
use codec_audio::models::walloc1d::{Fresh, Network, Walloc1d, Walloc1dConfig};
use codec_core::Digest;
use codec_core::backend::CodecBackend;
use codec_core::weights::WeightsFile;

use super::pictures::{check_patches, hyperparameters, scalar, weights_file};
use super::sounds::{Shape, decibels, powers, snr, tensor};
use super::walloc::rounding;
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::{Domain, LossKind, LossSet, LossTerm};
use crate::parameters::Parameters;
use crate::recipe::{Recipe, Stage};

/// Names of the parts.
pub(crate) const PARTS: Parts = Parts {
    encoder: &["projection", "encoder"],
    decoder: &["decoder", "post"],
    auxiliary: &[],
};

/// `walloc1d` by a recipe.
pub struct Walloc1dTask<B: AutodiffBackend> {
    fresh: Fresh,
    losses: Vec<LossTerm>,
    set: OnceCell<LossSet<B::InnerBackend>>,
}

impl<B: AutodiffBackend> Walloc1dTask<B> {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let config: Walloc1dConfig = hyperparameters(&Walloc1dConfig::default(), &recipe.model)?;
        let fresh = Fresh::new(&config, recipe.seed)
            .map_err(|e| TrainError::Recipe(format!("model: {e}")))?;
        check_patches(recipe, config.hop(), config.hop() * config.frames_min())?;
        recipe
            .stages
            .iter()
            .try_for_each(|s| rounding(s).map(|_| ()))?;
        let mut losses = recipe.loss.clone();
        if losses.is_empty() {
            losses.push(LossTerm::new(LossKind::Mse {}));
        }
        let task = Self {
            fresh,
            losses,
            set: OnceCell::new(),
        };
        task.shape().check(recipe)?;
        Ok(task)
    }

    fn shape(&self) -> Shape {
        let config = self.fresh.config();
        Shape {
            rate: config.sample_rate as u32,
            channels: config.channels,
            hop: config.hop(),
        }
    }
}

impl<B> Task<B> for Walloc1dTask<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Network<B>;

    fn domain(&self) -> Domain {
        Domain::Sound
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Network<B> {
        self.fresh.init(device)
    }

    fn forward(
        &self,
        model: &Network<B>,
        input: &Signal<B>,
        _t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let samples = self.shape().samples(input)?;
        let [count, _, _] = samples.dims();
        let pass = self
            .fresh
            .forward(model, samples.clone(), rounding(stage)?)?;
        let readings = powers(&pass.reconstruction, &samples);
        let term = |name: &str, kind, value| Term {
            name: name.to_owned(),
            kind,
            value,
        };
        let error = readings.first().map(|(_, error)| error.clone());
        let mse = error.map(|error| term("mse", TermKind::Distortion, error));
        let rate = term("rate", TermKind::Offered, pass.rate);
        Ok(Pass {
            terms: mse.into_iter().chain([rate]).collect(),
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings,
            output: Signal::Sound {
                samples: pass.reconstruction,
                rate: self.shape().rate,
            },
        })
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        snr(readings)
    }

    /// Bits of the file's payload, signal-to-noise ratio, and the losses of the recipe with that rate.
    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        _stage: &Stage,
        sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let shape = self.shape();
        let Some(x) = shape.excerpt(item) else {
            return Ok(None);
        };
        let length = x.first().map_or(0, |channel| channel.len());
        let coder = self.fresh.coder(model.clone(), device)?;
        let bytes = coder.encode_chunk(&x, 0)?;
        let y = coder.decode_chunk(&bytes, length / shape.hop, 0)?;
        let y: Vec<&[f32]> = y.iter().map(Vec::as_slice).collect();
        let kbps = 8.0 * bytes.len() as f64 * f64::from(shape.rate) / length as f64 / 1000.0;
        let input = tensor::<B::InnerBackend>(&x, device);
        let output = tensor::<B::InnerBackend>(&y, device);
        let mse = (output.clone() - input.clone()).square().mean();
        let power = scalar(input.clone().square().mean());
        let set = match self.set.get() {
            Some(set) => set,
            None => {
                let made = LossSet::new(&self.losses, Domain::Sound, device)?;
                self.set.get_or_init(|| made)
            }
        };
        let rate = Tensor::from_data(TensorData::from([kbps as f32]), device);
        let given = [("mse", mse.clone()), ("rate", rate)];
        let cost = set.sound(output, input, &given)?.total;
        let metrics = [
            ("kbps", kbps),
            ("snr", decibels(power, scalar(mse))),
            ("cost", scalar(cost)),
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
        weights_file::<Walloc1d>(self.fresh.config(), tensors, name, recipe)
    }

    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError> {
        let model = Model::<Walloc1d>::new(WeightsFile::from_bytes(bytes)?, Digest::of(bytes))?;
        let network = self.fresh.adopt(&model, &Default::default())?;
        Ok(Parameters::of::<burn::backend::Flex, _>(&network))
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
