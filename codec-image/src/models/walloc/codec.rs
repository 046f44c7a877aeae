//! The model as a codec: integers of the latents to bytes and back.
//!
//! The latents are coded with a model of integers alone ([`codec_entropy::encode_planes`]), so every machine decodes the same
//! latents from a file; the decoder's network may round its pixels differently. Without entropy coding they are what other
//! models learn on (section 5 of the paper), as arrays of signed integers.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;
use codec_core::weights::HostTensor;
use codec_core::{Digest, Error};

use super::checkpoint::Walloc;
use super::latents::{Latents, product};
use super::model::Network;
use crate::coder::{
    DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, Stages, TileOptions,
};
use crate::file::MAX_TILE_PIXELS;
use crate::models::family::Model;
use crate::planes::{Border, interleave, planes};
use crate::tokens::{Alphabet, ImageTokenizer, Media, Tokens, picture_size};

/// Larger pictures are cut unless the user wants otherwise: the decoder attends to all of a tile, which costs its square.
const COMFORTABLE_PIXELS: u64 = 1 << 20;

/// A model on a device. It codes pictures of three channels, and gray ones with models of one channel.
pub struct Coder<B: CodecBackend> {
    network: Network<B>,
    limit: i32,
    device: B::Device,
    name: String,
    digest: Digest,
}

impl<B: CodecBackend> Coder<B> {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights, [`Error::Unsupported`] for models of neither 1 nor 3 channels.
    pub fn new(model: &Model<Walloc>, device: &B::Device) -> Result<Self, Error> {
        let channels = model.config.channels;
        if !matches!(channels, 1 | 3) {
            return Err(Error::unsupported(format!(
                "pictures with a model of {channels} channels (1 for gray, 3 for RGB)"
            )));
        }
        let network = model.network::<B>(device)?;
        Ok(Self {
            limit: network.quantizer()?.limit(),
            network,
            device: device.clone(),
            name: model.name.clone(),
            digest: model.digest,
        })
    }

    /// Integers of a tile, without entropy coding.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an empty tile, a buffer of the wrong length, or colours where the model is one of gray
    /// pictures; device errors.
    pub fn latents(&self, tile: RgbTile<'_>) -> Result<Latents, Error> {
        let RgbTile {
            width,
            height,
            samples,
        } = tile;
        check_size(width, height)?;
        if product(&[3, width, height]) != Some(samples.len()) {
            return Err(Error::bad_parameter(format!(
                "a tile of {width}x{height} pixels with {} samples",
                samples.len()
            )));
        }
        let mut values = planes(tile, width, height, Border::Edge);
        let channels = self.network.channels();
        if channels == 1 {
            let gray = |pixel: &[u8]| pixel.iter().all(|v| pixel.first() == Some(v));
            if !samples.chunks(3).all(gray) {
                return Err(Error::bad_parameter(
                    "a picture with colours for a model of gray pictures",
                ));
            }
            values.truncate(width * height);
        }
        let data = TensorData::new(values, [1, channels, height, width]);
        self.network.latents(Tensor::from_data(data, &self.device))
    }

    /// RGB samples, three bytes a pixel, of the integers of a tile of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Error::Malformed`] for latents of another size; device errors.
    pub fn samples(
        &self,
        latents: &Latents,
        width: usize,
        height: usize,
    ) -> Result<Vec<u8>, Error> {
        check_size(width, height)?;
        let pixels = self
            .network
            .pixels(latents, [height, width], &self.device)?;
        let pixels = HostTensor::from_device(pixels)?;
        let mut values = pixels.as_floats().unwrap_or_default().to_vec();
        if self.network.channels() == 1 {
            values = values.repeat(3);
        }
        Ok(interleave(
            &values,
            [width, width * height],
            [0, 0],
            [width, height],
        ))
    }
}

fn check_size(width: usize, height: usize) -> Result<(), Error> {
    let most = usize::try_from(MAX_TILE_PIXELS).unwrap_or(usize::MAX);
    match product(&[width, height]) {
        Some(pixels) if (1..=most).contains(&pixels) => Ok(()),
        _ => Err(Error::bad_parameter(format!(
            "invalid tile size {width}x{height} (expected 1 to {most} pixels)"
        ))),
    }
}

impl<B: CodecBackend> ImageCoder for Coder<B> {
    fn comfortable_pixels(&self) -> u64 {
        COMFORTABLE_PIXELS
    }

    fn rates(&self) -> Rates {
        Rates::Fixed
    }

    fn tokenizer(&self) -> Option<&dyn ImageTokenizer> {
        Some(self)
    }

    fn encode_tile(&self, tile: RgbTile<'_>, _options: TileOptions) -> Result<EncodedTile, Error> {
        let start = Instant::now();
        let latents = self.latents(tile)?;
        let transform = start.elapsed();
        let start = Instant::now();
        let bytes = latents.to_bytes()?;
        Ok(EncodedTile {
            bytes,
            estimate: None,
            stages: Stages {
                transform,
                entropy: start.elapsed(),
                ..Stages::default()
            },
        })
    }

    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        _quality: Quality,
    ) -> Result<DecodedTile, Error> {
        check_size(width, height)?;
        let start = Instant::now();
        let shape = self.network.latent_shape([height, width]);
        let latents = Latents::from_bytes(bytes, shape, self.limit)?;
        let entropy = start.elapsed();
        let start = Instant::now();
        let samples = self.samples(&latents, width, height)?;
        Ok(DecodedTile {
            samples,
            stages: Stages {
                transform: start.elapsed(),
                entropy,
                ..Stages::default()
            },
        })
    }
}

impl<B: CodecBackend> ImageTokenizer for Coder<B> {
    fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error> {
        let latents = self.latents(picture)?;
        let media = Media::Image {
            width: picture.width as u32,
            height: picture.height as u32,
        };
        Tokens::of_latents(
            latents.values,
            latents.shape.to_vec(),
            self.limit.unsigned_abs(),
            self.name.clone(),
            self.digest,
            media,
        )
    }

    fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error> {
        let [width, height] = picture_size(tokens)?.map(|side| side as usize);
        check_size(width, height)?;
        let limit = self.limit.unsigned_abs();
        let shape = self.network.latent_shape([height, width]);
        if tokens.alphabet() != (Alphabet::Latents { limit }) || tokens.shape() != shape {
            return Err(Error::malformed(format!(
                "{} of shape {:?} for {width}x{height} pixels of a model with latents up to {limit} of shape {shape:?}",
                tokens.alphabet(),
                tokens.shape(),
            )));
        }
        let latents = Latents {
            shape,
            limit: self.limit,
            values: tokens.latents().to_vec(),
        };
        self.samples(&latents, width, height)
    }
}
