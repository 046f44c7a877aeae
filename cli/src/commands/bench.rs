//! `codec bench`: speed and memory by stage.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use codec::{Codec, Color, Device, EncodeOptions, Limits, Picture, Stages, io};
use serde_json::{Value, json};

use super::bench_train;
use crate::args::DeviceArgs;
use crate::console::{Console, print, print_json, shown, size, time};
use crate::exit::Status;
use crate::plan::{self, Source};
use crate::progress::Progress;
use crate::rates::{EffortArgs, RateArgs};

const EXAMPLES: &str = "\
Examples:
  codec bench                                a generated picture of 768x512
  codec bench kodim03.png -q 30 -r 20        20 runs at one quality
  codec bench photos -j 1 --json             one thread, for programs
  codec bench --train recipes/wpmr.toml -r 20  training steps, by part";

/// Options of `codec bench`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct BenchArgs {
    /// Pictures, folders or - for stdin [default: a generated picture]
    #[arg(value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// Runs that are not counted
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    pub warmup: usize,
    /// Runs that are counted
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = parse_runs)]
    pub runs: usize,
    /// Time training steps of a recipe (TOML) instead; --runs and --warmup count steps
    #[arg(long, value_name = "RECIPE", conflicts_with_all = ["inputs", "model", "weights"])]
    pub train: Option<PathBuf>,
    /// Stage of the recipe, from 0
    #[arg(long, value_name = "N", default_value_t = 0, requires = "train")]
    pub stage: usize,
    /// Train on the recipe's pictures instead of noise
    #[arg(long, requires = "train")]
    pub pictures: bool,
    /// What decides the size; a search is done once, outside of the clock.
    #[command(flatten)]
    pub rate: RateArgs,
    /// Effort and tiles.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Model, as listed by codec models list, or the folder of a training run
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Weights file instead of the built-in weights
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Print one JSON line per picture on stdout
    #[arg(long)]
    pub json: bool,
    /// Device.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Times of one direction of one run.
#[derive(Debug, Clone, Copy)]
struct Run {
    stages: Stages,
    total: Duration,
}

/// Median and spread of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summary {
    median: Duration,
    least: Duration,
    most: Duration,
}

