//! Training over several devices and machines (feature `distributed`; see `docs/distributed-training.md`).

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::backend::{Autodiff, Flex};
pub use codec_train::collective::{CollectiveError, Nodes, coordinate};

use crate::device::{Device, Kind};
use crate::training::{Observer, Outcome, Recipe, RunOptions, TrainError};

/// As [`training::train`](crate::training::train), on several devices of one kind and, with `nodes`, of as many on other
/// machines. A replica waits no longer than `timeout` for the others, which must be more than a validation takes.
///
/// # Errors
/// See [`TrainError`]; a failing GPU is [`CollectiveError::Lost`].
#[allow(clippy::too_many_arguments)] // what `train` takes, and what says where
pub fn train(
    recipe: &Recipe,
    options: &RunOptions,
    devices: &[Device],
    nodes: Option<&Nodes>,
    timeout: Duration,
    stop: &AtomicBool,
    observer: &mut (dyn Observer + Send),
) -> Result<Outcome, TrainError> {
    let mixed = || -> TrainError {
        let names: Vec<String> = devices.iter().map(|d| d.choice().to_string()).collect();
        let names = names.join(", ");
        CollectiveError::Setup(format!("devices {names} (expected one kind)")).into()
    };
    let Some(first) = devices.first() else {
        return Err(CollectiveError::Setup("no devices".into()).into());
    };
    /// The devices of a backend, if all are of it.
    macro_rules! run {
        ($backend:ty, $pattern:pat => $device:expr) => {{
            let places = devices.iter().map(|device| match &device.kind {
                $pattern => Some($device),
                #[allow(unreachable_patterns, reason = "where the CPU is the only backend")]
                _ => None,
            });
            let places: Vec<_> = places.collect::<Option<_>>().ok_or_else(mixed)?;
            codec_train::train_on::<Autodiff<$backend>>(
                recipe, options, &places, nodes, timeout, stop, observer,
            )
        }};
    }
    match &first.kind {
        Kind::Cpu => run!(Flex, Kind::Cpu => burn::backend::flex::FlexDevice),
        #[cfg(feature = "wgpu")]
        Kind::Wgpu { .. } => {
            run!(burn::backend::Wgpu, Kind::Wgpu { device, .. } => device.clone())
        }
        #[cfg(feature = "cuda")]
        Kind::Cuda(_) => {
            run!(burn::backend::Cuda, Kind::Cuda(index) => burn::backend::cuda::CudaDevice::new(*index))
        }
    }
}
