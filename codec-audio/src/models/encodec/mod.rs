//! EnCodec (Defossez, Copet, Synnaeve and Adi 2022, "High Fidelity Neural Audio Compression", arXiv 2210.13438).
//!
//! The 24 kHz model is causal and codes a recording in one piece; the 48 kHz model is not, codes stereo in segments of a
//! second that overlap by a hundredth, and normalizes each. The language model over the codes (section 3.3 of the paper) is not
//! implemented: codes are coded by what has been counted so far.

mod checkpoint;
mod codec;
mod config;
mod network;
mod segments;
#[cfg(test)]
mod tests;
mod trace;

pub use config::EncodecConfig;
pub use network::EncodecNetwork;

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::weights::{Loader, Tensors};
use serde_json::Value;

use crate::coder::AudioCoder;
use crate::models::family::{AudioFamily, Family, Model};

/// EnCodec.
#[derive(Debug, Clone, Copy)]
pub struct Encodec;

impl Family for Encodec {
    const NAME: &'static str = "encodec";
    const PROFILE: Profile = Profile::Portable;
    type Config = EncodecConfig;
    type Network<B: CodecBackend> = EncodecNetwork<B>;

    fn recognize(tensors: &Tensors) -> bool {
        [
            "encoder.model.0.conv.conv.weight",
            "decoder.model.0.conv.conv.weight",
            "quantizer.vq.layers.0._codebook.embed",
        ]
        .iter()
        .all(|name| tensors.contains(name))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        checkpoint::normalize(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<EncodecConfig, Error> {
        EncodecConfig::new(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &EncodecConfig,
        loader: &Loader<'_, B>,
    ) -> Result<EncodecNetwork<B>, Error> {
        EncodecNetwork::load(config, loader)
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        trace::trace::<B>(model, inputs, device)
    }
}

impl AudioFamily for Encodec {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        codec::coder::<B>(model, device)
    }
}
