//! What a run would cost, without running it.

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::recipe::Recipe;
use crate::task::wpmr::WpmrTask;
use crate::task::{Macs, Task};

/// What training a recipe's model costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Learned numbers.
    pub parameters: usize,
    /// Multiply-accumulates of coding.
    pub macs: Macs,
    /// Steps of all stages.
    pub steps: u64,
}

/// Sizes up a recipe.
///
/// # Errors
/// [`TrainError::Recipe`].
pub fn plan<B>(recipe: &Recipe, device: &<B as BackendTypes>::Device) -> Result<Plan, TrainError>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    match recipe.family.as_str() {
        "wpmr" => Ok(of::<B, _>(&WpmrTask::new(recipe)?, recipe, device)),
        other => Err(crate::family::unknown_family(other)),
    }
}

fn of<B, T>(task: &T, recipe: &Recipe, device: &<B as BackendTypes>::Device) -> Plan
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
    T: Task<B>,
{
    Plan {
        parameters: task.init(device).num_params(),
        macs: task.macs(),
        steps: recipe.total_steps(),
    }
}
