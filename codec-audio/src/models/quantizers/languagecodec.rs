//! The masked-channel residual quantizer of Language-Codec (Ji et al. 2024, arXiv 2402.12208, section 3.2).

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::{QuantizerConfig, ResidualQuantizer};
use codec_core::weights::{Loader, Tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::no_codec;
use crate::coder::AudioCoder;
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::features::{from_rows, to_rows};
use crate::models::given::{Given, codebooks};
use crate::models::trace::{Order, Traced, cases, signal};

/// Stages that see one band of channels each.
const BANDS: usize = 3;
/// Where the codebooks lie.
const LAYERS: &str = "feature_extractor.encodec.quantizer.vq.layers";
const ROWS: &str = "_codebook.embed";

/// The quantizer of Language-Codec.
#[derive(Debug, Clone, Copy)]
pub struct LanguagecodecQuantizer;

/// Hyperparameters of [`LanguagecodecQuantizer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanguagecodecConfig {
    /// Width of the features.
    pub dimension: usize,
    /// Codebooks, the first three of them for bands of channels.
    pub n_q: usize,
    /// Codes of a codebook.
    pub bins: usize,
    /// Frames a second.
    pub frame_rate: usize,
}

impl Family for LanguagecodecQuantizer {
    const NAME: &'static str = "languagecodec_quantizer";
    type Config = LanguagecodecConfig;
    type Network<B: CodecBackend> = ResidualQuantizer<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains(&format!("{LAYERS}.{}.{ROWS}", BANDS - 1))
            && !tensors.contains("backbone.pos_net.0.conv1.weight")
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<LanguagecodecConfig, Error> {
        let [n_q, bins, dimension] = codebooks(tensors, LAYERS, ROWS)?;
        if n_q < BANDS {
            return Err(Error::malformed(format!(
                "{n_q} codebooks (expected {BANDS} at least)"
            )));
        }
        let given = Given(given);
        given.agree("dimension", dimension)?;
        given.agree("n_q", n_q)?;
        given.agree("bins", bins)?;
        Ok(LanguagecodecConfig {
            dimension,
            n_q,
            bins,
            frame_rate: given.positive("frame_rate", 75, 1 << 20)?,
        })
    }

    fn build<B: CodecBackend>(
        config: &LanguagecodecConfig,
        loader: &Loader<'_, B>,
    ) -> Result<ResidualQuantizer<B>, Error> {
        let stage = QuantizerConfig::Moving {
            codes: config.bins,
            width: config.dimension,
        };
        let layers = loader.at(LAYERS);
        let mut quantizer = ResidualQuantizer::load(stage, config.n_q, |number| {
            layers.at(number).at("_codebook")
        });
        quantizer.bands = BANDS;
        Ok(quantizer)
    }

    /// `x` is the input, `[n, d, l]`; `nK.` are the results of the first K codebooks.
    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let (config, quantizer) = (&model.config, model.network::<B>(device)?);
        let codebooks = quantizer.codebooks();
        let mut tensors = Tensors::new();
        for case in cases(inputs, "x") {
            let x = signal::<B>(inputs, &format!("{case}x"), config.dimension, device)?;
            let n = x.dims()[0];
            let rows = to_rows(x);
            for count in 1..=config.n_q {
                let found = quantizer.quantize(rows.clone(), count, &codebooks);
                let prefix = format!("{case}n{count}.");
                let mut traced = Traced::new(&prefix, &mut tensors);
                traced.put("quantized", from_rows(found.output, n))?;
                traced.codes("codes", &found.codes, n, Order::BookItemFrame)?;
                if count == config.n_q {
                    let decoded = quantizer.decode(&found.codes, &codebooks)?;
                    Traced::new(case, &mut tensors).put("decoded", from_rows(decoded, n))?;
                }
            }
        }
        Ok(tensors)
    }
}

impl AudioFamily for LanguagecodecQuantizer {
    fn coder<B: CodecBackend>(
        _: &Model<Self>,
        _: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        Err(no_codec(Self::NAME))
    }
}
