//! `codec encode`: pictures and sounds to files.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use codec::{
    AudioCodec, Codec, Device, DeviceChoice, EncodeOptions, Encoding, Limits, Picture, RateGoal,
    io, sound as audio,
};
use serde_json::json;

use crate::args::{DeviceArgs, OutputArgs};
use crate::batch::{self, Outcome};
use crate::console::{Console, shown, size, time};
use crate::exit::{Failure, Status};
use crate::media::{self, Input};
use crate::plan::{self, Derived, Job, Sides};
use crate::rates::{EffortArgs, Kept, RateArgs, SoundArgs, parse_keep};

const SIDES: Sides = Sides {
    inputs: plan::MEDIA,
    outputs: plan::OURS,
    derived: Derived::Always(codec::EXTENSION),
};

const EXAMPLES: &str = "\
Examples:
  codec encode photo.png                     write photo.ncx beside it
  codec encode photo.png small.ncx --bpp 0.3 as good as 0.3 bits per pixel allow
  codec encode speech.wav -m MODEL -b 6      sound at about 6 kbit/s
  codec encode photos -d out -q 60 -n        a whole tree, resumable";

/// Options of `codec encode`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct EncodeArgs {
    /// Pictures, sounds, folders or - for stdin; the last of two may be the output
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// What decides the size.
    #[command(flatten)]
    pub rate: RateArgs,
    /// Effort and tiles.
    #[command(flatten)]
    pub effort: EffortArgs,
    /// Chunks and channels of sound.
    #[command(flatten)]
    pub sound: SoundArgs,
    /// Metadata to keep: all, none or a list of icc, exif, xmp, tags
    #[arg(long, value_name = "WHAT", default_value = "all", value_parser = parse_keep)]
    pub keep: Kept,
    /// Decode on the CPU afterwards and compare before writing
    #[arg(long)]
    pub verify: bool,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels)]
    pub limit_pixels: u64,
    /// Model, as listed by codec models list, or the folder of a training run
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Weights file instead of the built-in weights
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
    args: &'a EncodeArgs,
    model: Option<&'a str>,
    weights: Option<Vec<u8>>,
    device: Device,
    /// Opened for the first picture.
    pictures: Option<Pictures>,
    /// Opened for the first sound.
    sounds: Option<AudioCodec>,
    limits: Limits,
}

/// What pictures are coded with.
struct Pictures {
    codec: Codec,
    /// The CPU's decoder for `--verify`, and whether the encoder is on the CPU as well.
    reference: Option<(Codec, bool)>,
    goal: RateGoal,
    options: EncodeOptions,
    limits: Limits,
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &EncodeArgs, console: &Console) -> anyhow::Result<Status> {
    let jobs = plan::plan(&args.inputs, &args.output, SIDES)?;
    let (model, weights) =
        super::model_and_weights(args.model.as_deref(), args.weights.as_deref())?;
    let mut session = Session {
        args,
        model,
        weights,
        device: args.device.open()?,
        pictures: None,
        sounds: None,
        limits: Limits {
            max_pixels: args.limit_pixels,
            // Sounds go through as they come, whatever their length.
            max_samples: u64::MAX,
            ..Limits::default()
        },
    };
    batch::run(
        &jobs,
        &args.output,
        console,
        "codec.encode/1",
        &mut |job, progress| session.encode(job, progress),
    )
}

impl Session<'_> {
    fn encode(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        match media::open(&job.source, &self.limits)? {
            Input::Picture(bytes) => self.pictures()?.encode(job, &bytes, started, progress),
            Input::Sound(reader) => {
                let (args, options) = (self.args, self.sound_options()?);
                let (verify, force) = (args.verify, args.output.force);
                if self.model.is_none() && self.weights.is_none() && reader.info().channels > 1 {
                    tracing::warn!(
                        "{}: several channels with the model of speech; for music: -m {}",
                        shown(job.source.path()),
                        audio::MUSIC
                    );
                }
                super::sound::encode(
                    self.sounds()?,
                    *reader,
                    &options,
                    verify,
                    job,
                    force,
                    progress,
                )
            }
        }
    }

    fn sound_options(&self) -> anyhow::Result<audio::EncodeOptions> {
        Ok(audio::EncodeOptions {
            rate: self.args.rate.sound()?,
            chunk: self.args.sound.chunk,
            stereo: self.args.sound.stereo,
            drop_tags: !self.args.keep.tags,
        })
    }

    fn sounds(&mut self) -> anyhow::Result<&AudioCodec> {
        let codec = match self.sounds.take() {
            Some(codec) => codec,
            None => AudioCodec::open(self.model, self.weights.as_deref(), &self.device)?,
        };
        Ok(self.sounds.insert(codec))
    }

    fn pictures(&mut self) -> anyhow::Result<&Pictures> {
        let pictures = match self.pictures.take() {
            Some(pictures) => pictures,
            None => self.open_pictures()?,
        };
        Ok(self.pictures.insert(pictures))
    }

    fn open_pictures(&self) -> anyhow::Result<Pictures> {
        let args = self.args;
        let goal = args.rate.picture()?;
        let open = |device: &Device| Codec::open(self.model, self.weights.as_deref(), device);
        let reference = if args.verify {
            let cpu = Device::open(DeviceChoice::Cpu)?;
            Some((open(&cpu)?, self.device.is_cpu()))
        } else {
            None
        };
        let EffortArgs { effort, tile } = args.effort;
        Ok(Pictures {
            codec: open(&self.device)?,
            reference,
            goal,
            options: EncodeOptions {
                effort,
                tile,
                keep: args.keep.picture,
                ..EncodeOptions::default()
            },
            limits: self.limits,
            force: args.output.force,
        })
    }
}

