//! The family: names of checkpoints, and how models of it are made.

use burn::backend::Autodiff;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::EntropyBottleneck;
use codec_core::weights::{Loader, Tensors};

use super::codec::Coder;
use super::config::MlicppConfig;
use super::model::Network;
use super::trace::trace;
use crate::coder::ImageCoder;
use crate::models::family::{Family, ImageFamily, Model};

/// MLIC++.
#[derive(Debug, Clone, Copy)]
pub struct Mlicpp;

impl Family for Mlicpp {
    const NAME: &'static str = "mlicpp";
    type Config = MlicppConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        [
            "g_a.analysis_transform.0.conv1.weight",
            "local_context.0.qkv_proj.weight",
            "entropy_parameters_anchor.0.fusion.0.weight",
        ]
        .iter()
        .all(|name| tensors.contains(name))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        tensors.rename(|name| EntropyBottleneck::published_name(&name))
    }

    fn configure(
        tensors: &Tensors,
        given: Option<&serde_json::Value>,
    ) -> Result<MlicppConfig, Error> {
        MlicppConfig::of(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &MlicppConfig,
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

impl ImageFamily for Mlicpp {
    fn coder<B>(model: &Model<Self>, device: &B::Device) -> Result<Box<dyn ImageCoder>, Error>
    where
        B: CodecBackend,
        Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
    {
        Ok(Box::new(Coder::<B>::new(model, device)?))
    }
}
