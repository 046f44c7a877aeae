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
use crate::model::AnyModel;
use crate::store::ModelStore;

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
    /// [`ModelStore`], or those of a weights file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::BadParameter`] if `weights` are not of `model`, those of reading weights, and
    /// [`Error::Device`].
    pub fn open(
        model: Option<&str>,
        weights: Option<&[u8]>,
        device: &Device,
    ) -> Result<Self, Error> {
        let Some(bytes) = weights else {
            return Self::new(&known(model.unwrap_or(pretrained::DEFAULT))?, device);
        };
        let weights = AnyModel::from_bytes(bytes)?.into_image()?;
        let name = weights.name();
        if let Some(model) = model.filter(|model| *model != name) {
            return Err(Error::bad_parameter(format!(
                "the weights are of model '{name}', not of '{model}'"
            )));
        }
        Self::new(&weights, device)
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
        let weights = match weights {
            Some(bytes) => {
                // Any other file is the wrong one, whether or not it holds weights.
                check_digest(model, digest, Digest::of(bytes))?;
                AnyModel::from_bytes(bytes)?.into_image()?
            }
            None => known(model)?,
        };
        check(model, digest, &identity(&weights))?;
        Self::new(&weights, device)
    }

    fn new(weights: &ImageModel, device: &Device) -> Result<Self, Error> {
        Ok(Self {
            id: identity(weights),
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
        check(&header.model, header.digest, &self.id)?;
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
        check(&tokens.model, tokens.digest, &self.id)?;
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

/// Weights that this build contains or that the user imported.
fn known(name: &str) -> Result<ImageModel, Error> {
    if let Some(bytes) = pretrained::get(name) {
        return AnyModel::from_bytes(bytes)?.into_image();
    }
    let unknown = || Error::UnknownModel {
        name: name.to_owned(),
    };
    // No home folder, or a name that no file can have: there is no such model either way.
    let Ok(Some(bytes)) = ModelStore::user()
        .map(|store| store.get(name))
        .unwrap_or(Ok(None))
    else {
        return Err(unknown());
    };
    AnyModel::from_bytes(&bytes)?.into_image()
}

fn identity(weights: &ImageModel) -> ModelId {
    ModelId {
        name: weights.name().to_owned(),
        digest: weights.digest(),
        profile: weights.profile(),
    }
}

/// Whether `model` and `digest` in a file are those of these weights.
fn check(model: &str, digest: Digest, id: &ModelId) -> Result<(), Error> {
    check_digest(model, digest, id.digest)?;
    if model != id.name {
        return Err(Error::UnknownModel {
            name: model.to_owned(),
        });
    }
    Ok(())
}

fn check_digest(model: &str, expected: Digest, actual: Digest) -> Result<(), Error> {
    if expected != actual {
        return Err(Error::WeightsMismatch {
            model: model.to_owned(),
            expected,
            actual,
        });
    }
    Ok(())
}
