//! A model of pictures or of sound, free of any device.

use bytes::Bytes;
use codec_audio::models::{AudioModel, IMPORTED_FAMILIES as AUDIO};
use codec_core::container::Profile;
use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::family::Imported;
use codec_core::weights::{HostTensor, Tensors, WeightsFile};
use codec_image::models::{IMPORTED_FAMILIES as IMAGE, ImageModel};
use serde_json::Value;

/// Names of the families whose published checkpoints can be imported.
pub const IMPORTED_FAMILIES: &[&str] = &both();

/// The families of pictures, then those of sound.
const fn both() -> [&'static str; IMAGE.len() + AUDIO.len()] {
    let mut all = [""; IMAGE.len() + AUDIO.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < IMAGE.len() {
            IMAGE[at]
        } else {
            AUDIO[at - IMAGE.len()]
        };
        at += 1;
    }
    all
}

/// A model with its weights.
#[derive(Debug, Clone)]
pub enum AnyModel {
    /// Of pictures.
    Image(ImageModel),
    /// Of sound.
    Audio(AudioModel),
}

impl AnyModel {
    /// The model of a weights file of any family.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else, [`Error::Unsupported`] for a family that this build does not have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_shared(&Bytes::copy_from_slice(bytes))
    }

    /// The same, with tensors that share the file's memory.
    ///
    /// # Errors
    /// As [`AnyModel::from_bytes`].
    pub fn from_shared(bytes: &Bytes) -> Result<Self, Error> {
        if AUDIO.contains(&WeightsFile::family(bytes)?.as_str()) {
            return AudioModel::from_shared(bytes).map(Self::Audio);
        }
        ImageModel::from_shared(bytes).map(Self::Image)
    }

    /// Name, as in files.
    pub fn name(&self) -> &str {
        match self {
            Self::Image(model) => model.name(),
            Self::Audio(model) => model.name(),
        }
    }

    /// Digest of the weights file.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Image(model) => model.digest(),
            Self::Audio(model) => model.digest(),
        }
    }

    /// What decoding may rely on.
    pub fn profile(&self) -> Profile {
        match self {
            Self::Image(model) => model.profile(),
            Self::Audio(model) => model.profile(),
        }
    }

    /// Rows of the model's codebook as they are searched, `[codes, width]`, if it has a single one.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn codebook(&self) -> Result<Option<HostTensor>, Error> {
        match self {
            Self::Image(model) => model.codebook(),
            Self::Audio(model) => model.codebook(),
        }
    }

    /// Builds the networks on the CPU, and so makes sure that the weights are whole.
    ///
    /// # Errors
    /// [`Error::Malformed`] if anything is missing or out of range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Image(model) => model.check(),
            Self::Audio(model) => model.check(),
        }
    }

    /// The model of pictures.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a model of sound.
    pub fn into_image(self) -> Result<ImageModel, Error> {
        match self {
            Self::Image(model) => Ok(model),
            Self::Audio(model) => Err(Error::bad_parameter(format!(
                "model '{}' is one of sound, not of pictures",
                model.name()
            ))),
        }
    }

    /// The model of sound.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a model of pictures.
    pub fn into_audio(self) -> Result<AudioModel, Error> {
        match self {
            Self::Audio(model) => Ok(model),
            Self::Image(model) => Err(Error::bad_parameter(format!(
                "model '{}' is one of pictures, not of sound",
                model.name()
            ))),
        }
    }

    /// Makes a weights file of a published checkpoint. The family is recognized by the names of the tensors unless it is given;
    /// `config` is the configuration that came with the checkpoint.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a family that is not known or not recognized, and those of the family.
    pub fn import(
        family: Option<&str>,
        tensors: Tensors,
        config: Option<&Value>,
        name: &str,
        source: &str,
    ) -> Result<Imported, Error> {
        let recognized =
            || ImageModel::recognize(&tensors).or_else(|| AudioModel::recognize(&tensors));
        let known = || IMPORTED_FAMILIES.join(", ");
        match family.or_else(recognized) {
            Some(family) if AUDIO.contains(&family) => {
                AudioModel::import(family, tensors, config, name, source)
            }
            Some(family) if IMAGE.contains(&family) => {
                ImageModel::import(Some(family), tensors, config, name, source)
            }
            Some(family) => Err(Error::bad_parameter(format!(
                "unknown family '{family}' (known: {})",
                known()
            ))),
            None => Err(Error::bad_parameter(format!(
                "the checkpoint's tensors are those of no family that is known ({}); name one with --family",
                known()
            ))),
        }
    }
}
