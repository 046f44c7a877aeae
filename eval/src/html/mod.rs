//! A report as one HTML file that loads nothing: curves, comparisons, tables, and pictures and sounds side by side.
//!
//! Everything a reader sees is in the file, so it opens from a disk without a network; a content security policy in its
//! head forbids it to fetch anything. Pictures are kept without loss, sounds with 16 bits. The same [`Page`] gives the
//! same text.

mod data;
mod media;
mod picture;
mod sound;
mod spectrogram;
mod tables;
mod template;
mod text;

use crate::plot::{self, PlotOptions};
use crate::{BdRate, Environment, EvalError, Kind, Metric, RdCurve, RgbImage, Sound};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What a report shows.
#[derive(Debug, Clone, Default)]
pub struct Page<'a> {
    /// Heading.
    pub title: String,
    /// Command that made it, so that others can repeat it.
    pub command: String,
    /// Versions, machine, threads and date of the report; each curve's own come on top.
    pub environment: Environment,
    /// Curves. Those of pictures and of sound get charts of their own.
    pub curves: &'a [RdCurve],
    /// BD-rates, see [`compare`].
    pub comparisons: Vec<Comparison>,
    /// Pictures and sounds to look at and to listen to.
    pub samples: Vec<SampleSet>,
    /// What a reader has to know: anchors that are missing, files that were left out.
    pub notes: Vec<String>,
}

/// A codec against an anchor.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Label of the curve that is judged, see [`labels`].
    pub test: String,
    /// Label of the curve it is judged by.
    pub anchor: String,
    /// Key of the metric.
    pub metric: String,
    /// The BD-rate, or why there is none.
    pub outcome: Result<BdRate, String>,
}

/// One original and what codecs made of it at about the same size.
#[derive(Debug, Clone)]
pub struct SampleSet {
    /// Name of the file.
    pub name: String,
    /// What the versions have in common, such as "about 24 kB".
    pub goal: String,
    /// The original first. Pictures are of one size; pictures and sounds do not mix.
    pub versions: Vec<Version>,
}

/// One version of a sample.
#[derive(Debug, Clone)]
pub struct Version {
    /// Codec, or "original".
    pub codec: String,
    /// Its setting, such as "q 40".
    pub setting: String,
    /// Length of the encoded file.
    pub bytes: Option<u64>,
    /// Bits per pixel or kilobits per second.
    pub rate: Option<f64>,
    /// Metrics by key.
    pub values: BTreeMap<String, f64>,
    /// What is shown or played.
    pub media: SampleMedia,
}

/// A picture or a sound.
#[derive(Debug, Clone)]
pub enum SampleMedia {
    /// A picture.
    Picture(RgbImage),
    /// A sound.
    Sound(Sound),
}

impl SampleMedia {
    /// Pictures or sound.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Picture(_) => Kind::Image,
            Self::Sound(_) => Kind::Audio,
        }
    }
}

/// Names by which the page tells curves apart: of those with one name, the second is "name (2)".
pub fn labels(curves: &[RdCurve]) -> Vec<String> {
    let mut seen = BTreeMap::<&str, usize>::new();
    let labels = curves.iter().map(|curve| {
        let count = seen.entry(&curve.name).or_default();
        *count += 1;
        match *count {
            1 => curve.name.clone(),
            count => format!("{} ({count})", curve.name),
        }
    });
    labels.collect()
}

