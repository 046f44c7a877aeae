//! `codec decode`: files to pictures and sounds.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use codec::io::{self, Format};
use codec::sound::{Depth, FileFormat};
use codec::{AudioCodec, Codec, Device, Digest, Header, Limits, Metadata};
use serde_json::json;

use super::sound::Written;
use crate::args::{DeviceArgs, OutputArgs};
use crate::batch::{self, Outcome};
use crate::console::{Console, size, time};
use crate::exit::{Status, usage};
use crate::media;
use crate::plan::{self, Derived, Job, Sides};

const EXAMPLES: &str = "\
Examples:
  codec decode photo.ncx                     write photo.png beside it
  codec decode photo.ncx photo.jpg           the format follows the name
  codec decode speech.ncx -o out.flac        sound; 16 bits unless --bits says more
  codec decode - -o - < a.ncx > a.png        in a pipe";

/// Options of `codec decode`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DecodeArgs {
    /// Files, folders or - for stdin; the last of two may be the output
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Format, by extension [default: by output name, else png or wav]
    #[arg(long, value_name = "EXT", value_parser = parse_format)]
    pub output_format: Option<Extension>,
    /// Bits a sample of sounds: 8, 16, 24, 32 or f32
    #[arg(long, value_name = "BITS", default_value = "16", value_parser = parse_depth)]
    pub bits: Depth,
    /// Leave out ICC profile, EXIF, XMP and tags
    #[arg(long)]
    pub no_metadata: bool,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Refuse sounds that are longer, in seconds
    #[arg(long, value_name = "N")]
    pub limit_seconds: Option<u64>,
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

/// An extension that names a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    name: &'static str,
    format: Output,
}

/// A format of pictures or of sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Picture(Format),
    Sound(FileFormat),
}

