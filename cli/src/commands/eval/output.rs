//! What is written of curves.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use codec_eval::html::{Page, SampleSet};
use codec_eval::plot::{self, PlotOptions};
use codec_eval::{BPP_RANGE, Metric, RdCurve, html, report};

/// Writes a file, through a temporary one.
///
/// # Errors
/// I/O errors.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    crate::output::Target::File(path.to_path_buf()).write(bytes, true)
}

/// What readers have to know: what is missing, what failed, what is in no average.
pub fn notes(curves: &[RdCurve], left_out: &[String], mut notes: Vec<String>) -> Vec<String> {
    for curve in curves {
        for failure in &curve.failures {
            let setting = failure
                .quality
                .map_or_else(String::new, |quality| format!(" at {quality}"));
            notes.push(format!(
                "{} failed on {}{setting}: {}",
                curve.name, failure.file, failure.reason
            ));
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "in no average, for some codec has no row of it: {}",
            left_out.join(", ")
        ));
    }
    notes
}

/// Names of the curves that others are compared with: anchors of today, published curves, or all but the first.
fn anchors(curves: &[RdCurve]) -> Vec<&str> {
    let tools: Vec<String> = (codec_eval::anchors::image::all()
        .iter()
        .map(|codec| codec.name().to_owned()))
    .chain(
        codec_eval::anchors::sound::all()
            .iter()
            .map(|codec| codec.name().to_owned()),
    )
    .collect();
    let names = |wanted: &dyn Fn(&RdCurve) -> bool| -> Vec<&str> {
        let chosen = curves.iter().filter(|curve| wanted(curve));
        chosen.map(|curve| curve.name.as_str()).collect()
    };
    let known = names(&|curve| tools.contains(&curve.name) || curve.per_file.is_empty());
    match known.is_empty() {
        true => names(&|_| true).split_off(curves.len().min(1)),
        false => known,
    }
}

/// BD-rates of all curves against the anchors as a Markdown table; those of anchors against each other are left out.
pub fn comparison_table(curves: &[RdCurve]) -> String {
    let anchors = anchors(curves);
    let mut all = html::compare(curves, &anchors);
    if anchors.len() < curves.len() {
        all.retain(|one| !anchors.contains(&one.test.as_str()));
    }
    if all.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("| BD-rate of | against | metric | |\n| --- | --- | --- | ---: |\n");
    for one in &all {
        let label = Metric::of_key(&one.metric).scaled_label();
        let cell = match &one.outcome {
            Ok(bd) if bd.barely_overlaps() => {
                format!("{:+.1}% (curves barely overlap)", bd.percent)
            }
            Ok(bd) => format!("{:+.1}%", bd.percent),
            Err(error) => error.clone(),
        };
        let _ = writeln!(text, "| {} | {} | {label} | {cell} |", one.test, one.anchor);
    }
    text
}

/// Writes a plot of a metric over the rate; PNG if the name says so, else SVG.
///
/// # Errors
/// No point to draw, I/O errors.
pub fn plot(path: &Path, curves: &[RdCurve], metric: &Metric) -> anyhow::Result<()> {
    let measured = curves.iter().filter(|curve| !curve.per_file.is_empty());
    let rates = measured.flat_map(|curve| curve.points.iter().map(|point| point.rate));
    let rates: Vec<f64> = rates.collect();
    let right = rates.iter().copied().fold(0.0, f64::max);
    let pictures = curves
        .iter()
        .any(|curve| curve.kind == codec_eval::Kind::Image);
    // Where nothing was measured, published curves are drawn whole.
    let max_rate = match right {
        0.0 => f64::INFINITY,
        _ if pictures && rates.iter().any(|rate| *rate <= BPP_RANGE.1) => right.min(BPP_RANGE.1),
        _ => right,
    };
    let options = PlotOptions {
        title: String::new(),
        metric: metric.clone(),
        max_rate,
        ..PlotOptions::default()
    };
    let is_png = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let bytes = match is_png {
        true => plot::png(curves, &options)?,
        false => plot::svg(curves, &options)?.into_bytes(),
    };
    write(path, &bytes)
}

/// Writes the folder of a report.
///
/// # Errors
/// I/O errors.
pub fn report(
    folder: &Path,
    title: &str,
    curves: &[RdCurve],
    samples: Vec<SampleSet>,
    notes: Vec<String>,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let put = |name: &str, bytes: &[u8]| write(&folder.join(name), bytes);
    put("results.json", report::list_to_json(curves)?.as_bytes())?;
    put("points.csv", report::csv(curves).as_bytes())?;
    put("files.csv", report::csv_per_file(curves).as_bytes())?;
    let mut tables = String::new();
    for curve in curves {
        let _ = writeln!(
            tables,
            "## {}\n\n{}\n\n{}",
            curve.name,
            curve.description,
            report::markdown(curve)
        );
    }
    tables += &comparison_table(curves);
    put("tables.md", tables.as_bytes())?;
    let measured = curves.iter().filter(|curve| !curve.per_file.is_empty());
    let keys: std::collections::BTreeSet<String> = measured
        .flat_map(|curve| curve.keys().into_iter().map(str::to_owned))
        .collect();
    for key in keys.iter().filter(|key| !key.ends_with(".original")) {
        let metric = Metric::of_key(key);
        // A metric may have no finite value: nothing to draw.
        match plot(&folder.join(format!("{key}.svg")), curves, &metric) {
            Err(error) if error.downcast_ref::<codec_eval::EvalError>().is_none() => {
                return Err(error);
            }
            _ => {}
        }
    }
    let command = curves
        .first()
        .and_then(|curve| curve.environment.get("command"))
        .cloned();
    let page = Page {
        title: title.to_owned(),
        command: command.unwrap_or_default(),
        environment: codec_eval::environment(),
        curves,
        comparisons: html::compare(curves, &anchors(curves)),
        samples,
        notes,
    };
    put("report.html", html::page(&page)?.as_bytes())
}
