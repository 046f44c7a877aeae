//! Running a command over its files: one bad file is reported, the others go on.

use std::time::Instant;

use serde_json::{Value, json};

use crate::args::OutputArgs;
use crate::console::{Console, print_json, shown};
use crate::exit::{Failure, Status};
use crate::plan::{Job, Source};
use crate::progress::Progress;

/// What one file came to.
pub struct Outcome {
    /// The result line for people, without the names.
    pub line: String,
    /// The fields of the JSON line, an object.
    pub json: Value,
}

/// Counts of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    done: usize,
    skipped: usize,
    failed: usize,
}

/// What is done with one job; it is handed a way to tell parts done and parts in all.
type Work<'a> = dyn FnMut(&Job, &mut dyn FnMut(usize, usize)) -> anyhow::Result<Outcome> + 'a;

/// Runs `work` over all jobs. `schema` names the JSON lines' format, for instance `codec.encode/1`.
///
/// # Errors
/// A closed pipe. Failures of single files are reported here and make the status.
pub fn run(
    jobs: &[Job],
    options: &OutputArgs,
    console: &Console,
    schema: &str,
    work: &mut Work<'_>,
) -> anyhow::Result<Status> {
    let started = Instant::now();
    let progress = Progress::new(console, jobs.len());
    let mut tally = Tally::default();
    let mut status = Status::Done;
    for (index, job) in jobs.iter().enumerate() {
        let (input, output) = (shown(job.source.path()), shown(job.target.path()));
        if options.skip_existing && job.target.is_taken() && job.conflict.is_none() {
            tally.skipped += 1;
            progress.suspend(|| tracing::info!("{input}: skipped, {output} exists"));
            if options.json {
                print_json(
                    &json!({"schema": schema, "input": input, "output": output, "skipped": true}),
                )?;
            }
            continue;
        }
        progress.start(index, &input);
        match one(
            job,
            options,
            &mut |done, total| progress.part(index, done, total),
            work,
        ) {
            Ok(outcome) => {
                tally.done += 1;
                let line = format!("{input} {} {output}  {}", console.dim("->"), outcome.line);
                progress.suspend(|| console.say(&line));
                if options.json {
                    let mut document = json!({"schema": schema, "input": input, "output": output});
                    merge(&mut document, outcome.json);
                    print_json(&document)?;
                }
            }
            Err(error) if matches!(error.downcast_ref(), Some(Failure::ClosedPipe)) => {
                return Err(error);
            }
            Err(error) => {
                tally.failed += 1;
                status = Status::of(&error);
                progress.suspend(|| console.error(Some(&input), &error));
                if options.json {
                    print_json(&json!({
                        "schema": schema,
                        "input": input,
                        "output": output,
                        "error": format!("{error:#}"),
                        "status": status.code(),
                    }))?;
                }
                if options.fail_fast {
                    break;
                }
            }
        }
    }
    drop(progress);
    if jobs.len() > 1 {
        if tally.failed > 0 {
            status = Status::Failed;
        }
        console.say(&console.bold(&tally.summary(jobs.len(), started.elapsed())));
    }
    Ok(status)
}

fn one(
    job: &Job,
    options: &OutputArgs,
    progress: &mut dyn FnMut(usize, usize),
    work: &mut Work<'_>,
) -> anyhow::Result<Outcome> {
    if let Some(conflict) = &job.conflict {
        return Err(Failure::Usage(conflict.clone()).into());
    }
    if let (Some(path), false, true) = (job.target.path(), options.force, job.target.is_taken()) {
        return Err(Failure::Exists(path.to_path_buf()).into());
    }
    // A missing input is told before folders are made for its output.
    if let Source::File(path) = &job.source {
        std::fs::metadata(path)
            .map_err(|error| anyhow::Error::new(error).context("cannot open"))?;
    }
    if let (Some(_), Some(folder)) = (
        &options.output_dir,
        job.target.path().and_then(std::path::Path::parent),
    ) {
        std::fs::create_dir_all(folder).map_err(|error| {
            anyhow::Error::new(error).context(format!("cannot create {}", folder.display()))
        })?;
    }
    work(job, progress)
}

