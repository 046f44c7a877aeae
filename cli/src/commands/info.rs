//! `codec info`: what a file says of itself. Needs no weights.

use std::path::PathBuf;

use clap::Args;
use codec::{AudioInfo, Color, ImageInfo, Info, Limits, Profile, WeightsPlace};
use serde_json::{Value, json};

use crate::console::{Console, print, print_json, shown, size};
use crate::exit::Status;
use crate::media::length;
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

fn color(image: &ImageInfo) -> &'static str {
    match (image.color, image.alpha) {
        (Color::Gray, false) => "gray",
        (Color::Gray, true) => "gray + alpha",
        (Color::Rgb, false) => "rgb",
        (Color::Rgb, true) => "rgb + alpha",
    }
}

fn table(name: &str, info: &Info, console: &Console) -> String {
    let weights = match info.weights() {
        WeightsPlace::BuiltIn => "built in",
        WeightsPlace::Imported => "imported",
        WeightsPlace::Unknown => "not here (decode with --weights)",
    };
    let mut text = format!("{}\n", console.bold_out(name));
    let mut row = |label: &str, value: String| text += &format!("  {label:<11}{value}\n");
    let bytes = size(info.file_bytes as u64);
    row("format", format!("ncx version {}", info.version));
    let mut cut = String::new();
    if let Some(image) = info.image() {
        let (width, height, depth) = (image.width, image.height, image.bit_depth);
        row(
            "picture",
            format!("{width}x{height}, {}, {depth} bit", color(image)),
        );
        let rate = info.bits_per_pixel().unwrap_or_default();
        row("size", format!("{bytes} ({rate:.3} bpp)"));
        let (columns, rows) = image.tile_grid();
        cut = match image.tile_size {
            0 => "one".to_owned(),
            side => format!("{columns} x {rows} of {side} pixels"),
        };
    }
    if let Some(audio) = info.audio() {
        row("sound", sound(info, audio));
        let rate = match info.kilobits_per_second() {
            Some(rate) => format!(" ({rate:.2} kbps)"),
            None => String::new(),
        };
        row("size", format!("{bytes}{rate}"));
        let frame = f64::from(audio.hop) / f64::from(audio.model_rate);
        let frames = format!(
            "of {} samples at {} Hz, {:.2} a second",
            audio.hop,
            audio.model_rate,
            1.0 / frame
        );
        row("frames", frames);
        row("streaming", streaming(audio).to_owned());
        cut = match audio.chunk {
            0 => "one".to_owned(),
            chunk => format!(
                "{} of {:.2} s",
                audio.chunk_count(info.samples),
                f64::from(chunk) * frame
            ),
        };
    }
    row(
        "quality",
        format!("{:.2}", f64::from(info.header.quality) / 100.0),
    );
    row(
        "model",
        format!("{}, {} profile", info.header.model, profile(info)),
    );
    row("weights", format!("{}, {weights}", info.header.digest));
    let label = if info.audio().is_some() {
        "chunks"
    } else {
        "tiles"
    };
    row(label, cut);
    row("header", size(info.header_bytes as u64));
    for (name, count, bytes) in rows(info) {
        let times = if count > 1 {
            format!(" in {count} sections")
        } else {
            String::new()
        };
        row(&name, format!("{}{times}", size(bytes as u64)));
    }
    for (name, value) in &info.tags {
        row(name, value.clone());
    }
    text + "  checks     all right\n"
}

fn sound(info: &Info, audio: &AudioInfo) -> String {
    let seconds = length(info.seconds().unwrap_or_default());
    let (samples, rate, channels, depth) = (info.samples, audio.rate, audio.channels, audio.depth);
    let how = match (audio.mid_side, audio.model_channels) {
        (true, _) => " as sum and difference",
        (_, 2) => " in pairs",
        _ => "",
    };
    format!("{seconds}, {samples} samples at {rate} Hz, {channels} ch{how}, {depth} bit")
}

/// Whether a file decodes as it comes.
fn streaming(audio: &AudioInfo) -> &'static str {
    match audio.chunk {
        0 => "no, the model needs the whole recording",
        _ => "yes",
    }
}

fn document(name: &str, info: &Info) -> Value {
    let sections = info
        .sections
        .iter()
        .map(|section| json!({"name": section.name, "bytes": section.bytes}));
    let mut document = json!({
        "schema": SCHEMA,
        "input": name,
        "version": info.version,
        "bytes": info.file_bytes,
        "quality": f64::from(info.header.quality) / 100.0,
        "model": info.header.model,
        "digest": info.header.digest.to_string(),
        "profile": profile(info),
        "weights_built_in": info.weights() == WeightsPlace::BuiltIn,
        "header_bytes": info.header_bytes,
        "sections": sections.collect::<Vec<_>>(),
        "checks": "right",
    });
    let mut own = json!({});
    if let Some(image) = info.image() {
        own = json!({
            "media": "image",
            "width": image.width,
            "height": image.height,
            "color": if image.color == Color::Gray { "gray" } else { "rgb" },
            "alpha": image.alpha,
            "bit_depth": image.bit_depth,
            "bpp": info.bits_per_pixel(),
            "tile_size": image.tile_size,
        });
    }
    if let Some(audio) = info.audio() {
        own = json!({
            "media": "audio",
            "rate": audio.rate,
            "channels": audio.channels,
            "samples": info.samples,
            "duration": info.seconds(),
            "depth": audio.depth.to_string(),
            "kbps": info.kilobits_per_second(),
            "mid_side": audio.mid_side,
            "model_rate": audio.model_rate,
            "model_channels": audio.model_channels,
            "hop": audio.hop,
            "step": audio.step,
            "chunk_frames": audio.chunk,
            "streaming": audio.chunk > 0,
            "tags": info.tags.iter().map(|(name, value)| json!([name, value])).collect::<Vec<_>>(),
        });
    }
    if let (Value::Object(document), Value::Object(own)) = (&mut document, own) {
        document.extend(own);
    }
    document
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
