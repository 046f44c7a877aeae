//! `codec eval compare`: Bjontegaard differences between the curves of reports.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use codec_eval::{BdMethod, Metric, RdCurve, bd_metric, bd_rate, report};
use serde_json::json;

use crate::console::{print, print_json};
use crate::exit::Status;

/// Compare the curves of reports.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec eval compare jpeg.json ours.json
  codec eval compare ours.json            every curve against the first one
  codec eval compare a.json b.json --metrics ssimulacra2 --method pchip")]
pub struct CompareArgs {
    /// Report of the anchor
    #[arg(value_name = "A.json")]
    pub anchor: PathBuf,
    /// Report of what is compared with it; left out, the anchor's other curves
    #[arg(value_name = "B.json")]
    pub test: Option<PathBuf>,
    /// Metrics; all that both have if left out
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Interpolation
    #[arg(long, value_name = "METHOD", default_value = "akima")]
    pub method: Method,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How curves are interpolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Akima splines.
    Akima,
    /// Monotone cubics.
    Pchip,
}

/// Reads the curves of a report: a list, or a single one as other tools write it.
///
/// # Errors
/// Files that cannot be read or are no reports.
pub fn read(path: &Path) -> anyhow::Result<Vec<RdCurve>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let curves = match text.trim_start().starts_with('[') {
        true => report::list_from_json(&text),
        false => report::from_json(&text).map(|curve| vec![curve]),
    };
    curves.with_context(|| path.display().to_string())
}

/// Runs the command.
///
/// # Errors
/// Reports that cannot be read.
pub fn run(args: &CompareArgs) -> anyhow::Result<Status> {
    let mut anchors = read(&args.anchor)?;
    let tests = match &args.test {
        Some(path) => read(path)?,
        None => anchors.split_off(anchors.len().min(1)),
    };
    let method = match args.method {
        Method::Akima => BdMethod::Akima,
        Method::Pchip => BdMethod::Pchip,
    };
    let mut rows = Vec::new();
    let mut text = String::from(
        "| test | anchor | metric | BD-rate | BD-metric | over |\n| --- | --- | --- | ---: | ---: | --- |\n",
    );
    for test in &tests {
        for anchor in anchors.iter().filter(|anchor| anchor.kind == test.kind) {
            for key in keys(args, test, anchor) {
                let metric = Metric::of_key(&key);
                let rate = bd_rate(&anchor.points, &test.points, &metric, method);
                let quality = bd_metric(&anchor.points, &test.points, &metric, method);
                let (cell, over) = match &rate {
                    Ok(bd) => (
                        format!("{:+.2}%", bd.percent),
                        format!(
                            "{:.3} to {:.3}{}",
                            bd.interval.0,
                            bd.interval.1,
                            if bd.barely_overlaps() {
                                ", **barely overlapping**"
                            } else {
                                ""
                            }
                        ),
                    ),
                    Err(error) => ("-".to_owned(), error.to_string()),
                };
                let difference = quality
                    .as_ref()
                    .map_or_else(|_| "-".to_owned(), |bd| format!("{:+.3}", bd.difference));
                text += &format!(
                    "| {} | {} | {} | {cell} | {difference} | {over} |\n",
                    test.name,
                    anchor.name,
                    metric.scaled_label()
                );
                rows.push(json!({
                    "test": test.name,
                    "anchor": anchor.name,
                    "metric": key,
                    "method": format!("{method:?}").to_lowercase(),
                    "bd_rate_percent": rate.as_ref().ok().map(|bd| bd.percent),
                    "bd_metric": quality.as_ref().ok().map(|bd| bd.difference),
                    "interval": rate.as_ref().ok().map(|bd| [bd.interval.0, bd.interval.1]),
                    "shared": rate.as_ref().ok().map(|bd| bd.share),
                    "error": rate.as_ref().err().map(ToString::to_string),
                }));
            }
        }
    }
    if args.json {
        print_json(&json!({ "schema": "codec.eval.compare/1", "comparisons": rows }))?;
    } else {
        print(&text)?;
    }
    Ok(Status::Done)
}

fn keys(args: &CompareArgs, test: &RdCurve, anchor: &RdCurve) -> Vec<String> {
    if args.metrics.is_empty() {
        let shared = test.keys();
        let shared = shared
            .intersection(&anchor.keys())
            .map(|key| (*key).to_owned())
            .collect();
        return shared;
    }
    args.metrics.clone()
}
