//! The image family `wpmr` in training.

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_core::layers::Precision;
use codec_image::models::wpmr::config::ALIGNMENT;
use codec_image::models::wpmr::{
    PassMode, Rounding, Weights, Wpmr, WpmrConfig, export, import, quality, trailing_inputs,
};

use super::pictures::{
    check_patches, crop, evaluation, hyperparameters, macs_per_pixel, mse, named, psnr, scalar,
};
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::Domain;
use crate::parameters::{NamedTensor, Parameters};
use crate::recipe::{Recipe, Stage, StagePrecision, StageRounding};

/// The loss of a picture is divided by `lambda` to this power (over a reference): costs grow by about that law over the
/// quality range, and every quality should count alike.
const BALANCE_POWER: f64 = 0.45;
const BALANCE_LAMBDA: f64 = 0.02;

/// Names of the parts.
pub(crate) const PARTS: Parts = Parts {
    // Steps scale latents on both sides, but a decoder that is tuned alone must keep those of its encoder.
    encoder: &["analysis", "entropy.analysis", "steps"],
    decoder: &[
        "synthesis",
        "entropy.synthesis",
        "entropy.passes",
        "entropy.prior",
    ],
    auxiliary: &["entropy.prior"],
};

/// `wpmr` by a recipe.
#[derive(Debug, Clone)]
pub struct WpmrTask {
    config: WpmrConfig,
}

impl WpmrTask {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        check_patches(recipe, ALIGNMENT, 1)?;
        Ok(Self {
            config: config(&recipe.model)?,
        })
    }

    /// Hyperparameters.
    pub fn config(&self) -> &WpmrConfig {
        &self.config
    }
}

/// The family's defaults with the recipe's values over them.
fn config(model: &toml::Table) -> Result<WpmrConfig, TrainError> {
    hyperparameters(&WpmrConfig::new(), model)
}

/// How the model runs in a stage.
fn mode(stage: &Stage) -> PassMode {
    PassMode {
        rounding: match stage.rounding {
            StageRounding::Noise => Rounding::Noise,
            StageRounding::StraightThrough => Rounding::StraightThrough,
            StageRounding::Optimized => Rounding::Optimized,
            StageRounding::Mixed => Rounding::Mixed,
        },
        precision: match stage.precision {
            StagePrecision::Float => Precision::Float,
            StagePrecision::Integer => Precision::Integer,
        },
    }
}

