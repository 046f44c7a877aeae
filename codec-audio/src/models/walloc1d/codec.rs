//! The model as a codec: integers of the latents to bytes and back.

use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::weights::HostTensor;
use codec_entropy::{decode_planes, encode_planes};

use super::Walloc1d;
use super::config::Walloc1dConfig;
use super::network::Network;
use crate::coder::{AudioCoder, AudioLatents, Format, Reach};
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
        let values = self.analyze(channels)?;
        let columns = values.len() / self.latent_dim.max(1);
        let shape = [self.latent_dim, 1, columns];
        encode_planes(&values, shape, self.network.quantizer().limit())
            .map_err(|e| Error::bad_parameter(format!("latents: {e}")))
    }

    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        self.one_rate(step)?;
        let [rows, columns] = self.shape(frames);
        let values = decode_planes(bytes, [rows, 1, columns], self.network.quantizer().limit())
            .map_err(|e| Error::malformed(format!("latents: {e}")))?;
        self.synthesize(&values, frames)
    }

    fn latents(&self) -> Option<&dyn AudioLatents> {
        Some(self)
    }
}

impl<B: CodecBackend> AudioLatents for Coder<B> {
    fn format(&self) -> &Format {
        &self.format
    }

    fn limit(&self) -> u32 {
        self.network.quantizer().limit().unsigned_abs()
    }

    fn shape(&self, frames: usize) -> [usize; 2] {
        [self.latent_dim, self.coded(frames).saturating_add(BORDER)]
    }

    fn analyze(&self, channels: &[&[f32]]) -> Result<Vec<i32>, Error> {
        let samples = samples_of(channels, &self.format)?;
        let hop = self.format.hop as usize;
        let frames = self.coded(samples.div_ceil(hop));
        // The model is made for -0.5..0.5.
        let x = to_device::<B>(channels, frames * hop, &self.device).div_scalar(2.0);
        let packets = self.network.analysis(x)?;
        let quantizer = self.network.quantizer();
        let z = quantizer.round(quantizer.compress(self.network.encode(packets)));
        let limit = quantizer.limit();
        let values = HostTensor::from_device(z)?;
        // What is not a number becomes 0, so that a file can always be written.
        let values = values.as_floats().unwrap_or_default().iter();
        Ok(values.map(|&v| (v as i32).clamp(-limit, limit)).collect())
    }

    fn synthesize(&self, latents: &[i32], frames: usize) -> Result<Vec<Vec<f32>>, Error> {
        let ([rows, columns], limit) = (self.shape(frames), self.limit());
        let fits = rows.checked_mul(columns) == Some(latents.len());
        if !fits || latents.iter().any(|v| v.unsigned_abs() > limit) {
            return Err(Error::malformed(format!(
                "{} latents for {frames} frames (expected {rows} x {columns} of at most {limit} in magnitude)",
                latents.len()
            )));
        }
        let values: Vec<f32> = latents.iter().map(|&v| v as f32).collect();
        let data = TensorData::new(values, [1, rows, columns]);
        let z = Tensor::<B, 3>::from_data(data, &self.device);
        let packets = self.network.decode(self.network.quantizer().expand(z));
        let x = self.network.filter(self.network.synthesis(packets)?);
        let x = x.clamp(-0.5, 0.5).mul_scalar(2.0);
        to_host(x, frames * self.format.hop as usize)
    }
}
