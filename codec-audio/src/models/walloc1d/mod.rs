//! WaLLoC for sound (Jacobellis and Yadwadkar 2025, "Learned Compression for Compressed Learning", arXiv 2412.09405): wavelet
//! packets, an encoder of a single convolution or of residual units, and integers by companding.
//!
//! The transform goes round from the end of a recording to its beginning, so a recording is coded as a whole; chunks stand
//! alone. The integers are coded by a model of integers ([`codec_entropy::encode_planes`]), so every machine decodes the
//! same ones.

mod codec;
mod config;
mod network;
#[cfg(test)]
mod tests;
mod training;

pub use codec::Coder;
pub use config::Walloc1dConfig;
pub use network::Network;
pub use training::{Fresh, TrainingPass};

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::layers::{Companding, check_wavelet};
use codec_core::weights::{Loader, Tensors};
use serde_json::Value;

use crate::coder::AudioCoder;
use crate::models::family::{AudioFamily, Family, Model};
use crate::models::trace::{Traced, signal};

/// WaLLoC for sound.
#[derive(Debug, Clone, Copy)]
pub struct Walloc1d;

impl Family for Walloc1d {
    const NAME: &'static str = "walloc1d";
    const PROFILE: Profile = Profile::Portable;
    type Config = Walloc1dConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains("decoder.1.block.1.conv_t1.weight")
            && ["encoder.0.weight", "encoder.0.conv1.weight"]
                .iter()
                .any(|name| tensors.contains(name))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<Walloc1dConfig, Error> {
        Walloc1dConfig::of(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &Walloc1dConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Network<B>, Error> {
        check_wavelet(loader, &[("", &[1, 1, 10])])?;
        let quantizer = Companding::new(config.latent_bits)?;
        Ok(Network::load(config, quantizer, loader))
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let network = model.network::<B>(device)?;
        let mut outputs = Tensors::new();
        let mut traced = Traced::new("", &mut outputs);
        let original = signal::<B>(inputs, "x_orig", model.config.channels, device)?;
        let [_, _, samples] = original.dims();
        let length = samples.next_multiple_of(model.config.hop());
        let x = network::extended(original, length);
        let quantizer = network.quantizer();
        let packets = network.analysis(x.clone())?;
        let e = network.encode(packets.clone());
        let z = quantizer.compress(e.clone());
        let rounded = quantizer.round(z.clone());
        let normal = quantizer.expand(rounded.clone());
        let decoded = network.decode(normal.clone());
        let synthesized = network.synthesis(decoded.clone())?;
        let reconstruction = network.filter(synthesized.clone());
        let clamped = reconstruction.clone().clamp(-0.5, 0.5);
        let mean = |difference: Tensor<B, 3>| (difference.clone() * difference).mean();
        traced.put("x", x.clone())?;
        traced.put("X", packets.clone())?;
        traced.put("e", e)?;
        traced.put("z", z)?;
        traced.put("z_hat", rounded)?;
        traced.put("dec_in", normal)?;
        traced.put("X_hat", decoded.clone())?;
        traced.put("x_syn", synthesized)?;
        traced.put("x_rec", reconstruction.clone())?;
        traced.put("x_hat_cropped", clamped.clone().narrow(2, 0, samples))?;
        traced.put("x_hat", clamped)?;
        traced.put("mse", mean(x - reconstruction))?;
        traced.put("tf_loss", mean(packets - decoded))?;
        Ok(outputs)
    }
}

impl AudioFamily for Walloc1d {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error> {
        Ok(Box::new(codec::Coder::<B>::new(model, device)?))
    }
}
