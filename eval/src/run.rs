//! Runs a codec over files and qualities.

use crate::codec::{Cause, Codec};
use crate::dataset::{Dataset, Item};
use crate::journal::Journal;
use crate::metrics::{Measure, Outcome, Reference};
use crate::{EvalError, Failure, FileRow, Medium, RdCurve, environment};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// How a run goes.
pub struct Plan<'a, M> {
    /// What is measured.
    pub measures: &'a [Box<dyn Measure<M>>],
    /// Quality settings; the points of the curve have their order.
    pub qualities: &'a [f64],
    /// Where rows are kept as they come, and taken from.
    pub journal: Option<&'a Journal>,
    /// What rows depend on besides codec, qualities and metrics, such as a task's model: rows of another context are not
    /// taken from the journal.
    pub context: &'a str,
    /// Called after every file with its name and the number of files that are done.
    pub progress: &'a (dyn Fn(&str, usize) + Sync),
}

impl<'a, M> Plan<'a, M> {
    /// A run without journal and progress.
    pub fn new(measures: &'a [Box<dyn Measure<M>>], qualities: &'a [f64]) -> Self {
        Self {
            measures,
            qualities,
            journal: None,
            context: "",
            progress: &|_, _| (),
        }
    }
}

/// What became of one file.
#[derive(Debug, Default)]
struct Done {
    rows: Vec<FileRow>,
    failures: Vec<Failure>,
}

/// Codes every file at every quality and measures what comes back. One file is in memory at a time, or one for each thread
/// where the codec does not use all of them itself; times are then those of a busy machine.
///
/// A file that cannot be read, coded or measured becomes a [`Failure`] of the curve and is left out of its averages; the
/// others go on.
///
/// # Errors
/// A missing tool; no qualities; a journal that cannot be written.
pub fn run<M: Medium>(
    codec: &dyn Codec<M>,
    data: &Dataset<M>,
    plan: &Plan<'_, M>,
) -> Result<RdCurve, EvalError> {
    let version = codec.version()?;
    if plan.qualities.is_empty() {
        return Err(EvalError::Nothing {
            files: data.items.len(),
            qualities: 0,
        });
    }
    let metrics: Vec<_> = plan
        .measures
        .iter()
        .flat_map(|measure| measure.metrics())
        .collect();
    let keys: Vec<&str> = metrics.iter().map(|metric| metric.key.as_str()).collect();
    // Rows of another model, setting or set of metrics are not ours.
    let identity = format!(
        "{} {} {version} {} {}",
        codec.name(),
        codec.description(),
        keys.join(","),
        plan.context
    );
    let done = std::sync::atomic::AtomicUsize::new(0);
    let file = |item: &Item| -> Result<Done, EvalError> {
        let known = plan
            .journal
            .and_then(|journal| journal.rows(&identity, &item.name, plan.qualities));
        let result = match known {
            Some(rows) => Done {
                rows,
                failures: Vec::new(),
            },
            None => {
                let result = code(codec, data, item, plan)?;
                if let (Some(journal), true) = (plan.journal, result.failures.is_empty()) {
                    journal.keep(&identity, &result.rows)?;
                }
                result
            }
        };
        let count = 1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (plan.progress)(&item.name, count);
        Ok(result)
    };
    let all: Vec<Done> = if codec.uses_all_threads() {
        data.items.iter().map(file).collect::<Result<_, _>>()?
    } else {
        data.items.par_iter().map(file).collect::<Result<_, _>>()?
    };
    let mut curve = RdCurve {
        name: codec.name().to_owned(),
        description: codec.description(),
        environment: environment(),
        ..RdCurve::default()
    };
    curve.environment.insert("version".to_owned(), version);
    for done in all {
        curve.per_file.extend(done.rows);
        curve.failures.extend(done.failures);
    }
    if let Some(row) = curve.per_file.first() {
        curve.kind = row.extent.kind();
    }
    curve.average_complete(plan.qualities);
    Ok(curve)
}

