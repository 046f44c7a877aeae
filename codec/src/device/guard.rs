//! The one place where a panic of a GPU backend becomes a typed error.
//!
//! Burn's GPU backends report a missing driver, a device out of range, exhausted memory or a failed launch by
//! panicking, first on a thread of their own and then in the caller with a message that says nothing. The guard catches
//! the caller's panic and keeps the first message of the device thread.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, Once, PoisonError};

use codec_core::error::Error;

thread_local! {
    /// How many guards the current thread is inside of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Messages of panics caught by the hook since the outermost guard was entered.
static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Runs `work` and turns a panic into [`Error::Device`]; `device` is its name as the user knows it.
///
/// The first call chains a panic hook that stays silent for guarded threads and for the device threads of cubecl, and
/// hands everything else to the hook that was installed before.
///
/// # Errors
/// Whatever `work` returns, or [`Error::Device`] with the first panic message.
pub fn guard<T>(device: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if is_device_panic() {
                record(message_of(info));
            } else {
                previous(info);
            }
        }));
    });
    let outermost = DEPTH.get() == 0;
    if outermost {
        lock().clear();
    }
    DEPTH.set(DEPTH.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    result.unwrap_or_else(|payload| {
        let first = lock().first().cloned();
        let reason = first.unwrap_or_else(|| payload_text(payload.as_ref()));
        Err(Error::Device {
            device: device.to_owned(),
            reason,
        })
    })
}

/// How many guards the current thread is inside of.
pub fn depth() -> usize {
    DEPTH.get()
}

fn lock() -> std::sync::MutexGuard<'static, Vec<String>> {
    MESSAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(message: String) {
    let mut messages = lock();
    // A device thread may fail again and again; the first messages tell why.
    if messages.len() < 16 {
        messages.push(message);
    }
}

/// Whether the panicking thread works for a guarded call: the caller itself, or one of cubecl's service threads, which
/// are named `DSU-...` and `DSD-...`.
fn is_device_panic() -> bool {
    let service = |name: &str| name.starts_with("DSU-") || name.starts_with("DSD-");
    DEPTH.get() > 0 || std::thread::current().name().is_some_and(service)
}

fn message_of(info: &PanicHookInfo<'_>) -> String {
    payload_text(info.payload())
}

/// The panic message on one line.
fn payload_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the backend failed without a message".to_owned());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
