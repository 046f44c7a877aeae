//! Rows that are written as they come, so that a run that was stopped goes on where it was.

use crate::report::RowDocument;
use crate::{EvalError, FileRow};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    run: String,
    row: RowDocument,
}

/// Rows by what made them and by file.
type Known = HashMap<(String, String), Vec<FileRow>>;

/// A file of rows, one line of JSON each.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    known: Known,
}

impl Journal {
    /// Opens the file, with what it holds if `resume`, else empty. Lines that were not written to their end are passed over.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn open(path: &Path, resume: bool) -> Result<Self, EvalError> {
        let fail = |source| EvalError::Io {
            path: path.to_path_buf(),
            source,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) if resume => text,
            Err(error) if resume && error.kind() != std::io::ErrorKind::NotFound => {
                return Err(fail(error));
            }
            _ => String::new(),
        };
        let mut known = Known::new();
        let mut whole = String::new();
        for line in text.lines() {
            let Ok(Line { run, row }) = serde_json::from_str::<Line>(line) else {
                continue;
            };
            let Ok(row) = FileRow::try_from(row) else {
                continue;
            };
            whole.push_str(line);
            whole.push('\n');
            known.entry((run, row.file.clone())).or_default().push(row);
        }
        let mut file = File::create(path).map_err(fail)?;
        file.write_all(whole.as_bytes()).map_err(fail)?;
        Ok(Self {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            known,
        })
    }

    /// The rows of a file at all of these qualities, in their order; `None` where one is missing.
    pub(crate) fn rows(&self, run: &str, file: &str, qualities: &[f64]) -> Option<Vec<FileRow>> {
        let rows = self.known.get(&(run.to_owned(), file.to_owned()))?;
        let find = |quality: &f64| rows.iter().find(|row| row.quality == *quality).cloned();
        qualities.iter().map(find).collect()
    }

    /// Adds rows.
    pub(crate) fn keep(&self, run: &str, rows: &[FileRow]) -> Result<(), EvalError> {
        let mut text = String::new();
        for row in rows {
            let line = Line {
                run: run.to_owned(),
                row: row.into(),
            };
            text.push_str(&serde_json::to_string(&line).map_err(EvalError::Report)?);
            text.push('\n');
        }
        let mut file: MutexGuard<'_, File> =
            self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .map_err(|source| EvalError::Io {
                path: self.path.clone(),
                source,
            })
    }
}
