//! Evaluates the installed anchors on a folder and prints curves and BD-rates against JPEG:
//! `cargo run --release -p codec-eval --example anchors -- shared/data/images/kodak [OUT_DIR]`.
//! With `ANCHOR_VARIANTS` set, other settings of WebP and AVIF too.

use codec_eval::anchors::{Anchor, Avif, Chroma, Jpeg, WebP};
use codec_eval::{
    BPP_RANGE, Metric, RdCurve, evaluate_anchor, load_pictures, plot, published, report,
};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let dir = args.next().ok_or("usage: anchors DIR [OUT_DIR]")?;
    let out = args.next().map(PathBuf::from);
    let pictures = load_pictures(dir)?;

    let jpeg = evaluate_anchor(&Jpeg::default(), &pictures, &Jpeg::default().qualities())?;
    println!(
        "{}: {} ({:?})\n\n{}",
        jpeg.name,
        jpeg.description,
        jpeg.environment,
        report::markdown(&jpeg)
    );

    let webp = |method, extra: &[&str]| WebP {
        method,
        extra: extra.iter().map(|arg| arg.to_string()).collect(),
    };
    let avif = |chroma, advanced: &[&str]| Avif {
        chroma,
        advanced: advanced.iter().map(|pair| pair.to_string()).collect(),
        ..Avif::default()
    };
    let mut anchors: Vec<Box<dyn Anchor>> =
        vec![Box::new(webp(4, &[])), Box::new(avif(Chroma::Half, &[]))];
    if std::env::var_os("ANCHOR_VARIANTS").is_some() {
        anchors.push(Box::new(webp(6, &[])));
        anchors.push(Box::new(webp(6, &["-sharp_yuv"])));
        anchors.push(Box::new(webp(6, &["-sns", "0", "-f", "0"])));
        anchors.push(Box::new(avif(Chroma::Full, &[])));
        anchors.push(Box::new(avif(Chroma::Full, &["tune=psnr", "aq-mode=0"])));
    }
    let mut curves = vec![jpeg.clone()];
    for anchor in anchors {
        match evaluate_anchor(anchor.as_ref(), &pictures, &anchor.qualities()) {
            Ok(curve) => {
                println!(
                    "{}: {}\n\n{}",
                    curve.name,
                    curve.description,
                    report::markdown(&curve)
                );
                curves.push(curve);
            }
            Err(error) if error.is_missing_tool() => {
                println!("{} left out: {error}", anchor.name())
            }
            Err(error) => return Err(error.into()),
        }
    }
    curves.extend(published::kodak()?);

    println!(
        "BD-rate against {}, Akima, test points in {BPP_RANGE:?} bpp\n",
        jpeg.name
    );
    println!("| codec | settings | PSNR | MS-SSIM | interval (dB) |");
    println!("| --- | --- | ---: | ---: | --- |");
    for curve in curves.iter().skip(1) {
        println!("{}", line(&jpeg, curve));
    }
    if let Some(out) = out {
        std::fs::create_dir_all(&out)?;
        std::fs::write(out.join("anchors.json"), report::list_to_json(&curves)?)?;
        std::fs::write(out.join("anchors.csv"), report::csv(&curves))?;
        std::fs::write(
            out.join("anchors.svg"),
            plot::svg(&curves, &plot::PlotOptions::default())?,
        )?;
    }
    Ok(())
}

fn line(anchor: &RdCurve, test: &RdCurve) -> String {
    let percent = |metric| match test.bd_rate_against(anchor, metric) {
        Ok(bd) => format!("{:.2}%", bd.percent),
        Err(_) => "-".to_string(),
    };
    let interval = match test.bd_rate_against(anchor, Metric::Psnr) {
        Ok(bd) => format!("{:.2}..{:.2}", bd.interval.0, bd.interval.1),
        Err(error) => error.to_string(),
    };
    let (psnr, ms_ssim) = (percent(Metric::Psnr), percent(Metric::MsSsim));
    format!(
        "| {} | {} | {psnr} | {ms_ssim} | {interval} |",
        test.name, test.description
    )
}
