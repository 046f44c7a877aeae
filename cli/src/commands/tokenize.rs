//! `codec tokenize`: pictures and sounds to files of codes or latents.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use codec::{
    Alphabet, AudioCodec, Codec, Device, Layout, Limits, TOKEN_FORMATS, TokenFormat, Tokens, io,
};
use serde_json::{Value, json};

use super::ahead::{Ahead, Opened, Ready};
use super::sound::Heard;
use crate::args::{DeviceArgs, OutputArgs};
use crate::batch::{self, Outcome};
use crate::console::{Console, shown, size, time};
use crate::exit::Status;
use crate::media::{self, Input};
use crate::plan::{self, Derived, Job, Sides};

const EXAMPLES: &str = "\
Examples:
  codec tokenize photo.png -m vqgan-f16             write photo.npy beside it
  codec tokenize photo.png codes.jsonl -m vqgan-f16 the format follows the name
  codec tokenize photos -d latents -m walloc-16x    signed latents to learn on
  codec tokenize speech -d codes --batch-seconds 60 many short recordings at once
  codec tokenize photo.png -m vqgan-f16 --lose 0.2  as if a fifth of the codes got lost
  codec tokenize photos -d codes -m vqgan-f16 --manifest codes/all.jsonl -n";

/// Most seconds of a batch.
const BATCH_SECONDS: f64 = 86_400.0;

/// Options of `codec tokenize`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TokenizeArgs {
    /// Pictures, sounds, folders or - for stdin; the last of two may be the output
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// npy, safetensors or jsonl [default: by output name, else npy]
    #[arg(long, value_name = "FORMAT", value_parser = parse::<TokenFormat>)]
    pub format: Option<TokenFormat>,
    /// Order of the codes: time, codebook, flat or delay
    #[arg(long, value_name = "LAYOUT", default_value = "codebook", value_parser = parse::<Layout>)]
    pub layout: Layout,
    /// Keep the first codebooks only [default: all]
    #[arg(long, value_name = "N")]
    pub codebooks: Option<usize>,
    /// Leave out this share of the codes at random, as a channel that loses them does
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub lose: Option<f64>,
    /// Take every N-th file only, from the I-th on: I/N with I from 1
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<(usize, usize)>,
    /// Take sounds in batches of N seconds, padded; the codes stay the same
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub batch_seconds: Option<f64>,
    /// Write a JSON line per finished file to this file; -n goes on with it
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Model with a codebook or latents, as listed by codec models list
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Weights file instead of a model's name
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Outputs.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Device.
    #[command(flatten)]
    pub device: DeviceArgs,
}

fn parse<T: std::str::FromStr<Err = codec::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: codec::Error| e.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err("expected 0 to 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if seconds > 0.0 && seconds <= BATCH_SECONDS {
        return Ok(seconds);
    }
    Err(format!("expected a number above 0, up to {BATCH_SECONDS}"))
}

/// Which of `count` codes are lost, the same ones on every call.
fn losses(count: usize, share: f64) -> Vec<bool> {
    let mut state = 0u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| next() < share).collect()
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &TokenizeArgs, console: &Console) -> anyhow::Result<Status> {
    let derived = match args.format.unwrap_or_default() {
        TokenFormat::Npy => "npy",
        TokenFormat::Safetensors => "safetensors",
        TokenFormat::Jsonl => "jsonl",
    };
    let sides = Sides {
        inputs: plan::MEDIA,
        outputs: &TOKEN_FORMATS,
        derived: Derived::Always(derived),
    };
    let mut jobs = plan::plan(&args.inputs, &args.output, sides)?;
    if let Some((index, count)) = args.shard {
        let mut place = 0;
        jobs.retain(|_| {
            place += 1;
            (place - 1) % count == index - 1
        });
    }
    let mut manifest = args
        .manifest
        .as_deref()
        .map(|path| open_manifest(path, args));
    let mut manifest = manifest.take().transpose()?;
    let (model, weights) =
        super::model_and_weights(args.model.as_deref(), args.weights.as_deref())?;
    let mut session = Session {
        args,
        model,
        weights,
        device: args.device.open()?,
        limits: Limits {
            max_pixels: args.limit_pixels,
            ..Limits::default()
        },
        pictures: None,
        sounds: None,
        ahead: args
            .batch_seconds
            .map(|seconds| Ahead::new(&jobs, seconds, args.output.force)),
        heard: 0.0,
    };
    let started = Instant::now();
    let status = batch::run(
        &jobs,
        &args.output,
        console,
        "codec.tokenize/1",
        &mut |job, progress| {
            let outcome = session.tokenize(job, progress)?;
            if let Some(manifest) = &mut manifest {
                // At once, so that an interrupted run can be gone on with.
                let line = line(job, &outcome.json);
                manifest
                    .write_all(line.as_bytes())
                    .context("cannot write the manifest")?;
            }
            Ok(outcome)
        },
    )?;
    if session.heard > 0.0 {
        let speed = crate::media::real_time(session.heard, started.elapsed());
        console.say(&format!(
            "{} of sound, {speed:.1} hours an hour",
            crate::media::length(session.heard)
        ));
    }
    Ok(status)
}

