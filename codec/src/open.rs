//! From names, digests and weights files to models, of pictures or of sound.

use bytes::Bytes;
use codec_core::container::ModelId;
use codec_core::digest::Digest;
use codec_core::error::Error;

use crate::model::AnyModel;
use crate::store::ModelStore;

/// A model by name, that of a weights file, or the usual one.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::BadParameter`] if `weights` are not of `model`, and those of reading weights.
pub(crate) fn named(
    model: Option<&str>,
    weights: Option<&[u8]>,
    usual: &str,
) -> Result<AnyModel, Error> {
    let Some(bytes) = weights else {
        return known(model.unwrap_or(usual));
    };
    let weights = AnyModel::from_bytes(bytes)?;
    let name = weights.name();
    if let Some(model) = model.filter(|model| *model != name) {
        return Err(Error::bad_parameter(format!(
            "the weights are of model '{name}', not of '{model}'"
        )));
    }
    Ok(weights)
}

/// The model that a file names by name and digest, with the weights that are here or those of a weights file.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::WeightsMismatch`], and those of reading weights.
pub(crate) fn exact(
    model: &str,
    digest: Digest,
    weights: Option<&[u8]>,
) -> Result<AnyModel, Error> {
    let weights = match weights {
        Some(bytes) => {
            // Any other file is the wrong one, whether or not it holds weights.
            check_digest(model, digest, Digest::of(bytes))?;
            AnyModel::from_bytes(bytes)?
        }
        None => known(model)?,
    };
    check_digest(model, digest, weights.digest())?;
    check_name(model, weights.name())?;
    Ok(weights)
}

/// Whether `model` and `digest` in a file are those of a model that is open.
///
/// # Errors
/// [`Error::UnknownModel`], [`Error::WeightsMismatch`].
pub(crate) fn check(model: &str, digest: Digest, id: &ModelId) -> Result<(), Error> {
    check_digest(model, digest, id.digest)?;
    check_name(model, &id.name)
}

/// Weights that this build contains.
pub(crate) fn built_in(name: &str) -> Option<&'static [u8]> {
    codec_image::pretrained::get(name).or_else(|| codec_audio::pretrained::get(name))
}

/// Weights that this build contains or that the user imported.
fn known(name: &str) -> Result<AnyModel, Error> {
    if let Some(bytes) = built_in(name) {
        return AnyModel::from_shared(&Bytes::from_static(bytes));
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
    AnyModel::from_shared(&bytes.into())
}

fn check_name(model: &str, name: &str) -> Result<(), Error> {
    if model != name {
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
