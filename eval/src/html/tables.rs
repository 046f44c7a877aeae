//! The parts of the page that need no script: conditions, notes, BD-rates and summaries.

use super::text::{html, number, optional};
use super::{Comparison, Page, is_original};
use crate::metrics::{Better, Scale};
use crate::{Metric, RdCurve};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Failures of a curve that are listed by name; more are only counted.
const MAX_FAILURES: usize = 500;

// Writing to a string cannot fail, so results of `write!` are dropped here.

/// Command, conditions and notes.
pub(super) fn lead(page: &Page<'_>) -> String {
    let mut out = String::new();
    let failures: usize = page.curves.iter().map(|curve| curve.failures.len()).sum();
    if !page.notes.is_empty() || failures > 0 {
        out.push_str("<div class=\"notes\" role=\"note\"><h2>To know before reading</h2><ul>");
        for note in &page.notes {
            let _ = write!(out, "<li>{}</li>", html(note));
        }
        if failures > 0 {
            let _ = write!(out, "<li>{failures} failed, and are in no average: ");
            out.push_str("<details><summary>list</summary><ul>");
            page.curves.iter().for_each(|curve| failed(&mut out, curve));
            out.push_str("</ul></details></li>");
        }
        out.push_str("</ul></div>");
    }
    if !page.command.is_empty() {
        let _ = write!(out, "<pre class=\"command\">{}</pre>", html(&page.command));
    }
    if !page.environment.is_empty() {
        out.push_str("<dl class=\"conditions\">");
        for (key, value) in &page.environment {
            let _ = write!(
                out,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                html(key),
                html(value)
            );
        }
        out.push_str("</dl>");
    }
    out
}

fn failed(out: &mut String, curve: &RdCurve) {
    for failure in curve.failures.iter().take(MAX_FAILURES) {
        let quality = failure.quality.map(|q| format!(", quality {q}"));
        let _ = write!(
            out,
            "<li><b>{}</b>: {}{}: {}</li>",
            html(&curve.name),
            html(&failure.file),
            quality.unwrap_or_default(),
            html(&failure.reason)
        );
    }
    if let Some(more) = curve.failures.len().checked_sub(MAX_FAILURES + 1) {
        let _ = write!(
            out,
            "<li>and {} more of {}</li>",
            more + 1,
            html(&curve.name)
        );
    }
}

/// A table of BD-rates for each metric.
pub(super) fn comparisons(page: &Page<'_>) -> String {
    if page.comparisons.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section id=\"bd\" data-short=\"BD-rate\"><h2>Rate saved at equal quality</h2><p>BD-rate: how much longer (+) or shorter (−) files \
         are than the anchor's at the same quality, on average over the qualities that both reach. Below stands that \
         interval. <span class=\"warn\">⚠</span> The curves share so little that the figure speaks of a corner only.</p>",
    );
    let mut metrics: Vec<&str> = Vec::new();
    for comparison in &page.comparisons {
        if !metrics.contains(&comparison.metric.as_str()) {
            metrics.push(&comparison.metric);
        }
    }
    for (index, key) in metrics.into_iter().enumerate() {
        let open = if index < 2 { " open" } else { "" };
        let metric = Metric::of_key(key);
        let _ = write!(
            out,
            "<details{open}><summary>{} <small>{}</small></summary>",
            html(&metric.label),
            direction(&metric)
        );
        let of_metric = page.comparisons.iter().filter(|c| c.metric == key);
        bd_table(&mut out, &metric, &of_metric.collect::<Vec<_>>());
        out.push_str("</details>");
    }
    out.push_str("</section>");
    out
}