/// One file at every quality.
fn code<M: Medium>(
    codec: &dyn Codec<M>,
    data: &Dataset<M>,
    item: &Item,
    plan: &Plan<'_, M>,
) -> Result<Done, EvalError> {
    let mut done = Done::default();
    let failure = |quality, reason: &Cause| Failure {
        file: item.name.clone(),
        quality,
        reason: chain(reason.as_ref()),
    };
    let original = match data.load(item) {
        Ok(original) => original,
        Err(error) => {
            done.failures.push(failure(None, &error));
            return Ok(done);
        }
    };
    let references: Result<Vec<Box<dyn Reference<M> + '_>>, EvalError> = plan
        .measures
        .iter()
        .map(|measure| measure.reference(&item.name, &original))
        .collect();
    let references = match references {
        Ok(references) => references,
        Err(error) if error.is_missing_tool() => return Err(error),
        Err(error) => {
            done.failures.push(failure(None, &error.into()));
            return Ok(done);
        }
    };
    for &quality in plan.qualities {
        match row(codec, &original, &references, quality) {
            Ok(row) => done.rows.push(FileRow {
                file: item.name.clone(),
                ..row
            }),
            Err(error) => {
                let missing = error
                    .downcast_ref::<EvalError>()
                    .is_some_and(EvalError::is_missing_tool);
                match error.downcast::<EvalError>() {
                    Ok(error) if missing => return Err(*error),
                    Ok(error) => done
                        .failures
                        .push(failure(Some(quality), &(error as Cause))),
                    Err(error) => done.failures.push(failure(Some(quality), &error)),
                }
            }
        }
    }
    Ok(done)
}