#[cfg(test)]
impl Extension {
    /// The extension without its dot.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// Extensions of outputs that have no name yet.
pub(super) fn derived(option: Option<Extension>, is_sound: fn(&Path) -> bool) -> Derived {
    match option {
        Some(extension) => Derived::Always(extension.name),
        None => Derived::ByContent {
            is_sound,
            sound: "wav",
            other: "png",
        },
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
    sounds: HashMap<Digest, AudioCodec>,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &DecodeArgs, console: &Console) -> anyhow::Result<Status> {
    let sides = Sides {
        inputs: plan::OURS,
        outputs: plan::WRITTEN,
        derived: derived(args.output_format, media::holds_sound),
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
        sounds: HashMap::new(),
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
        output_format(self.args.output_format, job)?;
        let Some(path) = job.source.path() else {
            return self.decode_stdin(job, started, progress);
        };
        let file = std::fs::File::open(path).context("cannot open")?;
        let total = file.metadata().map_or(0, |metadata| metadata.len());
        self.decode_from(file, total, job, started, progress)
    }

    fn decode_stdin(
        &mut self,
        job: &Job,
        started: Instant,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        self.decode_from(std::io::stdin().lock(), 0, job, started, progress)
    }

    /// Sound that becomes WAV goes on as it comes; everything else is read as a whole. `total` is the length of the input in
    /// bytes, 0 where it is not known.
    fn decode_from(
        &mut self,
        mut input: impl Read,
        total: u64,
        job: &Job,
        started: Instant,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let mut bytes = Vec::new();
        (&mut input)
            .take(HEAD)
            .read_to_end(&mut bytes)
            .context("cannot read")?;
        let header = codec::header(&bytes);
        let format = output_format(self.args.output_format, job)?;
        if let (Ok(header), None | Some(Output::Sound(FileFormat::Wav))) = (&header, format)
            && header.audio().is_ok()
            && !job.target.is_special()
        {
            self.limits.check_file(total)?;
            let (limits, written) = (self.sound_limits(header)?, self.written(FileFormat::Wav));
            let codec = self.audio(header)?;
            let told = (total, progress);
            return super::sound::decode_stream(
                codec, header, &bytes, input, &limits, written, job, told,
            );
        }
        let most = self.limits.max_file_bytes.saturating_add(1);
        let rest = most.saturating_sub(bytes.len() as u64);
        input
            .take(rest)
            .read_to_end(&mut bytes)
            .context("cannot read")?;
        self.limits.check_file(bytes.len() as u64)?;
        self.decode_bytes(&bytes, job, started, progress)
    }

    fn audio(&mut self, header: &Header) -> anyhow::Result<&AudioCodec> {
        if !self.sounds.contains_key(&header.digest) {
            let codec = AudioCodec::for_file(header, self.weights.as_deref(), &self.device)?;
            self.sounds.insert(header.digest, codec);
        }
        Ok(&self.sounds[&header.digest])
    }

    fn sound_limits(&self, header: &Header) -> anyhow::Result<Limits> {
        let info = header.audio()?;
        let samples = |seconds: u64| {
            let rate = u64::from(info.rate) * u64::from(info.channels);
            seconds.saturating_mul(rate)
        };
        Ok(Limits {
            max_samples: self
                .args
                .limit_seconds
                .map_or(self.limits.max_samples, samples),
            ..self.limits
        })
    }

    fn written(&self, format: FileFormat) -> Written {
        Written {
            format,
            depth: self.args.bits,
            drop_tags: self.args.no_metadata,
            force: self.args.output.force,
        }
    }

    fn decode_bytes(
        &mut self,
        bytes: &[u8],
        job: &Job,
        started: Instant,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let header = codec::header(bytes)?;
        if header.audio().is_ok() {
            let format = sound_format(self.args.output_format, job)?;
            let (limits, written) = (self.sound_limits(&header)?, self.written(format));
            let codec = self.audio(&header)?;
            return super::sound::decode(codec, bytes, &limits, written, job, progress);
        }
        let format = picture_format(self.args.output_format, job)?;
        if !self.codecs.contains_key(&header.digest) {
            let codec = Codec::for_file(&header, self.weights.as_deref(), &self.device)?;
            self.codecs.insert(header.digest, codec);
        }
        let codec = &self.codecs[&header.digest];
        let mut picture = codec.decode(bytes, &self.limits, progress)?.picture;
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

/// Bytes that hold any header.
const HEAD: u64 = 256;

/// The option wins over the output's name; nothing where neither says.
fn output_format(option: Option<Extension>, job: &Job) -> anyhow::Result<Option<Output>> {
    if let Some(extension) = option {
        return Ok(Some(extension.format));
    }
    let Some(path) = job.target.path() else {
        return Ok(None);
    };
    // Devices such as /dev/null have no extension.
    let Some(extension) = path.extension() else {
        return Err(usage(format!(
            "output {} has no extension (use --output-format)",
            path.display()
        )));
    };
    let extension = extension.to_string_lossy();
    let known = plan::WRITTEN.join(", ");
    parse_format(&extension).map(|e| Some(e.format)).map_err(|_| {
        usage(format!(
            "unknown output format {extension:?} (expected one of {known}; or use --output-format)"
        ))
    })
}

/// The format of a picture, PNG where nothing says.
pub(super) fn picture_format(option: Option<Extension>, job: &Job) -> anyhow::Result<Format> {
    match output_format(option, job)? {
        None => Ok(Format::Png),
        Some(Output::Picture(format)) => Ok(format),
        Some(Output::Sound(_)) => Err(usage("the input holds a picture, the output is a sound")),
    }
}

/// The format of a sound, WAV where nothing says.
pub(super) fn sound_format(option: Option<Extension>, job: &Job) -> anyhow::Result<FileFormat> {
    match output_format(option, job)? {
        None => Ok(FileFormat::Wav),
        Some(Output::Sound(format)) => Ok(format),
        Some(Output::Picture(_)) => Err(usage("the input holds a sound, the output is a picture")),
    }
}

pub(super) fn parse_depth(text: &str) -> Result<Depth, String> {
    text.parse().map_err(|e: codec::Error| e.to_string())
}

pub(super) fn parse_format(text: &str) -> Result<Extension, String> {
    let known = plan::WRITTEN
        .iter()
        .find(|name| name.eq_ignore_ascii_case(text.trim_start_matches('.')));
    let output = |name: &str| match FileFormat::from_extension(name) {
        Ok(format) => Some(Output::Sound(format)),
        Err(_) => Format::from_extension(name).map(Output::Picture),
    };
    known
        .and_then(|name| {
            Some(Extension {
                name,
                format: output(name)?,
            })
        })
        .ok_or_else(|| format!("expected one of {}", plan::WRITTEN.join(", ")))
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
                format: Output::Picture(Format::Tiff)
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
        for name in plan::WRITTEN {
            assert!(parse_format(name).is_ok(), "{name}");
        }
    }
}
