//! `codec eval`: rate, distortion and what machines see, over a data set, beside anchors coded in the same run.

mod codes;
mod compare;
mod features;
mod merge;
mod output;
mod run;
mod subjects;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use codec_eval::tasks::{TaskKind, TaskOptions};

use crate::args::DeviceArgs;
use crate::console::Console;
use crate::exit::{Status, usage};

/// Measure rate and quality over a folder of pictures or sounds.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_long_help = "Examples:
  codec eval photos -m default --against jpeg,webp,avif,jxl --report out
  codec eval speech --against opus --metrics pesq-wb,stoi -o speech.json
  codec eval photos --shard 3/16 -o part3.json     one of 16 jobs
  codec eval merge part*.json -o all.json          what the 16 found
  codec eval compare jpeg.json ours.json           BD-rates")]
pub struct EvalArgs {
    /// Folder of pictures or sounds, or one of them
    #[arg(required = true, value_name = "DATASET")]
    pub dataset: Option<PathBuf>,
    /// Models to measure, by name, weights file or training run; repeat for more
    #[arg(short, long, value_name = "NAME")]
    pub model: Vec<String>,
    /// Weights file, instead of the built-in weights
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Measure no model, only the anchors
    #[arg(long, conflicts_with_all = ["model", "weights"])]
    pub no_model: bool,
    /// Settings: qualities 0..100 of pictures, kbit/s of sound, or all
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = parse_settings)]
    pub quality: Settings,
    /// Anchors coded in the same run: jpeg,webp,avif,jxl or opus,mp3,vorbis, or all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub against: Vec<String>,
    /// Settings of the anchors, in place of their own lists
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub against_quality: Vec<f64>,
    /// Reports of other runs, drawn and compared beside this one
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// Add published curves of learned codecs (Kodak)
    #[arg(long)]
    pub published: bool,
    /// Metrics: a list, usual, or all that need no weights of their own
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "usual"
    )]
    pub metrics: Vec<String>,
    /// Measure LPIPS with the network and heads of these files
    #[arg(long, num_args = 2, value_names = ["BACKBONE", "HEADS"])]
    pub lpips: Option<Vec<PathBuf>>,
    /// Measure DISTS with the network and weights of these files
    #[arg(long, num_args = 2, value_names = ["BACKBONE", "WEIGHTS"])]
    pub dists: Option<Vec<PathBuf>>,
    /// What a machine sees: a model's task on originals and decoded files.
    #[command(flatten)]
    pub task: TaskArgs,
    /// Effort 1..10, higher is slower and smaller
    #[arg(short, long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub effort: u8,
    /// Part i of n of the data set, for jobs that share it
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<(usize, usize)>,
    /// Print the rows of all files as CSV
    #[arg(long)]
    pub per_file: bool,
    /// What is printed of the curves
    #[arg(long, value_name = "FORMAT", default_value = "markdown")]
    pub format: Format,
    /// Write all curves and rows as JSON
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a plot of the first metric over rate (SVG or PNG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write report.html, plots, tables and results.json into a folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Files that the report shows side by side
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub samples: usize,
    /// Rate at which they are shown: bits per pixel or kbit/s
    #[arg(long, value_name = "RATE")]
    pub samples_rate: Option<f64>,
    /// Go on with a run that was stopped: take what its journal holds
    #[arg(long)]
    pub resume: bool,
    /// Where to run.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Another command about reports.
    #[command(subcommand)]
    pub command: Option<EvalCommand>,
}

/// Options of a task.
#[derive(Debug, Args)]
#[command(next_help_heading = "Task options")]
pub struct TaskArgs {
    /// Task: classification, segmentation, detection, embedding, score, ... or ocr
    #[arg(long, value_name = "KIND")]
    pub task: Option<TaskKind>,
    /// ONNX model that solves the task
    #[arg(long, value_name = "FILE", requires = "task")]
    pub task_model: Option<PathBuf>,
    /// What the model expects (JSON or TOML) [default: beside the model]
    #[arg(long, value_name = "FILE", requires = "task")]
    pub task_config: Option<PathBuf>,
    /// Labels or transcripts (CSV), or a folder of label maps
    #[arg(long, value_name = "FILE", requires = "task")]
    pub task_labels: Option<PathBuf>,
    /// Program that prints the text of {input}, in place of a model
    #[arg(long, value_name = "CMD", requires = "task")]
    pub task_command: Option<String>,
}

