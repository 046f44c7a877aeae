//! The thread pool of everything that runs on the CPU.

use codec_core::error::Error;

/// Sets how many threads work on the CPU. Must come before a device is opened; the default is all cores.
///
/// # Errors
/// [`Error::BadParameter`] for 0 threads, or if the pool is already running.
pub fn set_threads(threads: usize) -> Result<(), Error> {
    if threads == 0 {
        return Err(Error::BadParameter(
            "invalid number of threads 0 (expected at least 1)".to_owned(),
        ));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::BadParameter(format!("cannot set {threads} threads: {error}")))
}
