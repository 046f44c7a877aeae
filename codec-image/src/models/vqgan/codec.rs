//! Pictures to indexes to bytes and back.

use std::time::Instant;

use burn::tensor::{Int, Tensor, TensorData};
use codec_core::backend::CodecBackend;
use codec_core::index_context::{IndexContext, IndexGrid};
use codec_core::{Digest, Error};
use codec_entropy::{decode_indexes, encode_indexes};

use super::Vqgan;
use super::network::Network;
use crate::coder::{
    DecodedTile, EncodedTile, ImageCoder, Quality, Rates, RgbTile, Stages, TileOptions,
};
use crate::models::family::Model;
use crate::models::host;
use crate::planes::{Border, interleave, planes};
use crate::tokens::{ImageTokenizer, Media, Tokens, no_restorer, picture_size};

/// Longest side of a tile in pixels.
const SIDE_MAX: usize = 1 << 24;

/// Pixels that take about 4 GB at the published widths.
const COMFORTABLE_PIXELS: u64 = 1 << 20;

/// A model on a device.
pub struct Coder<B: CodecBackend> {
    network: Network<B>,
    device: B::Device,
    name: String,
    digest: Digest,
    /// Pixels for one code, along each axis.
    factor: usize,
    /// Sizes of the codebooks: all codes, then the smaller ones, falling.
    sizes: Vec<usize>,
}

/// Blocks of a tile.
#[derive(Clone, Copy)]
struct Blocks {
    width: usize,
    height: usize,
}

impl<B: CodecBackend> Coder<B> {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn new(model: &Model<Vqgan>, device: &B::Device) -> Result<Self, Error> {
        let config = &model.config;
        Ok(Self {
            network: model.network(device)?,
            device: device.clone(),
            name: model.name.clone(),
            digest: model.digest,
            factor: config.ddconfig.factor(),
            sizes: [config.n_embed]
                .into_iter()
                .chain(config.clusters.clone())
                .collect(),
        })
    }

    /// Codebook for a quality, and its size: the largest for the best, in even steps.
    fn codebook(&self, quality: Quality) -> (usize, usize) {
        let last = self.sizes.len().saturating_sub(1);
        let from_best = f64::from(Quality::MAX.hundredths() - quality.hundredths());
        let index = (from_best / f64::from(Quality::MAX.hundredths()) * last as f64).round();
        let index = if last == 0 { 0 } else { index as usize };
        (index, self.sizes.get(index).copied().unwrap_or(0))
    }

    fn blocks(&self, width: usize, height: usize) -> Result<Blocks, Error> {
        let fits = |side: usize| (1..=SIDE_MAX).contains(&side);
        if !fits(width) || !fits(height) {
            return Err(Error::bad_parameter(format!(
                "invalid tile size {width}x{height} (expected 1..={SIDE_MAX} a side)"
            )));
        }
        Ok(Blocks {
            width: width.div_ceil(self.factor),
            height: height.div_ceil(self.factor),
        })
    }

    /// Codes of a tile.
    fn analyze(&self, tile: RgbTile<'_>, codebook: usize) -> Result<Vec<u32>, Error> {
        let Blocks { width, height } = self.blocks(tile.width, tile.height)?;
        if tile.samples.len() != 3 * tile.width * tile.height {
            return Err(Error::bad_parameter(format!(
                "{} samples for a tile of {}x{}",
                tile.samples.len(),
                tile.width,
                tile.height
            )));
        }
        let (width, height) = (width * self.factor, height * self.factor);
        let values = planes(tile, width, height, Border::Edge);
        let values = TensorData::new(values, [1, 3, height, width]);
        let x = Tensor::<B, 4>::from_data(values, &self.device);
        let codes = self
            .network
            .codes(x.mul_scalar(2.0).sub_scalar(1.0), codebook)?;
        let codes = codes.into_data();
        Ok(codes.iter::<i64>().map(|code| code as u32).collect())
    }

    /// The context model, if there is one for codebooks of this size.
    fn context(&self, blocks: Blocks, size: usize) -> Option<(&IndexContext, IndexGrid)> {
        let grid = IndexGrid {
            codebooks: 1,
            height: blocks.height,
            width: blocks.width,
        };
        let context = self.network.context.as_ref()?;
        context.fits(grid, size).then_some((context, grid))
    }

    /// Codes in the shortest form that the model has.
    fn write(&self, codes: &[u32], blocks: Blocks, size: usize) -> Result<Vec<u8>, Error> {
        let bytes = encode_indexes(codes, size)
            .map_err(|e| Error::bad_parameter(format!("indexes: {e}")))?;
        let Some((context, grid)) = self.context(blocks, size) else {
            return Ok(bytes);
        };
        let learned = context.encode(codes, grid)?;
        Ok(if learned.len() < bytes.len() {
            learned
        } else {
            bytes
        })
    }

