//! The model families that can be trained, by name.

use crate::TrainError;
use crate::recipe::Recipe;
use crate::recipe::suggest::unknown;
use crate::task::Parts;
use crate::task::walloc::WallocTask;
use crate::task::wpmr::WpmrTask;

/// Names of the families.
pub const NAMES: &[&str] = &["wpmr", "walloc"];

/// What a family finds wrong with a recipe.
///
/// # Errors
/// [`TrainError::Recipe`].
pub(crate) fn check(recipe: &Recipe) -> Result<(), TrainError> {
    match recipe.family.as_str() {
        "wpmr" => WpmrTask::new(recipe).map(|_| ()),
        "walloc" => WallocTask::new(recipe).map(|_| ()),
        other => Err(unknown_family(other)),
    }
}

/// Names of a family's parts.
///
/// # Errors
/// [`TrainError::Recipe`].
pub(crate) fn parts(recipe: &Recipe) -> Result<Parts, TrainError> {
    match recipe.family.as_str() {
        "wpmr" => Ok(crate::task::wpmr::PARTS),
        "walloc" => Ok(crate::task::walloc::PARTS),
        other => Err(unknown_family(other)),
    }
}

/// The error of a name that is not in [`NAMES`].
pub(crate) fn unknown_family(name: &str) -> TrainError {
    TrainError::Recipe(unknown("family", name, NAMES.iter().copied()))
}
