//! The image family `walloc` in training.
//!
//! Without `[[loss]]` there is no rate term: the bits of a latent bound the rate, and noise stands for rounding, as in the paper.
//! A recipe may name `rate`, an estimate of what the entropy coder needs, and round straight through. The reported `bpp` is that
//! of files.

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_core::layers::Rounding;
use codec_image::models::walloc::{Network, Walloc, WallocConfig, export};

use super::pictures::{
    check_patches, crop, evaluation, hyperparameters, macs_per_pixel, mse, named, network, psnr,
    weights_file,
};
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::Domain;
use crate::parameters::Parameters;
use crate::recipe::{Recipe, Stage, StageRounding};

/// Mean squared errors count on the 0..255 scale, as in the other picture families.
const SCALE: f64 = 255.0 * 255.0;

/// Names of the parts.
pub(crate) const PARTS: Parts = Parts {
    encoder: &["projection", "encoder"],
    decoder: &["decoder"],
    auxiliary: &[],
};

/// `walloc` by a recipe.
#[derive(Debug, Clone)]
pub struct WallocTask {
    config: WallocConfig,
}

impl WallocTask {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let config: WallocConfig = hyperparameters(&WallocConfig::default(), &recipe.model)?;
        let checked = config.check().and_then(|()| match config.channels {
            3 => Ok(()),
            channels => Err(codec_core::Error::bad_parameter(format!(
                "{channels} channels (pictures in training have 3)"
            ))),
        });
        checked.map_err(|e| TrainError::Recipe(format!("model: {e}")))?;
        check_patches(recipe, config.alignment(), config.side_min())?;
        recipe
            .stages
            .iter()
            .try_for_each(|s| rounding(s).map(|_| ()))?;
        Ok(Self { config })
    }
}

/// What stands for rounding in a stage.
///
/// # Errors
/// [`TrainError::Recipe`] for what needs a search of symbols.
pub(super) fn rounding(stage: &Stage) -> Result<Rounding, TrainError> {
    match stage.rounding {
        StageRounding::Noise => Ok(Rounding::Noise),
        StageRounding::StraightThrough => Ok(Rounding::StraightThrough),
        StageRounding::Optimized | StageRounding::Mixed => Err(TrainError::Recipe(format!(
            "stage {}: rounding (expected noise or straight-through for this family)",
            stage.name
        ))),
    }
}

impl<B> Task<B> for WallocTask
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Network<B>;

    fn domain(&self) -> Domain {
        Domain::Pictures
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Network<B> {
        self.config.init(device)
    }

    fn forward(
        &self,
        model: &Network<B>,
        input: &Signal<B>,
        _t: &[f32],
        stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let pixels = input.pictures()?;
        let count = pixels.dims()[0];
        let pass = model.forward_training(pixels.sub_scalar(0.5), rounding(stage)?)?;
        Ok(Pass {
            terms: vec![
                Term {
                    name: "mse".to_owned(),
                    kind: TermKind::Distortion,
                    value: pass.mse.mul_scalar(SCALE),
                },
                Term {
                    name: "rate".to_owned(),
                    kind: TermKind::Offered,
                    value: pass.rate,
                },
            ],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: vec![("packet_mse".to_owned(), pass.packet_mse.mul_scalar(SCALE))],
            output: Signal::Pictures(pass.reconstruction.add_scalar(0.5)),
        })
    }

    fn metrics(&self, readings: &Readings, _stage: &Stage) -> Metrics {
        named([("psnr", readings.mean("mse", psnr))])
    }

    fn evaluate(
        &self,
        model: &Averaged<Self, B>,
        item: &Item,
        t: f32,
        _stage: &Stage,
        sample: bool,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Evaluation>, TrainError> {
        let alignment = self.config.alignment();
        let Some(pixels) = crop::<B::InnerBackend>(item, alignment, device) else {
            return Ok(None);
        };
        let [_, _, height, width] = pixels.dims();
        let latents = model.latents(pixels.clone())?;
        let rate = 8.0 * latents.to_bytes()?.len() as f64 / (height * width) as f64;
        let reconstruction = model.pixels(&latents, [height, width], device)?;
        let mse = mse(reconstruction.clone(), pixels.clone());
        let metrics = [("bpp", rate), ("psnr", psnr(mse)), ("cost", mse)];
        let pictures = [pixels, reconstruction];
        Ok(Some(evaluation(metrics, sample, item, t, pictures)))
    }

    fn export(
        &self,
        model: &Averaged<Self, B>,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError> {
        weights_file::<Walloc>(&self.config, export(model)?, name, recipe)
    }

    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError> {
        Ok(Parameters::of(&network::<Walloc>(bytes)?))
    }

    fn macs(&self) -> Macs {
        macs_per_pixel(self.config.macs())
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}
