//! Encoder, quantizer and decoder.

use burn::tensor::{Int, Tensor};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::{Codebooks, QuantizerConfig, ResidualQuantizer};
use codec_core::weights::Loader;

use super::EncodecConfig;
use crate::models::features::{from_rows, to_rows};
use crate::models::ragged::Ragged;
use crate::models::seanet::Sequence;
use crate::models::tokenizer::TokenNetwork;

/// Keeps the volume of silence above zero.
const SILENCE: f64 = 1e-8;

/// Networks of EnCodec on a device.
#[derive(Debug)]
pub struct EncodecNetwork<B: CodecBackend> {
    /// `[n, channels, t]` to features `[n, d, ceil(t / hop)]`.
    pub encoder: Sequence<B>,
    /// Over rows of features.
    pub quantizer: ResidualQuantizer<B>,
    /// Features `[n, d, l]` to `[n, channels, hop l]`.
    pub decoder: Sequence<B>,
    pub(super) codebooks: Codebooks<B>,
}

impl<B: CodecBackend> EncodecNetwork<B> {
    pub(super) fn load(config: &EncodecConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let stage = QuantizerConfig::Moving {
            codes: config.bins,
            width: config.seanet.dimension,
        };
        let layers = loader.at("quantizer.vq.layers");
        let quantizer = ResidualQuantizer::load(stage, config.n_q, |number| {
            layers.at(number).at("_codebook")
        });
        Ok(Self {
            encoder: Sequence::encoder(&config.seanet, &loader.at("encoder.model"))?,
            decoder: Sequence::decoder(&config.seanet, &loader.at("decoder.model"))?,
            codebooks: quantizer.codebooks(),
            quantizer,
        })
    }

    /// What codes of the first codebooks stand for, `[n l]` each, to `[n, d, l]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if there are no codes, or more than codebooks.
    pub fn features(&self, codes: &[Tensor<B, 1, Int>], n: usize) -> Result<Tensor<B, 3>, Error> {
        let rows = self.quantizer.decode(codes, &self.codebooks)?;
        Ok(from_rows(rows, n))
    }

    /// Codes of features by the first codebooks, `[n l]` each.
    pub fn quantize(&self, features: Tensor<B, 3>, codebooks: usize) -> Vec<Tensor<B, 1, Int>> {
        let rows = to_rows(features);
        self.quantizer
            .quantize(rows, codebooks, &self.codebooks)
            .codes
    }
}

impl<B: CodecBackend> TokenNetwork<B> for EncodecNetwork<B> {
    fn codes(&self, x: Ragged<B>, codebooks: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error> {
        Ok(self.quantize(self.encoder.forward_ragged(x).x, codebooks))
    }

    fn samples(&self, codes: &[Tensor<B, 1, Int>]) -> Result<Tensor<B, 3>, Error> {
        Ok(self.decoder.forward(self.features(codes, 1)?))
    }
}

/// Volume of every item, `[n, 1, 1]`: root mean square over time of the mean of the channels.
pub(super) fn volume<B: CodecBackend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    let mono = x.mean_dim(1);
    let power = (mono.clone() * mono).mean_dim(2);
    power.sqrt().add_scalar(SILENCE)
}
