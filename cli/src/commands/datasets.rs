//! `codec datasets`: what a data set holds, whether it is whole, and other forms of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use codec::datasets::{
    Bin, Checksums, DataLimits, DatasetOptions, Kind, Scan, Split, Stats, verify, write_manifest,
    write_shards,
};
use serde_json::json;

use crate::args::parse_size;
use crate::console::{Console, print, print_json, size, time};
use crate::exit::{Failure, Status};
use crate::interrupt;
use crate::output::Target;
use crate::progress::Progress;

/// Commands about data sets.
#[derive(Debug, Subcommand)]
pub enum DatasetsCommand {
    /// Count items, sizes, rates and unreadable files (reads headers only)
    Stats(StatsArgs),
    /// Decode everything, and compare files with checksums
    Verify(VerifyArgs),
    /// Write manifests of a training and a validation side
    Split(SplitArgs),
    /// Write tar shards in the layout of WebDataset
    Shard(ShardArgs),
}

/// What is read, and within which limits.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Folders, shards, manifests (.jsonl) or patterns such as 's-{000..012}.tar'
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Look at this kind only: image or audio
    #[arg(long, value_name = "KIND")]
    pub kind: Option<KindArg>,
    /// Most pixels of a picture
    #[arg(long, value_name = "N", default_value_t = DataLimits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Most samples of a sound, in all channels
    #[arg(long, value_name = "N", default_value_t = DataLimits::default().max_samples)]
    pub limit_samples: u64,
    /// Most bytes of a file or member of a shard
    #[arg(long, value_name = "SIZE", default_value = "1Gi", value_parser = parse_size)]
    pub limit_bytes: u64,
}

/// Pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// Pictures.
    Image,
    /// Sound.
    Audio,
}

impl KindArg {
    fn kind(self) -> Kind {
        match self {
            Self::Image => Kind::Image,
            Self::Audio => Kind::Audio,
        }
    }
}

impl SourceArgs {
    fn limits(&self) -> DataLimits {
        DataLimits {
            max_pixels: self.limit_pixels,
            max_samples: self.limit_samples,
            max_entry_bytes: self.limit_bytes,
            ..DataLimits::default()
        }
    }

    /// Lists the sources with a progress bar.
    fn scan(&self, console: &Console) -> anyhow::Result<Scan> {
        let options = DatasetOptions {
            min_side: 1,
            kind: self.kind.map(KindArg::kind),
            limits: self.limits(),
            ..DatasetOptions::lazy()
        };
        let progress = Progress::new(console, 1);
        progress.start(0, "reading headers");
        let report = |done, total| progress.part(0, done, total);
        let mut scan = Scan::new(&self.sources, &options, &report)?;
        if let Some(kind) = options.kind {
            scan.keep(|entry| entry.info().kind() == kind);
        }
        Ok(scan)
    }
}

/// Options of `codec datasets stats`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec datasets stats ../shared/data/images/train
  codec datasets stats speech --kind audio --json
  codec datasets stats 'shards/shard-{000000..000012}.tar'")]
