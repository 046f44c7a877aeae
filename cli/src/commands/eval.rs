//! `codec eval`: rate and distortion over a folder of pictures, beside anchors encoded in the same run.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use codec::{EncodeOptions, Limits, Quality, RateGoal, Rates};
use codec_eval::anchors::{self, Anchor};
use codec_eval::{
    Coded, Metric, RdCurve, RgbImage, evaluate_anchor, evaluate_serial, load_pictures, plot, report,
};

use super::model_and_weights;
use crate::args::DeviceArgs;
use crate::console::{Console, print};
use crate::exit::Status;

/// Measure rate and distortion over a folder of pictures.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec eval ../shared/data/images/kodak --against jpeg
  codec eval photos --quality 10,50,90 -o curve.json --plot curve.svg
  codec eval photos --weights runs/wpmr/weights.safetensors")]
pub struct EvalArgs {
    /// Folder of pictures
    pub folder: PathBuf,
    /// Qualities in 0..100; models with one rate have one point
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "5,15,25,35,45,55,65,75,85,95"
    )]
    #[arg(value_parser = quality)]
    pub quality: Vec<Quality>,
    /// Anchors encoded in the same run: jpeg, webp, avif
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub against: Vec<String>,
    /// Model, as `codec models list` names it, or the folder of a training run
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Weights file, instead of the built-in weights
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Effort 1..10, higher is slower and smaller
    #[arg(short, long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub effort: u8,
    /// Write all curves as JSON
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a plot of PSNR over rate (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Where to run.
    #[command(flatten)]
    pub device: DeviceArgs,
}

fn quality(text: &str) -> Result<Quality, String> {
    let value: f32 = text
        .trim()
        .parse()
        .map_err(|_| "expected a number in 0..100".to_owned())?;
    Quality::new(value).map_err(|e| e.to_string())
}

/// Runs the command.
///
/// # Errors
/// Unreadable pictures, a missing anchor program, a failing device.
pub fn run(args: &EvalArgs, console: &Console) -> anyhow::Result<Status> {
    let chosen = choose(&args.against)?;
    let pictures = load_pictures(&args.folder)?;
    let device = args.device.open()?;
    let (model, weights) = model_and_weights(args.model.as_deref(), args.weights.as_deref())?;
    let codec = codec::Codec::open(model, weights.as_deref(), &device)?;
    let options = EncodeOptions {
        effort: args.effort,
        ..EncodeOptions::default()
    };
    let description = format!(
        "{} {}, effort {}, {}",
        codec.id().name,
        codec.id().digest,
        args.effort,
        device.name()
    );
    let qualities: Vec<f64> = match codec.rates() {
        Rates::Fixed => vec![0.0],
        Rates::Variable => args
            .quality
            .iter()
            .map(|q| f64::from(q.hundredths()) / 100.0)
            .collect(),
    };
    let ours = evaluate_serial(
        &codec.id().name,
        &description,
        &pictures,
        &qualities,
        |picture, quality| Ok(code(&codec, picture, quality, &options)?),
    )?;
    print(&format!(
        "{}: {}\n\n{}\n",
        ours.name,
        ours.description,
        report::markdown(&ours)
    ))?;

    let mut curves = vec![ours];
    for anchor in chosen {
        console.say(&format!("encoding with {}", anchor.name()));
        let curve = evaluate_anchor(anchor.as_ref(), &pictures, &anchor.qualities())?;
        print(&format!(
            "{}: {}\n\n{}\n",
            curve.name,
            curve.description,
            report::markdown(&curve)
        ))?;
        curves.push(curve);
    }
    if let Some((ours, anchors)) = curves.split_first() {
        for anchor in anchors {
            print(&compare(ours, anchor))?;
        }
    }
    if let Some(path) = &args.output {
        write(path, &report::list_to_json(&curves)?)?;
    }
    if let Some(path) = &args.plot {
        write(path, &plot::svg(&curves, &plot::PlotOptions::default())?)?;
    }
    Ok(Status::Done)
}

fn write(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The named anchors, all of them installed.
fn choose(names: &[String]) -> anyhow::Result<Vec<Box<dyn Anchor>>> {
    let mut known = anchors::all();
    let mut chosen = Vec::with_capacity(names.len());
    for name in names {
        let Some(index) = known
            .iter()
            .position(|a| a.name().eq_ignore_ascii_case(name))
        else {
            let all: Vec<String> = anchors::all()
                .iter()
                .map(|a| a.name().to_ascii_lowercase())
                .collect();
            bail!(
                "invalid value '{name}' for --against (expected one of {}, each once)",
                all.join(", ")
            );
        };
        let anchor = known.swap_remove(index);
        anchor.version()?;
        chosen.push(anchor);
    }
    Ok(chosen)
}

/// One picture through a file in memory.
fn code(
    codec: &codec::Codec,
    picture: &RgbImage,
    quality: f64,
    options: &EncodeOptions,
) -> Result<Coded, codec::Error> {
    let source = codec::Picture::new(
        picture.width(),
        picture.height(),
        codec::Color::Rgb,
        picture.as_raw().clone(),
    )
    .map_err(|e| codec::Error::BadParameter(e.to_string()))?;
    let goal = match codec.rates() {
        Rates::Fixed => RateGoal::Usual,
        Rates::Variable => RateGoal::Quality(Quality::new(quality as f32)?),
    };
    let clock = Instant::now();
    let file = codec.encode(&source, goal, options, &mut |_, _| ())?;
    let encoding_time = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let decoded = codec.decode(&file.bytes, &Limits::default(), &mut |_, _| ())?;
    let decoding_time = clock.elapsed().as_secs_f64();
    let (width, height) = (decoded.picture.width, decoded.picture.height);
    let decoded = RgbImage::from_raw(width, height, decoded.picture.pixels)
        .ok_or_else(|| codec::Error::Malformed("the picture came back in grayscale".to_owned()))?;
    Ok(Coded {
        bytes: file.bytes.len() as u64,
        decoded,
        encoding_time,
        decoding_time,
    })
}

fn compare(ours: &RdCurve, anchor: &RdCurve) -> String {
    let line = |metric: Metric, label: &str| match ours.bd_rate_against(anchor, metric) {
        Ok(bd) => format!("{label} {:+.1}%", bd.percent),
        Err(error) => format!("{label}: {error}"),
    };
    format!(
        "BD-rate of {} against {}: {}, {}\n",
        ours.name,
        anchor.name,
        line(Metric::Psnr, "PSNR"),
        line(Metric::MsSsim, "MS-SSIM")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let line = "eval dir --quality 10,50.5 --against jpeg,webp -m wpmr/v1 --weights w -e 3 -o o.json --plot p.svg";
        let Command::Eval(args) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(
            args.quality
                .iter()
                .map(|q| q.hundredths())
                .collect::<Vec<_>>(),
            [1000, 5050]
        );
        assert_eq!(args.against, ["jpeg", "webp"]);
        assert_eq!(args.effort, 3);
        assert!(parse("eval dir --quality 101").is_err());
    }

    #[test]
    fn unknown_anchors_are_named() {
        let error = choose(&["gif".into()]).err().unwrap().to_string();
        assert!(error.contains("gif") && error.contains("jpeg"), "{error}");
    }
}
