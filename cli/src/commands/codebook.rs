//! `codec codebook`: what can be done with a codebook itself.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, Subcommand};
use codec::codebook::{Codebook, KMeans, counts};
use serde_json::json;

use crate::console::{Console, print_json, time};
use crate::exit::Status;
use crate::output::Target;

const EXAMPLES: &str = "\
Examples:
  codec codebook cluster vqgan-f16 --sizes 16,64,256,1024 -o small.safetensors
  codec codebook cluster vqgan-f16 --sizes 64,1024 --attach -o vqgan-vr.safetensors
  codec codebook cluster rows.npy --sizes 256 --counts codes/*.npy -o rows-256.safetensors";

/// Commands about codebooks.
#[derive(Debug, Subcommand)]
pub enum CodebookCommand {
    /// Make smaller codebooks of a large one by k-means
    Cluster(ClusterArgs),
}

/// Options of `codec codebook cluster`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ClusterArgs {
    /// Model with a codebook, its weights file, a checkpoint or an npy matrix
    #[arg(value_name = "WEIGHTS")]
    pub weights: String,
    /// Numbers of codes, as 16,64,256
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    pub sizes: Vec<usize>,
    /// Tensor that is the codebook, for checkpoints with several matrices
    #[arg(long, value_name = "NAME", conflicts_with = "attach")]
    pub tensor: Option<String>,
    /// Files of codec tokenize, or npy counts: rows count by their use
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub counts: Vec<PathBuf>,
    /// Write the weights file with the codebooks inside, for variable rate
    #[arg(long)]
    pub attach: bool,
    /// Seed of the first centers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Most steps of each clustering
    #[arg(long, value_name = "N", default_value_t = KMeans::default().steps)]
    pub steps: usize,
    /// Output file (safetensors)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Overwrite an output that exists
    #[arg(short, long)]
    pub force: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(command: &CodebookCommand, console: &Console) -> anyhow::Result<Status> {
    let CodebookCommand::Cluster(args) = command;
    let target = Target::File(args.output.clone());
    if !args.force && target.is_taken() {
        return Err(crate::exit::Failure::Exists(args.output.clone()).into());
    }
    let started = Instant::now();
    let bytes = super::models::weights(&args.weights)?;
    let codebook =
        Codebook::read(&bytes, args.tensor.as_deref()).with_context(|| args.weights.clone())?;
    let [codes, width] = codebook.dims();
    let files = args.counts.iter().map(|path| {
        std::fs::read(path).with_context(|| format!("cannot read counts {}", path.display()))
    });
    let files = files.collect::<anyhow::Result<Vec<_>>>()?;
    let used = (!files.is_empty()).then(|| counts(&files, codes));
    let used = used.transpose()?;
    let options = KMeans {
        seed: args.seed,
        steps: args.steps,
    };
    let clusters = codebook.cluster(&args.sizes, used.as_deref(), options)?;
    let written = if args.attach {
        codebook.attach(&clusters)?
    } else {
        clusters.to_safetensors()?
    };
    target.write(&written, args.force)?;
    let seconds = started.elapsed();
    if args.json {
        print_json(&json!({
            "schema": "codec.codebook.cluster/1",
            "codes": codes,
            "width": width,
            "output": args.output,
            "seconds": seconds.as_secs_f64(),
            "levels": clusters.levels.iter().map(|level| json!({
                "size": level.mass.len(),
                "distortion": level.distortion,
                "used": level.mass.iter().filter(|&&mass| mass > 0.0).count(),
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        for level in &clusters.levels {
            console.say(&format!(
                "{:>8} codes  squared distance {:.6}",
                level.mass.len(),
                level.distortion
            ));
        }
        let of = format!("{codes} codes of {width} values");
        console.say(&format!(
            "{}: {of}  {}",
            args.output.display(),
            time(seconds)
        ));
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let line = "codebook cluster w.bin --sizes 16,64 --counts a.npy b.npy --attach --seed 3 --steps 7 -o x -f --json";
        let Command::Codebook(CodebookCommand::Cluster(args)) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(args.sizes, [16, 64]);
        assert_eq!(args.counts.len(), 2);
        assert_eq!((args.seed, args.steps), (3, 7));
        assert!(args.attach && args.force && args.json);
        for wrong in [
            "codebook cluster w.bin -o x",
            "codebook cluster w.bin --sizes 1",
            "codebook cluster w.bin --sizes two -o x",
            "codebook cluster w.bin --sizes 2 -o x --attach --tensor a",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
