//! Training from nothing: initial parameters, and the way back to a weights file.

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::weights::{HostTensor, Loader, Start, Tensors};

use super::config::{OUTPUTS, SrvqConfig};
use super::network::Autoencoder;

/// What a block adds to its input at first, as a factor.
const SCALE: f32 = 0.2;
/// Logarithm of gains at first.
const QUIET: f32 = -4.0;

/// A configuration with initial parameters.
#[derive(Debug, Clone)]
pub struct Fresh {
    config: SrvqConfig,
    tensors: Tensors,
    start: Start,
}

impl Fresh {
    /// Draws the parameters.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sizes that no model has.
    pub fn new(config: &SrvqConfig, seed: u64) -> Result<Self, Error> {
        config.check()?;
        if config.context.is_some() {
            return Err(Error::bad_parameter(
                "srvq: context models are made of a trained model",
            ));
        }
        let start = Start::new(seed, |loader| Autoencoder::load(config, loader))?;
        let mut tensors = start.tensors().clone();
        for name in ["encoder", "decoder"] {
            for block in 0..config.encoder_blocks.max(config.decoder_blocks) {
                let name = format!("{name}.blocks.{block}.scale");
                if tensors.contains(&name) {
                    let scale = vec![SCALE; config.width];
                    tensors.insert(name, HostTensor::floats(&[1, config.width], scale)?);
                }
            }
        }
        // Speech is far below the sources in power.
        if let Some(bias) = tensors.get("decoder.output.bias") {
            let bins = config.bins();
            let gains = (0..bias.shape().iter().product::<usize>())
                .map(|i| if i / bins == 1 { 0.0 } else { QUIET });
            let gains = HostTensor::floats(&[OUTPUTS * bins], gains.collect())?;
            tensors.insert("decoder.output.bias", gains);
        }
        // Codebooks that no latent has chosen yet start as clusters of the first latents.
        for book in 0..config.codebooks {
            let sizes = HostTensor::floats(&[config.codes], vec![0.0; config.codes])?;
            tensors.insert(format!("codebooks.{book}.cluster_size"), sizes);
        }
        Ok(Self {
            config: config.clone(),
            tensors,
            start,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SrvqConfig {
        &self.config
    }

    /// The networks with their initial parameters.
    pub fn init<B: CodecBackend>(&self, device: &B::Device) -> Autoencoder<B> {
        Autoencoder::load(&self.config, &Loader::new(&self.tensors, device))
    }

    /// Parameters under the names of weights files, rounded to 16 bits.
    ///
    /// # Errors
    /// Device errors.
    pub fn export<B: CodecBackend>(&self, network: &Autoencoder<B>) -> Result<Tensors, Error> {
        self.start.collect(network)?.halved()
    }
}
