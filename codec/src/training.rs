//! Training on a device.

use std::sync::atomic::AtomicBool;

use burn::backend::{Autodiff, Flex};
pub use codec_train::plots::draw as plot;
pub use codec_train::{
    BEST, Event, Measure, MeasureKind, Metrics, Observer, Outcome, Plan, Recipe, Resume,
    RunOptions, Sample, SampleData, StepMetrics, TrainError, ValidationPoint, WEIGHTS,
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
            codec_train::train::<Autodiff<Flex>>(recipe, options, &flex, stop, observer)
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

/// Sizes up a recipe.
///
/// # Errors
/// [`TrainError::Recipe`].
pub fn plan(recipe: &Recipe) -> Result<Plan, TrainError> {
    codec_train::plan::<Autodiff<Flex>>(recipe, &burn::backend::flex::FlexDevice)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use super::{Device, Outcome, TrainError};
    use crate::device::guard::guard;

    pub(super) fn guarded(
        device: &Device,
        run: impl FnOnce() -> Result<Outcome, TrainError>,
    ) -> Result<Outcome, TrainError> {
        let mut result = None;
        guard(&device.choice().to_string(), || {
            result = Some(run());
            Ok(())
        })?;
        result.unwrap_or_else(|| Err(TrainError::Recipe("the run ended without a result".into())))
    }
}
