//! Makes a report from generated pictures and sounds and published curves, for looking at the page.
//!
//! ```sh
//! cargo run --release -p codec-eval --example report_demo -- /tmp/report.html
//! ```

use codec_eval::html::{Page, SampleMedia, SampleSet, Version, compare, page};
use codec_eval::{
    EvalError, Extent, Failure, FileRow, Kind, RdCurve, RdPoint, RgbImage, Sound, environment,
    published,
};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgb};
use std::collections::BTreeMap;

/// A file name that must stay text.
const NASTY: &str = "<script>alert('x')</script> & \"more\".png";

/// The page of the demonstration.
pub fn demo() -> Result<String, EvalError> {
    let mut curves = published::kodak_anchors()?;
    curves.extend(published::kodak()?);
    curves.push(measured(Kind::Image, "ours <b>1</b>", 400));
    curves.push(measured(Kind::Image, "theirs", 0));
    curves.push(measured(Kind::Audio, "speech codec", 30));
    curves.push(measured(Kind::Audio, "opus", 0));
    let first = curves[0].name.clone();
    page(&Page {
        title: "Kodak, and some speech & tones".into(),
        command: "codec eval --data kodak --anchors jpeg,webp,avif --metrics psnr-rgb,ms-ssim-rgb --html report.html".into(),
        environment: environment(),
        comparisons: compare(&curves, &[&first, "mbt2018-mean", "opus"]),
        curves: &curves,
        samples: vec![pictures()?, sounds()],
        notes: vec![
            "The anchor 'jxl' is missing: `cjxl` is not installed (Debian package `libjxl-tools`).".into(),
            format!("Left out because not every codec has it: {NASTY}"),
        ],
    })
}

fn measured(kind: Kind, name: &str, files: usize) -> RdCurve {
    let gain = name.len() as f64 / 8.0;
    let value = |key: &str, rate: f64| match key {
        "psnr-rgb" => 27.0 + gain + 6.0 * (rate + 1.0).ln() * 2.0,
        "ms-ssim-rgb" => 1.0 - 0.05 * (-2.0 * rate).exp() / gain.max(0.5),
        "lpips-alex" => 0.4 * (-rate).exp() / gain.max(0.5),
        "si-sdr" => 4.0 + gain + rate / 3.0,
        "task.words.original" => 0.04,
        "task.labels.original" => 0.82,
        "task.labels" => 0.82 - 0.4 * (-3.0 * rate * gain).exp(),
        _ => 0.5,
    };
    let (keys, rates): (&[&str], [f64; 5]) = match kind {
        Kind::Image => (
            &[
                "psnr-rgb",
                "ms-ssim-rgb",
                "lpips-alex",
                "task.labels",
                "task.labels.original",
            ],
            [0.1, 0.25, 0.5, 1.0, 1.9],
        ),
        Kind::Audio => (
            &["si-sdr", "task.words.original"],
            [1.5, 3.0, 6.0, 12.0, 24.0],
        ),
    };
    let values = |rate: f64, more: f64| -> BTreeMap<String, f64> {
        let pairs = keys.iter();
        pairs
            .map(|key| ((*key).to_owned(), value(key, rate) + more))
            .collect()
    };
    let point = |(quality, rate): (usize, &f64)| RdPoint {
        quality: quality as f64,
        rate: *rate,
        values: values(*rate, 0.0),
        encoding_time: Some(0.02 * gain),
        decoding_time: Some(0.015),
    };
    let extent = match kind {
        Kind::Image => Extent::Picture {
            width: 768,
            height: 512,
        },
        Kind::Audio => Extent::Sound {
            sample_rate: 24_000,
            channels: 1,
            samples: 48_000,
        },
    };
    let mut per_file = Vec::new();
    for file in 0..files {
        for (quality, rate) in rates.iter().enumerate() {
            let more = ((file * 37 % 101) as f64 / 101.0 - 0.5) * 1e-3;
            per_file.push(FileRow {
                file: if file == 7 {
                    NASTY.into()
                } else {
                    format!("kodim{file:04}.png")
                },
                quality: quality as f64,
                extent,
                bytes: (rate * (49_152.0 + 40.0 * (file % 17) as f64)) as u64 + 1,
                values: values(*rate, more),
                counts: BTreeMap::new(),
                encoding_time: 0.02 + more,
                decoding_time: 0.015,
            });
        }
    }
    RdCurve {
        name: name.into(),
        description: "made up for this demonstration".into(),
        kind,
        points: rates.iter().enumerate().map(point).collect(),
        environment: environment(),
        per_file,
        failures: vec![Failure {
            file: NASTY.into(),
            quality: (kind == Kind::Image).then_some(3.0),
            reason: "the file ends too early".into(),
        }],
    }
}

