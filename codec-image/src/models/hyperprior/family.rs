//! The family: names of checkpoints, and how models of it are made.

use burn::backend::Autodiff;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::EntropyBottleneck;
use codec_core::weights::{Loader, Tensors};

use super::codec::Coder;
use super::config::HyperpriorConfig;
use super::model::Network;
use super::trace::trace;
use crate::coder::ImageCoder;
use crate::models::family::{Family, ImageFamily, Model};

/// The hyperprior family.
#[derive(Debug, Clone, Copy)]
pub struct Hyperprior;

impl Family for Hyperprior {
    const NAME: &'static str = "hyperprior";
    type Config = HyperpriorConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        ["g_a.0.weight", "g_a.1.beta", "g_a.6.weight", "g_s.6.weight"]
            .iter()
            .all(|name| tensors.contains(name))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        tensors.rename(|name| EntropyBottleneck::published_name(&name))
    }

    fn configure(
        tensors: &Tensors,
        given: Option<&serde_json::Value>,
    ) -> Result<HyperpriorConfig, Error> {
        let config = HyperpriorConfig::of(tensors)?;
        if let Some(given) = given {
            config.check(given)?;
        }
        Ok(config)
    }

    fn build<B: CodecBackend>(
        config: &HyperpriorConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Network<B>, Error> {
        Network::load(config, loader)
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        trace(&model.network::<B>(device)?, inputs, device)
    }
}

impl ImageFamily for Hyperprior {
    fn coder<B>(model: &Model<Self>, device: &B::Device) -> Result<Box<dyn ImageCoder>, Error>
    where
        B: CodecBackend,
        Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
    {
        Ok(Box::new(Coder::<B>::new(model, device)?))
    }
}
