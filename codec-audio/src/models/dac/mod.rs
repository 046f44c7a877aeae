//! Descript Audio Codec (Kumar, Seetharaman, Luebs, Kumar and Kumar 2023, "High-Fidelity Audio Compression with Improved RVQGAN",
//! arXiv 2306.06546).
//!
//! Fully convolutional with periodic activations and factorized codebooks. All convolutions either see zeros beyond the ends of
//! the signal, or do without and lose what they cannot see; the authors code long recordings in the second way, in chunks.

mod config;
mod lengths;
mod network;
#[cfg(test)]
mod tests;
mod trace;

pub use config::DacConfig;
pub use network::{DacNetwork, Ends};

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::weights::{Loader, Tensors};
use serde_json::Value;

use crate::coder::{AudioCoder, TokenCoder};
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::tokenizer::Tokenizer;

/// Descript Audio Codec.
#[derive(Debug, Clone, Copy)]
pub struct Dac;

impl Family for Dac {
    const NAME: &'static str = "dac";
    const PROFILE: Profile = Profile::Portable;
    type Config = DacConfig;
    type Network<B: CodecBackend> = DacNetwork<B>;

    fn recognize(tensors: &Tensors) -> bool {
        [
            "encoder.block.0.weight",
            "decoder.model.0.weight",
            "quantizer.quantizers.0.codebook.weight",
        ]
        .iter()
        .all(|name| tensors.contains(name))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<DacConfig, Error> {
        DacConfig::new(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &DacConfig,
        loader: &Loader<'_, B>,
    ) -> Result<DacNetwork<B>, Error> {
        Ok(DacNetwork::load(config, loader))
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        trace::trace::<B>(model, inputs, device)
    }
}

impl AudioFamily for Dac {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        Ok(Box::new(TokenCoder(Tokenizer {
            network: model.network::<B>(device)?,
            format: model.config.format(),
            reach: model.config.reach(),
            device: device.clone(),
            whole_frames: true,
        })))
    }
}
