//! The model as a codec: integers of the latents to bytes and back.

use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::weights::HostTensor;
use codec_entropy::{decode_planes, encode_planes};

use super::Walloc1d;
use super::config::Walloc1dConfig;
use super::network::Network;
use crate::coder::{AudioCoder, Format, Reach};
use crate::models::family::Model;
use crate::models::tokenizer::{samples_of, to_device, to_host};

/// Frames that the latents have more than the packets.
const BORDER: usize = 2;

/// A model on a device.
pub struct Coder<B: CodecBackend> {
    network: Network<B>,
    format: Format,
    latent_dim: usize,
    frames_min: usize,
    device: B::Device,
}

impl<B: CodecBackend> Coder<B> {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights, [`Error::Unsupported`] for models of neither 1 nor 2 channels.
    pub fn new(model: &Model<Walloc1d>, device: &B::Device) -> Result<Self, Error> {
        Self::of(model.network::<B>(device)?, &model.config, device)
    }

    /// The codec of networks that are on a device already.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for models of neither 1 nor 2 channels.
    pub fn of(
        network: Network<B>,
        config: &Walloc1dConfig,
        device: &B::Device,
    ) -> Result<Self, Error> {
        let channels = config.channels;
        if !matches!(channels, 1 | 2) {
            return Err(Error::unsupported(format!(
                "sound with a model of {channels} channels (expected 1 or 2)"
            )));
        }
        Ok(Self {
            network,
            format: config.format(),
            latent_dim: config.latent_dim,
            frames_min: config.frames_min(),
            device: device.clone(),
        })
    }

    /// Frames that are coded where a recording has `frames`.
    fn coded(&self, frames: usize) -> usize {
        frames.max(self.frames_min)
    }

    fn one_rate(&self, step: usize) -> Result<(), Error> {
        if step == 0 {
            return Ok(());
        }
        Err(Error::bad_parameter(format!(
            "rate step {step} of a model with one rate"
        )))
    }
}

impl<B: CodecBackend> AudioCoder for Coder<B> {
    fn format(&self) -> &Format {
        &self.format
    }

    fn reach(&self) -> Reach {
        Reach::Whole
    }

    fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error> {
        self.one_rate(step)?;
        let samples = samples_of(channels, &self.format)?;
        let hop = self.format.hop as usize;
        let frames = self.coded(samples.div_ceil(hop));
        // The model is made for -0.5..0.5.
        let x = to_device::<B>(channels, frames * hop, &self.device).div_scalar(2.0);
        let packets = self.network.analysis(x)?;
        let quantizer = self.network.quantizer();
        let z = quantizer.round(quantizer.compress(self.network.encode(packets)));
        let [_, rows, length] = z.dims();
        let limit = quantizer.limit();
        let values = HostTensor::from_device(z)?;
        // What is not a number becomes 0, so that a file can always be written.
        let values: Vec<i32> = values
            .as_floats()
            .unwrap_or_default()
            .iter()
            .map(|&v| (v as i32).clamp(-limit, limit))
            .collect();
        encode_planes(&values, [rows, 1, length], limit)
            .map_err(|e| Error::bad_parameter(format!("latents: {e}")))
    }

    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.one_rate(step)?;
        let length = self.coded(frames).checked_add(BORDER);
        let length = length.ok_or_else(|| Error::malformed("a chunk of too many frames"))?;
        let quantizer = self.network.quantizer();
        let shape = [self.latent_dim, 1, length];
        let values = decode_planes(bytes, shape, quantizer.limit())
            .map_err(|e| Error::malformed(format!("latents: {e}")))?;
        let values = values.iter().map(|&v| v as f32).collect();
        let data = TensorData::new(values, [1, self.latent_dim, length]);
        let z = Tensor::<B, 3>::from_data(data, &self.device);
        let packets = self.network.decode(quantizer.expand(z));
        let x = self.network.filter(self.network.synthesis(packets)?);
        let x = x.clamp(-0.5, 0.5).mul_scalar(2.0);
        to_host(x, frames * self.format.hop as usize)
    }
}
