//! Training on a device.

use std::sync::atomic::AtomicBool;

use burn::backend::{Autodiff, Flex};
use codec_image::models::wpmr::export;
pub use codec_train::{
    Event, Observer, Outcome, Recipe, RunOptions, StepMetrics, TrainError, ValidationPoint,
};

use crate::device::{Device, Kind};

/// Runs a recipe on a device until it is finished, `stop` is raised or a limit of `options` is reached. Checkpoints,
/// `metrics.jsonl` and `weights.safetensors` lie in the run folder afterwards.
///
/// # Errors
/// See [`TrainError`]; a failing GPU is [`TrainError::Model`].
pub fn train(
    recipe: &Recipe,
    options: &RunOptions,
    device: &Device,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    match &device.kind {
        Kind::Cpu => {
            let flex = burn::backend::flex::FlexDevice;
            Ok(codec_train::train::<Autodiff<Flex>>(recipe, options, &flex, stop, observer)?.0)
        }
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter, ..
        } => gpu::guarded(device, || {
            codec_train::train::<Autodiff<burn::backend::Wgpu>>(
                recipe, options, adapter, stop, observer,
            )
        }),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            gpu::guarded(device, || {
                codec_train::train::<Autodiff<burn::backend::Cuda>>(
                    recipe, options, &cuda, stop, observer,
                )
            })
        }
    }
}

/// What training a recipe's model costs, without running it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Learned numbers.
    pub parameters: usize,
    /// Multiply-accumulates per pixel of encoding.
    pub encode_macs: f64,
    /// Multiply-accumulates per pixel of decoding.
    pub decode_macs: f64,
    /// Steps of all stages.
    pub steps: u64,
}

/// Sizes up a recipe.
///
/// # Errors
/// [`TrainError::Recipe`].
pub fn plan(recipe: &Recipe) -> Result<Plan, TrainError> {
    use burn::module::Module;
    let config = recipe.model_config()?;
    let macs = config.macs();
    let model = config.init::<Flex>(&burn::backend::flex::FlexDevice);
    Ok(Plan {
        parameters: model.num_params(),
        encode_macs: macs.encode,
        decode_macs: macs.decode,
        steps: recipe.total_steps(),
    })
}

/// A weights file of random parameters, for tests of everything around a model.
///
/// # Errors
/// As [`plan`], and those of exporting.
#[doc(hidden)]
pub fn random_weights(recipe: &Recipe) -> Result<Vec<u8>, TrainError> {
    use burn::tensor::backend::Backend;
    let config = recipe.model_config()?;
    let device = burn::backend::flex::FlexDevice;
    Flex::seed(&device, recipe.seed);
    Ok(export(
        &config.init::<Flex>(&device),
        &config,
        &recipe.name,
        "",
    )?)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use super::{Device, Outcome, TrainError};
    use crate::device::guard::guard;

    pub(super) fn guarded<M>(
        device: &Device,
        run: impl FnOnce() -> Result<(Outcome, M), TrainError>,
    ) -> Result<Outcome, TrainError> {
        let mut result = None;
        guard(&device.choice().to_string(), || {
            result = Some(run());
            Ok(())
        })?;
        result
            .unwrap_or_else(|| Err(TrainError::Recipe("the run ended without a result".into())))
            .map(|(o, _)| o)
    }
}
