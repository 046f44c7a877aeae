//! Plots of a run, drawn from `metrics.jsonl`: what was learned, rate and distortion of held-out data, and what it cost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use codec_eval::plot::{Axis, Chart, Colour, Figure, Legend, Series, Stroke};

use crate::TrainError;
use crate::history::{History, HistoryStep, HistoryValidation};
use crate::measures::{Measure, MeasureKind};
use crate::storage::{Disk, replace};

/// Folder of the plots in a run folder.
const PLOTS: &str = "plots";
/// Validations whose rate-distortion curves are drawn.
const CURVES: usize = 7;
/// Reports are averaged over this share of a run to show the trend.
const SMOOTHING: usize = 40;
/// Terms of a loss that are drawn.
const TERMS: usize = 6;

/// Draws all plots of a run folder again; gives the files written (SVG and PNG of each plot), none where the log has
/// nothing to draw yet.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::Plot`].
pub fn draw(run: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let history = History::read(run)?;
    let folder = run.join(PLOTS);
    let mut written = Vec::new();
    for (name, figure) in figures(&history) {
        let bad = |e: codec_eval::EvalError| TrainError::Plot {
            name: name.to_owned(),
            reason: e.to_string(),
        };
        let svg = figure.svg().map_err(bad)?.into_bytes();
        let png = figure.png().map_err(bad)?;
        fs::create_dir_all(&folder).map_err(TrainError::io(&folder))?;
        for (ending, bytes) in [("svg", svg), ("png", png)] {
            let path = folder.join(format!("{name}.{ending}"));
            replace(&Disk, &path, &bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Names and drawings of what a log has something to say about.
fn figures(history: &History) -> Vec<(&'static str, Figure)> {
    let all = [
        ("training", training(history), 1, (900, 270)),
        ("validation", validation(history), 2, (640, 500)),
        ("compute", compute(history), 2, (640, 460)),
    ];
    let mut figures = Vec::new();
    for (name, mut charts, columns, size) in all {
        charts.retain(Chart::has_points);
        let columns = charts.len().min(columns);
        if columns > 0 {
            let rows = charts.len().div_ceil(columns) as u32;
            let size = (size.0 * columns as u32, size.1 * rows);
            figures.push((
                name,
                Figure {
                    charts,
                    columns,
                    size,
                },
            ));
        }
    }
    figures
}

/// Loss, rate and quality over steps.
fn training(history: &History) -> Vec<Chart> {
    let marks: Vec<(f64, String)> = history
        .stage_starts()
        .into_iter()
        .map(|(step, name)| (step as f64, name))
        .collect();
    let chart = |y: Axis, series: Vec<Series>| Chart {
        title: String::new(),
        x: Axis::linear("step"),
        y,
        series,
        marks: marks.clone(),
        legend: Legend::UpperRight,
    };
    let trend = |name: &str, points, colour| trend(name, points, &marks, colour);
    let mut loss = trend("", history.series("loss"), 0);
    let names: BTreeSet<&String> = history.steps.iter().flat_map(|s| s.terms.keys()).collect();
    if names.len() > 1 {
        if let Some(total) = loss.last_mut() {
            total.name = "loss".into();
        }
        for (index, name) in names.into_iter().take(TERMS).enumerate() {
            let value = |s: &HistoryStep| Some((s.step as f64, *s.terms.get(name)?));
            let points = history.steps.iter().filter_map(value).collect();
            // Only the trend of a term, or the noise of all would hide everything.
            loss.extend(trend(name, points, index + 1).pop());
        }
    }
    // A loss that falls below zero, as some adversarial ones do, has no logarithm.
    let positive = loss.iter().flat_map(|s| &s.points).all(|p| p.1 > 0.0);
    let scale = if positive { Axis::log } else { Axis::linear };
    let mut axis = scale("loss");
    if loss.iter().any(|s| !s.name.is_empty()) {
        axis = with_headroom(axis, &loss);
    }
    let mut charts = vec![chart(axis, loss)];
    let kinds = [(MeasureKind::Rate, 2), (MeasureKind::Quality, 0)];
    for (kind, colour) in kinds {
        for name in Measure::names_of(kind) {
            let series = trend("", history.series(name), colour);
            if let (Some(measure), false) = (Measure::find(name), series.is_empty()) {
                charts.push(chart(Axis::linear(measure.axis()), series));
            }
        }
    }
    charts
}

/// An axis that leaves the upper third to the legend.
fn with_headroom(axis: Axis, series: &[Series]) -> Axis {
    let all = series.iter().flat_map(|s| &s.points).map(|p| p.1);
    let (low, high) = all
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
    if low >= high {
        return axis;
    }
    if axis.log {
        let ratio = high / low;
        axis.within(low / ratio.powf(0.05), high * ratio.powf(0.5))
    } else {
        axis.within(low - 0.05 * (high - low), high + 0.5 * (high - low))
    }
}

/// The points, pale, and over them their moving average; of each stage by itself, since a loss may jump between two.
fn trend(
    name: &str,
    points: Vec<(f64, f64)>,
    stages: &[(f64, String)],
    colour: usize,
) -> Vec<Series> {
    if points.is_empty() {
        return Vec::new();
    }
    let series = |name: &str, points, stroke| Series {
        name: name.to_owned(),
        points,
        colour: Colour::Number(colour),
        stroke,
    };
    let reach = points.len() / SMOOTHING;
    let stage = |p: &(f64, f64)| stages.iter().filter(|(start, _)| p.0 > *start).count();
    let smooth = points
        .chunk_by(|a, b| stage(a) == stage(b))
        .flat_map(|points| smoothed(points, reach))
        .collect();
    vec![
        series("", points, Stroke::Faint),
        series(name, smooth, Stroke::Line),
    ]
}

/// Mean over `reach` neighbours on either side.
fn smoothed(points: &[(f64, f64)], reach: usize) -> Vec<(f64, f64)> {
    (0..points.len())
        .filter_map(|i| {
            // Fewer neighbours near the ends, as many on either side, so that a slope keeps its place.
            let reach = reach.min(i).min(points.len() - 1 - i);
            let near = points.get(i - reach..=i + reach)?;
            let mean = near.iter().map(|p| p.1).sum::<f64>() / near.len() as f64;
            Some((points.get(i)?.0, mean))
        })
        .collect()
}

/// Rate-distortion curves of some validations, and the cost at each quality over steps.
fn validation(history: &History) -> Vec<Chart> {
    let all = &history.validations;
    let present = |kind| {
        let has = |name: &&str| {
            let mut points = all.iter().flat_map(|v| &v.points);
            points.any(|(_, metrics)| metrics.contains_key(*name))
        };
        Measure::names_of(kind).find(has)
    };
    let mut charts = Vec::new();
    let (rate, quality) = (present(MeasureKind::Rate), present(MeasureKind::Quality));
    if let (Some(rate), Some(quality)) = (rate, quality) {
        let chosen = spread(all.len(), CURVES);
        let last = chosen.len().saturating_sub(1).max(1) as f64;
        let curve = |(order, index): (usize, &usize)| {
            let v = all.get(*index)?;
            let point = |m: &crate::Metrics| Some((*m.get(rate)?, *m.get(quality)?));
            let mut points: Vec<_> = v.points.iter().filter_map(|(_, m)| point(m)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Some(Series {
                name: format!("step {}", v.step),
                points,
                colour: Colour::Ramp(order as f64 / last),
                stroke: Stroke::Dotted,
            })
        };
        let axis = |name: &str| Measure::find(name).map_or(name.to_owned(), |m| m.axis());
        charts.push(Chart {
            title: "Rate and distortion of held-out data".into(),
            x: Axis::log(axis(rate)),
            y: Axis::linear(axis(quality)),
            series: chosen.iter().enumerate().filter_map(curve).collect(),
            marks: Vec::new(),
            legend: Legend::LowerRight,
        });
    }
    charts.extend(costs(all));
    charts
}

/// Cost at each quality, relative to the last validation: all end at 1.
fn costs(all: &[HistoryValidation]) -> Option<Chart> {
    let last = all.last()?;
    let count = last.points.len().saturating_sub(1).max(1) as f64;
    let series = last
        .points
        .iter()
        .enumerate()
        .filter_map(|(order, (q, m))| {
            let end = *m.get("cost")?;
            let at = |v: &HistoryValidation| {
                let (_, metrics) = v.points.iter().find(|(quality, _)| quality == q)?;
                Some((v.step as f64, metrics.get("cost")? / end))
            };
            Some(Series {
                name: format!("quality {q}"),
                points: all.iter().filter_map(at).collect(),
                colour: Colour::Ramp(order as f64 / count),
                stroke: Stroke::Dotted,
            })
        });
    Some(Chart {
        title: "Cost of held-out data".into(),
        x: Axis::log("step"),
        y: Axis::log("cost relative to the last validation"),
        series: series.collect(),
        marks: Vec::new(),
        legend: Legend::UpperRight,
    })
}

/// Cost of held-out data over what was learned from and over time.
fn compute(history: &History) -> Vec<Chart> {
    let cost = |x: &dyn Fn(u64) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |v: &HistoryValidation| Some((x(v.step)?, v.score?.exp()));
        history.validations.iter().filter_map(point).collect()
    };
    let pixels = cost(&|step| history.at(step, |s| s.figures.get("pixels").copied()));
    let seconds = cost(&|step| history.at(step, |s| s.seconds));
    let hours = seconds
        .last()
        .is_some_and(|(last, _)| *last >= 2.0 * 3600.0);
    let (unit, length) = if hours { ("h", 3600.0) } else { ("min", 60.0) };
    let time = seconds.iter().map(|(x, y)| (x / length, *y)).collect();
    let steps = match pixels.is_empty() && seconds.is_empty() {
        true => cost(&|step| Some(step as f64)),
        false => Vec::new(),
    };
    let has_cost = history.validations.iter().any(|v| {
        let mut points = v.points.iter();
        points.any(|(_, m)| m.contains_key("cost") && m.contains_key("bpp"))
    });
    let y = match has_cost {
        true => "cost, bpp + λ·MSE (geometric mean of qualities)",
        false => "cost (exponential of the score)",
    };
    let chart = |x: String, points: Vec<(f64, f64)>, colour| Chart {
        title: "Cost of held-out data against compute".into(),
        x: Axis::log(x),
        y: Axis::log(y),
        series: vec![Series {
            name: String::new(),
            points,
            colour: Colour::Number(colour),
            stroke: Stroke::Dotted,
        }],
        marks: Vec::new(),
        legend: Legend::UpperRight,
    };
    vec![
        chart("pixels or samples learned from".into(), pixels, 0),
        chart(format!("wall time ({unit})"), time, 1),
        chart("step".into(), steps, 0),
    ]
}

/// At most `count` of `n` indices, the first and the last among them, at growing distances: most is learned early.
fn spread(n: usize, count: usize) -> Vec<usize> {
    if n <= count {
        return (0..n).collect();
    }
    let ratio = (n as f64).ln() / (count - 1) as f64;
    let chosen: BTreeSet<usize> = (0..count)
        .map(|k| ((ratio * k as f64).exp().round() as usize).clamp(1, n) - 1)
        .collect();
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::METRICS;
    use std::fmt::Write;

    fn log(steps: u64) -> String {
        let mut text = String::new();
        for step in (20..=steps).step_by(20) {
            let (t, stage) = (step as f64, if step > 600 { "integer" } else { "float" });
            let loss = 1.0 + 9.0 / t.sqrt();
            let pixels = step * 8 * 64 * 64;
            writeln!(
                text,
                r#"{{"event":"step","step":{step},"stage":"{stage}","loss":{loss},"bpp":{},"psnr":{},"terms":{{"rate":{},"distortion":{}}},"pixels":{pixels},"seconds":{}}}"#,
                loss / 3.0, 20.0 + t.ln(), loss * 0.4, loss * 0.6, t * 0.8
            )
            .unwrap();
            if step % 100 == 0 {
                let points: Vec<String> = [10.0, 50.0, 90.0]
                    .iter()
                    .map(|q| {
                        let bpp = 0.01 * q + 0.5 / t.sqrt();
                        format!(
                            r#"{{"quality":{q},"bpp":{bpp},"psnr":{},"cost":{}}}"#,
                            20.0 + q / 8.0 + t.ln(),
                            bpp * 2.0
                        )
                    })
                    .collect();
                writeln!(
                    text,
                    r#"{{"event":"validation","step":{step},"score":{},"points":[{}]}}"#,
                    (loss / 2.0).ln(),
                    points.join(",")
                )
                .unwrap();
            }
        }
        text
    }

    #[test]
    fn a_log_becomes_three_plots() {
        let run = tempfile::tempdir().unwrap();
        fs::write(run.path().join(METRICS), log(1200)).unwrap();
        let files = draw(run.path()).unwrap();
        assert_eq!(files.len(), 6);
        let text = |name: &str| fs::read_to_string(run.path().join(PLOTS).join(name)).unwrap();
        for word in [
            "step",
            "loss",
            "distortion",
            "rate (bpp)",
            "PSNR (dB)",
            "integer",
        ] {
            assert!(text("training.svg").contains(word), "{word}");
        }
        for word in ["step 100", "step 1200", "quality 90"] {
            assert!(text("validation.svg").contains(word), "{word}");
        }
        for word in ["pixels", "wall time (min)"] {
            assert!(text("compute.svg").contains(word), "{word}");
        }
        for png in files
            .iter()
            .filter(|f| f.extension().is_some_and(|e| e == "png"))
        {
            assert!(image::open(png).unwrap().width() >= 1200);
        }
    }

    #[test]
    fn a_run_that_has_just_begun_draws_what_there_is() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(METRICS);
        fs::write(&path, "").unwrap();
        assert_eq!(draw(run.path()).unwrap(), Vec::<PathBuf>::new());
        fs::write(&path, log(20)).unwrap();
        assert_eq!(draw(run.path()).unwrap().len(), 2);
        assert!(matches!(
            draw(&run.path().join("none")),
            Err(TrainError::Io { .. })
        ));
    }

    #[test]
    fn chosen_validations_span_the_run() {
        assert_eq!(spread(3, 7), [0, 1, 2]);
        let chosen = spread(100, 7);
        assert_eq!((chosen[0], *chosen.last().unwrap()), (0, 99));
        assert!(chosen.len() <= 7);
        assert_eq!(
            smoothed(&[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)], 1)[1],
            (1.0, 1.0)
        );
    }
}