pub struct StatsArgs {
    /// What is read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Options of `codec datasets verify`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec datasets verify ../shared/data --manifest ../shared/data/MANIFEST.csv
  codec datasets verify shards --manifest shards/SHA256SUMS
  codec datasets verify photos --json")]
pub struct VerifyArgs {
    /// What is read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Checksums: a .csv with the columns path and sha256, or what sha256sum writes
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Options of `codec datasets split`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec datasets split photos --validation-share 0.05 -o manifests
  codec datasets split 'shards/*.tar' --validation-share 0.01 -o manifests
  codec datasets split media --kind audio --validation-share 0.1 -o manifests --json")]
pub struct SplitArgs {
    /// What is read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Share of the items for validation, 0..1, by a hash of their keys
    #[arg(long, value_name = "F", value_parser = share)]
    pub validation_share: f64,
    /// Folder for train.jsonl and validation.jsonl
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Overwrite manifests that exist
    #[arg(short, long)]
    pub force: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Options of `codec datasets shard`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec datasets shard photos -o shards --size 256M
  codec datasets shard manifests/train.jsonl -o shards/train
  codec datasets shard media --kind audio -o shards --force --json")]
pub struct ShardArgs {
    /// What is read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Folder for the shards and their SHA256SUMS
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Most bytes of a shard
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    pub size: u64,
    /// Replace the shards in the folder
    #[arg(short, long)]
    pub force: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number in 0..1".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// Unreadable sources, outputs that exist or cannot be written, a closed pipe. Single bad files are reported, and are
/// the status of `verify`, `split` and `shard`.
pub fn run(command: &DatasetsCommand, console: &Console) -> anyhow::Result<Status> {
    match command {
        DatasetsCommand::Stats(args) => stats(args, console),
        DatasetsCommand::Verify(args) => check(args, console),
        DatasetsCommand::Split(args) => split(args, console),
        DatasetsCommand::Shard(args) => shard(args, console),
    }
}

fn stats(args: &StatsArgs, console: &Console) -> anyhow::Result<Status> {
    let stats = Stats::of(&args.source.scan(console)?);
    if args.json {
        let mut document = serde_json::to_value(&stats)?;
        if let Some(fields) = document.as_object_mut() {
            fields.insert("schema".into(), json!("codec.datasets.stats/1"));
        }
        print_json(&document)?;
    } else {
        print(&describe(&stats)?)?;
    }
    Ok(Status::Done)
}

/// The statistics for people.
fn describe(stats: &Stats) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let shards = match stats.shards {
        0 => String::new(),
        n => format!(" in {n} shards"),
    };
    let bytes = size(stats.bytes);
    writeln!(text, "{} items{shards}, {bytes}", stats.items)?;
    let extensions: Vec<String> = stats
        .extensions
        .iter()
        .map(|(extension, items)| format!("{extension} {items}"))
        .collect();
    if !extensions.is_empty() {
        writeln!(text, "extensions: {}", extensions.join(", "))?;
    }
    if let Some(images) = &stats.images {
        let ([a, b], [c, d]) = (images.shorter_side, images.longer_side);
        let (items, megapixels) = (images.items, images.megapixels);
        writeln!(
            text,
            "\n{items} pictures, {megapixels:.1} megapixels, {}",
            size(images.bytes)
        )?;
        writeln!(text, "shorter side {a} to {b}, longer side {c} to {d}")?;
        bars(&mut text, &images.sides, "px")?;
    }
    if let Some(audio) = &stats.audio {
        let ([low, high], items) = (audio.seconds, audio.items);
        writeln!(
            text,
            "\n{items} sounds, {:.2} hours, {}",
            audio.hours,
            size(audio.bytes)
        )?;
        writeln!(text, "length {low:.2} s to {high:.2} s")?;
        for (rate, items) in &audio.rates {
            writeln!(text, "{rate:>8} Hz {items:>9}")?;
        }
        for (channels, items) in &audio.channels {
            writeln!(text, "{channels:>8} ch {items:>9}")?;
        }
        bars(&mut text, &audio.lengths, "s")?;
    }
    if stats.ignored > 0 {
        writeln!(text, "\n{} other files", stats.ignored)?;
    }
    if !stats.unreadable.is_empty() {
        writeln!(text, "\n{} unreadable files", stats.unreadable.len())?;
        for problem in &stats.unreadable {
            writeln!(text, "  {}: {}", problem.path, problem.reason)?;
        }
    }
    Ok(text)
}

/// A histogram of lines.
fn bars(text: &mut String, bins: &[Bin], unit: &str) -> std::fmt::Result {
    let most = bins.iter().map(|bin| bin.items).max().unwrap_or(0).max(1);
    for bin in bins {
        let range = match bin.below {
            Some(below) => format!("{} to {below} {unit}", bin.from),
            None => format!("from {} {unit}", bin.from),
        };
        let bar = "=".repeat((bin.items * 40).div_ceil(most));
        writeln!(text, "{range:>18} {:>8}  {bar}", bin.items)?;
    }
    Ok(())
}

fn check(args: &VerifyArgs, console: &Console) -> anyhow::Result<Status> {
    let checksums = args.manifest.as_deref().map(Checksums::read).transpose()?;
    let scan = args.source.scan(console)?;
    let started = Instant::now();
    let found = {
        let progress = Progress::new(console, 1);
        progress.start(0, "decoding");
        let report = |done, total| progress.part(0, done, total);
        verify(&scan, &args.source.limits(), checksums.as_ref(), &report)
    };
    for problem in &found.bad {
        console.error(Some(&problem.path), &anyhow::anyhow!("{}", problem.reason));
    }
    if args.json {
        let mut document = serde_json::to_value(&found)?;
        if let Some(fields) = document.as_object_mut() {
            fields.insert("schema".into(), json!("codec.datasets.verify/1"));
        }
        print_json(&document)?;
    }
    let mut line = format!("{} items decoded", found.decoded);
    if checksums.is_some() {
        write!(line, ", {} checksums right", found.matched)?;
        for (count, what) in [
            (found.unlisted, "not listed"),
            (found.outside, "listed elsewhere"),
        ] {
            if count > 0 {
                write!(line, ", {count} {what}")?;
            }
        }
    }
    write!(
        line,
        ", {} bad, {}",
        found.bad.len(),
        time(started.elapsed())
    )?;
    console.say(&line);
    if found.decoded == 0 && found.matched == 0 && found.bad.is_empty() {
        bail!("nothing to verify: no picture, sound or listed file");
    }
    Ok(failed_if(!found.bad.is_empty()))
}

fn failed_if(bad: bool) -> Status {
    if bad { Status::Failed } else { Status::Done }
}

/// Reports files that a scan could not use; the others go on.
fn report_skipped(scan: &Scan, console: &Console) {
    for skipped in scan.skipped() {
        let reason = anyhow::anyhow!("{}", skipped.reason);
        console.error(Some(&skipped.path.display()), &reason);
    }
}

fn create(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

fn split(args: &SplitArgs, console: &Console) -> anyhow::Result<Status> {
    let sides = [Split::Train, Split::Validation];
    let targets =
        sides.map(|side| Target::File(args.output.join(format!("{}.jsonl", side.name()))));
    // Before the work, not after it.
    for target in &targets {
        if !args.force && target.is_taken() {
            let path = target.path().unwrap_or(&args.output).to_path_buf();
            return Err(Failure::Exists(path).into());
        }
    }
    let scan = args.source.scan(console)?;
    report_skipped(&scan, console);
    if scan.entries().is_empty() {
        bail!("nothing to split: no picture or sound");
    }
    create(&args.output)?;
    let side = |entry: &codec::datasets::Entry| entry.split(args.validation_share);
    let mut counts = [0; 2];
    for ((split, target), count) in sides.into_iter().zip(&targets).zip(&mut counts) {
        let entries = || {
            scan.entries()
                .iter()
                .filter(|entry| side(entry) == Some(split))
        };
        let mut manifest = Vec::new();
        write_manifest(&mut manifest, &args.output, split, entries())?;
        target.write(&manifest, args.force)?;
        *count = entries().count();
    }
    let [train, validation] = counts;
    let neither = scan.entries().len() - train - validation;
    let skipped = scan.skipped().len();
    if args.json {
        print_json(&json!({
            "schema": "codec.datasets.split/1",
            "output": args.output.display().to_string(),
            "validation_share": args.validation_share,
            "train": train,
            "validation": validation,
            "neither": neither,
            "skipped": skipped,
        }))?;
    }
    let mut line = format!(
        "{}: {train} for training, {validation} for validation",
        args.output.display()
    );
    if neither > 0 {
        write!(line, ", {neither} for neither")?;
    }
    if skipped > 0 {
        write!(line, ", {skipped} skipped")?;
    }
    console.say(&line);
    Ok(failed_if(skipped > 0))
}

fn shard(args: &ShardArgs, console: &Console) -> anyhow::Result<Status> {
    let sums = Target::File(args.output.join("SHA256SUMS"));
    if !args.force && sums.is_taken() {
        return Err(Failure::Exists(args.output.join("SHA256SUMS")).into());
    }
    let scan = args.source.scan(console)?;
    report_skipped(&scan, console);
    if scan.entries().is_empty() {
        bail!("nothing to shard: no picture or sound");
    }
    create(&args.output)?;
    // An interrupt between two members lets the temporary file go.
    let stop = interrupt::graceful();
    let shards = {
        let progress = Progress::new(console, 1);
        progress.start(0, "writing shards");
        let report = |done, total| progress.part(0, done, total);
        write_shards(
            scan.entries(),
            &args.output,
            args.size,
            args.force,
            stop,
            &report,
        )?
    };
    let mut lines = String::new();
    for shard in &shards {
        let name = shard.path.file_name().unwrap_or_default();
        writeln!(lines, "{}  {}", shard.sha256, name.to_string_lossy())?;
    }
    sums.write(lines.as_bytes(), args.force)?;
    let (items, bytes) = (scan.entries().len(), shards.iter().map(|s| s.bytes).sum());
    let skipped = scan.skipped().len();
    if args.json {
        print_json(&json!({
            "schema": "codec.datasets.shard/1",
            "output": args.output.display().to_string(),
            "items": items,
            "bytes": bytes,
            "skipped": skipped,
            "shards": shards,
        }))?;
    }
    let mut line = format!(
        "{}: {items} items in {} shards, {}",
        args.output.display(),
        shards.len(),
        size(bytes)
    );
    if skipped > 0 {
        write!(line, ", {skipped} skipped")?;
    }
    console.say(&line);
    Ok(failed_if(skipped > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;
    use clap::CommandFactory;

    fn command(line: &str) -> DatasetsCommand {
        match parse(line).unwrap().command {
            Command::Datasets(command) => command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_of_stats_and_verify_parse() {
        let line = "datasets stats a b --kind audio --limit-pixels 9 --limit-samples 8 --limit-bytes 2k --json";
        let DatasetsCommand::Stats(args) = command(line) else {
            panic!()
        };
        assert_eq!(args.source.sources, [Path::new("a"), Path::new("b")]);
        assert_eq!(args.source.kind, Some(KindArg::Audio));
        let limits = args.source.limits();
        assert_eq!(
            (
                limits.max_pixels,
                limits.max_samples,
                limits.max_entry_bytes
            ),
            (9, 8, 2000)
        );
        assert!(args.json);
        let DatasetsCommand::Verify(args) = command("datasets verify d --manifest SUMS --json")
        else {
            panic!()
        };
        assert!(args.json && args.manifest == Some("SUMS".into()));
        assert_eq!(args.source.limits(), DataLimits::default());
        assert!(parse("datasets stats").is_err());
    }

    #[test]
    fn options_of_split_and_shard_parse() {
        let DatasetsCommand::Split(args) =
            command("datasets split d --validation-share 0.1 -o m -f --json")
        else {
            panic!()
        };
        assert_eq!(
            (args.validation_share, args.force, args.json),
            (0.1, true, true)
        );
        for bad in ["1.1", "-0.1", "nan", "x"] {
            assert!(parse(&format!("datasets split d -o m --validation-share={bad}")).is_err());
        }
        assert!(parse("datasets split d -o m").is_err());
        let DatasetsCommand::Shard(args) = command("datasets shard d -o s --size 1M -f --json")
        else {
            panic!()
        };
        assert_eq!((args.size, args.force, args.json), (1_000_000, true, true));
    }

    #[test]
    fn help_lines_stay_short() {
        let cli = crate::args::Cli::command();
        let datasets = cli.find_subcommand("datasets").unwrap();
        for argument in datasets.get_subcommands().flat_map(|c| c.get_arguments()) {
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(!help.is_empty() && help.len() <= 80, "{help:?}");
        }
    }
}
