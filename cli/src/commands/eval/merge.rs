//! `codec eval merge`: the reports of shards as one.

use std::path::PathBuf;

use clap::Args;

use super::{compare, output};
use crate::console::Console;
use crate::exit::Status;

/// Join the reports of shards.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec eval merge part*.json -o all.json
  codec eval merge part*.json -o all.json --report out
  codec eval merge ours.json anchors.json -o both.json")]
pub struct MergeArgs {
    /// Reports
    #[arg(required = true, value_name = "FILE")]
    pub reports: Vec<PathBuf>,
    /// Joined report
    #[arg(short, long, value_name = "FILE", required = true)]
    pub output: PathBuf,
    /// Write report.html, plots and tables of it into a folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Reports that cannot be read, or that have a file twice.
pub fn run(args: &MergeArgs, console: &Console) -> anyhow::Result<Status> {
    let reports = args.reports.iter().map(|path| compare::read(path));
    let reports = reports.collect::<anyhow::Result<Vec<_>>>()?;
    let count = reports.len();
    let mut curves = codec_eval::merge(reports)?;
    let left_out = codec_eval::align(&mut curves);
    output::write(
        &args.output,
        codec_eval::report::list_to_json(&curves)?.as_bytes(),
    )?;
    let files = curves
        .iter()
        .map(|curve| curve.complete_files().len())
        .max()
        .unwrap_or(0);
    console.say(&format!(
        "{count} reports -> {}  {} curves  {files} files",
        args.output.display(),
        curves.len()
    ));
    let notes = output::notes(&curves, &left_out, Vec::new());
    for note in &notes {
        console.say(note);
    }
    if let Some(folder) = &args.report {
        output::report(folder, "codec eval", &curves, Vec::new(), notes)?;
    }
    let failed = curves.iter().any(|curve| !curve.failures.is_empty());
    Ok(if failed { Status::Failed } else { Status::Done })
}
