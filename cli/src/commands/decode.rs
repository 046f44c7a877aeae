//! `codec decode`: files to pictures.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use codec::io::{self, Format};
use codec::{Codec, Device, Digest, Limits, Metadata};
use serde_json::json;

use crate::args::{DeviceArgs, OutputArgs};
use crate::batch::{self, Outcome};
use crate::console::{Console, size, time};
use crate::exit::{Status, usage};
use crate::plan::{self, Job, Sides};

const EXAMPLES: &str = "\
Examples:
  codec decode photo.ncx                     write photo.png beside it
  codec decode photo.ncx photo.jpg           the format follows the name
  codec decode - -o - < a.ncx > a.png        in a pipe";

/// Options of `codec decode`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DecodeArgs {
    /// Files, folders or - for stdin; the last of two may be the output
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Format of the pictures, by extension [default: by output name, else png]
    #[arg(long, value_name = "EXT", value_parser = parse_format)]
    pub output_format: Option<Extension>,
    /// Leave out ICC profile, EXIF and XMP
    #[arg(long)]
    pub no_metadata: bool,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Weights file instead of the built-in weights; must match the input
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Outputs.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Device.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// An extension that names a picture format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    name: &'static str,
    format: Format,
}

impl Default for Extension {
    /// What outputs without a name get.
    fn default() -> Self {
        Self {
            name: "png",
            format: Format::Png,
        }
    }
}

impl Extension {
    /// The extension without its dot.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// Everything that is opened once for all files.
struct Session<'a> {
    args: &'a DecodeArgs,
    device: Device,
    weights: Option<Vec<u8>>,
    limits: Limits,
    /// Opened codecs by the digest of their weights.
    codecs: HashMap<Digest, Codec>,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &DecodeArgs, console: &Console) -> anyhow::Result<Status> {
    let derived = args.output_format.unwrap_or_default().name;
    let sides = Sides {
        inputs: plan::OURS,
        outputs: plan::PICTURES,
        derived,
    };
    let jobs = plan::plan(&args.inputs, &args.output, sides)?;
    let mut session = Session {
        args,
        weights: super::read_weights(args.weights.as_deref())?,
        device: args.device.open()?,
        limits: Limits {
            max_pixels: args.limit_pixels,
            ..Limits::default()
        },
        codecs: HashMap::new(),
    };
    batch::run(
        &jobs,
        &args.output,
        console,
        "codec.decode/1",
        &mut |job, progress| session.decode(job, progress),
    )
}

impl Session<'_> {
    fn decode(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        // Known before the work is done, so that a wrong name costs nothing.
        let format = picture_format(self.args.output_format, job)?;
        let bytes = job.source.read(&self.limits)?;
        let header = codec::header(&bytes)?;
        if !self.codecs.contains_key(&header.digest) {
            let codec = Codec::for_file(&header, self.weights.as_deref(), &self.device)?;
            self.codecs.insert(header.digest, codec);
        }
        let codec = &self.codecs[&header.digest];
        let mut picture = codec.decode(&bytes, &self.limits, progress)?.picture;
        if self.args.no_metadata {
            picture.metadata = Metadata::default();
        }
        for lost in io::lost_metadata(&picture, format) {
            tracing::warn!(
                "{}: the output's format does not hold {lost} data",
                crate::console::shown(job.target.path())
            );
        }
        let written = io::write(&picture, format)?;
        job.target.write(&written, self.args.output.force)?;
        let elapsed = started.elapsed();
        let size = size(written.len() as u64);
        Ok(Outcome {
            line: format!(
                "{}x{}  {size}  {}",
                picture.width,
                picture.height,
                time(elapsed)
            ),
            json: json!({
                "width": picture.width,
                "height": picture.height,
                "bytes": written.len(),
                "input_bytes": bytes.len(),
                "quality": f64::from(header.quality) / 100.0,
                "model": header.model,
                "digest": header.digest.to_string(),
                "seconds": elapsed.as_secs_f64(),
            }),
        })
    }
}

/// The option wins over the output's name; stdout gets PNG.
pub(super) fn picture_format(option: Option<Extension>, job: &Job) -> anyhow::Result<Format> {
    if let Some(extension) = option {
        return Ok(extension.format);
    }
    let Some(path) = job.target.path() else {
        return Ok(Extension::default().format);
    };
    // Devices such as /dev/null have no extension.
    let Some(extension) = path.extension() else {
        return Err(usage(format!(
            "output {} has no extension (use --output-format)",
            path.display()
        )));
    };
    let extension = extension.to_string_lossy();
    Format::from_extension(&extension).ok_or_else(|| {
        let known = plan::PICTURES.join(", ");
        usage(format!(
            "unknown output format {extension:?} (expected one of {known}; or use --output-format)"
        ))
    })
}

pub(super) fn parse_format(text: &str) -> Result<Extension, String> {
    let known = plan::PICTURES
        .iter()
        .find(|name| name.eq_ignore_ascii_case(text.trim_start_matches('.')));
    known
        .and_then(|name| {
            Some(Extension {
                name,
                format: Format::from_extension(name)?,
            })
        })
        .ok_or_else(|| format!("expected one of {}", plan::PICTURES.join(", ")))
}

#[cfg(test)]
mod tests {
    use codec::DeviceChoice;

    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    fn decode(line: &str) -> DecodeArgs {
        match parse(&format!("decode {line}")).unwrap().command {
            Command::Decode(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults() {
        let args = decode("a.ncx");
        assert!(args.output_format.is_none() && args.weights.is_none() && !args.no_metadata);
        assert_eq!(args.limit_pixels, Limits::default().max_pixels);
    }

    #[test]
    fn every_option_parses() {
        let args = decode(
            "a.ncx b.ncx --output-format TIFF --no-metadata --limit-pixels 5 --weights w.bin -d out -n --fail-fast \
             --json --device wgpu -j 1",
        );
        assert_eq!(
            args.output_format,
            Some(Extension {
                name: "tiff",
                format: Format::Tiff
            })
        );
        assert!(
            args.no_metadata
                && args.output.skip_existing
                && args.output.fail_fast
                && args.output.json
        );
        assert_eq!((args.limit_pixels, args.weights), (5, Some("w.bin".into())));
        assert_eq!(args.device.device, DeviceChoice::Wgpu(0));
        let args = decode("- -o - --force");
        assert_eq!(args.output.output, Some("-".into()));
        assert!(args.output.force);
    }

    #[test]
    fn the_file_decides_on_the_model_and_formats_must_be_known() {
        assert!(parse("decode a.ncx -m wpmr/v1").is_err());
        assert!(parse("decode a.ncx --output-format mp3").is_err());
        assert!(parse("decode").is_err());
    }

    #[test]
    fn every_extension_that_we_look_for_names_a_format() {
        for name in plan::PICTURES {
            assert!(parse_format(name).is_ok(), "{name}");
        }
    }
}
