//! A model on a device.

use codec_core::container::{Container, Header, Profile};
use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::limits::Limits;
use codec_image::coder::{ImageCoder, Stages};
use codec_image::file::{self, EncodeOptions, Encoding, ModelId, RateGoal};
use codec_image::models::wpmr::Weights;
use codec_image::picture::Picture;
use codec_image::pretrained;

use crate::backends;
use crate::device::Device;

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
    /// Opens a model: `model` by name (the default one if `None`), with the weights that are built in or those of a
    /// weights file.
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
            return Self::new(&built_in(model.unwrap_or(pretrained::DEFAULT))?, device);
        };
        let weights = Weights::from_bytes(bytes)?;
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
        let weights = match weights {
            Some(bytes) => {
                // Any other file is the wrong one, whether or not it holds weights.
                check_digest(header, Digest::of(bytes))?;
                Weights::from_bytes(bytes)?
            }
            None => built_in(&header.model)?,
        };
        check(header, &identity(&weights))?;
        Self::new(&weights, device)
    }

    fn new(weights: &Weights, device: &Device) -> Result<Self, Error> {
        Ok(Self {
            id: identity(weights),
            coder: backends::coder(weights, device)?,
        })
    }

    /// Model and weights.
    pub fn id(&self) -> &ModelId {
        &self.id
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
        check(container.header(), &self.id)?;
        let (picture, stages) =
            file::decode_picture(self.coder.as_ref(), &container, limits, progress)?;
        Ok(Decoded { picture, stages })
    }
}

/// Weights that this build contains.
fn built_in(name: &str) -> Result<Weights, Error> {
    let bytes = pretrained::get(name).ok_or_else(|| Error::UnknownModel {
        name: name.to_owned(),
    })?;
    Weights::from_bytes(bytes)
}

fn identity(weights: &Weights) -> ModelId {
    ModelId {
        name: weights.name().to_owned(),
        digest: weights.digest(),
        profile: Profile::Portable,
    }
}

/// Whether a file was made with these weights.
fn check(header: &Header, id: &ModelId) -> Result<(), Error> {
    check_digest(header, id.digest)?;
    if header.model != id.name {
        return Err(Error::UnknownModel {
            name: header.model.clone(),
        });
    }
    Ok(())
}

fn check_digest(header: &Header, actual: Digest) -> Result<(), Error> {
    if header.digest != actual {
        return Err(Error::WeightsMismatch {
            model: header.model.clone(),
            expected: header.digest,
            actual,
        });
    }
    Ok(())
}
