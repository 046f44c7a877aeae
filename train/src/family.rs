//! The model families that can be trained, by name.

use burn::backend::{Autodiff, Flex};

use crate::TrainError;
use crate::recipe::Recipe;
use crate::recipe::suggest::unknown;
use crate::task::Parts;

/// Names of the families.
pub const NAMES: &[&str] = &[
    "wpmr",
    "walloc",
    "vqgan",
    "index_context",
    "index_restorer",
    "srvq",
    "walloc1d",
];

/// Evaluates an expression with the task of a recipe's family.
macro_rules! with_task {
    ($backend:ty, $recipe:expr, $task:ident => $body:expr) => {
        match $recipe.family.as_str() {
            "wpmr" => {
                let $task = $crate::task::wpmr::WpmrTask::new($recipe)?;
                $body
            }
            "walloc" => {
                let $task = $crate::task::walloc::WallocTask::new($recipe)?;
                $body
            }
            "vqgan" => {
                let $task = $crate::task::vqgan::VqganTask::new($recipe)?;
                $body
            }
            "index_context" => {
                let $task = $crate::task::index_context::ContextTask::<$backend>::new($recipe)?;
                $body
            }
            "index_restorer" => {
                let $task = $crate::task::index_restorer::RestorerTask::<$backend>::new($recipe)?;
                $body
            }
            "srvq" => {
                let $task = $crate::task::srvq::SrvqTask::<$backend>::new($recipe)?;
                $body
            }
            "walloc1d" => {
                let $task = $crate::task::walloc1d::Walloc1dTask::<$backend>::new($recipe)?;
                $body
            }
            other => Err($crate::family::unknown_family(other)),
        }
    };
}
pub(crate) use with_task;

/// What a family finds wrong with a recipe.
///
/// # Errors
/// [`TrainError::Recipe`].
pub(crate) fn check(recipe: &Recipe) -> Result<(), TrainError> {
    with_task!(Autodiff<Flex>, recipe, task => {
        let _checked = task;
        Ok(())
    })
}

/// Names of a family's parts.
///
/// # Errors
/// [`TrainError::Recipe`].
pub(crate) fn parts(recipe: &Recipe) -> Result<Parts, TrainError> {
    match recipe.family.as_str() {
        "wpmr" => Ok(crate::task::wpmr::PARTS),
        "walloc" => Ok(crate::task::walloc::PARTS),
        "vqgan" => Ok(crate::task::vqgan::PARTS),
        "index_context" => Ok(crate::task::index_context::PARTS),
        "index_restorer" => Ok(crate::task::index_restorer::PARTS),
        "srvq" => Ok(crate::task::srvq::PARTS),
        "walloc1d" => Ok(crate::task::walloc1d::PARTS),
        other => Err(unknown_family(other)),
    }
}

/// The error of a name that is not in [`NAMES`].
pub(crate) fn unknown_family(name: &str) -> TrainError {
    TrainError::Recipe(unknown("family", name, NAMES.iter().copied()))
}