/// Puts the fields of one object into another.
fn merge(document: &mut Value, fields: Value) {
    if let (Value::Object(document), Value::Object(fields)) = (document, fields) {
        document.extend(fields);
    }
}

impl Tally {
    fn summary(&self, files: usize, elapsed: std::time::Duration) -> String {
        let mut text = format!("{files} files: {} done", self.done);
        for (count, what) in [(self.skipped, "skipped"), (self.failed, "failed")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        let missed = files - self.done - self.skipped - self.failed;
        if missed > 0 {
            text += &format!(", {missed} not tried");
        }
        format!("{text}, {}", crate::console::time(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Target;

    fn options() -> OutputArgs {
        OutputArgs {
            output: None,
            output_dir: None,
            force: false,
            skip_existing: false,
            fail_fast: false,
            json: false,
        }
    }

    /// Runs jobs `names`, of which those that begin with `bad` fail with a damaged stream.
    fn run_on(
        folder: &std::path::Path,
        names: &[&str],
        options: &OutputArgs,
    ) -> (Status, Vec<String>) {
        let global = crate::args::Global {
            verbose: 0,
            quiet: true,
            color: crate::args::ColorWhen::Never,
            no_progress: true,
        };
        let console = Console::new(&global);
        let jobs: Vec<_> = names
            .iter()
            .map(|name| {
                let source = folder.join(name);
                if !name.starts_with("missing") {
                    std::fs::write(&source, b"in").unwrap();
                }
                let target = Target::File(source.with_extension("out"));
                Job {
                    source: Source::File(source),
                    target,
                    conflict: None,
                }
            })
            .collect();
        let mut seen = Vec::new();
        let status = run(&jobs, options, &console, "test/1", &mut |job, progress| {
            let name = job
                .source
                .path()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            seen.push(name.clone());
            progress(1, 1);
            if name.starts_with("bad") {
                return Err(codec::Error::malformed("damaged").into());
            }
            job.target.write(b"out", options.force)?;
            Ok(Outcome {
                line: String::new(),
                json: json!({}),
            })
        });
        (status.unwrap(), seen)
    }

    #[test]
    fn a_single_failure_keeps_its_status_and_a_batch_ends_in_1() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            run_on(folder.path(), &["bad.in"], &options()).0,
            Status::BadStream
        );
        let (status, seen) = run_on(
            folder.path(),
            &["bad.in", "a.in", "missing.in", "b.in"],
            &options(),
        );
        assert_eq!(status, Status::Failed);
        assert_eq!(seen, ["bad.in", "a.in", "b.in"]);
        assert!(folder.path().join("b.out").exists());
        assert_eq!(
            run_on(folder.path(), &["c.in", "d.in"], &options()).0,
            Status::Done
        );
    }

    #[test]
    fn fail_fast_stops() {
        let folder = tempfile::tempdir().unwrap();
        let fast = OutputArgs {
            fail_fast: true,
            ..options()
        };
        let (status, seen) = run_on(folder.path(), &["bad.in", "a.in"], &fast);
        assert_eq!((status, seen.len()), (Status::Failed, 1));
    }

    #[test]
    fn existing_outputs_are_refused_skipped_or_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.out"), b"old").unwrap();
        let (status, seen) = run_on(folder.path(), &["a.in"], &options());
        assert_eq!((status, seen.len()), (Status::Exists, 0));
        let skip = OutputArgs {
            skip_existing: true,
            ..options()
        };
        let (status, seen) = run_on(folder.path(), &["a.in"], &skip);
        assert_eq!((status, seen.len()), (Status::Done, 0));
        assert_eq!(std::fs::read(folder.path().join("a.out")).unwrap(), b"old");
        let force = OutputArgs {
            force: true,
            ..options()
        };
        assert_eq!(run_on(folder.path(), &["a.in"], &force).0, Status::Done);
        assert_eq!(std::fs::read(folder.path().join("a.out")).unwrap(), b"out");
    }

    #[test]
    fn the_summary_counts_everything() {
        let tally = Tally {
            done: 2,
            skipped: 1,
            failed: 1,
        };
        let text = tally.summary(5, std::time::Duration::from_millis(40));
        assert_eq!(
            text,
            "5 files: 2 done, 1 skipped, 1 failed, 1 not tried, 40 ms"
        );
    }
}
