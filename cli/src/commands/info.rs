//! `codec info`: what a file says of itself. Needs no weights.

use std::path::PathBuf;

use clap::Args;
use codec::{Color, Info, Limits, Profile, WeightsPlace};
use serde_json::{Value, json};

use crate::console::{Console, print, print_json, shown, size};
use crate::exit::Status;
use crate::plan::{self, Source};

const EXAMPLES: &str = "\
Examples:
  codec info photo.ncx                       size, model, rate, sections
  codec info --check out                     verify every file of a folder
  codec info --json photo.ncx                the same for programs";

/// Options of `codec info`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct InfoArgs {
    /// Files, folders or - for stdin
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Verify check values and say nothing but the verdict
    #[arg(long)]
    pub check: bool,
    /// Print one JSON line per file on stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &InfoArgs, console: &Console) -> anyhow::Result<Status> {
    let sources = plan::sources(&args.inputs, plan::OURS)?;
    let mut status = Status::Done;
    for (index, source) in sources.iter().enumerate() {
        let name = shown(source.path());
        match one(source) {
            Ok(info) if args.json => print_json(&document(&name, &info))?,
            Ok(_) if args.check => print(&format!("{name}: all checks right\n"))?,
            Ok(info) => {
                let gap = if index > 0 { "\n" } else { "" };
                print(&format!("{gap}{}", table(&name, &info, console)))?;
            }
            Err(error) => {
                let own = Status::of(&error);
                status = if sources.len() > 1 {
                    Status::Failed
                } else {
                    own
                };
                console.error(Some(&name), &error);
                if args.json {
                    let message = format!("{error:#}");
                    print_json(
                        &json!({"schema": SCHEMA, "input": name, "error": message, "status": own.code()}),
                    )?;
                }
            }
        }
    }
    Ok(status)
}

const SCHEMA: &str = "codec.info/1";

fn one(source: &Source) -> anyhow::Result<Info> {
    let limits = Limits::default();
    let bytes = source.read(&limits)?;
    Ok(codec::info(&bytes)?)
}

/// Sections with the same name in one row: name, number, bytes.
fn rows(info: &Info) -> Vec<(String, usize, usize)> {
    let mut rows: Vec<(String, usize, usize)> = Vec::new();
    for section in &info.sections {
        match rows.iter_mut().find(|(name, ..)| *name == section.name) {
            Some((_, count, bytes)) => {
                *count += 1;
                *bytes += section.bytes;
            }
            None => rows.push((section.name.clone(), 1, section.bytes)),
        }
    }
    rows
}

fn profile(info: &Info) -> &'static str {
    match info.header.profile {
        Profile::Portable => "portable",
        Profile::Float => "float",
    }
}

fn color(info: &Info) -> &'static str {
    match (info.image.color, info.image.alpha) {
        (Color::Gray, false) => "gray",
        (Color::Gray, true) => "gray + alpha",
        (Color::Rgb, false) => "rgb",
        (Color::Rgb, true) => "rgb + alpha",
    }
}

fn table(name: &str, info: &Info, console: &Console) -> String {
    let (columns, tile_rows) = info.image.tile_grid();
    let tiles = match info.image.tile_size {
        0 => "one".to_owned(),
        side => format!("{columns} x {tile_rows} of {side} pixels"),
    };
    let weights = match info.weights() {
        WeightsPlace::BuiltIn => "built in",
        WeightsPlace::Imported => "imported",
        WeightsPlace::Unknown => "not here (decode with --weights)",
    };
    let mut text = format!("{}\n", console.bold_out(name));
    for (label, value) in [
        ("format", format!("ncx version {}", info.version)),
        (
            "picture",
            format!(
                "{}x{}, {}, {} bit",
                info.image.width,
                info.image.height,
                color(info),
                info.image.bit_depth
            ),
        ),
        (
            "size",
            format!(
                "{} ({:.3} bpp)",
                size(info.file_bytes as u64),
                info.bits_per_pixel()
            ),
        ),
        (
            "quality",
            format!("{:.2}", f64::from(info.header.quality) / 100.0),
        ),
        (
            "model",
            format!("{}, {} profile", info.header.model, profile(info)),
        ),
        ("weights", format!("{}, {weights}", info.header.digest)),
        ("tiles", tiles),
        ("header", size(info.header_bytes as u64)),
    ] {
        text += &format!("  {label:<11}{value}\n");
    }
    for (name, count, bytes) in rows(info) {
        let times = if count > 1 {
            format!(" in {count} sections")
        } else {
            String::new()
        };
        text += &format!("  {name:<11}{}{times}\n", size(bytes as u64));
    }
    text + "  checks     all right\n"
}

fn document(name: &str, info: &Info) -> Value {
    let sections = info
        .sections
        .iter()
        .map(|section| json!({"name": section.name, "bytes": section.bytes}));
    json!({
        "schema": SCHEMA,
        "input": name,
        "version": info.version,
        "width": info.image.width,
        "height": info.image.height,
        "color": if info.image.color == Color::Gray { "gray" } else { "rgb" },
        "alpha": info.image.alpha,
        "bit_depth": info.image.bit_depth,
        "bytes": info.file_bytes,
        "bpp": info.bits_per_pixel(),
        "quality": f64::from(info.header.quality) / 100.0,
        "model": info.header.model,
        "digest": info.header.digest.to_string(),
        "profile": profile(info),
        "weights_built_in": info.weights() == WeightsPlace::BuiltIn,
        "tile_size": info.image.tile_size,
        "header_bytes": info.header_bytes,
        "sections": sections.collect::<Vec<_>>(),
        "checks": "right",
    })
}

#[cfg(test)]
mod tests {
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let Command::Info(args) = parse("info a.ncx - --check --json").unwrap().command else {
            panic!()
        };
        assert!(args.check && args.json);
        assert_eq!(args.inputs.len(), 2);
        assert!(parse("info").is_err());
    }
}
