//! Files that are either whole or absent, also after a crash or on a full disk.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::TrainError;

/// Writes bytes; tests put a disk in its place that gets full.
pub trait Storage {
    /// Creates or truncates a file, writes it and brings it to the disk.
    ///
    /// # Errors
    /// Those of the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()>;
}

/// The real thing.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Storage for Disk {
    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

/// Brings the names in a folder to the disk. Not every system can open a folder; there, the rename itself must do.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Writes a file under a temporary name and renames it. The temporary file does not outlive an error.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn replace(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let partial = path.with_extension("partial");
    let written = storage
        .write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(TrainError::io(path)(error));
    }
    if let Some(folder) = path.parent() {
        sync_folder(folder);
    }
    Ok(())
}

/// Writes a folder of files under a temporary name and renames it, over one of the same name if need be. The temporary
/// folder does not outlive an error.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn replace_folder(
    storage: &dyn Storage,
    path: &Path,
    files: &[(String, Vec<u8>)],
) -> Result<(), TrainError> {
    let partial = path.with_extension("partial");
    let write = || -> Result<(), TrainError> {
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(TrainError::io(&partial))?;
        }
        fs::create_dir_all(&partial).map_err(TrainError::io(&partial))?;
        for (name, bytes) in files {
            let file = partial.join(name);
            storage
                .write(&file, bytes)
                .map_err(TrainError::io(path.join(name)))?;
        }
        sync_folder(&partial);
        if path.exists() {
            fs::remove_dir_all(path).map_err(TrainError::io(path))?;
        }
        fs::rename(&partial, path).map_err(TrainError::io(path))
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    if let Some(parent) = path.parent() {
        sync_folder(parent);
    }
    result
}
