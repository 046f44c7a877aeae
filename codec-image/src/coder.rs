//! What an image model family offers to the file layer: pixels of one tile to bytes and back.

use std::time::Duration;

use codec_core::Error;

use crate::file::MAX_TILE_PIXELS;

use crate::tokens::ImageTokenizer;

/// Quality on the public scale, in hundredths: `0..=10_000` stands for `0.00..=100.00`, higher is better.
///
/// Files store exactly this integer, so that encoder and decoder derive the same quantization steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u16);

impl Quality {
    /// The highest quality, 100.00.
    pub const MAX: Self = Self(10_000);
    /// What files of models with one rate say.
    pub const FIXED: Self = Self(0);
    /// The default quality, 50.00.
    pub const DEFAULT: Self = Self(5_000);

    /// Quality from the stored integer.
    ///
    /// # Errors
    /// [`Error::BadParameter`] above `10_000`.
    pub fn from_hundredths(value: u16) -> Result<Self, Error> {
        if value > Self::MAX.0 {
            return Err(Error::BadParameter(format!(
                "invalid quality {}.{:02} (expected 0..=100)",
                value / 100,
                value % 100
            )));
        }
        Ok(Self(value))
    }

    /// Quality from a number in `0.0..=100.0`, rounded to hundredths.
    ///
    /// # Errors
    /// [`Error::BadParameter`] outside that range or for a number that is not finite.
    pub fn new(value: f32) -> Result<Self, Error> {
        if !(0.0..=100.0).contains(&value) {
            return Err(Error::BadParameter(format!(
                "invalid quality {value} (expected 0..=100)"
            )));
        }
        Ok(Self((value * 100.0).round() as u16))
    }

    /// The stored integer, `0..=10_000`.
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// The public scale, `0.0..=100.0`.
    pub fn value(self) -> f32 {
        f32::from(self.0) / 100.0
    }

    /// Position on the model's quality axis, `0.0..=1.0`.
    pub fn unit(self) -> f32 {
        f32::from(self.0) / f32::from(Self::MAX.0)
    }
}

/// Where the time of one tile went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// Analysis or synthesis transform.
    pub transform: Duration,
    /// Hyperprior and context networks.
    pub context: Duration,
    /// Entropy coding proper.
    pub entropy: Duration,
}

impl Stages {
    /// Adds another tile's times.
    pub fn add(&mut self, other: Stages) {
        self.transform += other.transform;
        self.context += other.context;
        self.entropy += other.entropy;
    }
}

/// One tile of RGB samples, row by row, three bytes a pixel.
#[derive(Debug, Clone, Copy)]
pub struct RgbTile<'a> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` samples.
    pub samples: &'a [u8],
}

/// What [`ImageCoder::encode_tile`] gives back.
#[derive(Debug, Clone)]
pub struct EncodedTile {
    /// The entropy-coded payload of an image-tile section.
    pub bytes: Vec<u8>,
    /// Bits by the model's likelihoods of what was coded, from models whose tables are not their likelihoods.
    pub estimate: Option<f64>,
    /// Where the time went.
    pub stages: Stages,
}

/// What [`ImageCoder::decode_tile`] gives back.
#[derive(Debug, Clone)]
pub struct DecodedTile {
    /// `3 * width * height` RGB samples, row by row.
    pub samples: Vec<u8>,
    /// Where the time went.
    pub stages: Stages,
}

/// Encoder-side choices that do not change the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileOptions {
    /// Quality of the tile.
    pub quality: Quality,
    /// Encoder effort `1..=10`; from 4 on, quantization is rate-distortion optimized; 9 and 10 search for better symbols
    /// with gradients.
    pub effort: u8,
}

/// Whether a model knows qualities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rates {
    /// Every quality from 0 to 100.
    Variable,
    /// The one that it was trained for; files store [`Quality::FIXED`].
    Fixed,
}

/// A model on a device, ready to code tiles. Object-safe, so that everything above the `codec` crate is free of
/// backend generics.
pub trait ImageCoder: Send {
    /// Whether the model knows qualities.
    fn rates(&self) -> Rates {
        Rates::Variable
    }

    /// Most pixels that are coded as one tile unless the user wants it so: memory grows with the tile.
    fn comfortable_pixels(&self) -> u64 {
        MAX_TILE_PIXELS
    }

    /// The model's codes or latents as arrays, if it offers them.
    fn tokenizer(&self) -> Option<&dyn ImageTokenizer> {
        None
    }

    /// Codes one tile.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an empty tile or a buffer of the wrong length, device errors.
    fn encode_tile(&self, tile: RgbTile<'_>, options: TileOptions) -> Result<EncodedTile, Error>;

    /// Decodes one tile of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Truncated`] for a payload that is not a tile of that size, device errors.
    fn decode_tile(
        &self,
        bytes: &[u8],
        width: usize,
        height: usize,
        quality: Quality,
    ) -> Result<DecodedTile, Error>;
}
