//! The memory allocator.

/// Networks allocate and free buffers of many megabytes all the time; the system's allocator hands them back to the
/// kernel and faults every page in again, which doubles the time of a training step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's C header; the Rust binding does not name it.
const PURGE_DELAY: std::ffi::c_int = 15;
/// Environment variable by which mimalloc itself sets the option.
const OVERRIDE: &str = "MIMALLOC_PURGE_DELAY";

/// Keeps freed memory for the next step instead of handing it back: the kernel clears every page that it gives again,
/// which cost 6% of a training step's processor time and more of its wall time. The peak grows by under a tenth.
#[allow(unsafe_code)] // one call into the allocator's C interface
pub fn keep_memory() {
    if std::env::var_os(OVERRIDE).is_none() {
        // SAFETY: the call stores a number in the allocator's table of options and may be made at any time; an unknown
        // option is ignored.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_set() {
        keep_memory();
        // SAFETY: reads a number.
        #[allow(unsafe_code)] // as above
        let value = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        if std::env::var_os(OVERRIDE).is_none() {
            assert_eq!(value, -1);
        }
    }
}