impl Pictures {
    fn encode(
        &self,
        job: &Job,
        bytes: &[u8],
        started: Instant,
        progress: &mut dyn FnMut(usize, usize),
    ) -> anyhow::Result<Outcome> {
        let read = io::read_with_source(bytes, &self.limits)?;
        if read.frames_dropped {
            tracing::warn!("only the first frame of an animation is kept");
        }
        let picture = read.picture;
        let encoding = self
            .codec
            .encode(&picture, self.goal, &self.options, progress)?;
        let elapsed = started.elapsed();
        let check = self
            .reference
            .as_ref()
            .map(|reference| self.verify(reference, &picture, &encoding.bytes));
        let psnr = check.transpose()?;
        job.target.write(&encoding.bytes, self.force)?;

        let bytes = encoding.bytes.len() as u64;
        let pixels = picture.pixel_count() as f64;
        let bpp = bytes as f64 * 8.0 / pixels;
        let mut line = format!(
            "{}x{}  {bpp:.3} bpp  {}  {}",
            picture.width,
            picture.height,
            size(bytes),
            time(elapsed)
        );
        line += &reached(self.goal, &encoding);
        if let Some(psnr) = psnr {
            line += &format!("  verified, {psnr:.2} dB");
        }
        Ok(Outcome {
            line,
            json: json!({
                "width": picture.width,
                "height": picture.height,
                "bytes": bytes,
                "bpp": bpp,
                "quality": f64::from(encoding.quality.hundredths()) / 100.0,
                "reached": encoding.reached,
                "tries": encoding.tries,
                "estimated_bits": encoding.estimate,
                "model": self.codec.id().name,
                "digest": self.codec.id().digest.to_string(),
                "seconds": elapsed.as_secs_f64(),
                "verified": psnr.is_some(),
                "psnr": psnr,
            }),
        })
    }

    /// Decodes on the reference path and compares with the encoder's device and the original. Returns the PSNR in dB.
    fn verify(
        &self,
        reference: &(Codec, bool),
        picture: &Picture,
        bytes: &[u8],
    ) -> anyhow::Result<f64> {
        let (cpu, same_device) = reference;
        let decode = |codec: &Codec| codec.decode(bytes, &self.limits, &mut |_, _| ());
        let decoded = decode(cpu).context("verification failed")?.picture;
        let fail = |what: String| Err(Failure::Verify(what).into());
        if (decoded.width, decoded.height) != (picture.width, picture.height) {
            return fail(format!(
                "the decoded picture has {}x{} pixels",
                decoded.width, decoded.height
            ));
        }
        if decoded.color != picture.color {
            return fail("the decoded picture has other channels".to_owned());
        }
        if decoded.alpha != picture.alpha {
            return fail("alpha did not return".to_owned());
        }
        if !same_device {
            let other = decode(&self.codec).context("verification failed")?.picture;
            let pairs = decoded.pixels.iter().zip(&other.pixels);
            let difference = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            if difference > 1 {
                return fail(format!("device and CPU differ by {difference} of 255"));
            }
        }
        Ok(psnr(&picture.pixels, &decoded.pixels))
    }
}

/// Peak signal-to-noise ratio over all samples in dB; 99 for equal pictures.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum();
    if sum == 0 {
        return 99.0;
    }
    10.0 * (255.0 * 255.0 * a.len() as f64 / sum as f64).log10()
}

/// What a search reached, for the result line.
fn reached(goal: RateGoal, encoding: &Encoding) -> String {
    let quality = f64::from(encoding.quality.hundredths()) / 100.0;
    let wanted = match goal {
        RateGoal::BitsPerPixel(rate) => format!("{rate} bpp"),
        RateGoal::TargetBytes(bytes) => size(bytes),
        _ => return String::new(),
    };
    if encoding.reached {
        format!("  quality {quality:.2}")
    } else {
        format!("  quality {quality:.2}, nearest to {wanted}")
    }
}

#[cfg(test)]
mod tests {
    use codec::{Keep, Quality, Tile};

