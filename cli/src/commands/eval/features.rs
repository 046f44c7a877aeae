//! `codec eval features`: distances between two sets of features.

use std::path::PathBuf;

use clap::Args;
use codec_eval::metrics::features::{Features, frechet, kernel_distance};
use serde_json::json;

use crate::console::{print, print_json};
use crate::exit::Status;

/// Frechet and kernel distance between two sets of features.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The files hold arrays [files, features] of 32 or 64 bit floats, such as the pool features of an
Inception network of originals and of decoded pictures: the distances then are FID and KID.

Examples:
  codec eval features originals.npy decoded.npy
  codec eval features originals.npy decoded.npy --json"
)]
pub struct FeaturesArgs {
    /// Features of the originals
    #[arg(value_name = "A.npy")]
    pub first: PathBuf,
    /// Features of what is compared with them
    #[arg(value_name = "B.npy")]
    pub second: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// Files that hold no such features.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<Status> {
    let (a, b) = (Features::load(&args.first)?, Features::load(&args.second)?);
    let (frechet, kernel) = (frechet(&a, &b)?, kernel_distance(&a, &b)?);
    if args.json {
        print_json(&json!({
            "schema": "codec.eval.features/1",
            "files": [a.count(), b.count()],
            "features": a.dimensions(),
            "frechet": frechet,
            "kernel": kernel,
        }))?;
    } else {
        print(&format!(
            "{} and {} files, {} features: Frechet distance {frechet:.4}, kernel distance {kernel:.6}\n",
            a.count(),
            b.count(),
            a.dimensions()
        ))?;
    }
    Ok(Status::Done)
}