/// One file at one quality; the row has no name yet.
fn row<M: Medium>(
    codec: &dyn Codec<M>,
    original: &M,
    references: &[Box<dyn Reference<M> + '_>],
    quality: f64,
) -> Result<FileRow, Cause> {
    let clock = Instant::now();
    let bytes = codec.encode(original, quality)?;
    let encoding_time = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let decoded = codec.decode(&bytes)?;
    let decoding_time = clock.elapsed().as_secs_f64();
    let mut found = Outcome::default();
    for reference in references {
        found.merge(reference.measure(&decoded)?);
    }
    let bytes = bytes.len() as u64;
    let extent = original.extent();
    if !extent.rate(bytes).is_finite() {
        return Err("there is nothing in it".into());
    }
    // Not a number is no value.
    let values: BTreeMap<String, f64> = found
        .values
        .into_iter()
        .filter(|(_, value)| !value.is_nan())
        .collect();
    Ok(FileRow {
        file: String::new(),
        quality,
        extent,
        bytes,
        values,
        counts: found.counts,
        encoding_time,
        decoding_time,
    })
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::image::standard;
    use crate::test_images::pair;
    use image::RgbImage;

    /// Drops low bits; fails on narrow pictures and at quality 9.
    struct Coarse;

    impl Codec<RgbImage> for Coarse {
        fn name(&self) -> &str {
            "coarse"
        }

        fn description(&self) -> String {
            "drops bits".into()
        }

        fn version(&self) -> Result<String, EvalError> {
            Ok("1".into())
        }

        fn qualities(&self) -> Vec<f64> {
            vec![1.0, 3.0]
        }

        fn uses_all_threads(&self) -> bool {
            true
        }

        fn encode(&self, original: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
            if quality == 9.0 && original.width() < 100 {
                return Err("out of luck".into());
            }
            let (width, height) = original.dimensions();
            let mask = 0xFFu8
                .checked_shl(4u32.saturating_sub(quality as u32))
                .unwrap_or(0xFF);
            let head = [
                (width >> 8) as u8,
                width as u8,
                (height >> 8) as u8,
                height as u8,
            ];
            Ok(head
                .into_iter()
                .chain(original.iter().map(|value| value & mask))
                .collect())
        }

        fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
            let side = |i: usize| u32::from(bytes[i]) << 8 | u32::from(bytes[i + 1]);
            RgbImage::from_raw(side(0), side(2), bytes[4..].to_vec()).ok_or_else(|| "torn".into())
        }
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, width, height) in [("a.png", 170, 180), ("b.png", 40, 30), ("c.png", 200, 161)] {
            pair(width, height, 1)
                .0
                .save(dir.path().join(name))
                .unwrap();
        }
        dir
    }

    fn without_times(mut curve: RdCurve) -> RdCurve {
        for row in &mut curve.per_file {
            (row.encoding_time, row.decoding_time) = (0.0, 0.0);
        }
        for point in &mut curve.points {
            (point.encoding_time, point.decoding_time) = (None, None);
        }
        curve
    }

    #[test]
    fn shards_are_the_whole() {
        let dir = folder();
        let measures = standard(&["psnr-rgb", "ms-ssim-rgb"]);
        let plan = Plan::new(&measures, &[3.0, 1.0]);
        let data = || Dataset::pictures(dir.path()).unwrap();
        let whole = run(&Coarse, &data(), &plan).unwrap();
        assert_eq!((whole.per_file.len(), whole.points.len()), (6, 2));
        assert!(whole.points[0].get("psnr-rgb") > whole.points[1].get("psnr-rgb"));
        assert_eq!(
            whole.points[0].get("ms-ssim-rgb"),
            None,
            "one picture is too small"
        );
        assert!(whole.per_file[0].get("ms-ssim-rgb").is_some());
        let parts = (1..=4).map(|i| run(&Coarse, &data().shard(i, 4).unwrap(), &plan).unwrap());
        let merged = crate::merge(parts.map(|part| vec![part]).collect()).unwrap();
        assert_eq!(merged.len(), 1);
        assert_eq!(
            without_times(merged.into_iter().next().unwrap()),
            without_times(whole)
        );
    }

    #[test]
    fn bad_files_do_not_stop_the_others() {
        let dir = folder();
        std::fs::write(dir.path().join("bad.png"), b"no picture").unwrap();
        let measures = standard(&["psnr-rgb"]);
        let data = Dataset::pictures(dir.path()).unwrap();
        let curve = run(&Coarse, &data, &Plan::new(&measures, &[1.0, 9.0])).unwrap();
        let failed: Vec<_> = curve
            .failures
            .iter()
            .map(|f| (f.file.as_str(), f.quality))
            .collect();
        assert_eq!(failed, [("b.png", Some(9.0)), ("bad.png", None)]);
        assert_eq!(curve.failures[0].reason, "out of luck");
        assert_eq!(curve.per_file.len(), 5);
        assert_eq!(
            curve.complete_files().into_iter().collect::<Vec<_>>(),
            ["a.png", "c.png"]
        );
        let kept: Vec<f64> = curve
            .per_file
            .iter()
            .filter(|r| r.file != "b.png" && r.quality == 1.0)
            .map(FileRow::rate)
            .collect();
        assert_eq!(curve.points[0].rate, (kept[0] + kept[1]) / 2.0);
    }

    #[test]
    fn what_is_in_the_journal_is_not_done_again() {
        let dir = folder();
        let measures = standard(&["psnr-rgb"]);
        let data = Dataset::pictures(dir.path()).unwrap();
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path, true).unwrap();
        let plan = Plan {
            journal: Some(&journal),
            ..Plan::new(&measures, &[1.0])
        };
        let first = run(&Coarse, &data, &plan).unwrap();
        // A run that was stopped while it wrote.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.truncate(text.len() - 20);
        std::fs::write(&path, text).unwrap();
        std::fs::remove_file(dir.path().join("a.png")).unwrap();
        let journal = Journal::open(&path, true).unwrap();
        let plan = Plan {
            journal: Some(&journal),
            ..Plan::new(&measures, &[1.0])
        };
        let second = run(&Coarse, &data, &plan).unwrap();
        assert_eq!(without_times(second), without_times(first));
        let journal = Journal::open(&path, true).unwrap();
        let other = Plan {
            journal: Some(&journal),
            context: "another model",
            ..Plan::new(&measures, &[1.0])
        };
        assert_eq!(run(&Coarse, &data, &other).unwrap().failures.len(), 1);
        let fresh = Journal::open(&path, false).unwrap();
        let plan = Plan {
            journal: Some(&fresh),
            ..Plan::new(&measures, &[1.0])
        };
        assert_eq!(run(&Coarse, &data, &plan).unwrap().failures.len(), 1);
    }

    #[test]
    fn nothing_to_do() {
        let dir = folder();
        let data = Dataset::pictures(dir.path()).unwrap();
        assert!(matches!(
            run(&Coarse, &data, &Plan::new(&[], &[])),
            Err(EvalError::Nothing { files: 3, .. })
        ));
    }
}
