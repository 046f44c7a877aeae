//! `codec models export`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Status;

/// Options of `codec models export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Imported model, or a weights file
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Output file (safetensors)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Overwrite an output that exists
    #[arg(short, long)]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// An unknown model, an output that exists.
pub fn run(args: &ExportArgs) -> anyhow::Result<Status> {
    let bytes = codec::models::export(&super::weights(&args.model)?)?;
    crate::output::Target::File(args.output.clone()).write(&bytes, args.force)?;
    Ok(Status::Done)
}