/// Each curve against each other curve of its kind whose label ([`labels`]) is in `anchors`, in every metric that both
/// have, on the project's scale ([`RdCurve::bd_rate_against`]).
pub fn compare(curves: &[RdCurve], anchors: &[&str]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let labels = labels(curves);
    let labelled = || labels.iter().zip(curves);
    for name in anchors {
        let Some((_, anchor)) = labelled().find(|(label, _)| label == name) else {
            continue;
        };
        let others = labelled().filter(|(label, curve)| curve.kind == anchor.kind && label != name);
        for (label, test) in others {
            for key in test.keys().intersection(&anchor.keys()) {
                if is_original(key) {
                    continue;
                }
                let outcome = test.bd_rate_against(anchor, &Metric::of_key(key));
                comparisons.push(Comparison {
                    test: label.clone(),
                    anchor: (*name).to_owned(),
                    metric: (*key).to_owned(),
                    outcome: outcome.map_err(|error| error.to_string()),
                });
            }
        }
    }
    comparisons
}

/// Whether a key holds what a task gives on originals, which is a line and no curve.
fn is_original(key: &str) -> bool {
    key.starts_with("task.") && key.ends_with(".original")
}

const SCRIPTS: [&str; 6] = [
    include_str!("script/base.js"),
    include_str!("script/chart.js"),
    include_str!("script/files.js"),
    include_str!("script/picture.js"),
    include_str!("script/sound.js"),
    include_str!("script/start.js"),
];

/// The report as the text of an HTML file.
///
/// # Errors
/// [`EvalError::Unusable`] for samples without versions, of both kinds, or of an empty sound;
/// [`EvalError::SizeMismatch`] for pictures of a set that differ in size; [`EvalError::Picture`].
pub fn page(page: &Page<'_>) -> Result<String, EvalError> {
    let mut store = media::Store::default();
    let samples = media::samples(&page.samples, &mut store)?;
    let data = data::json(page.curves, samples)?;
    let script = SCRIPTS.concat();
    let lead = tables::lead(page);
    let (comparisons, summary) = (tables::comparisons(page), tables::summary(page.curves));
    let charts = fallback(page.curves);
    let samples = if page.samples.is_empty() {
        String::new()
    } else {
        "<section id=\"samples\" data-short=\"Samples\"><h2>Side by side</h2></section>".to_owned()
    };
    let files = match page.curves.iter().map(|curve| curve.per_file.len()).sum() {
        0_usize => String::new(),
        rows => format!("<section id=\"files\"><h2>Files</h2><p>{rows} rows.</p></section>"),
    };
    template::fill(
        include_str!("page.html"),
        &[
            ("title", &text::html(&page.title)),
            ("style", include_str!("style.css")),
            ("lead", &lead),
            ("fallback", &charts),
            ("comparisons", &comparisons),
            ("summary", &summary),
            ("samples", &samples),
            ("files", &files),
            ("media", &store.into_html()),
            ("data", &data),
            ("script", &script),
        ],
    )
}

/// A plain plot for each kind, for readers without scripts.
fn fallback(curves: &[RdCurve]) -> String {
    let mut out = String::new();
    for kind in [Kind::Image, Kind::Audio] {
        let named = labels(curves).into_iter().zip(curves);
        let named = named.filter(|(_, curve)| curve.kind == kind);
        let of_kind = named.map(|(name, curve)| RdCurve {
            name,
            kind,
            points: curve.points.clone(),
            ..RdCurve::default()
        });
        let curves: Vec<RdCurve> = of_kind.collect();
        let keys: BTreeSet<&str> = curves.iter().flat_map(RdCurve::keys).collect();
        let best = ["psnr-rgb", "si-sdr"].into_iter();
        let first = best
            .filter(|key| keys.contains(key))
            .chain(keys.iter().copied());
        let Some(key) = first.into_iter().next() else {
            continue;
        };
        let options = PlotOptions {
            title: String::new(),
            metric: Metric::of_key(key),
            max_rate: match kind {
                Kind::Image => 2.0,
                Kind::Audio => f64::INFINITY,
            },
            ..PlotOptions::default()
        };
        // A curve that cannot be drawn is still in the tables.
        if let Ok(svg) = plot::svg(&curves, &options) {
            let _ = write!(out, "<figure class=\"plain\">{svg}</figure>");
        }
    }
    out
}

#[cfg(test)]
mod tests;
