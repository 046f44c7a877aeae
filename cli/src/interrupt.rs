//! An interrupted run leaves no half files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::exit::INTERRUPTED;

/// Temporary files that exist right now.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporary() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an interrupt only raises [`STOP`], and the flag that it raises.
static GRACEFUL: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt only raises the returned flag; the second one ends the program as before.
pub fn graceful() -> &'static AtomicBool {
    GRACEFUL.store(true, Ordering::SeqCst);
    &STOP
}

/// Called before an interrupt ends the program, to leave the terminal as it was.
static BEFORE_EXIT: Mutex<Option<fn()>> = Mutex::new(None);

/// From now on an interrupt that ends the program calls `cleanup` first.
pub fn before_exit(cleanup: fn()) {
    *BEFORE_EXIT.lock().unwrap_or_else(PoisonError::into_inner) = Some(cleanup);
}

/// What an interrupt does: raises the flag of [`graceful`], or removes temporary files and exits with status 130. Also
/// for a key that means the same where the terminal does not send signals.
pub fn raise() {
    if GRACEFUL.swap(false, Ordering::SeqCst) {
        STOP.store(true, Ordering::SeqCst);
        return;
    }
    // The lock is kept until the end, so that no new file can appear meanwhile.
    let files = temporary();
    for path in files.iter() {
        let _ = std::fs::remove_file(path);
    }
    let cleanup = *BEFORE_EXIT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cleanup) = cleanup {
        cleanup();
    }
    std::process::exit(INTERRUPTED);
}

/// Calls [`raise`] on an interrupt, a termination request or a hang-up.
pub fn install() {
    if let Err(error) = ctrlc::set_handler(raise) {
        tracing::debug!("interrupts are not handled: {error}");
    }
}

/// Keeps a temporary file on the list for as long as it lives.
pub struct Registered(PathBuf);

impl Registered {
    /// Creates a file with `create` and lists it; an interrupt falls before or after both.
    ///
    /// # Errors
    /// Those of `create`.
    pub fn create<F: AsRef<Path>>(
        create: impl FnOnce() -> std::io::Result<F>,
    ) -> std::io::Result<(F, Self)> {
        let mut files = temporary();
        let file = create()?;
        let path = file.as_ref().to_path_buf();
        files.insert(path.clone());
        Ok((file, Self(path)))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        temporary().remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_while_they_live() {
        let folder = tempfile::tempdir().unwrap();
        let (file, registered) =
            Registered::create(|| tempfile::NamedTempFile::new_in(folder.path())).unwrap();
        assert!(temporary().contains(file.path()));
        let path = file.path().to_path_buf();
        drop(registered);
        assert!(!temporary().contains(&path));
    }
}