/// Reads `I/N`.
fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    numbers
        .filter(|&(index, count)| (1..=count).contains(&index))
        .ok_or_else(|| "expected I/N with I from 1 to N".to_owned())
}

/// Opens the manifest; what is there already stays with `--skip-existing`, which goes on with it.
fn open_manifest(path: &Path, args: &TokenizeArgs) -> anyhow::Result<std::fs::File> {
    let goes_on = args.output.skip_existing;
    if !args.output.force && !goes_on && path.exists() {
        return Err(crate::exit::Failure::Exists(path.to_path_buf()).into());
    }
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .append(goes_on)
        .truncate(!goes_on)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Everything that is opened once for all files.
struct Session<'a> {
    args: &'a TokenizeArgs,
    model: Option<&'a str>,
    weights: Option<Vec<u8>>,
    device: Device,
    limits: Limits,
    /// Opened for the first picture.
    pictures: Option<Codec>,
    /// Opened for the first sound.
    sounds: Option<AudioCodec>,
    /// Reads ahead for batches of sounds.
    ahead: Option<Ahead<'a>>,
    /// Seconds of sound so far.
    heard: f64,
}

impl Session<'_> {
    fn tokenize(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        if let Some(ready) = self.ahead.as_mut().and_then(|ahead| ahead.turn(job)) {
            return self.put_ready(ready, job);
        }
        let (weights, device) = (self.weights.as_deref(), &self.device);
        match media::open(&job.source, &self.limits)? {
            Input::Picture(bytes) => {
                let codec = match self.pictures.take() {
                    Some(codec) => codec,
                    None => Codec::open(self.model, weights, device)?,
                };
                let codec = self.pictures.insert(codec);
                picture(self.args, codec, &self.limits, &bytes, job, started)
            }
            Input::Sound(mut reader) => {
                let codec = match self.sounds.take() {
                    Some(codec) => codec,
                    None => AudioCodec::open(self.model, weights, device)?,
                };
                let codec = self.sounds.insert(codec);
                let codebooks = self.args.codebooks;
                if let Some(ahead) = &mut self.ahead {
                    match ahead.open(*reader, codec, codebooks, &self.limits)? {
                        Opened::Ready(ready) => return self.put_ready(*ready, job),
                        Opened::Alone(alone) => reader = alone,
                    }
                }
                let (tokens, heard) = super::sound::tokenize(codec, *reader, codebooks, progress)?;
                self.put(tokens, &heard, job, || started.elapsed())
            }
        }
    }

    fn put_ready(&mut self, ready: Ready, job: &Job) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let spent = ready.spent;
        self.put(ready.tokens?, &ready.heard, job, || {
            spent + started.elapsed()
        })
    }

    /// Writes the tokens of a sound; `elapsed` tells how long all of it took.
    fn put(
        &mut self,
        tokens: Tokens,
        heard: &Heard,
        job: &Job,
        elapsed: impl FnOnce() -> Duration,
    ) -> anyhow::Result<Outcome> {
        let tokens = lose(self.args, tokens)?;
        let bytes = format(self.args, job).write(&tokens, self.args.layout)?;
        job.target.write(&bytes, self.args.output.force)?;
        self.heard += heard.seconds;
        let fields = fields(self.args, &tokens, bytes.len());
        let elapsed = elapsed();
        Ok(super::sound::tokenized(
            &tokens,
            heard,
            bytes.len(),
            elapsed,
            fields,
        ))
    }
}

/// Codes of a picture.
fn picture(
    args: &TokenizeArgs,
    codec: &Codec,
    limits: &Limits,
    bytes: &[u8],
    job: &Job,
    started: Instant,
) -> anyhow::Result<Outcome> {
    let picture = io::read(bytes, limits)?;
    if picture.alpha.is_some() {
        tracing::warn!("{}: alpha is left out", shown(job.source.path()));
    }
    let mut tokens = codec.tokenize(&picture)?;
    if let Some(count) = args.codebooks {
        tokens = tokens.first_codebooks(count)?;
    }
    let tokens = lose(args, tokens)?;
    let bytes = format(args, job).write(&tokens, args.layout)?;
    job.target.write(&bytes, args.output.force)?;
    let elapsed = started.elapsed();
    let (width, height) = (picture.width, picture.height);
    let count: usize = tokens.shape().iter().product();
    let mut json = fields(args, &tokens, bytes.len());
    if let Value::Object(json) = &mut json {
        json.insert("width".to_owned(), width.into());
        json.insert("height".to_owned(), height.into());
        json.insert("seconds".to_owned(), elapsed.as_secs_f64().into());
    }
    Ok(Outcome {
        line: format!(
            "{width}x{height}  {count} {}  {}  {}",
            tokens.alphabet(),
            size(bytes.len() as u64),
            time(elapsed)
        ),
        json,
    })
}

