//! `codec detokenize`: files of codes or latents to pictures.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use codec::sound::Depth;
use codec::{AudioCodec, Codec, Device, Digest, Limits, Media, TOKEN_FORMATS, TokenFormat, io};
use serde_json::json;

use super::decode::{Extension, derived, parse_depth, parse_format, picture_format, sound_format};
use super::sound::Written;
use crate::args::{DeviceArgs, OutputArgs};
use crate::batch::{self, Outcome};
use crate::console::{Console, size, time};
use crate::exit::Status;
use crate::media;
use crate::plan::{self, Job, Sides};

const EXAMPLES: &str = "\
Examples:
  codec detokenize photo.npy                 write photo.png beside it
  codec detokenize photo.npy copy.webp       the format follows the name
  codec detokenize lossy.npy                 lost codes are restored where the model can
  codec detokenize codes -d pictures -n      a whole tree, resumable";

/// Options of `codec detokenize`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DetokenizeArgs {
    /// Files of codes or latents, folders, -; the last of two may be the output
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Format, by extension [default: by output name, else png or wav]
    #[arg(long, value_name = "EXT", value_parser = parse_format)]
    pub output_format: Option<Extension>,
    /// Bits a sample of sounds: 8, 16, 24, 32 or f32
    #[arg(long, value_name = "BITS", default_value = "16", value_parser = parse_depth)]
    pub bits: Depth,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Weights file instead of the model that the input names; must match it
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Outputs.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Device.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Everything that is opened once for all files.
struct Session<'a> {
    args: &'a DetokenizeArgs,
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
pub fn run(args: &DetokenizeArgs, console: &Console) -> anyhow::Result<Status> {
    let sides = Sides {
        inputs: &TOKEN_FORMATS,
        outputs: plan::WRITTEN,
        derived: derived(args.output_format, media::codes_of_sound),
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
        "codec.detokenize/1",
        &mut |job, _| session.detokenize(job),
    )
}

impl Session<'_> {
    fn detokenize(&mut self, job: &Job) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let tokens = TokenFormat::read(&job.source.read(&self.limits)?)?;
        if matches!(tokens.media, Media::Audio { .. }) {
            let written = Written {
                format: sound_format(self.args.output_format, job)?,
                depth: self.args.bits,
                drop_tags: false,
                force: self.args.output.force,
            };
            if !self.sounds.contains_key(&tokens.digest) {
                let codec = AudioCodec::for_tokens(&tokens, self.weights.as_deref(), &self.device)?;
                self.sounds.insert(tokens.digest, codec);
            }
            let codec = &self.sounds[&tokens.digest];
            return super::sound::detokenize(codec, &tokens, &self.limits, written, job);
        }
        let format = picture_format(self.args.output_format, job)?;
        if !self.codecs.contains_key(&tokens.digest) {
            let codec = Codec::for_tokens(&tokens, self.weights.as_deref(), &self.device)?;
            self.codecs.insert(tokens.digest, codec);
        }
        let picture = self.codecs[&tokens.digest].detokenize(&tokens, &self.limits)?;
        let written = io::write(&picture, format)?;
        job.target.write(&written, self.args.output.force)?;
        let elapsed = started.elapsed();
        let (width, height) = (picture.width, picture.height);
        let bytes = size(written.len() as u64);
        let restored = tokens.lost().iter().filter(|lost| **lost).count();
        let of_restored = match restored {
            0 => String::new(),
            count => format!("  {count} of {} codes restored", tokens.codes().len()),
        };
        Ok(Outcome {
            line: format!("{width}x{height}  {bytes}{of_restored}  {}", time(elapsed)),
            json: json!({
                "width": width,
                "height": height,
                "bytes": written.len(),
                "restored": restored,
                "model": tokens.model,
                "digest": tokens.digest.to_string(),
                "seconds": elapsed.as_secs_f64(),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn every_option_parses() {
        let line = "detokenize a.npy b.jsonl --output-format webp --limit-pixels 5 --weights w.bin -d out -f";
        let Command::Detokenize(args) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(args.output_format.map(|e| e.name()), Some("webp"));
        assert_eq!((args.limit_pixels, args.weights), (5, Some("w.bin".into())));
        assert!(args.output.force);
        assert!(parse("detokenize a.npy -m vqgan-f16").is_err());
        assert!(parse("detokenize").is_err());
    }
}