    fn read(&self, bytes: &[u8], blocks: Blocks, size: usize) -> Result<Vec<u32>, Error> {
        if IndexContext::made(bytes)
            && let Some((context, grid)) = self.context(blocks, size)
        {
            return context.decode(bytes, grid);
        }
        let count = blocks.width * blocks.height;
        decode_indexes(bytes, size, count, count)
            .map_err(|e| Error::malformed(format!("tile payload: {e}")))
    }

    /// Samples of codes, which are below the size of the codebook.
    fn synthesize(
        &self,
        codes: &[u32],
        blocks: Blocks,
        codebook: usize,
        [width, height]: [usize; 2],
    ) -> Result<Vec<u8>, Error> {
        let codes: Vec<i64> = codes.iter().map(|&code| code.into()).collect();
        let count = codes.len();
        let codes = Tensor::<B, 1, Int>::from_data(TensorData::new(codes, [count]), &self.device);
        let shape = [1, blocks.height, blocks.width];
        let x = self.network.decode(codes, shape, codebook)?;
        let pixels = host(x.add_scalar(1.0).mul_scalar(0.5))?;
        let stride = blocks.width * self.factor;
        let area = stride * blocks.height * self.factor;
        Ok(interleave(&pixels, [stride, area], [0, 0], [width, height]))
    }
}

impl<B: CodecBackend> ImageCoder for Coder<B> {
    fn comfortable_pixels(&self) -> u64 {
        COMFORTABLE_PIXELS
    }

    fn rates(&self) -> Rates {
        if self.sizes.len() > 1 {
            Rates::Variable
        } else {
            Rates::Fixed
        }
    }

    fn tokenizer(&self) -> Option<&dyn ImageTokenizer> {
        Some(self)
    }

    fn encode_tile(&self, tile: RgbTile<'_>, options: TileOptions) -> Result<EncodedTile, Error> {
        let start = Instant::now();
        let (codebook, size) = self.codebook(options.quality);
        let codes = self.analyze(tile, codebook)?;
        let transform = start.elapsed();
        let bytes = self.write(&codes, self.blocks(tile.width, tile.height)?, size)?;
        Ok(EncodedTile {
            bytes,
            estimate: None,
            stages: Stages {
                transform,
                entropy: start.elapsed().saturating_sub(transform),
                ..Stages::default()
            },
        })
    }

    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        quality: Quality,
    ) -> Result<DecodedTile, Error> {
        let start = Instant::now();
        let blocks = self.blocks(width, height)?;
        let (codebook, size) = self.codebook(quality);
        let codes = self.read(bytes, blocks, size)?;
        let entropy = start.elapsed();
        let samples = self.synthesize(&codes, blocks, codebook, [width, height])?;
        Ok(DecodedTile {
            samples,
            stages: Stages {
                transform: start.elapsed().saturating_sub(entropy),
                entropy,
                ..Stages::default()
            },
        })
    }
}

impl<B: CodecBackend> ImageTokenizer for Coder<B> {
    fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error> {
        let blocks = self.blocks(picture.width, picture.height)?;
        let codes = self.analyze(picture, 0)?;
        let (_, size) = self.codebook(Quality::MAX);
        let media = Media::Image {
            width: picture.width as u32,
            height: picture.height as u32,
        };
        Tokens::new(
            codes,
            vec![1, blocks.height, blocks.width],
            size as u32,
            self.name.clone(),
            self.digest,
            media,
        )
    }

    fn restore(&self, tokens: &Tokens) -> Result<Tokens, Error> {
        let Some(restorer) = &self.network.restorer else {
            return Err(no_restorer(tokens));
        };
        let [width, height] = picture_size(tokens)?.map(|side| side as usize);
        let Blocks { width, height } = self.blocks(width, height)?;
        let codebook = self.network.codebook(0)?.all();
        let [size, _] = codebook.dims();
        let codes = restorer.restore(tokens.codes(), tokens.lost(), [height, width], codebook)?;
        Tokens::new(
            codes,
            tokens.shape().to_vec(),
            size as u32,
            tokens.model.clone(),
            tokens.digest,
            tokens.media,
        )
    }

    fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error> {
        let [width, height] = picture_size(tokens)?.map(|side| side as usize);
        let blocks = self.blocks(width, height)?;
        let (_, size) = self.codebook(Quality::MAX);
        if tokens.shape() != [1, blocks.height, blocks.width]
            || tokens.codebook_size() as usize != size
        {
            return Err(Error::malformed(format!(
                "tokens of shape {:?} and {} codes for {width}x{height} pixels of a model with {size}",
                tokens.shape(),
                tokens.codebook_size()
            )));
        }
        self.synthesize(tokens.codes(), blocks, 0, [width, height])
    }
}