fn bd_table(out: &mut String, metric: &Metric, comparisons: &[&Comparison]) {
    let (mut tests, mut anchors): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for comparison in comparisons {
        if !tests.contains(&comparison.test.as_str()) {
            tests.push(&comparison.test);
        }
        if !anchors.contains(&comparison.anchor.as_str()) {
            anchors.push(&comparison.anchor);
        }
    }
    out.push_str(
        "<div class=\"scroll\"><table class=\"bd\"><thead><tr><th scope=\"col\">codec</th>",
    );
    for anchor in &anchors {
        let _ = write!(out, "<th scope=\"col\">against {}</th>", html(anchor));
    }
    out.push_str("</tr></thead><tbody>");
    for test in &tests {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", html(test));
        for anchor in &anchors {
            let found = comparisons
                .iter()
                .find(|c| c.test == *test && c.anchor == *anchor);
            match found {
                Some(comparison) => bd_cell(out, metric, comparison),
                None => out.push_str("<td></td>"),
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn bd_cell(out: &mut String, metric: &Metric, comparison: &Comparison) {
    let bd = match &comparison.outcome {
        Ok(bd) => bd,
        Err(reason) => {
            let _ = write!(out, "<td class=\"error\">{}</td>", html(reason));
            return;
        }
    };
    let class = if bd.percent < 0.0 { "saves" } else { "costs" };
    let warn = if bd.barely_overlaps() {
        let share = bd.share * 100.0;
        format!(
            " <span class=\"warn\" title=\"the curves share {share:.0}% of the narrower range\">⚠</span>"
        )
    } else {
        String::new()
    };
    // Values that get better downwards are averaged over with the other sign.
    let (low, high) = match (metric.better, metric.scale) {
        (Better::Lower, Scale::Linear) => (-bd.interval.1, -bd.interval.0),
        _ => bd.interval,
    };
    let unit = match metric.scale {
        Scale::Linear => "",
        Scale::Similarity => " dB",
    };
    let percent = format!("{:+.1}", bd.percent).replace('-', "−");
    let _ = write!(
        out,
        "<td><b class=\"{class}\">{percent}%</b>{warn}<br><small>{} … {}{unit}</small></td>",
        number(low),
        number(high)
    );
}

/// Which way is better, in words.
fn direction(metric: &Metric) -> &'static str {
    match metric.better {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    }
}

/// A table of points for each curve.
pub(super) fn summary(curves: &[RdCurve]) -> String {
    if curves.is_empty() {
        return "<section id=\"summary\"><h2>Codecs</h2><p>There are no curves.</p></section>"
            .to_owned();
    }
    let mut out = String::from("<section id=\"summary\"><h2>Codecs</h2>");
    let common = common(curves);
    for (index, (label, curve)) in super::labels(curves).iter().zip(curves).enumerate() {
        let open = if index < 2 { " open" } else { "" };
        let _ = write!(
            out,
            "<details{open}><summary>{} <small>{} points",
            html(label),
            curve.points.len()
        );
        let files = curve.complete_files().len();
        if files > 0 {
            let _ = write!(out, ", {files} files");
        }
        if !curve.failures.is_empty() {
            let _ = write!(out, ", {} failed", curve.failures.len());
        }
        out.push_str("</small></summary>");
        if !curve.description.is_empty() {
            let _ = write!(out, "<p>{}</p>", html(&curve.description));
        }
        points(&mut out, curve);
        let own = curve.environment.iter();
        let own: Vec<String> = own
            .filter(|(key, value)| common.get(key.as_str()) != Some(&value.as_str()))
            .map(|(key, value)| format!("{}: {}", html(key), html(value)))
            .collect();
        if !own.is_empty() {
            let _ = write!(out, "<p><small>{}</small></p>", own.join(" · "));
        }
        out.push_str("</details>");
    }
    if !common.is_empty() {
        out.push_str("<p><small>All measured curves: ");
        let pairs = common.iter();
        let pairs: Vec<String> = pairs
            .map(|(key, value)| format!("{}: {}", html(key), html(value)))
            .collect();
        out.push_str(&pairs.join(" · "));
        out.push_str("</small></p>");
    }
    out.push_str("</section>");
    out
}

/// Conditions that all curves that name any have in common.
fn common(curves: &[RdCurve]) -> BTreeMap<&str, &str> {
    let mut measured = curves.iter().filter(|curve| !curve.environment.is_empty());
    let Some(first) = measured.next() else {
        return BTreeMap::new();
    };
    let pairs = first.environment.iter();
    let mut common: BTreeMap<&str, &str> = pairs.map(|(k, v)| (k.as_str(), v.as_str())).collect();
    for curve in measured {
        common.retain(|key, value| curve.environment.get(*key).is_some_and(|v| v == value));
    }
    common
}

fn points(out: &mut String, curve: &RdCurve) {
    let keys: BTreeSet<&str> = curve.keys();
    let keys: Vec<&str> = keys.into_iter().filter(|key| !is_original(key)).collect();
    let _ = write!(
        out,
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">quality</th><th scope=\"col\">{}</th>",
        curve.kind.rate_key()
    );
    for key in &keys {
        let _ = write!(
            out,
            "<th scope=\"col\">{}</th>",
            html(&Metric::of_key(key).label)
        );
    }
    out.push_str(
        "<th scope=\"col\">encode (ms)</th><th scope=\"col\">decode (ms)</th></tr></thead><tbody>",
    );
    for point in &curve.points {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td>",
            point.quality,
            number(point.rate)
        );
        for key in &keys {
            let _ = write!(out, "<td>{}</td>", optional(point.get(key)));
        }
        let ms = |seconds: Option<f64>| {
            seconds.map_or_else(|| "–".to_owned(), |s| format!("{:.1}", s * 1000.0))
        };
        let _ = write!(
            out,
            "<td>{}</td><td>{}</td></tr>",
            ms(point.encoding_time),
            ms(point.decoding_time)
        );
    }
    out.push_str("</tbody></table></div>");
}