/// Marks the share of codes as lost that was asked for.
fn lose(args: &TokenizeArgs, tokens: Tokens) -> anyhow::Result<Tokens> {
    let Some(share) = args.lose else {
        return Ok(tokens);
    };
    let count = tokens.codes().len();
    Ok(tokens.with_lost(losses(count, share))?)
}

/// What is told of any tokens.
fn fields(args: &TokenizeArgs, tokens: &Tokens, bytes: usize) -> Value {
    let (kind, largest) = match tokens.alphabet() {
        Alphabet::Codes { size } => ("codebook_size", size),
        Alphabet::Latents { limit } => ("limit", limit),
    };
    json!({
        "shape": tokens.shape(),
        kind: largest,
        "layout": args.layout.to_string(),
        "bytes": bytes,
        "model": tokens.model,
        "digest": tokens.digest.to_string(),
    })
}

/// The option wins over the output's name.
fn format(args: &TokenizeArgs, job: &Job) -> TokenFormat {
    let by_name = || {
        let extension = job.target.path()?.extension()?.to_str()?;
        extension.to_ascii_lowercase().parse().ok()
    };
    args.format.or_else(by_name).unwrap_or_default()
}

/// A line of the manifest.
fn line(job: &Job, json: &Value) -> String {
    let mut line = json!({
        "input": shown(job.source.path()),
        "output": shown(job.target.path()),
    });
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, json) {
        line.extend(fields.clone());
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    fn tokenize(line: &str) -> TokenizeArgs {
        match crate::args::tests::parse(&format!("tokenize {line}"))
            .unwrap()
            .command
        {
            Command::Tokenize(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults() {
        let args = tokenize("a.png");
        assert!(args.format.is_none() && args.codebooks.is_none() && args.manifest.is_none());
        assert_eq!(args.layout, Layout::Codebook);
    }

    #[test]
    fn every_option_parses() {
        let args = tokenize(
            "a.png b.png --format jsonl --layout delay --codebooks 3 --manifest m.jsonl --limit-pixels 5 --lose 0.2 --batch-seconds 30 \
             -m vqgan-f16 --weights w.bin -d out -n --json",
        );
        assert_eq!(args.format, Some(TokenFormat::Jsonl));
        assert_eq!((args.layout, args.codebooks), (Layout::Delay, Some(3)));
        assert_eq!(args.manifest, Some("m.jsonl".into()));
        assert_eq!(args.limit_pixels, 5);
        assert_eq!(args.lose, Some(0.2));
        assert_eq!(args.batch_seconds, Some(30.0));
        for wrong in [
            "--format csv",
            "--layout random",
            "--codebooks none",
            "--lose 2",
            "--batch-seconds 0",
            "--batch-seconds nan",
            "--batch-seconds 1e9",
        ] {
            let parsed = crate::args::tests::parse(&format!("tokenize a.png {wrong}"));
            assert!(parsed.is_err(), "{wrong}");
        }
    }

    #[test]
    fn losses_are_a_share_and_always_the_same() {
        let lost = losses(10_000, 0.2);
        let number = lost.iter().filter(|lost| **lost).count();
        assert!((1_800..2_200).contains(&number), "{number}");
        assert_eq!(lost, losses(10_000, 0.2));
        assert!(!losses(100, 0.0).contains(&true));
    }

    #[test]
    fn names_choose_formats() {
        let of = |line: &str| {
            let args = tokenize(line);
            let sides = Sides {
                inputs: plan::PICTURES,
                outputs: &TOKEN_FORMATS,
                derived: Derived::Always("npy"),
            };
            let jobs = plan::plan(&args.inputs, &args.output, sides).unwrap();
            format(&args, &jobs[0])
        };
        assert_eq!(of("a.png b.JSONL"), TokenFormat::Jsonl);
        assert_eq!(of("a.png -o b.safetensors"), TokenFormat::Safetensors);
        assert_eq!(of("a.png"), TokenFormat::Npy);
        assert_eq!(of("a.png b.npy --format jsonl"), TokenFormat::Jsonl);
    }
}
