//! VQGAN (Esser, Rombach and Ommer, "Taming transformers for high-resolution image synthesis", 2021, arXiv 2012.09841).
//!
//! Every block of pixels becomes the index of a row in a codebook. Checkpoints of taming-transformers (straight and Gumbel
//! quantizers, any size of network), of latent diffusion's vq-fN without attention changes, and of VQGAN-LC with its
//! projected codebook load as they were published. The indexes are coded losslessly and mean the same everywhere.
//!
//! Not here: the transformers that sample indexes, and the table of used indexes (`remap`) that they train with.

mod checkpoint;
mod codec;
mod config;
mod network;
pub mod quantizers;
mod trace;
mod training;

use burn::backend::Flex;
use burn::backend::flex::FlexDevice;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::layers::quantizer::Codebook;
use codec_core::weights::{HostTensor, Loader, Tensors};
use serde_json::Value;

pub use codec::Coder;
pub use config::{Kind, NetworkConfig, VqganConfig};
pub use network::{Autoencoder, Network, TrainingPass};
pub use quantizers::{SimVq, VqganLc};
pub use training::Fresh;

use super::family::{Family, ImageFamily, Model};
use crate::coder::ImageCoder;

/// The family `vqgan`.
#[derive(Debug, Clone, Copy)]
pub struct Vqgan;

impl Default for VqganConfig {
    /// A small network with a factor of 8 and the linearly mapped codebook of SimVQ, which needs no care to stay in use.
    fn default() -> Self {
        Self {
            quantizer: Kind::Sim,
            n_embed: 1024,
            embed_dim: 32,
            codebook_dim: None,
            use_cblinear: None,
            cb_hidden: None,
            tuning_codebook: None,
            levels: Vec::new(),
            ddconfig: NetworkConfig {
                double_z: false,
                z_channels: 32,
                resolution: 256,
                in_channels: 3,
                out_ch: 3,
                ch: 32,
                ch_mult: vec![1, 1, 2, 4],
                num_res_blocks: 1,
                attn_resolutions: Vec::new(),
            },
            clusters: Vec::new(),
            context: None,
            restorer: None,
        }
    }
}

impl Family for Vqgan {
    const NAME: &'static str = "vqgan";
    /// Indexes decode to the same values anywhere.
    const PROFILE: Profile = Profile::Portable;
    type Config = VqganConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        checkpoint::recognize(tensors)
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        checkpoint::normalize(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<VqganConfig, Error> {
        VqganConfig::new(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &VqganConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Network<B>, Error> {
        Network::load(config, loader)
    }

    fn codebook(model: &Model<Self>) -> Result<Option<HostTensor>, Error> {
        let network = model.network::<Flex>(&FlexDevice)?;
        rows(network.codebook(0)?)
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        trace::trace::<B>(model, inputs, device)
    }
}

impl ImageFamily for Vqgan {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        Ok(Box::new(Coder::<B>::new(model, device)?))
    }
}

/// Rows on the host.
fn rows(codebook: &Codebook<Flex>) -> Result<Option<HostTensor>, Error> {
    HostTensor::from_device(codebook.all()).map(Some)
}

#[cfg(test)]
mod tests;
