//! EnCodec as a codec of real files: codes alone, or segments with their volumes and codes.

use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;

use super::network::volume;
use super::segments::{overlap_add, segments};
use super::{Encodec, EncodecConfig, EncodecNetwork};
use crate::coder::{
    AudioCoder, Format, Reach, TokenCoder, append_codes, finished, take_codes, take_word,
};
use crate::models::family::Model;
use crate::models::tokenizer::{Tokenizer, samples_of, to_device, to_host};

/// The coder that suits a configuration.
pub(super) fn coder<B: CodecBackend>(
    model: &Model<Encodec>,
    device: &B::Device,
) -> Result<Box<dyn AudioCoder>, Error> {
    let (network, format) = (model.network::<B>(device)?, model.config.format());
    if model.config.is_plain() {
        return Ok(Box::new(TokenCoder(Tokenizer {
            network,
            format,
            // Memory has no end, and mirrored ends are those of the recording.
            reach: Reach::Whole,
            device: device.clone(),
            whole_frames: false,
        })));
    }
    Ok(Box::new(Segmented {
        network,
        format,
        config: model.config.clone(),
        device: device.clone(),
    }))
}

/// Codes a chunk in segments of its own. A payload is the number of samples as `u32`, the volume of every segment as `f32` if
/// the model normalizes, and for every codebook the codes of all segments as [`append_codes`] writes them; all little-endian.
struct Segmented<B: CodecBackend> {
    network: EncodecNetwork<B>,
    format: Format,
    config: EncodecConfig,
    device: B::Device,
}

impl<B: CodecBackend> Segmented<B> {
    fn codebooks(&self, step: usize) -> Result<usize, Error> {
        let steps = &self.format.steps;
        let count = steps.get(step).map(|&count| count.into());
        count.ok_or_else(|| {
            Error::bad_parameter(format!("rate step {step} of a model with {}", steps.len()))
        })
    }

    /// Beginning and length of the segments of a chunk, one if the model has none.
    fn segments(&self, samples: usize) -> Vec<(usize, usize)> {
        match self.config.segment_length() {
            Some(length) => segments(samples, length, self.config.segment_stride()).collect(),
            None => segments(samples, samples, samples).collect(),
        }
    }

    fn frames(&self, samples: usize) -> usize {
        samples.div_ceil(self.format.hop as usize)
    }
}

impl<B: CodecBackend> AudioCoder for Segmented<B> {
    fn format(&self) -> &Format {
        &self.format
    }

    fn reach(&self) -> Reach {
        Reach::Whole
    }

    fn encode_chunk(&self, channels: &[&[f32]], step: usize) -> Result<Vec<u8>, Error> {
        let codebooks = self.codebooks(step)?;
        let samples = samples_of(channels, &self.format)?;
        let count = u32::try_from(samples)
            .map_err(|_| Error::bad_parameter(format!("a chunk of {samples} samples")))?;
        let mut payload = count.to_le_bytes().to_vec();
        let mut books = vec![Vec::<u32>::new(); codebooks];
        for (start, length) in self.segments(samples) {
            let parts: Vec<&[f32]> = channels
                .iter()
                .map(|channel| channel.get(start..start + length).unwrap_or_default())
                .collect();
            let mut x = to_device::<B>(&parts, length, &self.device);
            if self.config.normalize {
                // Divided by what the decoder multiplies with.
                let scale = to_host(volume(x.clone()), 1)?;
                let scale = scale.first().and_then(|s| s.first()).copied();
                let scale = scale.unwrap_or(1.0);
                payload.extend(scale.to_le_bytes());
                x = x.div_scalar(scale);
            }
            let features = self.network.encoder.forward(x);
            let codes = self.network.quantize(features, codebooks);
            for (book, codes) in books.iter_mut().zip(codes) {
                book.extend(codes.into_data().iter::<i64>().map(|code| code as u32));
            }
        }
        for (codes, &size) in books.iter().zip(&self.format.codebooks) {
            append_codes(&mut payload, codes, size)?;
        }
        Ok(payload)
    }

    fn decode_chunk(
        &self,
        bytes: &[u8],
        frames: usize,
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let mut rest = bytes;
        let codebooks = self.codebooks(step)?;
        let samples = u32::from_le_bytes(take_word(&mut rest)?) as usize;
        if self.frames(samples) != frames {
            return Err(Error::malformed(format!(
                "chunk payload: {samples} samples in {frames} frames"
            )));
        }
        let segments = self.segments(samples);
        let mut scales = vec![1.0f32; segments.len()];
        if self.config.normalize {
            for scale in &mut scales {
                *scale = f32::from_le_bytes(take_word(&mut rest)?);
                if !scale.is_finite() || *scale < 0.0 {
                    return Err(Error::malformed(format!("chunk payload: volume {scale}")));
                }
            }
        }
        let count = segments
            .iter()
            .map(|(_, length)| self.frames(*length))
            .sum();
        let mut books = Vec::with_capacity(codebooks);
        for &size in self.format.codebooks.iter().take(codebooks) {
            books.push(take_codes(&mut rest, size, count)?);
        }
        finished(rest)?;
        let mut parts = Vec::with_capacity(segments.len());
        let mut first = 0;
        for ((_, length), scale) in segments.iter().zip(scales) {
            let own = first..first + self.frames(*length);
            first = own.end;
            let codes: Vec<Tensor<B, 1, Int>> = books
                .iter()
                .map(|book| {
                    let codes = book.get(own.clone()).unwrap_or_default();
                    let codes: Vec<i32> = codes.iter().map(|&code| code as i32).collect();
                    let data = TensorData::new(codes, [own.len()]);
                    Tensor::from_data(data, &self.device)
                })
                .collect();
            let features = self.network.features(&codes, 1)?;
            let decoded = self.network.decoder.forward(features).mul_scalar(scale);
            parts.push(to_host(decoded, *length)?);
        }
        let mut whole = match self.config.segment_length() {
            Some(length) => overlap_add(&parts, length, self.config.segment_stride()),
            None => parts.pop().unwrap_or_default(),
        };
        whole.resize(self.format.channels.into(), Vec::new());
        for channel in &mut whole {
            channel.resize(frames * self.format.hop as usize, 0.0);
        }
        Ok(whole)
    }
}
