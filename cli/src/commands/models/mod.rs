//! `codec models`: the models that are built in.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::console::{print, print_json, size};
use crate::exit::Status;

/// Commands about models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that are built in
    List(ListArgs),
}

/// Options of `codec models list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print one JSON line per model on stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// A closed pipe.
pub fn run(command: &ModelsCommand) -> anyhow::Result<Status> {
    let ModelsCommand::List(args) = command;
    for model in codec::models() {
        if args.json {
            print_json(&json!({
                "schema": "codec.models/1",
                "name": model.name,
                "digest": model.digest.to_string(),
                "bytes": model.bytes,
                "default": model.is_default,
            }))?;
        } else {
            let note = if model.is_default { "  default" } else { "" };
            print(&format!(
                "{:<16}{}  {:>9}{note}\n",
                model.name,
                model.digest,
                size(model.bytes as u64)
            ))?;
        }
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
        let Command::Models(ModelsCommand::List(args)) =
            parse("models list --json").unwrap().command
        else {
            panic!()
        };
        assert!(args.json);
        assert!(parse("models").is_err());
    }
}
