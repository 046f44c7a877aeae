//! `codec models import`: an author's checkpoint becomes a model.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use codec::models::{ModelStore, Report, import, read_config};
use serde_json::json;

use crate::console::{Console, print, print_json, size};
use crate::exit::Status;

/// Names that nothing asked for are listed up to this many without -v.
const LISTED: usize = 10;

/// Options of `codec models import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codec models import bmshj2018-hyperprior-3.pth.tar --name hyperprior-3
  codec models import mlicpp_mse_0.0250.pth.tar --family mlicpp --name mlicpp-250
  codec models import RGB_16x.pth --config RGB_16x.json --name walloc-16x")]
pub struct ImportArgs {
    /// Checkpoint: PyTorch (.pth, .pt, .ckpt, .tar) or safetensors
    #[arg(value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Name to give it, as --model takes it
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Family; recognized by the names of the tensors if left out
    #[arg(long, value_name = "FAMILY", value_parser = family)]
    pub family: Option<String>,
    /// Configuration that came with the checkpoint (JSON or YAML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say what would be imported, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace a model of that name
    #[arg(short, long)]
    pub force: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Families also go by the names that their authors write.
fn family(text: &str) -> Result<String, String> {
    let name = match text.to_ascii_lowercase().as_str() {
        "mlic++" => "mlicpp".to_owned(),
        other => other.to_owned(),
    };
    let known = codec::models::IMPORTED_FAMILIES;
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(format!("expected one of {}", known.join(", ")))
}

/// Runs the command.
///
/// # Errors
/// Unreadable files, an unknown family, an incomplete checkpoint, a name that is taken.
pub fn run(args: &ImportArgs, console: &Console) -> anyhow::Result<Status> {
    let config = args
        .config
        .as_deref()
        .map(|path| read_config(path).with_context(|| path.display().to_string()));
    let config = config.transpose()?;
    let store = ModelStore::user()?;
    store.path(&args.name)?;
    let imported = import(
        &args.checkpoint,
        args.family.as_deref(),
        config.as_ref(),
        &args.name,
    )
    .with_context(|| args.checkpoint.display().to_string())?;
    let report = &imported.report;
    if !args.json {
        table(report, console)?;
    }
    let complete = report.check();
    let stored = match (&complete, args.dry_run) {
        (Ok(()), false) => Some(store.put(&imported.file, args.force)?),
        _ => None,
    };
    if args.json {
        print_json(&json!({
            "schema": "codec.models.import/1",
            "name": args.name,
            "family": imported.file.family,
            "config": imported.file.config,
            "path": stored.as_ref().map(|(path, _)| path),
            "digest": stored.as_ref().map(|(_, digest)| digest.to_string()),
            "mapped": report.mapped,
            "missing": report.missing,
            "misshaped": report.misshaped.iter().map(|m| json!({
                "name": m.name, "expected": m.expected, "found": m.found,
            })).collect::<Vec<_>>(),
            "unused": report.unused,
        }))?;
    }
    complete.with_context(|| args.checkpoint.display().to_string())?;
    if let (Some((path, digest)), false) = (&stored, args.json) {
        let bytes = std::fs::metadata(path)?.len();
        print(&format!(
            "\n{}: {}, {} parameters, {}, digest {digest}\n{}\n",
            args.name,
            imported.file.family,
            imported.file.tensors.parameters(),
            size(bytes),
            path.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Counts by part of the network, then every name at fault.
fn table(report: &Report, console: &Console) -> anyhow::Result<()> {
    let mut parts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let misshaped = || report.misshaped.iter().map(|m| m.name.as_str());
    let columns: [Vec<&str>; 4] = [
        report.mapped.iter().map(String::as_str).collect(),
        report.missing.keys().map(String::as_str).collect(),
        misshaped().collect(),
        report.unused.iter().map(String::as_str).collect(),
    ];
    for (column, names) in columns.iter().enumerate() {
        for name in names {
            let part = name.split('.').next().unwrap_or(name);
            if let Some(count) = parts.entry(part).or_default().get_mut(column) {
                *count += 1;
            }
        }
    }
    let mut text = format!(
        "{:<28}{:>9}{:>9}{:>11}{:>9}\n",
        "part", "mapped", "missing", "misshaped", "unused"
    );
    for (part, [mapped, missing, misshaped, unused]) in &parts {
        text += &format!("{part:<28}{mapped:>9}{missing:>9}{misshaped:>11}{unused:>9}\n");
    }
    for (name, shape) in &report.missing {
        text += &format!("missing    {name}  {shape:?}\n");
    }
    for m in &report.misshaped {
        text += &format!(
            "misshaped  {}  {:?} (expected {:?})\n",
            m.name, m.found, m.expected
        );
    }
    let listed = if console.is_verbose() {
        usize::MAX
    } else {
        LISTED
    };
    for name in report.unused.iter().take(listed) {
        text += &format!("unused     {name}\n");
    }
    if report.unused.len() > listed {
        text += &format!(
            "unused     and {} more (-v lists them)\n",
            report.unused.len() - listed
        );
    }
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::super::ModelsCommand;
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let line = "models import a.pth --name x/y --family hyperprior --config c.json --dry-run -f --json";
        let Command::Models(ModelsCommand::Import(args)) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(
            (args.name.as_str(), args.family.as_deref()),
            ("x/y", Some("hyperprior"))
        );
        assert!(args.dry_run && args.force && args.json && args.config.is_some());
        assert!(parse("models import a.pth").is_err());
        assert!(parse("models import a.pth --name x --family nonsense").is_err());
    }
}
