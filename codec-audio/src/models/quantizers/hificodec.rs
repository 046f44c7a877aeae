//! The group-residual quantizer of HiFi-Codec (Yang et al. 2023, arXiv 2305.02765, section 3.2).

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::{
    LossWeights, Quantizer, QuantizerConfig, ResidualQuantized, ResidualQuantizer,
};
use codec_core::weights::{Loader, Tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::no_codec;
use crate::coder::AudioCoder;
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::features::{from_rows, to_rows};
use crate::models::given::{COUNT_MAX, Given, WIDTH_MAX, at_most, codebooks};
use crate::models::trace::{Order, Traced, cases, signal};

/// The quantizer of HiFi-Codec.
#[derive(Debug, Clone, Copy)]
pub struct HificodecQuantizer;

/// Hyperparameters of [`HificodecQuantizer`], under the names of the authors' configuration files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HificodecConfig {
    /// Width of the features.
    pub dimension: usize,
    /// Groups of channels, each with a codebook of its own in every stage.
    pub n_code_groups: usize,
    /// Codes of a codebook.
    pub n_codes: usize,
    /// Stages.
    pub residual_layers: usize,
    /// Weight of the codebook's term of the loss.
    pub codebook_loss_lambda: f64,
    /// Weight of the commitment's term.
    pub commitment_loss_lambda: f64,
}

/// What the codebooks of a stage, counted from 0, are called.
fn part(stage: usize) -> String {
    match stage {
        0 => "quantizer_modules".to_owned(),
        later => format!("quantizer_modules{}", later + 1),
    }
}

const ROWS: &str = "embedding.weight";

impl HificodecConfig {
    fn loss<B: CodecBackend>(&self, found: &ResidualQuantized<B>) -> Tensor<B, 1> {
        let weights = LossWeights {
            codebook: self.codebook_loss_lambda,
            commitment: self.commitment_loss_lambda,
        };
        let stages = found.latents.iter().zip(&found.rows);
        let losses: Vec<_> = stages
            .map(|(latents, rows)| weights.of(latents.clone(), rows.clone()))
            .collect();
        Tensor::cat(losses, 0).mean()
    }
}

impl Family for HificodecQuantizer {
    const NAME: &'static str = "hificodec_quantizer";
    type Config = HificodecConfig;
    type Network<B: CodecBackend> = ResidualQuantizer<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains(&format!("{}.0.{ROWS}", part(0)))
            && tensors.contains(&format!("{}.0.{ROWS}", part(1)))
    }

    /// The published file has the quantizer beside the generator and the encoder.
    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        let whole = tensors.contains(&format!("quantizer.{}.0.{ROWS}", part(0)));
        tensors.rename(|name| match name.strip_prefix("quantizer.") {
            Some(own) if whole => own.to_owned(),
            _ => name,
        })
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<HificodecConfig, Error> {
        let [groups, codes, width] = codebooks(tensors, &part(0), ROWS)?;
        let there = |stage: &usize| tensors.contains(&format!("{}.0.{ROWS}", part(*stage)));
        let stages = (0..COUNT_MAX).take_while(there).count();
        for stage in 1..stages {
            let found = codebooks(tensors, &part(stage), ROWS)?;
            if found != [groups, codes, width] {
                return Err(Error::malformed(format!(
                    "stage {stage} has other codebooks than the first"
                )));
            }
        }
        let dimension = groups * width;
        at_most("dimension", dimension, WIDTH_MAX)?;
        let given = Given(given);
        given.agree("dimension", dimension)?;
        given.agree("n_code_groups", groups)?;
        given.agree("n_codes", codes)?;
        given.agree("residual_layers", stages)?;
        Ok(HificodecConfig {
            dimension,
            n_code_groups: groups,
            n_codes: codes,
            residual_layers: stages,
            codebook_loss_lambda: given.real("codebook_loss_lambda").unwrap_or(1.0),
            commitment_loss_lambda: given.real("commitment_loss_lambda").unwrap_or(0.25),
        })
    }

    fn build<B: CodecBackend>(
        config: &HificodecConfig,
        loader: &Loader<'_, B>,
    ) -> Result<ResidualQuantizer<B>, Error> {
        let quantizer = QuantizerConfig::Plain {
            codes: config.n_codes,
            width: config.dimension / config.n_code_groups.max(1),
        };
        let stages = (0..config.residual_layers).map(|stage| {
            let stage = loader.at(part(stage));
            (0..config.n_code_groups)
                .map(|group| Quantizer::load(quantizer, &stage.at(group)))
                .collect()
        });
        Ok(ResidualQuantizer {
            stages: stages.collect(),
            bands: 0,
        })
    }

    /// `x` is the input, `[n, d, l]`.
    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let (config, quantizer) = (&model.config, model.network::<B>(device)?);
        let codebooks = quantizer.codebooks();
        let mut tensors = Tensors::new();
        for case in cases(inputs, "x") {
            let mut traced = Traced::new(case, &mut tensors);
            let name = format!("{case}x");
            let x = signal::<B>(inputs, &name, config.dimension, device)?;
            let n = x.dims()[0];
            let found = quantizer.quantize(to_rows(x), config.residual_layers, &codebooks);
            traced.put("quantized", from_rows(found.output.clone(), n))?;
            traced.put("loss", config.loss(&found))?;
            traced.codes("codes", &found.codes, n, Order::ItemFrameBook)?;
            let decoded = quantizer.decode(&found.codes, &codebooks)?;
            traced.put("embedded", from_rows(decoded, n))?;
            traced.put("grad_x", gradient(model, inputs, &name)?)?;
        }
        Ok(tensors)
    }
}

/// Gradient of the loss to the input.
fn gradient(
    model: &Model<HificodecQuantizer>,
    inputs: &Tensors,
    name: &str,
) -> Result<Tensor<Flex, 3>, Error> {
    let quantizer = model.network::<Autodiff<Flex>>(&FlexDevice)?;
    let x = signal::<Autodiff<Flex>>(inputs, name, model.config.dimension, &FlexDevice)?;
    let x = x.require_grad();
    let (rows, stages) = (to_rows(x.clone()), model.config.residual_layers);
    let found = quantizer.quantize(rows, stages, &quantizer.codebooks());
    let gradients = model.config.loss(&found).backward();
    x.grad(&gradients)
        .ok_or_else(|| Error::malformed("a loss without a gradient"))
}

impl AudioFamily for HificodecQuantizer {
    fn coder<B: CodecBackend>(
        _: &Model<Self>,
        _: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        Err(no_codec(Self::NAME))
    }
}
