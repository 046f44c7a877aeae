//! Weights that the user imported: a folder with one weights file a model.

use std::path::{Path, PathBuf};

use codec_core::digest::Digest;
use codec_core::error::Error;
use codec_core::weights::WeightsFile;

/// Extension of weights files.
const EXTENSION: &str = "safetensors";

/// A folder of weights files, `NAME.safetensors` for model `NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStore {
    folder: PathBuf,
}

/// A model in a [`ModelStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredModel {
    /// Name as `--model` takes it.
    pub name: String,
    /// Its weights file.
    pub path: PathBuf,
    /// Size of that file in bytes.
    pub bytes: u64,
}

impl ModelStore {
    /// A store in this folder, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The user's store: `CODEC_MODELS_DIR`, else `codec/models` in the folder for data of the platform.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if neither that variable nor a home folder is set.
    pub fn user() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(folder) = set("CODEC_MODELS_DIR") {
            return Ok(Self::at(folder));
        }
        let data = set("XDG_DATA_HOME")
            .or_else(|| set("LOCALAPPDATA"))
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/share")))
            .ok_or_else(|| {
                Error::bad_parameter("no home folder for models (set CODEC_MODELS_DIR)")
            })?;
        Ok(Self::at(data.join("codec").join("models")))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the weights of a model are or would be.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a name that files cannot hold or that leads out of the folder.
    pub fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let fits = |part: &str| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
            !part.is_empty() && part.bytes().all(plain) && !part.starts_with('.')
        };
        if name.len() > 64 || !name.split('/').all(fits) {
            return Err(Error::bad_parameter(format!(
                "invalid model name '{name}' (expected up to 64 of a-z, 0-9, '.', '_', '-' and '/')"
            )));
        }
        Ok(self.folder.join(format!("{name}.{EXTENSION}")))
    }

    /// Weights of a model; `None` if it is not here.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an impossible name, [`Error::Io`].
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match std::fs::read(self.path(name)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a model under its name; its file appears whole or not at all. Gives its path and digest.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an impossible name or one that is taken (unless `replace`), [`Error::Io`].
    pub fn put(&self, file: &WeightsFile, replace: bool) -> Result<(PathBuf, Digest), Error> {
        let path = self.path(&file.name)?;
        if path.exists() && !replace {
            return Err(Error::bad_parameter(format!(
                "model '{}' exists (--force replaces it)",
                file.name
            )));
        }
        let bytes = file.to_bytes()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let partial = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&partial, &bytes)
            .and_then(|()| std::fs::rename(&partial, &path))
            .inspect_err(|_| {
                // The error that counts is the one above.
                let _ = std::fs::remove_file(&partial);
            })?;
        Ok((path, Digest::of(&bytes)))
    }

    /// All models, by name. A folder that does not exist holds none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn list(&self) -> Result<Vec<StoredModel>, Error> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in entries {
                let entry = entry?;
                let (path, kind) = (entry.path(), entry.file_type()?);
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inside = path.strip_prefix(&self.folder).unwrap_or(&path);
                let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
                let name = parts.map(|parts| parts.join("/"));
                let name = name.as_deref().and_then(|n| n.strip_suffix(".safetensors"));
                if let Some(name) = name.filter(|name| self.path(name).is_ok()) {
                    found.push(StoredModel {
                        name: name.to_owned(),
                        bytes: entry.metadata()?.len(),
                        path,
                    });
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}
