//! Training on a device.

use std::sync::atomic::AtomicBool;

use burn::backend::{Autodiff, Flex};
pub use codec_train::plots::draw as plot;
pub use codec_train::{
    BEST, BenchOptions, BenchReport, Compute, Event, Measure, MeasureKind, Metrics, Observer,
    Outcome, Plan, Recipe, Resume, RunOptions, Sample, SampleData, StepMetrics, StepTimes,
    TrainError, ValidationPoint, WEIGHTS,
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
    check_compute(recipe.compute, device)?;
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

/// Times training steps of a recipe on a device, by part.
///
/// # Errors
/// See [`TrainError`].
pub fn bench(
    recipe: &Recipe,
    options: &BenchOptions,
    device: &Device,
) -> Result<BenchReport, TrainError> {
    match &device.kind {
        Kind::Cpu => {
            let flex = burn::backend::flex::FlexDevice;
            codec_train::bench::<Autodiff<Flex>>(recipe, options, &flex)
        }
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter, ..
        } => gpu::guarded(device, || {
            codec_train::bench::<Autodiff<burn::backend::Wgpu>>(recipe, options, adapter)
        }),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            gpu::guarded(device, || {
                codec_train::bench::<Autodiff<burn::backend::Cuda>>(recipe, options, &cuda)
            })
        }
    }
}

/// Sizes up a recipe and runs one step of its largest stage on noise, on a device.
///
/// # Errors
/// As [`train`].
pub fn plan(recipe: &Recipe, device: &Device) -> Result<Plan, TrainError> {
    check_compute(recipe.compute, device)?;
    match &device.kind {
        Kind::Cpu => codec_train::plan::<Autodiff<Flex>>(recipe, &burn::backend::flex::FlexDevice),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu {
            device: adapter, ..
        } => gpu::guarded(device, || {
            codec_train::plan::<Autodiff<burn::backend::Wgpu>>(recipe, adapter)
        }),
        #[cfg(feature = "cuda")]
        Kind::Cuda(index) => {
            let cuda = burn::backend::cuda::CudaDevice::new(*index);
            gpu::guarded(device, || {
                codec_train::plan::<Autodiff<burn::backend::Cuda>>(recipe, &cuda)
            })
        }
    }
}

/// Whether a device can keep what a recipe says about number formats.
fn check_compute(compute: Compute, device: &Device) -> Result<(), TrainError> {
    let (asked, reason) = match (compute, &device.kind) {
        (Compute::Auto, _) => return Ok(()),
        (Compute::Bf16, _) => (
            "bf16",
            "Burn 0.21 has no mixed precision, and integer layers are not exact in bfloat16",
        ),
        #[cfg(feature = "cuda")]
        (Compute::Tf32, Kind::Cuda(_)) => return Ok(()),
        (Compute::Tf32, _) => ("tf32", "only CUDA has this format"),
        #[cfg(feature = "cuda")]
        (Compute::F32, Kind::Cuda(_)) => (
            "f32",
            "Burn 0.21 multiplies in TF32 on CUDA and has no switch for it",
        ),
        (Compute::F32, _) => return Ok(()),
    };
    Err(TrainError::Compute {
        asked,
        device: device.choice().to_string(),
        reason,
    })
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod gpu {
    use super::{Device, TrainError};
    use crate::device::guard::guard;

    pub(super) fn guarded<T>(
        device: &Device,
        run: impl FnOnce() -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let mut result = None;
        let guarded = guard(&device.choice().to_string(), || {
            result = Some(run());
            Ok(())
        });
        match guarded {
            Err(codec_core::Error::Device { device, reason }) if reason.contains("memory") => {
                Err(TrainError::DeviceMemory { device, reason })
            }
            Err(error) => Err(error.into()),
            Ok(()) => result.unwrap_or_else(|| {
                Err(TrainError::Recipe("the run ended without a result".into()))
            }),
        }
    }
}