impl TaskArgs {
    /// The task and what it works with.
    pub fn options(&self) -> Option<(TaskKind, TaskOptions)> {
        let options = TaskOptions {
            model: self.task_model.clone(),
            config: self.task_config.clone(),
            labels: self.task_labels.clone(),
            command: self.task_command.clone(),
        };
        self.task.map(|task| (task, options))
    }
}

/// Commands about reports.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Compare the curves of reports: BD-rate and BD-metric
    Compare(compare::CompareArgs),
    /// Join the reports of shards
    Merge(merge::MergeArgs),
    /// Frechet and kernel distance between two sets of features
    Features(features::FeaturesArgs),
    /// How a model uses its codebooks, and bits saved by its entropy model
    Codes(codes::CodesArgs),
}

/// What is printed of the curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables.
    Markdown,
    /// One line a point.
    Csv,
    /// Everything, as `-o` writes it.
    Json,
}

/// Which settings of a model are measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// Those that cover its rates.
    All,
    /// These.
    List(Vec<f64>),
}

fn parse_settings(text: &str) -> Result<Settings, String> {
    if text.trim() == "all" {
        return Ok(Settings::All);
    }
    let number = |part: &str| {
        let value: f64 = part.trim().parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    };
    let list: Option<Vec<f64>> = text.split(',').map(number).collect();
    list.map(Settings::List)
        .ok_or_else(|| "expected numbers from 0, or all".to_owned())
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("expected i/n with i in 1..=n, such as 3/16".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// Data sets, models and reports that cannot be read; a failing device. Single files that fail are reported and lead to
/// status 1.
pub fn run(args: &EvalArgs, console: &Console) -> anyhow::Result<Status> {
    match (&args.command, &args.dataset) {
        (Some(EvalCommand::Compare(args)), _) => compare::run(args),
        (Some(EvalCommand::Merge(args)), _) => merge::run(args, console),
        (Some(EvalCommand::Features(args)), _) => features::run(args),
        (Some(EvalCommand::Codes(args)), _) => codes::run(args, console),
        (None, Some(dataset)) => run::run(args, dataset, console),
        (None, None) => Err(usage("no data set".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    fn eval(line: &str) -> EvalArgs {
        let Command::Eval(args) = parse(line).unwrap().command else {
            panic!("not eval")
        };
        *args
    }

    #[test]
    fn options_parse() {
        let args = eval(
            "eval dir --quality 10,50.5 --against jpeg,webp -m wpmr/v1 -m b --weights w -e 3 -o o.json --shard 2/4",
        );
        assert_eq!(args.quality, Settings::List(vec![10.0, 50.5]));
        assert_eq!(args.against, ["jpeg", "webp"]);
        assert_eq!(args.model, ["wpmr/v1", "b"]);
        assert_eq!((args.effort, args.shard), (3, Some((2, 4))));
        assert_eq!(eval("eval dir").quality, Settings::All);
        for wrong in [
            "eval",
            "eval dir --quality many",
            "eval dir --shard 5/4",
            "eval dir --shard 0/4",
            "eval dir --no-model -m x",
            "eval dir --task-model m.onnx",
            "eval dir --task dancing",
            "eval dir --lpips one.pth",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn subcommands_need_no_data_set() {
        assert!(matches!(
            eval("eval compare a.json b.json").command,
            Some(EvalCommand::Compare(_))
        ));
        assert!(matches!(
            eval("eval merge a.json b.json -o c.json").command,
            Some(EvalCommand::Merge(_))
        ));
        assert!(parse("eval merge a.json").is_err());
    }
}
