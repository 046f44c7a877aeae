//! `codec models show` and `codec models path`.

use clap::Args;
use codec::models::{ModelStore, describe};
use serde_json::json;

use crate::console::{print, print_json};
use crate::exit::Status;

/// Options of `codec models show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Imported model, or a weights file
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// List every tensor with its shape
    #[arg(long)]
    pub tensors: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Options of `codec models path`.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// Model; without one, the folder of all models
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
}

/// Runs `show`.
///
/// # Errors
/// An unknown model, unreadable weights.
pub fn run(args: &ShowArgs) -> anyhow::Result<Status> {
    let info = describe(&super::weights(&args.model)?)?;
    if args.json {
        print_json(&json!({
            "schema": "codec.models.show/1",
            "name": info.name,
            "family": info.family,
            "digest": info.digest.to_string(),
            "config": info.config,
            "source": info.source,
            "parameters": info.parameters(),
            "tensors": info.tensors,
        }))?;
        return Ok(Status::Done);
    }
    let mut text = format!(
        "{}: {}, {} parameters in {} tensors, digest {}\nfrom {}\n{:#}\n",
        info.name,
        info.family,
        info.parameters(),
        info.tensors.len(),
        info.digest,
        info.source,
        info.config
    );
    if args.tensors {
        for (name, shape) in &info.tensors {
            text += &format!("{name}  {shape:?}\n");
        }
    }
    print(&text)?;
    Ok(Status::Done)
}

/// Runs `path`.
///
/// # Errors
/// An impossible name, no home folder.
pub fn path(args: &PathArgs) -> anyhow::Result<Status> {
    let store = ModelStore::user()?;
    let path = match &args.model {
        Some(model) => store.path(model)?,
        None => store.folder().to_path_buf(),
    };
    print(&format!("{}\n", path.display()))?;
    Ok(Status::Done)
}
