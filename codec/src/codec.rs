//! A model on a device.

use codec_core::container::{Container, Header};
use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::limits::Limits;
use codec_image::coder::{ImageCoder, Rates, Stages};
use codec_image::file::{self, EncodeOptions, Encoding, ModelId, RateGoal};
use codec_image::models::ImageModel;
use codec_image::picture::Picture;
use codec_image::pretrained;
use codec_image::tokens::{self, ImageTokenizer, Tokens};

use crate::backends;
use crate::device::Device;
use crate::open;

/// A model with its weights on a device, ready to encode and decode.
pub struct Codec {
    id: ModelId,
    coder: Box<dyn ImageCoder>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codec")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A decoded file.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The picture.
    pub picture: Picture,
    /// Where the time of its tiles went.
    pub stages: Stages,
}

impl Codec {
    /// Opens a model: `model` by name (the default one if `None`), with the weights that are built in, those of the user's
    /// [`ModelStore`](crate::models::ModelStore), or those of a weights file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::BadParameter`] if `weights` are not of `model`, those of reading weights, and
    /// [`Error::Device`].
    pub fn open(
        model: Option<&str>,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let found = open::named(model, weights, pretrained::DEFAULT)?;
        Self::new(&found.into_image()?, device)
    }

    /// Opens the model that a file asks for, with the weights that are built in or those of a weights file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::WeightsMismatch`] if the weights are not those that the file was made with,
    /// those of reading weights, and [`Error::Device`].
    pub fn for_file(
        header: &Header,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        Self::of(&header.model, header.digest, weights, device)
    }

    /// Opens the model that made `tokens`, with the weights as in [`Codec::for_file`].
    ///
    /// # Errors
    /// As [`Codec::for_file`].
    pub fn for_tokens(
        tokens: &Tokens,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        Self::of(&tokens.model, tokens.digest, weights, device)
    }

    fn of(
        model: &str,
        digest: Digest,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let weights = open::exact(model, digest, weights)?.into_image()?;
        Self::new(&weights, device)
    }

    fn new(weights: &ImageModel, device: &Device) -> Result<Self, Error> {
        Ok(Self {
            id: ModelId {
                name: weights.name().to_owned(),
                digest: weights.digest(),
                profile: weights.profile(),
            },
            coder: backends::image_coder(weights, device)?,
        })
    }

    /// Model and weights.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// Whether the model knows qualities; one that does not takes [`RateGoal::Quality`] of 0 alone.
    pub fn rates(&self) -> Rates {
        self.coder.rates()
    }

    /// Encodes a picture to a goal. `progress` is told tiles done and tiles in all, anew for each try.
    ///
    /// # Errors
    /// As [`codec_image::file::encode_to_goal`].
    pub fn encode(
        &self,
        picture: &Picture,
        goal: RateGoal,
        options: &EncodeOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoding, Error> {
        file::encode_to_goal(
            self.coder.as_ref(),
            &self.id,
            picture,
            goal,
            options,
            progress,
        )
    }

    /// Decodes a whole file. `progress` is told tiles done and tiles in all.
    ///
    /// # Errors
    /// Those of [`Container::parse`] and [`codec_image::file::decode_picture`]; [`Error::UnknownModel`] or
    /// [`Error::WeightsMismatch`] if the file needs another [`Codec`].
    pub fn decode(
        &self,
        bytes: &[u8],
        limits: &Limits,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Decoded, Error> {
        let container = Container::parse(bytes, limits)?;
        let header = container.header();
        open::check(&header.model, header.digest, &self.id)?;
        let (picture, stages) =
            file::decode_picture(self.coder.as_ref(), &container, limits, progress)?;
        Ok(Decoded { picture, stages })
    }

    /// Codes of a picture, for models with a codebook, or latents of models that offer them. Gray is taken as colour; alpha and metadata are left out.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other models, and those of [`tokens::tokenize`].
    pub fn tokenize(&self, picture: &Picture) -> Result<Tokens, Error> {
        tokens::tokenize(self.tokenizer()?, picture)
    }

    /// The picture of tokens.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] or [`Error::WeightsMismatch`] for tokens of another model, and those of
    /// [`tokens::detokenize`].
    pub fn detokenize(&self, tokens: &Tokens, limits: &Limits) -> Result<Picture, Error> {
        open::check(&tokens.model, tokens.digest, &self.id)?;
        tokens::detokenize(self.tokenizer()?, tokens, limits)
    }

    fn tokenizer(&self) -> Result<&dyn ImageTokenizer, Error> {
        self.coder.tokenizer().ok_or_else(|| {
            Error::unsupported(format!(
                "tokens of model '{}': it has neither a codebook nor latents to work with",
                self.id.name
            ))
        })
    }
}
