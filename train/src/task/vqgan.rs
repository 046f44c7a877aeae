//! The image family `vqgan` in training.
//!
//! Codes have no rate term: their number is fixed, and what entropy coding saves is reported as `bpp`. A discriminator and
//! perceptual losses, with which the paper's model is trained, are terms of the recipe like any other.

use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_image::models::vqgan::{Autoencoder, Fresh, Network, Vqgan, VqganConfig};

use super::pictures::{
    check_patches, crop, evaluation, hyperparameters, macs_per_pixel, mse, named, network, psnr,
    weights_file,
};
use super::{Averaged, Evaluation, Macs, Parts, Pass, Readings, Signal, Task, Term, TermKind};
use crate::TrainError;
use crate::data::Item;
use crate::events::Metrics;
use crate::losses::{CodebookUsage, Domain};
use crate::parameters::Parameters;
use crate::recipe::{Recipe, Stage};

/// Mean squared errors count on the 0..255 scale, as in the other picture families; the networks' pictures are in -1..1.
const SCALE: f64 = 255.0 * 255.0 / 4.0;

/// Names of the parts.
pub(crate) const PARTS: Parts = Parts {
    encoder: &["encoder", "quant_conv"],
    decoder: &["post_quant_conv", "decoder"],
    auxiliary: &[],
};

/// `vqgan` by a recipe.
#[derive(Debug, Clone)]
pub struct VqganTask {
    fresh: Fresh,
}

impl VqganTask {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn new(recipe: &Recipe) -> Result<Self, TrainError> {
        let config: VqganConfig = hyperparameters(&VqganConfig::default(), &recipe.model)?;
        let fresh = Fresh::new(&config, recipe.seed)
            .map_err(|e| TrainError::Recipe(format!("model: {e}")))?;
        check_patches(recipe, config.ddconfig.factor(), 1)?;
        Ok(Self { fresh })
    }
}

impl<B> Task<B> for VqganTask
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    type Model = Autoencoder<B>;

    fn domain(&self) -> Domain {
        Domain::Pictures
    }

    fn init(&self, device: &<B as BackendTypes>::Device) -> Autoencoder<B> {
        self.fresh.init(device)
    }

    fn forward(
        &self,
        model: &Autoencoder<B>,
        input: &Signal<B>,
        _t: &[f32],
        _stage: &Stage,
    ) -> Result<Pass<B>, TrainError> {
        let pixels = input.pictures()?;
        let count = pixels.dims()[0];
        let x = pixels.mul_scalar(2.0).sub_scalar(1.0);
        let pass = model.forward_training(self.fresh.config(), x.clone())?;
        let error = (pass.reconstruction.clone() - x).square();
        let mse = error
            .reshape([count as i32, -1])
            .mean_dim(1)
            .reshape([count]);
        let term = |name: &str, value| Term {
            name: name.to_owned(),
            kind: TermKind::Distortion,
            value,
        };
        Ok(Pass {
            terms: vec![
                term("mse", mse.mul_scalar(SCALE)),
                term("quantization", pass.quantization.mul_scalar(SCALE)),
            ],
            lambdas: vec![1.0; count],
            weights: vec![1.0 / count as f32; count],
            readings: Vec::new(),
            output: Signal::Pictures(pass.reconstruction.add_scalar(1.0).mul_scalar(0.5)),
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
        let config = self.fresh.config();
        let factor = config.ddconfig.factor();
        let Some(pixels) = crop::<B::InnerBackend>(item, factor, device) else {
            return Ok(None);
        };
        let [_, _, height, width] = pixels.dims();
        let network = Network::of(model.clone());
        let codes = network.codes(pixels.clone().mul_scalar(2.0).sub_scalar(1.0), 0)?;
        let shape = [1, height / factor, width / factor];
        let decoded = network.decode(codes.clone(), shape, 0)?;
        let reconstruction = decoded.add_scalar(1.0).mul_scalar(0.5).clamp(0.0, 1.0);
        let codes: Vec<i64> = codes.into_data().iter::<i64>().collect();
        let mut usage = CodebookUsage::new(config.n_embed, 1)?;
        usage.update(&codes)?;
        let indexes: Vec<u32> = codes.iter().map(|&code| code as u32).collect();
        let coded = codec_entropy::encode_indexes(&indexes, config.n_embed)
            .map_err(|e| codec_core::Error::bad_parameter(format!("codes: {e}")))?;
        let mse = mse(reconstruction.clone(), pixels.clone());
        let metrics = [
            ("bpp", 8.0 * coded.len() as f64 / (height * width) as f64),
            ("psnr", psnr(mse)),
            ("perplexity", usage.health().perplexity),
            ("cost", mse),
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
        weights_file::<Vqgan>(self.fresh.config(), self.fresh.export(model)?, name, recipe)
    }

    fn import(&self, bytes: &[u8]) -> Result<Parameters, TrainError> {
        Ok(Parameters::of(network::<Vqgan>(bytes)?.autoencoder()))
    }

    fn macs(&self) -> Macs {
        macs_per_pixel(self.fresh.config().macs())
    }

    fn parts(&self) -> Parts {
        PARTS
    }
}
