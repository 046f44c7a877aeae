//! Curves and rows as the JSON that the page's scripts read.

use super::media::SetData;
use super::text;
use crate::metrics::{Better, Scale};
use crate::{EvalError, Extent, Kind, Metric, RdCurve};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// A number; those that JSON does not know are words.
pub(super) struct Num(pub(super) f64);

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_str("nan"),
            value if value > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }
}

pub(super) fn numbers(values: &BTreeMap<String, f64>) -> BTreeMap<String, Num> {
    let pairs = values.iter();
    pairs
        .map(|(key, value)| (key.clone(), Num(*value)))
        .collect()
}

#[derive(Serialize)]
struct Data {
    metrics: BTreeMap<String, MetricData>,
    curves: Vec<CurveData>,
    files: Files,
    samples: Vec<SetData>,
}

#[derive(Serialize)]
struct MetricData {
    label: String,
    /// Label of values on the scale of averages.
    scaled: String,
    lower: bool,
    similarity: bool,
}

impl From<Metric> for MetricData {
    fn from(metric: Metric) -> Self {
        Self {
            scaled: metric.scaled_label(),
            lower: metric.better == Better::Lower,
            similarity: metric.scale == Scale::Similarity,
            label: metric.label,
        }
    }
}

#[derive(Serialize)]
struct CurveData {
    name: String,
    description: String,
    kind: Kind,
    points: Vec<PointData>,
}

#[derive(Serialize)]
struct PointData {
    quality: Num,
    rate: Num,
    encode: Option<Num>,
    decode: Option<Num>,
    values: BTreeMap<String, Num>,
}

/// Rows of all curves. Names are told once, since there may be very many rows.
#[derive(Serialize)]
struct Files {
    names: Vec<String>,
    extents: Vec<String>,
    keys: Vec<String>,
    /// Curve, file, quality, extent, bytes, rate, milliseconds to encode and to decode, values in order of keys.
    rows: Vec<Vec<Option<Num>>>,
}

/// JSON that can stand inside a `script` element.
pub(super) fn json(curves: &[RdCurve], samples: Vec<SetData>) -> Result<String, EvalError> {
    let files = files(curves);
    let keys = curves.iter().flat_map(RdCurve::keys);
    let mut keys: BTreeSet<String> = keys.map(str::to_owned).collect();
    keys.extend(files.keys.iter().cloned());
    keys.extend(samples.iter().flat_map(SetData::keys).cloned());
    let metrics = keys.into_iter().map(|key| {
        let metric = Metric::of_key(&key);
        (key, metric.into())
    });
    let data = Data {
        metrics: metrics.collect(),
        curves: super::labels(curves)
            .into_iter()
            .zip(curves)
            .map(|(label, of)| curve(label, of))
            .collect(),
        files,
        samples,
    };
    let json = serde_json::to_string(&data).map_err(EvalError::Report)?;
    Ok(text::script(&json))
}

fn curve(name: String, curve: &RdCurve) -> CurveData {
    let points = curve.points.iter().map(|point| PointData {
        quality: Num(point.quality),
        rate: Num(point.rate),
        encode: point.encoding_time.map(|s| Num(s * 1000.0)),
        decode: point.decoding_time.map(|s| Num(s * 1000.0)),
        values: numbers(&point.values),
    });
    CurveData {
        name,
        description: curve.description.clone(),
        kind: curve.kind,
        points: points.collect(),
    }
}

/// Six digits are enough for a row, and short.
fn short(value: f64) -> Option<Num> {
    let rounded = format!("{value:.5e}").parse();
    Some(Num(rounded.unwrap_or(value)))
}

fn files(curves: &[RdCurve]) -> Files {
    let all = || curves.iter().flat_map(|curve| &curve.per_file);
    let mut keys = BTreeSet::new();
    for row in all() {
        keys.extend(
            row.values
                .keys()
                .chain(row.counts.keys())
                .map(String::as_str),
        );
    }
    let (mut names, mut extents) = (Index::default(), Index::default());
    let mut rows = Vec::new();
    for (number, curve) in curves.iter().enumerate() {
        for row in &curve.per_file {
            let mut cells = vec![
                Some(Num(number as f64)),
                Some(Num(names.of(row.file.clone()))),
                Some(Num(row.quality)),
                Some(Num(extents.of(extent(row.extent)))),
                Some(Num(row.bytes as f64)),
                short(row.rate()),
                short(row.encoding_time * 1000.0),
                short(row.decoding_time * 1000.0),
            ];
            cells.extend(keys.iter().map(|key| row.get(key).and_then(short)));
            rows.push(cells);
        }
    }
    Files {
        names: names.list,
        extents: extents.list,
        keys: keys.into_iter().map(str::to_owned).collect(),
        rows,
    }
}

fn extent(extent: Extent) -> String {
    match extent {
        Extent::Picture { width, height } => format!("{width}×{height}"),
        Extent::Sound {
            sample_rate,
            channels,
            samples,
        } => {
            let seconds = samples as f64 / f64::from(sample_rate.max(1));
            format!("{seconds:.2} s, {sample_rate} Hz, {channels} ch")
        }
    }
}

/// Texts in order of their first use.
#[derive(Default)]
struct Index {
    list: Vec<String>,
    at: BTreeMap<String, usize>,
}

impl Index {
    fn of(&mut self, text: String) -> f64 {
        let next = self.list.len();
        let at = *self.at.entry(text.clone()).or_insert(next);
        if at == next {
            self.list.push(text);
        }
        at as f64
    }
}
