//! Decoding everything, and comparing it with checksums.

use crate::checksums::{Expected, Sha, digest, digest_file, hex};
use crate::dataset::decode_bytes;
use crate::scan::Report;
use crate::stats::Problem;
use crate::{Checksums, DataLimits, Entry, Location, Scan};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What was checked, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Items that were decoded to the end.
    pub decoded: usize,
    /// Files whose checksum is right.
    pub matched: usize,
    /// Items in files that the list does not have; 0 without a list.
    pub unlisted: usize,
    /// Files that are listed but lie outside the sources, and were not looked at.
    pub outside: usize,
    /// Everything that is wrong, by path.
    pub bad: Vec<Problem>,
}

/// What is done for one file.
enum Task<'a> {
    Item(&'a Entry, Option<Expected>),
    Listed(&'a Path, Expected),
}

#[derive(Default)]
struct Outcome {
    decoded: bool,
    matched: bool,
    problems: Vec<Problem>,
}

/// Decodes all items of a scan, and compares all listed files inside the sources with their checksums. What the scan has
/// skipped is bad.
pub fn verify(
    scan: &Scan,
    limits: &DataLimits,
    checksums: Option<&Checksums>,
    report: Report<'_>,
) -> Verification {
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut listed: BTreeMap<&PathBuf, Expected> = checksums
        .map(|list| list.files.iter().map(|(path, &sum)| (path, sum)).collect())
        .unwrap_or_default();
    let (mut unlisted, mut tasks) = (0, Vec::new());
    for entry in scan.entries() {
        let expected = match entry.location() {
            Location::File(path) => listed.remove(&absolute(path)),
            _ => None,
        };
        let in_file = matches!(entry.location(), Location::File(_));
        unlisted += usize::from(checksums.is_some() && in_file && expected.is_none());
        tasks.push(Task::Item(entry, expected));
    }
    let roots: Vec<PathBuf> = scan.sources().iter().map(|path| absolute(path)).collect();
    let mut outside = 0;
    for (path, expected) in listed {
        let used = roots.iter().any(|root| path.starts_with(root));
        if used || scan_uses(scan, path) {
            tasks.push(Task::Listed(path, expected));
        } else {
            outside += 1;
        }
    }
    let done = AtomicUsize::new(0);
    let outcomes: Vec<Outcome> = tasks
        .par_iter()
        .map(|task| {
            let outcome = run(task, limits);
            report(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
            outcome
        })
        .collect();
    let skipped = scan.skipped().iter().map(|skipped| Problem {
        path: skipped.path.display().to_string(),
        reason: skipped.reason.to_string(),
    });
    let mut verification = Verification {
        decoded: 0,
        matched: 0,
        unlisted,
        outside,
        bad: skipped.collect(),
    };
    for outcome in outcomes {
        verification.decoded += usize::from(outcome.decoded);
        verification.matched += usize::from(outcome.matched);
        verification.bad.extend(outcome.problems);
    }
    verification.bad.sort_by(|a, b| a.path.cmp(&b.path));
    verification
}

/// Whether a file is a shard of the scan.
fn scan_uses(scan: &Scan, path: &Path) -> bool {
    scan.entries().iter().any(|entry| match entry.location() {
        Location::Member { shard, .. } => shard.canonicalize().is_ok_and(|shard| shard == path),
        _ => false,
    })
}

fn run(task: &Task<'_>, limits: &DataLimits) -> Outcome {
    let mut outcome = Outcome::default();
    match task {
        Task::Item(entry, expected) => {
            let path = entry.path();
            match entry.read() {
                Err(error) => outcome.add(
                    &path,
                    std::error::Error::source(&error).map_or_else(
                        || error.to_string(),
                        |cause| format!("cannot read: {cause}"),
                    ),
                ),
                Ok(bytes) => {
                    if let Some(expected) = expected {
                        outcome.compare(&path, expected, digest(&bytes), bytes.len() as u64);
                    }
                    match decode_bytes(entry, &bytes, limits) {
                        Ok(_) => outcome.decoded = true,
                        Err(reason) => outcome.add(&path, reason.to_string()),
                    }
                }
            }
        }
        Task::Listed(path, expected) => match digest_file(path) {
            Ok((sha256, bytes)) => outcome.compare(path, expected, sha256, bytes),
            Err(error) => outcome.add(path, format!("cannot read: {error}")),
        },
    }
    outcome
}

impl Outcome {
    fn add(&mut self, path: &Path, reason: String) {
        self.problems.push(Problem {
            path: path.display().to_string(),
            reason,
        });
    }

    fn compare(&mut self, path: &Path, expected: &Expected, sha256: Sha, bytes: u64) {
        if let Some(expected) = expected.bytes.filter(|&expected| expected != bytes) {
            self.add(path, format!("{bytes} bytes (expected {expected})"));
        } else if expected.sha256 != sha256 {
            let (found, wanted) = (hex(&sha256), hex(&expected.sha256));
            self.add(path, format!("sha256 {found} (expected {wanted})"));
        } else {
            self.matched = true;
        }
    }
}