    use super::*;
    use crate::args::tests::parse;
    use crate::args::{Command, Threads};

    fn encode(line: &str) -> EncodeArgs {
        match parse(&format!("encode {line}")).unwrap().command {
            Command::Encode(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn refused(line: &str) -> String {
        parse(&format!("encode {line}")).unwrap_err().to_string()
    }

    #[test]
    fn defaults() {
        let args = encode("a.png");
        assert_eq!(args.inputs, [PathBuf::from("a.png")]);
        assert_eq!(args.rate.goal(), RateGoal::Usual);
        assert_eq!((args.effort.effort, args.effort.tile), (7, Tile::Auto));
        assert_eq!((args.keep.picture, args.keep.tags), (Keep::ALL, true));
        assert_eq!(args.limit_pixels, Limits::default().max_pixels);
        assert_eq!(
            (args.device.device, args.device.threads),
            (DeviceChoice::Auto, Threads::All)
        );
        assert!(!args.verify && args.model.is_none() && args.weights.is_none());
        let output = args.output;
        assert!(!output.force && !output.skip_existing && !output.fail_fast && !output.json);
        assert!(output.output.is_none() && output.output_dir.is_none());
    }

    #[test]
    fn rates_exclude_each_other() {
        let quality = |line| encode(line).rate.goal();
        let expected = RateGoal::Quality(Quality::new(43.5).unwrap());
        assert_eq!(quality("a.png -q 43.5"), expected);
        assert_eq!(quality("a.png --quality=43.5"), expected);
        assert_eq!(quality("a.png --bpp 0.25"), RateGoal::BitsPerPixel(0.25));
        assert_eq!(
            quality("a.png --target-size 20k"),
            RateGoal::TargetBytes(20_000)
        );
        for line in [
            "-q 5 --bpp 1",
            "-b 5 --bpp 1",
            "--kbps 5 -q 1",
            "-q 5 --target-size 1k",
            "--bpp 1 --target-size 1k",
        ] {
            assert!(
                refused(&format!("a.png {line}")).contains("cannot be used with"),
                "{line}"
            );
        }
        assert!(refused("a.png -q 101").contains("from 0 to 100"));
        assert!(refused("a.png -q -1").contains("from 0 to 100"));
    }

    #[test]
    fn every_option_parses() {
        let args = encode(
            "a.png - dir -d out -f --fail-fast --json -e 10 --tile 512 --keep icc,xmp --verify --limit-pixels 99 \
             -m wpmr/v1 --weights w.bin --device cuda:1 -j 2",
        );
        assert_eq!(args.inputs.len(), 3);
        assert_eq!(
            (args.effort.effort, args.effort.tile),
            (10, Tile::Size(512))
        );
        assert_eq!(
            args.keep.picture,
            Keep {
                icc: true,
                exif: false,
                xmp: true
            }
        );
        assert!(args.verify && args.output.force && args.output.fail_fast && args.output.json);
        assert_eq!(args.output.output_dir, Some("out".into()));
        assert_eq!(args.limit_pixels, 99);
        assert_eq!(args.model.as_deref(), Some("wpmr/v1"));
        assert_eq!(args.weights, Some("w.bin".into()));
        assert_eq!(
            (args.device.device, args.device.threads),
            (DeviceChoice::Cuda(1), Threads::Count(2))
        );
        let args =
            encode("a.png --output x.ncx --skip-existing --effort 1 --threads all --device cpu");
        assert_eq!(args.output.output, Some("x.ncx".into()));
        assert!(args.output.skip_existing);
        assert_eq!(args.device.device, DeviceChoice::Cpu);
        assert!(encode("a.png -n -o -").output.skip_existing);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "-o x -d y",
            "-f -n",
            "-e 0",
            "-e 11",
            "--tile 5",
            "--chunk 0",
            "--chunk 601",
            "--stereo both",
            "--keep some",
            "--device gpu",
            "-j 0",
        ] {
            assert!(parse(&format!("encode a.png {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn searches_say_what_they_reached() {
        let encoding = |reached| Encoding {
            bytes: vec![],
            stages: codec::Stages::default(),
            estimate: None,
            quality: Quality::new(12.34).unwrap(),
            reached,
            tries: 3,
        };
        assert_eq!(reached(RateGoal::default(), &encoding(true)), "");
        assert_eq!(
            reached(RateGoal::BitsPerPixel(0.4), &encoding(true)),
            "  quality 12.34"
        );
        let text = reached(RateGoal::TargetBytes(20_000), &encoding(false));
        assert_eq!(text, "  quality 12.34, nearest to 20.0 kB");
    }

    #[test]
    fn psnr_of_known_differences() {
        assert_eq!(psnr(&[1, 2], &[1, 2]), 99.0);
        assert!((psnr(&[0, 0], &[1, 1]) - 48.1308).abs() < 1e-3);
    }
}
