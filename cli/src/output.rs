//! Writing outputs: whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::console::write_stdout;
use crate::exit::Failure;
use crate::interrupt::Registered;

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Target {
    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }

    /// Whether there is something at the path that must not be overwritten. Devices and pipes such as `/dev/null` are
    /// there to be written to.
    pub fn is_taken(&self) -> bool {
        self.path()
            .is_some_and(|path| path.symlink_metadata().is_ok() && !is_special(path))
    }

    /// Whether it is a device or a pipe.
    pub fn is_special(&self) -> bool {
        self.path().is_some_and(is_special)
    }

    /// Writes the whole output: to a temporary file in the same folder, which is then renamed.
    ///
    /// # Errors
    /// [`Failure::Exists`] if the file is there and `overwrite` is not set, even if it appeared meanwhile; I/O errors.
    pub fn write(&self, bytes: &[u8], overwrite: bool) -> anyhow::Result<()> {
        match self {
            Self::Stdout => write_stdout(bytes),
            Self::File(path) if is_special(path) => {
                fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
            }
            Self::File(path) => write_file(path, bytes, overwrite),
        }
    }
}

fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

fn write_file(path: &Path, bytes: &[u8], overwrite: bool) -> anyhow::Result<()> {
    let mut pending = Pending::create(path, overwrite)?;
    pending
        .file()
        .write_all(bytes)
        .with_context(|| cannot_write(path))?;
    pending.finish()
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// A file that is being written: temporary, in the folder of the path that it will have.
pub struct Pending {
    // Goes before the registration, which an interrupt relies on.
    file: tempfile::NamedTempFile,
    registered: Registered,
    path: PathBuf,
    overwrite: bool,
}

impl Pending {
    /// Begins a file.
    ///
    /// # Errors
    /// I/O errors.
    pub fn create(path: &Path, overwrite: bool) -> anyhow::Result<Self> {
        // A link is followed, so that it stays a link.
        let resolved = if overwrite {
            fs::canonicalize(path).ok()
        } else {
            None
        };
        let path = resolved.unwrap_or_else(|| path.to_path_buf());
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".codec-").suffix(".tmp");
        #[cfg(unix)]
        {
            // What the user's mask leaves of these, as for any other new file.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (file, registered) = Registered::create(|| builder.tempfile_in(folder))
            .with_context(|| cannot_write(&path))?;
        Ok(Self {
            file,
            registered,
            path,
            overwrite,
        })
    }

    /// To write to.
    pub fn file(&mut self) -> &mut fs::File {
        self.file.as_file_mut()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Failure::Exists`] if a file is there and must not be overwritten; I/O errors.
    pub fn finish(self) -> anyhow::Result<()> {
        let persisted = if self.overwrite {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        drop(self.registered);
        match persisted {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Failure::Exists(self.path).into())
            }
            Err(error) => Err(anyhow::Error::new(error.error).context(cannot_write(&self.path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_written_once_and_overwritten_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ncx");
        let target = Target::File(path.clone());
        assert!(!target.is_taken());
        target.write(b"one", false).unwrap();
        assert!(target.is_taken());
        let error = target.write(b"two", false).unwrap_err();
        assert!(
            matches!(error.downcast_ref(), Some(Failure::Exists(_))),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"one");
        target.write(b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.ncx"]);
    }

    #[test]
    fn failures_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Target::File(folder.path().join("none/a.ncx"))
                .write(b"x", false)
                .is_err()
        );
        let directory = folder.path().join("taken");
        fs::create_dir(&directory).unwrap();
        assert!(Target::File(directory.clone()).is_taken());
        assert!(Target::File(directory).write(b"x", true).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_no_existing_output_and_links_stay_links() {
        assert!(!Target::File("/dev/null".into()).is_taken());
        Target::File("/dev/null".into()).write(b"x", false).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(Target::File(link.clone()).is_taken());
        Target::File(link.clone()).write(b"new", true).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
