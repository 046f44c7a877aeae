//! `codec models list`.

use clap::Args;
use codec::models::{ModelStore, built_in, describe};
use serde_json::json;

use crate::console::{print, print_json, size};
use crate::exit::Status;

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
/// A closed pipe, an unreadable store.
pub fn run(args: &ListArgs) -> anyhow::Result<Status> {
    for model in built_in() {
        let note = if model.is_default {
            "built in, default"
        } else {
            "built in"
        };
        let digest = model.digest.to_string();
        line(
            args,
            model.name,
            &digest,
            model.bytes as u64,
            note,
            model.is_default,
        )?;
    }
    let Ok(store) = ModelStore::user() else {
        return Ok(Status::Done);
    };
    for model in store.list()? {
        let described = std::fs::read(&model.path)
            .map_err(codec::Error::from)
            .and_then(|bytes| describe(&bytes));
        let (digest, note) = match described {
            Ok(info) => (info.digest.to_string(), info.family),
            Err(error) => ("-".repeat(16), error.to_string()),
        };
        line(args, &model.name, &digest, model.bytes, &note, false)?;
    }
    Ok(Status::Done)
}

fn line(
    args: &ListArgs,
    name: &str,
    digest: &str,
    bytes: u64,
    note: &str,
    is_default: bool,
) -> anyhow::Result<()> {
    if args.json {
        return print_json(&json!({
            "schema": "codec.models/1",
            "name": name,
            "digest": digest,
            "bytes": bytes,
            "note": note,
            "default": is_default,
        }));
    }
    print(&format!("{name:<24}{digest}  {:>9}  {note}\n", size(bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::ModelsCommand;
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
