//! Probing CUDA without waking Burn's panics.

use std::path::{Path, PathBuf};

use burn::backend::Cuda;
use burn::backend::cuda::CudaDevice;
use burn::tensor::Tensor;
use codec_core::error::Error;
use cudarc::driver::CudaContext;

use super::guard::guard;
use super::{DeviceChoice, failed};

/// Checks that CUDA device `index` can run kernels, and returns its name.
///
/// Burn compiles its kernels with NVRTC at run time, so the driver alone is not enough: the compiler library and the
/// CUDA headers must be there as well.
///
/// # Errors
/// [`Error::Device`] with what is missing.
pub(super) fn probe(index: usize) -> Result<String, Error> {
    let choice = DeviceChoice::Cuda(index);
    let missing = |what: &str| failed(choice, what);
    if !driver_present() {
        return Err(missing(
            "the NVIDIA driver library (libcuda) is not installed",
        ));
    }
    if !nvrtc_present() {
        return Err(missing(
            "the kernel compiler (libnvrtc) is not installed or not on the library path",
        ));
    }
    let include = toolkit().map(|root| root.join("include"));
    if !include.as_deref().is_some_and(Path::is_dir) {
        return Err(missing(
            "the CUDA headers were not found (set CUDA_PATH to the toolkit's folder)",
        ));
    }
    guard(&choice.to_string(), || {
        let count = CudaContext::device_count()
            .map_err(|error| missing(&format!("the driver reports {error}")))?;
        let count = usize::try_from(count).unwrap_or(0);
        if index >= count {
            return Err(missing(&format!(
                "no such device (devices present: {count})"
            )));
        }
        // The first kernel shows whether compiler, headers and driver fit together.
        let device = CudaDevice::new(index);
        let sum = (Tensor::<Cuda, 1>::ones([8], &device) + 1.0)
            .sum()
            .into_scalar();
        if sum != 16.0 {
            return Err(missing("it computes wrong results"));
        }
        let name = CudaContext::new(index)
            .and_then(|context| context.name())
            .unwrap_or_default();
        Ok(format!("{choice} ({name})"))
    })
}

#[expect(
    unsafe_code,
    reason = "the loader's presence checks are unsafe functions"
)]
fn driver_present() -> bool {
    // SAFETY: opens the driver's shared library if there is one; its initializers are trusted as those of any driver.
    unsafe { cudarc::driver::sys::is_culib_present() }
}

#[expect(
    unsafe_code,
    reason = "the loader's presence checks are unsafe functions"
)]
fn nvrtc_present() -> bool {
    // SAFETY: as above, for the run-time compiler.
    unsafe { cudarc::nvrtc::sys::is_culib_present() }
}

/// The toolkit's folder, looked for where cubecl looks for it.
fn toolkit() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CUDA_PATH") {
        return Some(PathBuf::from(path));
    }
    if cfg!(target_os = "windows") {
        return Some(PathBuf::from(
            "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA/",
        ));
    }
    let candidates = [
        ("/usr/local/cuda", "/usr/local/cuda"),
        ("/opt/cuda", "/opt/cuda"),
        ("/usr/bin/nvcc", "/usr"),
    ];
    candidates
        .iter()
        .find(|(sign, _)| Path::new(sign).exists())
        .map(|(_, root)| PathBuf::from(root))
}