impl<B> Task<B> for WpmrTask
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Wpmr<B>;

    fn domain(&self) -> Domain {
        Domain::Pictures
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Wpmr<B> {
        self.config.init(device)
    }

    fn forward(
        &self,
        model: &Wpmr<B>,
        input: &Signal<B>,
        t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let pixels = input.pictures()?;
        let [n, _, height, width] = pixels.dims();
        let area = (height * width) as f32;
        let lambdas: Vec<f64> = t
            .iter()
            .map(|&t| quality::lambda(&self.config, t))
            .collect();
        let weights = lambdas
            .iter()
            .map(|l| ((BALANCE_LAMBDA / l).powf(BALANCE_POWER) / n as f64) as f32)
            .collect();
        let losses = model.forward(&self.config, pixels, t, mode(stage))?;
        let rate = (losses.latent_bits + losses.hyper_bits.clone()).div_scalar(area);
        let term = |name: &str, kind, value| Term {
            name: name.to_owned(),
            kind,
            value,
        };
        Ok(Pass {
            terms: vec![
                term("rate", TermKind::Rate, rate),
                term("mse", TermKind::Distortion, losses.mse),
            ],
            lambdas: lambdas.iter().map(|&l| l as f32).collect(),
            weights,
            readings: vec![("hyper_bits".to_owned(), losses.hyper_bits)],
            output: Signal::Pictures(losses.reconstruction),
        })
    }

    fn metrics(&self, readings: &Readings, stage: &Stage) -> Metrics {
        let area = (stage.patch * stage.patch) as f64;
        named([
            ("bpp", readings.mean("rate", |v| v)),
            ("hyper_bpp", readings.mean("hyper_bits", |v| v / area)),
            ("psnr", readings.mean("mse", psnr)),
        ])
    }

    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        stage: &Stage,
        sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let Some(pixels) = crop::<B::InnerBackend>(item, ALIGNMENT, device) else {
            return Ok(None);
        };
        let [_, _, height, width] = pixels.dims();
        let mode = PassMode {
            rounding: Rounding::Optimized,
            ..mode(stage)
        };
        let lambda = quality::lambda(&self.config, t);
        let losses = model.forward(&self.config, pixels.clone(), &[t], mode)?;
        let reconstruction = losses.reconstruction.clamp(0.0, 1.0);
        let mse = mse(reconstruction.clone(), pixels.clone());
        let bits = scalar(losses.latent_bits) + scalar(losses.hyper_bits);
        let rate = bits / (height * width) as f64;
        let metrics = [
            ("bpp", rate),
            ("psnr", psnr(mse)),
            ("cost", rate + lambda * mse),
        ];
        let pictures = [pixels, reconstruction];
        Ok(Some(evaluation(metrics, sample, item, t, pictures)))
    }

    fn export(
        &self,
        model: &Averaged<Self, B>,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError> {
        Ok(export(model, &self.config, name, recipe)?)
    }

    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError> {
        let weights = Weights::from_bytes(bytes)?;
        let tensors = import(&weights)?;
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, values)| NamedTensor {
                name,
                shape,
                values,
            });
        Ok(Parameters::from_tensors(tensors.collect()))
    }

    fn macs(&self) -> Macs {
        let macs = self.config.macs();
        macs_per_pixel([macs.encode, macs.decode])
    }

    fn trailing_inputs(&self, parameter: &str) -> usize {
        trailing_inputs(&self.config, parameter)
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::module::Module;
    use burn::tensor::backend::Backend;

    /// Every parameter belongs to exactly one side, so that freezing one side trains the other.
    #[test]
    fn parts_cover_the_model() {
        let table = toml::toml! { synthesis_width = 8 };
        let task = WpmrTask {
            config: config(&table).unwrap(),
        };
        let device = burn::backend::flex::FlexDevice;
        let parts = PARTS;
        let model = task.config.init::<Flex>(&device);
        assert!(model.num_params() > 0);
        for tensor in crate::parameters::Parameters::of(&model).tensors() {
            let sides =
                [parts.encoder, parts.decoder].map(|p| crate::pattern::any(p, &tensor.name));
            assert_eq!(sides.iter().filter(|s| **s).count(), 1, "{}", tensor.name);
        }
    }

    /// Weights that were exported come back as parameters that export to the same coder.
    #[test]
    fn exported_weights_are_imported() {
        let table = toml::toml! {
            synthesis_width = 8
            analysis_width = 8
            synthesis_blocks = 1
            hyper_latents = 4
            context_width = 16
        };
        let config = config(&table).unwrap();
        let device = burn::backend::flex::FlexDevice;
        <Flex as Backend>::seed(&device, 3);
        let model = config.init::<Flex>(&device);
        let bytes = export(&model, &config, "wpmr/test", "").unwrap();
        let tensors = import(&Weights::from_bytes(&bytes).unwrap()).unwrap();
        let source = Parameters::from_tensors(
            tensors
                .into_iter()
                .map(|(name, shape, values)| NamedTensor {
                    name,
                    shape,
                    values,
                })
                .collect(),
        );
        <Flex as Backend>::seed(&device, 4);
        let other = config.init::<Flex>(&device);
        let mut parameters = Parameters::of(&other);
        let new = parameters
            .grow_from(&source, &|name| trailing_inputs(&config, name))
            .unwrap();
        assert!(
            new.iter().all(|name| name.starts_with("entropy.prior")),
            "{new:?}"
        );
        let again = parameters.apply(other).unwrap();
        let bytes_again = export(&again, &config, "wpmr/test", "").unwrap();
        let read = |bytes: &[u8]| {
            let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
            let tensors = file.tensors().into_iter();
            tensors
                .filter(|(name, _)| name != "tables.hyper" && name != "steps")
                .map(|(name, view)| (name, view.data().to_vec()))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        let (first, second) = (read(&bytes), read(&bytes_again));
        for (name, values) in &first {
            assert_eq!(Some(values), second.get(name), "{name}");
        }
    }
}
