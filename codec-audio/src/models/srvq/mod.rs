//! Spectral residual vector quantization: the toolkit's own codec of speech.
//!
//! A frame of 13 ms at 24 kHz sees three hops under a Hann window. Its pitch is a code of its own. The power in mel bands
//! goes through causal blocks (ConvNeXt, Liu et al. 2022, arXiv 2201.03545, with depthwise convolutions over frames) to a
//! latent, which residual codebooks with moving averages quantize (SoundStream, Zeghidour et al. 2021, arXiv 2107.03312,
//! with its dropout of codebooks: a model serves several rates). Blocks of the same kind turn it into the gains of a source
//! and a filter: pulses at the pitch and noise, each shaped in every bin of its spectrum, as in harmonic-plus-noise models
//! (Stylianou 2001; Engel et al. 2020, arXiv 2001.04643), and overlapping windows give samples (Vocos, Siuzdak 2023, arXiv
//! 2306.00814). Phases that go on from frame to frame are thus given, not learned. A sample is complete three hops after
//! it came in: 40 ms. All of the work is done once a frame, in matrix products, so that it is fast on processors.

mod config;
mod network;
mod pitch;
mod source;
#[cfg(test)]
mod tests;
mod training;

use burn::tensor::{Int, Tensor};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::index_context::IndexContext;
use codec_core::weights::{Loader, Tensors};
use serde_json::Value;

use crate::coder::{AudioCoder, AudioTokenizer, Codes, Format, Reach, TokenCoder};
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::ragged::Ragged;
use crate::models::tokenizer::{TokenNetwork, Tokenizer};

pub use config::SrvqConfig;
pub use network::{Autoencoder, TrainingPass, Transforms};
pub use training::Fresh;

/// The family `srvq`.
#[derive(Debug, Clone, Copy)]
pub struct Srvq;

/// Networks on a device.
#[derive(Debug)]
pub struct Network<B: CodecBackend> {
    autoencoder: Autoencoder<B>,
    transforms: Transforms<B>,
    context: Option<IndexContext>,
}

impl<B: CodecBackend> Network<B> {
    /// Networks of parameters.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a configuration that no model has.
    pub fn of(
        autoencoder: Autoencoder<B>,
        config: &SrvqConfig,
        device: &B::Device,
    ) -> Result<Self, Error> {
        Ok(Self {
            autoencoder,
            transforms: Transforms::new(config, device)?,
            context: None,
        })
    }

    /// Everything with parameters.
    pub fn autoencoder(&self) -> &Autoencoder<B> {
        &self.autoencoder
    }
}

impl<B: CodecBackend> TokenNetwork<B> for Network<B> {
    /// Blocks look back, and windows and pitch find zeros behind the end of a recording anyway.
    fn codes(&self, x: Ragged<B>, codebooks: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error> {
        self.autoencoder.codes(&self.transforms, x.x, codebooks)
    }

    fn samples(&self, codes: &[Tensor<B, 1, Int>]) -> Result<Tensor<B, 3>, Error> {
        self.autoencoder.samples(&self.transforms, codes)
    }
}

impl Family for Srvq {
    const NAME: &'static str = "srvq";
    /// Codes are coded by integers, and mean the same everywhere.
    const PROFILE: Profile = Profile::Portable;
    type Config = SrvqConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains("encoder.blocks.0.taps") && tensors.contains("codebooks.0.embed")
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        Ok(tensors)
    }

    fn configure(_tensors: &Tensors, given: Option<&Value>) -> Result<SrvqConfig, Error> {
        let given = given.ok_or_else(|| Error::malformed("srvq: weights without configuration"))?;
        let config: SrvqConfig = serde_json::from_value(given.clone())
            .map_err(|e| Error::malformed(format!("srvq: configuration: {e}")))?;
        config.check()?;
        Ok(config)
    }

    fn build<B: CodecBackend>(
        config: &SrvqConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Network<B>, Error> {
        let autoencoder = Autoencoder::load(config, loader);
        let mut network = Network::of(autoencoder, config, loader.device())?;
        if let Some(context) = &config.context {
            network.context = IndexContext::load(context, &loader.at("context"))?;
        }
        Ok(network)
    }

    fn trace<B: CodecBackend>(
        _model: &Model<Self>,
        _inputs: &Tensors,
        _device: &B::Device,
    ) -> Result<Tensors, Error> {
        Err(Error::unsupported("fixtures of family srvq"))
    }
}

/// A tokenizer with what it has learned of its codes.
struct Coder<B: CodecBackend> {
    tokenizer: Tokenizer<B, Network<B>>,
}

impl<B: CodecBackend> AudioTokenizer for Coder<B> {
    fn format(&self) -> &Format {
        self.tokenizer.format()
    }

    fn reach(&self) -> Reach {
        self.tokenizer.reach()
    }

    fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, Error> {
        self.tokenizer.tokenize(channels, codebooks)
    }

    fn tokenize_batch(&self, batch: &[Vec<&[f32]>], codebooks: usize) -> Result<Vec<Codes>, Error> {
        self.tokenizer.tokenize_batch(batch, codebooks)
    }

    fn detokenize(&self, codes: &Codes) -> Result<Vec<Vec<f32>>, Error> {
        self.tokenizer.detokenize(codes)
    }

    fn context(&self) -> Option<&IndexContext> {
        self.tokenizer.network.context.as_ref()
    }
}

/// The tokenizer of a model on a device.
///
/// # Errors
/// [`Error::Malformed`] for incomplete weights.
pub fn tokenizer<B: CodecBackend>(
    model: &Model<Srvq>,
    device: &B::Device,
) -> Result<impl AudioTokenizer + use<B>, Error> {
    Ok(coder_of(model.network::<B>(device)?, &model.config, device))
}

/// The tokenizer of networks that are in memory already.
pub fn tokenizer_of<B: CodecBackend>(
    network: Network<B>,
    config: &SrvqConfig,
    device: &B::Device,
) -> impl AudioTokenizer + use<B> {
    coder_of(network, config, device)
}

fn coder_of<B: CodecBackend>(
    network: Network<B>,
    config: &SrvqConfig,
    device: &B::Device,
) -> Coder<B> {
    Coder {
        tokenizer: Tokenizer {
            network,
            format: config.format(),
            reach: config.reach(),
            device: device.clone(),
            whole_frames: true,
        },
    }
}

impl AudioFamily for Srvq {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        let network = model.network::<B>(device)?;
        Ok(Box::new(TokenCoder(coder_of(
            network,
            &model.config,
            device,
        ))))
    }
}