/// What was measured on one picture.
struct Report {
    name: String,
    width: u32,
    height: u32,
    quality: f64,
    bytes: usize,
    load: Summary,
    encode: Vec<(&'static str, Summary)>,
    decode: Vec<(&'static str, Summary)>,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`]; the first picture that fails ends it.
pub fn run(args: &BenchArgs, console: &Console) -> anyhow::Result<Status> {
    if let Some(recipe) = &args.train {
        return bench_train::run(recipe, args, console);
    }
    let limits = Limits::default();
    let (model, weights) =
        super::model_and_weights(args.model.as_deref(), args.weights.as_deref())?;
    let device = args.device.open()?;
    let sources = plan::sources(&args.inputs, plan::PICTURES)?;
    let mut pictures = Vec::new();
    for source in &sources {
        pictures.push((shown(source.path()), read(source, &limits)?));
    }
    if pictures.is_empty() {
        pictures.push(("generated picture".to_owned(), generated(768, 512)?));
    }
    let open = || Codec::open(model, weights.as_deref(), &device);
    let mut load = Vec::new();
    for _ in 0..args.warmup + args.runs {
        let started = Instant::now();
        open()?;
        load.push(started.elapsed());
    }
    let load = summary(load.split_off(args.warmup));
    let codec = open()?;
    let progress = Progress::new(console, pictures.len());
    for (index, (name, picture)) in pictures.iter().enumerate() {
        progress.start(index, name);
        let report = measure(args, &codec, name, picture, load, &mut |done, total| {
            progress.part(index, done, total)
        })?;
        let mut printed = Ok(());
        progress.suspend(|| {
            printed = if args.json {
                print_json(&report.document(args, &codec, &device))
            } else {
                print(&report.table(args, &codec, &device, console))
            };
        });
        printed?;
    }
    Ok(Status::Done)
}

fn read(source: &Source, limits: &Limits) -> anyhow::Result<Picture> {
    let name = shown(source.path());
    source
        .read(limits)
        .and_then(|bytes| Ok(io::read(&bytes, limits)?))
        .map_err(|error| error.context(name))
}

fn measure(
    args: &BenchArgs,
    codec: &Codec,
    name: &str,
    picture: &Picture,
    load: Summary,
    progress: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Report> {
    let EffortArgs { effort, tile } = args.effort;
    let options = EncodeOptions {
        effort,
        tile,
        ..EncodeOptions::default()
    };
    let limits = Limits::default();
    let found = codec.encode(picture, args.rate.goal(), &options, &mut |_, _| ())?;
    let goal = match codec.rates() {
        codec::Rates::Fixed => codec::RateGoal::Usual,
        codec::Rates::Variable => codec::RateGoal::Quality(found.quality),
    };
    let (mut encode, mut decode) = (Vec::new(), Vec::new());
    let rounds = args.warmup + args.runs;
    for round in 0..rounds {
        let started = Instant::now();
        let encoding = codec.encode(picture, goal, &options, &mut |_, _| ())?;
        encode.push(Run {
            stages: encoding.stages,
            total: started.elapsed(),
        });
        let started = Instant::now();
        let decoded = codec.decode(&encoding.bytes, &limits, &mut |_, _| ())?;
        decode.push(Run {
            stages: decoded.stages,
            total: started.elapsed(),
        });
        progress(round + 1, rounds);
    }
    Ok(Report {
        name: name.to_owned(),
        width: picture.width,
        height: picture.height,
        quality: f64::from(found.quality.hundredths()) / 100.0,
        bytes: found.bytes.len(),
        load,
        encode: by_stage(&encode[args.warmup..]),
        decode: by_stage(&decode[args.warmup..]),
    })
}

/// Summaries of the stages; `other` is the total less the stages: container, alpha, copies.
fn by_stage(runs: &[Run]) -> Vec<(&'static str, Summary)> {
    let stage = |time: fn(&Run) -> Duration| summary(runs.iter().map(time).collect());
    vec![
        ("transform", stage(|run| run.stages.transform)),
        ("context", stage(|run| run.stages.context)),
        ("entropy", stage(|run| run.stages.entropy)),
        (
            "other",
            stage(|run| {
                let Stages {
                    transform,
                    context,
                    entropy,
                } = run.stages;
                run.total.saturating_sub(transform + context + entropy)
            }),
        ),
        ("total", stage(|run| run.total)),
    ]
}

/// Median, least and most of at least one time.
fn summary(mut times: Vec<Duration>) -> Summary {
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    let (low, high) = (at(times.len().saturating_sub(1) / 2), at(times.len() / 2));
    Summary {
        median: (low + high) / 2,
        least: at(0),
        most: at(times.len().saturating_sub(1)),
    }
}

impl Report {
    fn bpp(&self) -> f64 {
        8.0 * self.bytes as f64 / (f64::from(self.width) * f64::from(self.height))
    }

    fn table(&self, args: &BenchArgs, codec: &Codec, device: &Device, console: &Console) -> String {
        let mut text = format!(
            "{}  {}x{}  quality {:.2}  {:.3} bpp  {}\n",
            console.bold_out(&self.name),
            self.width,
            self.height,
            self.quality,
            self.bpp(),
            size(self.bytes as u64)
        );
        let runs = if args.runs == 1 { "run" } else { "runs" };
        text += &format!(
            "{} on {}, {} {runs} after {}\n\n",
            codec.id().name,
            device.name(),
            args.runs,
            args.warmup
        );
        let head = format!(
            "{:<10}{:>9}  {:<17}{:>9}  {}",
            "", "encode", "least..most", "decode", "least..most"
        );
        text += &format!("{}\n", console.bold_out(head.trim_end()));
        text += &format!(
            "{:<10}{:>9}  {}\n",
            "load",
            time(self.load.median),
            spread(self.load)
        );
        for ((stage, encode), (_, decode)) in self.encode.iter().zip(&self.decode) {
            text += &format!(
                "{stage:<10}{:>9}  {:<17}{:>9}  {}\n",
                time(encode.median),
                spread(*encode),
                time(decode.median),
                spread(*decode)
            );
        }
        match peak_memory() {
            Some(bytes) => text + &format!("\npeak memory {}\n\n", size(bytes)),
            None => text + "\n",
        }
    }

    fn document(&self, args: &BenchArgs, codec: &Codec, device: &Device) -> Value {
        let seconds = |summary: &Summary| {
            json!({
                "median": summary.median.as_secs_f64(),
                "least": summary.least.as_secs_f64(),
                "most": summary.most.as_secs_f64(),
            })
        };
        let stages = |stages: &[(&str, Summary)]| -> Value {
            stages
                .iter()
                .map(|(name, summary)| ((*name).to_owned(), seconds(summary)))
                .collect()
        };
        json!({
            "schema": "codec.bench/1",
            "input": self.name,
            "width": self.width,
            "height": self.height,
            "quality": self.quality,
            "effort": args.effort.effort,
            "bytes": self.bytes,
            "bpp": self.bpp(),
            "model": codec.id().name,
            "digest": codec.id().digest.to_string(),
            "device": device.name(),
            "version": crate::version::long(),
            "warmup": args.warmup,
            "runs": args.runs,
            "seconds": {
                "load": seconds(&self.load),
                "encode": stages(&self.encode),
                "decode": stages(&self.decode),
            },
            "peak_memory_bytes": peak_memory(),
        })
    }
}

fn spread(summary: Summary) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.1}..{:.1} ms", ms(summary.least), ms(summary.most))
}

/// The most memory that this process had so far, where the system tells.
pub(super) fn peak_memory() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A picture with smooth areas, edges and noise, the same each time.
fn generated(width: u32, height: u32) -> anyhow::Result<Picture> {
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    let mut state = 1u32;
    for y in 0..height {
        for x in 0..width {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let disc = if (u - 0.5).hypot(v - 0.5) < 0.25 {
                60.0
            } else {
                0.0
            };
            let texture = if u > 0.5 { (state >> 27) as f32 } else { 0.0 };
            for phase in [0.0, 1.0, 2.0] {
                let wave = 90.0 + 60.0 * (6.0 * u + 4.0 * v + phase).sin();
                pixels.push((wave + disc + texture) as u8);
            }
        }
    }
    Ok(Picture::new(width, height, Color::Rgb, pixels)?)
}

fn parse_runs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(runs) if runs > 0 => Ok(runs),
        _ => Err("expected a number from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use codec::{DeviceChoice, RateGoal, Tile};

    use super::*;
    use crate::args::tests::parse;
    use crate::args::{Command, Threads};

    fn bench(line: &str) -> BenchArgs {
        match parse(&format!("bench {line}")).unwrap().command {
            Command::Bench(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults() {
        let args = bench("");
        assert!(args.inputs.is_empty() && !args.json);
        assert_eq!((args.warmup, args.runs), (1, 5));
    }

    #[test]
    fn every_option_parses() {
        let args = bench(
            "a.png -w 0 -r 3 --bpp 0.5 -e 2 --tile 256 -m wpmr/v1 --weights w --json --device cpu --threads 1",
        );
        assert_eq!((args.warmup, args.runs, args.json), (0, 3, true));
        assert_eq!(args.rate.goal(), RateGoal::BitsPerPixel(0.5));
        assert_eq!((args.effort.effort, args.effort.tile), (2, Tile::Size(256)));
        assert_eq!(
            (args.model.as_deref(), args.weights),
            (Some("wpmr/v1"), Some("w".into()))
        );
        assert_eq!(
            (args.device.device, args.device.threads),
            (DeviceChoice::Cpu, Threads::Count(1))
        );
        assert!(parse("bench -r 0").is_err());
        assert_eq!(bench("--warmup 2 --runs 4").runs, 4);
    }

    #[test]
    fn training_options_parse() {
        let args = bench("--train r.toml --stage 1 --pictures -r 20 -w 3");
        assert_eq!(args.train, Some("r.toml".into()));
        assert_eq!((args.stage, args.pictures, args.runs), (1, true, 20));
        assert!(parse("bench --train r.toml a.png").is_err());
        assert!(parse("bench --stage 1").is_err());
    }

    #[test]
    fn medians_and_spreads() {
        let ms = Duration::from_millis;
        let all = summary(vec![ms(5), ms(1), ms(3)]);
        assert_eq!(
            all,
            Summary {
                median: ms(3),
                least: ms(1),
                most: ms(5)
            }
        );
        assert_eq!(summary(vec![ms(2), ms(4)]).median, ms(3));
        let stages = Stages {
            transform: ms(2),
            context: ms(3),
            entropy: ms(4),
        };
        let table = by_stage(&[Run {
            stages,
            total: ms(10),
        }]);
        let medians: Vec<_> = table.iter().map(|(_, summary)| summary.median).collect();
        assert_eq!(medians, [ms(2), ms(3), ms(4), ms(1), ms(10)]);
    }

    #[test]
    fn peak_memory_is_read() {
        assert_eq!(
            parse_peak("Name:\tx\nVmHWM:\t    2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(parse_peak("Name:\tx\n"), None);
    }

    #[test]
    fn the_generated_picture_is_the_same_each_time() {
        let (a, b) = (generated(40, 30).unwrap(), generated(40, 30).unwrap());
        assert_eq!(a, b);
        assert!(a.pixels.iter().any(|sample| *sample != a.pixels[0]));
    }
}