/// Shapes with hard and soft edges, fine lines and a little noise.
fn scene() -> RgbImage {
    RgbImage::from_fn(480, 320, |x, y| {
        let (u, v) = (f64::from(x) / 480.0, f64::from(y) / 320.0);
        let noise =
            f64::from(x.wrapping_mul(7919).wrapping_add(y.wrapping_mul(104_729)) % 17) - 8.0;
        let disc = ((u - 0.3).hypot((v - 0.45) * 0.67) < 0.18) as u8;
        let lines = f64::from(u8::from((x * (y / 40 + 1) / 24) % 2 == 0 && u > 0.6));
        let colour = [
            60.0 + 150.0 * u + 60.0 * f64::from(disc) - 50.0 * lines,
            90.0 + 120.0 * v - 40.0 * f64::from(disc),
            190.0 - 130.0 * u * v + 40.0 * lines,
        ];
        Rgb(colour.map(|c| (c + noise * 0.6).clamp(0.0, 255.0) as u8))
    })
}

fn pictures() -> Result<SampleSet, EvalError> {
    let original = scene();
    let version = |codec: &str, setting: String, bytes, picture: RgbImage| {
        let error = original.as_raw().iter().zip(picture.as_raw());
        let error: f64 = error
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
            .sum();
        let psnr = -10.0 * (error / original.as_raw().len() as f64 / 65_025.0).log10();
        Version {
            codec: codec.into(),
            setting,
            bytes,
            rate: None,
            values: [
                ("psnr-rgb".to_owned(), psnr),
                ("lpips-alex".to_owned(), 1.0 / psnr),
            ]
            .into(),
            media: SampleMedia::Picture(picture),
        }
    };
    let mut versions = vec![version("original", String::new(), None, original.clone())];
    for quality in [8_u8, 30, 90] {
        let mut bytes = Vec::new();
        let failed = |source| EvalError::Picture {
            path: "jpeg".into(),
            source,
        };
        JpegEncoder::new_with_quality(&mut bytes, quality)
            .write_image(original.as_raw(), 480, 320, ExtendedColorType::Rgb8)
            .map_err(failed)?;
        let picture = image::load_from_memory(&bytes).map_err(failed)?.to_rgb8();
        versions.push(version(
            "jpeg",
            format!("q {quality}"),
            Some(bytes.len() as u64),
            picture,
        ));
    }
    Ok(SampleSet {
        name: NASTY.into(),
        goal: "several sizes".into(),
        versions,
    })
}

/// A rising tone with overtones, in pieces.
fn sounds() -> SampleSet {
    let rate = 24_000_u32;
    let voice = |highest: f64, grain: f64| {
        let mut phase = 0.0;
        let samples = (0..rate * 3).map(|i| {
            let t = f64::from(i) / f64::from(rate);
            let pitch = 140.0 + 120.0 * t + 25.0 * (9.0 * t).sin();
            phase += std::f64::consts::TAU * pitch / f64::from(rate);
            let loud = (t * 2.2).fract().mul_add(-0.9, 1.0);
            let overtones = (1..60).filter(|k| f64::from(*k) * pitch < highest);
            let sum: f64 = overtones
                .map(|k| (phase * f64::from(k)).sin() / f64::from(k))
                .sum();
            let value = 0.35 * loud * sum;
            (if grain > 0.0 {
                (value / grain).round() * grain
            } else {
                value
            }) as f32
        });
        SampleMedia::Sound(Sound {
            sample_rate: rate,
            channels: vec![samples.collect()],
        })
    };
    let version = |codec: &str, setting: &str, bytes, si_sdr, media| Version {
        codec: codec.into(),
        setting: setting.into(),
        bytes,
        rate: None,
        values: [("si-sdr".to_owned(), si_sdr)].into(),
        media,
    };
    SampleSet {
        name: "voice.wav".into(),
        goal: "about 2 kB".into(),
        versions: vec![
            version("original", "", None, f64::INFINITY, voice(11_500.0, 0.0)),
            version("narrow", "4 kHz", Some(2100), 9.5, voice(4000.0, 0.0)),
            version(
                "coarse",
                "5 bit",
                Some(1980),
                14.25,
                voice(11_500.0, 1.0 / 16.0),
            ),
        ],
    }
}

#[allow(dead_code)] // tests take `demo` alone
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "report.html".into());
    std::fs::write(&path, demo()?)?;
    println!("{path}");
    Ok(())
}
