//! The command line as a whole, and the options that several commands share.

use clap::{Args, Parser, Subcommand, ValueEnum};
use codec::DeviceChoice;

#[cfg(feature = "distributed")]
use crate::commands::coordinator;
use crate::commands::{
    bench, codebook, completions, datasets, decode, detokenize, encode, eval, info, models,
    tokenize, train,
};

/// Learned image codec: pictures to small files and back.
#[derive(Debug, Parser)]
#[command(name = "codec", version = crate::version::long(), propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// One command a variant; each has its file in `commands/`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Encode pictures to .ncx files
    Encode(encode::EncodeArgs),
    /// Decode .ncx files to pictures
    Decode(decode::DecodeArgs),
    /// Show what is inside .ncx files (needs no weights)
    Info(info::InfoArgs),
    /// Turn pictures into arrays of codes or latents
    Tokenize(tokenize::TokenizeArgs),
    /// Turn arrays of codes or latents back into pictures
    Detokenize(detokenize::DetokenizeArgs),
    /// Make smaller codebooks
    #[command(subcommand)]
    Codebook(codebook::CodebookCommand),
    /// Measure speed and memory by stage
    Bench(bench::BenchArgs),
    /// Train a model by a recipe
    Train(train::TrainArgs),
    /// Let the machines of a training run find each other
    #[cfg(feature = "distributed")]
    TrainCoordinator(coordinator::CoordinatorArgs),
    /// Measure rate and distortion over a folder of pictures
    Eval(Box<eval::EvalArgs>),
    /// Describe, check, split and shard data sets
    #[command(subcommand)]
    Datasets(datasets::DatasetsCommand),
    /// Import, list, show and check models
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General options")]
pub struct Global {
    /// Say more on stderr; repeat for more
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say nothing but errors
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Colour on the terminal
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorWhen,
    /// Draw no progress bar
    #[arg(long, global = true)]
    pub no_progress: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// When stderr is a terminal and `NO_COLOR` is not set.
    Auto,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// Where networks run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Device options")]
pub struct DeviceArgs {
    /// Device: auto, cpu, wgpu[:N] or cuda[:N]; auto never fails, -v says why
    #[arg(
        long,
        env = "CODEC_DEVICE",
        hide_env = true,
        default_value = "auto",
        value_name = "DEVICE"
    )]
    pub device: DeviceChoice,
    /// CPU threads: a number or all
    #[arg(
        short = 'j',
        long,
        env = "CODEC_THREADS",
        hide_env = true,
        default_value = "all",
        value_name = "N"
    )]
    #[arg(value_parser = parse_threads)]
    pub threads: Threads,
}

/// Number of CPU threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// As many as the machine has.
    All,
    /// This many.
    Count(usize),
}

impl DeviceArgs {
    /// Sets the thread count and opens the device.
    ///
    /// # Errors
    /// As [`codec::Device::open`].
    pub fn open(&self) -> anyhow::Result<codec::Device> {
        if let Threads::Count(count) = self.threads {
            codec::set_threads(count)?;
        }
        let device = codec::Device::open(self.device)?;
        tracing::info!("device {}: {}", device.name(), device.reason());
        Ok(device)
    }
}

/// Where outputs go, and what happens to those that exist.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output options")]
pub struct OutputArgs {
    /// Output file, or - for stdout; for one input
    #[arg(short, long, value_name = "PATH", conflicts_with = "output_dir")]
    pub output: Option<std::path::PathBuf>,
    /// Folder for the outputs; trees of input folders are mirrored in it
    #[arg(short = 'd', long, value_name = "DIR")]
    pub output_dir: Option<std::path::PathBuf>,
    /// Overwrite outputs that exist
    #[arg(short, long)]
    pub force: bool,
    /// Skip inputs whose output exists
    #[arg(short = 'n', long, conflicts_with = "force")]
    pub skip_existing: bool,
    /// Stop at the first file that fails
    #[arg(long)]
    pub fail_fast: bool,
    /// Print one JSON line per file on stdout
    #[arg(long)]
    pub json: bool,
}

fn parse_threads(text: &str) -> Result<Threads, String> {
    if text == "all" {
        return Ok(Threads::All);
    }
    match text.parse() {
        Ok(count) if count > 0 => Ok(Threads::Count(count)),
        _ => Err("expected a number from 1, or all".to_owned()),
    }
}

/// Reads a size in bytes: a number with an optional unit `B`, `k`, `M`, `G` (decimal) or `Ki`, `Mi`, `Gi` (binary), each
/// with or without `B`.
///
/// # Errors
/// A message for clap.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || "expected a size above 0 such as 20000, 20k or 1.5M".to_owned();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let factor = match unit.to_ascii_lowercase().trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(bad()),
    };
    let bytes = (number * factor).round();
    if bytes >= 1.0 && bytes <= 2f64.powi(53) {
        Ok(bytes as u64)
    } else {
        Err(bad())
    }
}

#[cfg(test)]
pub mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Parses a command line without the program's name.
    pub fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("codec").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lines_stay_short_and_lower_case_errors_name_the_option() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                let help = argument
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    !help.is_empty() && help.len() <= 80,
                    "{} {}: {help:?}",
                    command.get_name(),
                    argument.get_id()
                );
                assert!(!help.ends_with('.'), "{help:?}");
            }
        }
        let error = parse("encode a.png --bpp zero").unwrap_err().to_string();
        assert!(error.contains("--bpp"), "{error}");
    }

    #[test]
    fn global_options_parse_before_and_after_the_command() {
        let cli = parse("-vv info a.ncx --color never --no-progress").unwrap();
        assert_eq!(cli.global.verbose, 2);
        assert_eq!(cli.global.color, ColorWhen::Never);
        assert!(cli.global.no_progress && !cli.global.quiet);
        assert!(parse("info a.ncx --quiet").unwrap().global.quiet);
        assert!(parse("info a.ncx --quiet -v").is_err());
        assert_eq!(
            parse("info a.ncx --color always").unwrap().global.color,
            ColorWhen::Always
        );
        assert!(parse("info a.ncx --color sometimes").is_err());
    }

    #[test]
    fn threads_are_a_positive_number_or_all() {
        assert_eq!(parse_threads("all"), Ok(Threads::All));
        assert_eq!(parse_threads("3"), Ok(Threads::Count(3)));
        assert!(
            parse_threads("0").is_err()
                && parse_threads("-1").is_err()
                && parse_threads("many").is_err()
        );
    }

    #[test]
    fn sizes_take_decimal_and_binary_units() {
        for (text, bytes) in [
            ("20000", 20_000),
            ("20k", 20_000),
            ("1.5M", 1_500_000),
            ("2KiB", 2048),
            ("1G", 1_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "k", "-1", "1x", "1e3", "0.1", "nan"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn usage_errors_have_status_2() {
        for line in [
            "encode a.png --nonsense",
            "frobnicate",
            "encode",
            "encode a.png -q 50 --bpp 1",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    }
}
