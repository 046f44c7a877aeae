//! WavTokenizer (Ji et al. 2024, "WavTokenizer: an Efficient Acoustic Discrete Codec Tokenizer for Audio Language Modeling",
//! arXiv 2408.16532): the encoder of EnCodec, a single codebook, and a decoder at the frame rate (Vocos, Siuzdak 2023,
//! arXiv 2306.00814, with attention before it) that ends in an inverse Fourier transform.
//!
//! Normalizations and attention of the decoder look at the whole recording, which therefore is decoded in one piece.

mod backbone;
mod config;
mod head;
#[cfg(test)]
mod tests;
mod trace;

pub use config::{BackboneConfig, HeadConfig, WavtokenizerConfig};

use burn::tensor::{Int, Tensor};
use burn_flex::{Flex, FlexDevice};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::layers::quantizer::{Codebook, Quantizer, QuantizerConfig};
use codec_core::weights::{HostTensor, Loader, Tensors};
use serde_json::Value;

use self::backbone::Backbone;
use self::head::Head;
use crate::coder::{AudioCoder, Reach, TokenCoder};
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::features::{from_rows, to_rows};
use crate::models::ragged::Ragged;
use crate::models::seanet::Sequence;
use crate::models::tokenizer::{TokenNetwork, Tokenizer};

/// Where the encoder's layers are.
const ENCODER: &str = "feature_extractor.encodec.encoder.model";
/// Where the codebook is.
const CODEBOOK: &str = "feature_extractor.encodec.quantizer.vq.layers.0._codebook";

/// WavTokenizer.
#[derive(Debug, Clone, Copy)]
pub struct Wavtokenizer;

/// Networks of WavTokenizer on a device.
#[derive(Debug)]
pub struct WavtokenizerNetwork<B: CodecBackend> {
    /// `[n, 1, t]` to features `[n, d, ceil(t / hop)]`.
    pub encoder: Sequence<B>,
    /// Over rows of features.
    pub quantizer: Quantizer<B>,
    codebook: Codebook<B>,
    backbone: Backbone<B>,
    head: Head<B>,
}

impl<B: CodecBackend> WavtokenizerNetwork<B> {
    /// The signal of features `[n, d, l]`, `[n, 1, hop l]`, under the condition of this number.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are too few frames, which one is not where the ends are cut as published.
    pub fn decode(&self, features: Tensor<B, 3>, condition: usize) -> Result<Tensor<B, 3>, Error> {
        let decoded = self.backbone.forward(features, condition, |_, _| Ok(()))?;
        self.head.synthesize(self.head.spectrum(decoded))
    }
}

impl<B: CodecBackend> TokenNetwork<B> for WavtokenizerNetwork<B> {
    fn codes(&self, x: Ragged<B>, _: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error> {
        let features = to_rows(self.encoder.forward_ragged(x).x);
        Ok(vec![self.quantizer.codes(features, &self.codebook)])
    }

    fn samples(&self, codes: &[Tensor<B, 1, Int>]) -> Result<Tensor<B, 3>, Error> {
        let [codes] = codes else {
            return Err(Error::bad_parameter(format!(
                "codes of {} codebooks (expected 1)",
                codes.len()
            )));
        };
        let rows = self.quantizer.decode(codes.clone(), &self.codebook);
        self.decode(from_rows(rows, 1), 0)
    }
}

impl Family for Wavtokenizer {
    const NAME: &'static str = "wavtokenizer";
    const PROFILE: Profile = Profile::Portable;
    type Config = WavtokenizerConfig;
    type Network<B: CodecBackend> = WavtokenizerNetwork<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains(&format!("{CODEBOOK}.embed"))
            && tensors.contains("backbone.pos_net.0.conv1.weight")
            && tensors.contains("head.out.weight")
    }

    /// The authors' files hold discriminators, losses and a decoder that nothing uses, too.
    fn normalize(mut tensors: Tensors) -> Result<Tensors, Error> {
        let parts = ["feature_extractor.", "backbone.", "head."];
        tensors.retain(|name| {
            parts.iter().any(|part| name.starts_with(part))
                && !name.starts_with("feature_extractor.encodec.decoder.")
        });
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<WavtokenizerConfig, Error> {
        WavtokenizerConfig::new(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &WavtokenizerConfig,
        loader: &Loader<'_, B>,
    ) -> Result<WavtokenizerNetwork<B>, Error> {
        let quantizer = QuantizerConfig::Moving {
            codes: config.bins,
            width: config.encoder.dimension,
        };
        let quantizer = Quantizer::load(quantizer, &loader.at(CODEBOOK));
        Ok(WavtokenizerNetwork {
            encoder: Sequence::encoder(&config.encoder, &loader.at(ENCODER))?,
            codebook: quantizer.codebook(),
            quantizer,
            backbone: Backbone::load(&config.backbone, &loader.at("backbone")),
            head: Head::load(&config.head, &loader.at("head"))?,
        })
    }

    fn codebook(model: &Model<Self>) -> Result<Option<HostTensor>, Error> {
        let network = model.network::<Flex>(&FlexDevice)?;
        Ok(Some(HostTensor::from_device(network.codebook.all())?))
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        trace::trace::<B>(model, inputs, device)
    }
}

impl AudioFamily for Wavtokenizer {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        Ok(Box::new(TokenCoder(Tokenizer {
            network: model.network::<B>(device)?,
            format: model.config.format(),
            reach: Reach::Whole,
            device: device.clone(),
            whole_frames: false,
        })))
    }
}
