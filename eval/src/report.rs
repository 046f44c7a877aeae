//! Curves as JSON, Markdown and CSV.
//!
//! The JSON has the field names that CompressAI's evaluation writes (`name`, `description`, `results` with `bpp`,
//! `psnr-rgb`, `ms-ssim-rgb`, `encoding_time`, `decoding_time`), so that its plots and tables read ours. On top come
//! `results.quality`, the other metrics, `environment`, `per_file` and `failures`. Sound has `kbps` in place of `bpp`.

use crate::metrics::Metric;
use crate::{Environment, EvalError, Extent, Failure, FileRow, Kind, RdCurve, RdPoint};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    #[serde(default)]
    description: String,
    /// Lists of one length. One is left out when no point has the value; `null` inside stands for a single missing value,
    /// or for the infinite PSNR of unchanged pictures.
    results: BTreeMap<String, Vec<Option<f64>>>,
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    environment: Environment,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    per_file: Vec<RowDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Failure>,
}

/// A row of `per_file`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RowDocument {
    file: String,
    quality: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sample_rate: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bpp: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kbps: Option<f64>,
    encoding_time: f64,
    decoding_time: f64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts: BTreeMap<String, Vec<[f64; 2]>>,
    #[serde(flatten)]
    values: BTreeMap<String, Option<f64>>,
}

/// Where JSON has `null` for a number without end: decibels of nothing lost.
fn may_be_infinite(key: &str) -> bool {
    key.starts_with("psnr") || key == "si-sdr"
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl From<&FileRow> for RowDocument {
    fn from(row: &FileRow) -> Self {
        let rate = Some(row.rate());
        let empty = Self {
            file: row.file.clone(),
            quality: row.quality,
            width: None,
            height: None,
            sample_rate: None,
            channels: None,
            samples: None,
            bytes: row.bytes,
            bpp: None,
            kbps: None,
            encoding_time: row.encoding_time,
            decoding_time: row.decoding_time,
            counts: row.counts.clone(),
            values: row
                .values
                .iter()
                .map(|(key, value)| (key.clone(), finite(*value)))
                .collect(),
        };
        match row.extent {
            Extent::Picture { width, height } => Self {
                width: Some(width),
                height: Some(height),
                bpp: rate,
                ..empty
            },
            Extent::Sound {
                sample_rate,
                channels,
                samples,
            } => Self {
                sample_rate: Some(sample_rate),
                channels: Some(channels),
                samples: Some(samples),
                kbps: rate,
                ..empty
            },
        }
    }
}

impl TryFrom<RowDocument> for FileRow {
    type Error = EvalError;

    fn try_from(row: RowDocument) -> Result<Self, EvalError> {
        let extent = match row {
            RowDocument {
                width: Some(width),
                height: Some(height),
                ..
            } if width > 0 && height > 0 => Extent::Picture { width, height },
            RowDocument {
                sample_rate: Some(sample_rate),
                channels: Some(channels),
                samples: Some(samples),
                ..
            } if sample_rate > 0 && samples > 0 => Extent::Sound {
                sample_rate,
                channels,
                samples,
            },
            _ => {
                return Err(EvalError::Unusable {
                    what: format!("malformed report: '{}'", row.file),
                    reason: "it has no size".to_owned(),
                });
            }
        };
        let values = row.values.into_iter().filter_map(|(key, value)| {
            let value = value.or(may_be_infinite(&key).then_some(f64::INFINITY));
            value.map(|value| (key, value))
        });
        Ok(Self {
            file: row.file,
            quality: row.quality,
            extent,
            bytes: row.bytes,
            values: values.collect(),
            counts: row.counts,
            encoding_time: row.encoding_time,
            decoding_time: row.decoding_time,
        })
    }
}

/// Lists of `results` that are no metrics.
const QUALITY: &str = "quality";
const ENCODING: &str = "encoding_time";
const DECODING: &str = "decoding_time";

impl From<&RdCurve> for Document {
    fn from(curve: &RdCurve) -> Self {
        let mut results = BTreeMap::new();
        let mut put = |key: &str, value: &dyn Fn(&RdPoint) -> Option<f64>| {
            let list: Vec<Option<f64>> = curve.points.iter().map(value).collect();
            results.insert(key.to_owned(), list);
        };
        put(QUALITY, &|point| Some(point.quality));
        put(curve.kind.rate_key(), &|point| Some(point.rate));
        for key in curve.keys() {
            put(key, &|point| point.get(key).and_then(finite));
        }
        put(ENCODING, &|point| point.encoding_time);
        put(DECODING, &|point| point.decoding_time);
        results.retain(|key, list| {
            may_be_infinite(key)
                || key == "bpp"
                || key == "kbps"
                || list.iter().any(Option::is_some)
        });
        Self {
            name: curve.name.clone(),
            description: curve.description.clone(),
            results,
            environment: curve.environment.clone(),
            per_file: curve.per_file.iter().map(RowDocument::from).collect(),
            failures: curve.failures.clone(),
        }
    }
}

impl TryFrom<Document> for RdCurve {
    type Error = EvalError;

    fn try_from(document: Document) -> Result<Self, EvalError> {
        let Document {
            name,
            description,
            mut results,
            environment,
            per_file,
            failures,
        } = document;
        // As CompressAI names them.
        for (alias, key) in [("psnr", "psnr-rgb"), ("ms-ssim", "ms-ssim-rgb")] {
            if !results.contains_key(key)
                && let Some(list) = results.remove(alias)
            {
                results.insert(key.to_owned(), list);
            }
        }
        let kind = if results.contains_key("kbps") {
            Kind::Audio
        } else {
            Kind::Image
        };
        let unusable = |reason: &str| EvalError::Unusable {
            what: format!("malformed report {name}"),
            reason: reason.to_owned(),
        };
        let rates = results
            .remove(kind.rate_key())
            .ok_or_else(|| unusable("it has no rates"))?;
        for (field, list) in &results {
            if list.len() != rates.len() {
                return Err(EvalError::ReportLength {
                    name,
                    field: field.clone(),
                    count: list.len(),
                    expected: rates.len(),
                });
            }
        }
        let [qualities, encoding, decoding] =
            [QUALITY, ENCODING, DECODING].map(|key| results.remove(key).unwrap_or_default());
        let at = |list: &[Option<f64>], i: usize| list.get(i).copied().flatten();
        let mut points = Vec::with_capacity(rates.len());
        for (i, rate) in rates.iter().enumerate() {
            let values = results.iter().filter_map(|(key, list)| {
                let value = at(list, i).or(may_be_infinite(key).then_some(f64::INFINITY));
                value.map(|value| (key.clone(), value))
            });
            points.push(RdPoint {
                quality: at(&qualities, i).unwrap_or(i as f64),
                rate: rate.ok_or_else(|| unusable("a point has no rate"))?,
                values: values.collect(),
                encoding_time: at(&encoding, i),
                decoding_time: at(&decoding, i),
            });
        }
        let per_file: Result<Vec<FileRow>, EvalError> =
            per_file.into_iter().map(FileRow::try_from).collect();
        Ok(Self {
            name,
            description,
            kind,
            points,
            environment,
            per_file: per_file?,
            failures,
        })
    }
}

/// One curve as JSON.
///
/// # Errors
/// [`EvalError::Report`], which finite qualities and rates do not cause.
pub fn to_json(curve: &RdCurve) -> Result<String, EvalError> {
    serde_json::to_string_pretty(&Document::from(curve)).map_err(EvalError::Report)
}

/// Several curves as a JSON list.
///
/// # Errors
/// As [`to_json`].
pub fn list_to_json(curves: &[RdCurve]) -> Result<String, EvalError> {
    let documents: Vec<Document> = curves.iter().map(Document::from).collect();
    serde_json::to_string_pretty(&documents).map_err(EvalError::Report)
}

/// Reads what [`to_json`] or CompressAI's evaluation wrote.
///
/// # Errors
/// [`EvalError::Report`] or [`EvalError::ReportLength`].
pub fn from_json(text: &str) -> Result<RdCurve, EvalError> {
    serde_json::from_str::<Document>(text)
        .map_err(EvalError::Report)?
        .try_into()
}

/// Reads what [`list_to_json`] wrote.
///
/// # Errors
/// As [`from_json`].
pub fn list_from_json(text: &str) -> Result<Vec<RdCurve>, EvalError> {
    let documents: Vec<Document> = serde_json::from_str(text).map_err(EvalError::Report)?;
    documents.into_iter().map(RdCurve::try_from).collect()
}

/// The curve's points as a Markdown table with a column for each metric.
pub fn markdown(curve: &RdCurve) -> String {
    let metrics: Vec<Metric> = curve.keys().into_iter().map(Metric::of_key).collect();
    let mut out = format!("| quality | {} |", curve.kind.rate_key());
    // Writing to a string cannot fail.
    for metric in &metrics {
        let _ = write!(out, " {} |", metric.label);
    }
    out.push_str(" encode (ms) | decode (ms) |\n|");
    out.push_str(&" ---: |".repeat(4 + metrics.len()));
    out.push('\n');
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    for point in &curve.points {
        let _ = write!(out, "| {} | {:.4} |", point.quality, point.rate);
        for metric in &metrics {
            // Values below 10 are told with four digits behind the point, others with three.
            let value = point.get(&metric.key);
            let digits = if value.is_some_and(|value| value.abs() < 10.0) {
                4
            } else {
                3
            };
            let _ = write!(out, " {} |", number(value, digits));
        }
        let ms = |seconds: Option<f64>| number(seconds.map(|s| s * 1000.0), 1);
        let _ = writeln!(
            out,
            " {} | {} |",
            ms(point.encoding_time),
            ms(point.decoding_time)
        );
    }
    out
}

/// Keys of all curves, and their names as columns.
fn columns(curves: &[RdCurve]) -> (Vec<String>, String) {
    let keys: std::collections::BTreeSet<&str> = curves.iter().flat_map(RdCurve::keys).collect();
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let names: String = keys
        .iter()
        .map(|key| format!("{},", field(key).replace('-', "_")))
        .collect();
    (keys, names)
}

fn rate_column(curves: &[RdCurve]) -> &'static str {
    curves
        .first()
        .map_or(Kind::Image, |curve| curve.kind)
        .rate_key()
}

/// The points of several curves, all of pictures or all of sound, as CSV, one line a point.
pub fn csv(curves: &[RdCurve]) -> String {
    let (keys, names) = columns(curves);
    let mut out = format!(
        "name,quality,{},{names}encoding_time,decoding_time\n",
        rate_column(curves)
    );
    for curve in curves {
        for point in &curve.points {
            let _ = write!(
                out,
                "{},{},{},",
                field(&curve.name),
                point.quality,
                point.rate
            );
            for key in &keys {
                let _ = write!(out, "{},", optional(point.get(key)));
            }
            let _ = writeln!(
                out,
                "{},{}",
                optional(point.encoding_time),
                optional(point.decoding_time)
            );
        }
    }
    out
}

/// The rows of several curves, all of pictures or all of sound, as CSV, one line a file and quality.
pub fn csv_per_file(curves: &[RdCurve]) -> String {
    let (keys, names) = columns(curves);
    let mut out = format!(
        "name,file,quality,extent,bytes,{},{names}encoding_time,decoding_time\n",
        rate_column(curves)
    );
    for curve in curves {
        for row in &curve.per_file {
            let extent = match row.extent {
                Extent::Picture { width, height } => format!("{width}x{height}"),
                Extent::Sound {
                    sample_rate,
                    channels,
                    samples,
                } => format!("{channels}x{samples}@{sample_rate}"),
            };
            let _ = write!(
                out,
                "{},{},{},{extent},{},{},",
                field(&curve.name),
                field(&row.file),
                row.quality,
                row.bytes,
                row.rate()
            );
            for key in &keys {
                let _ = write!(out, "{},", optional(row.get(key)));
            }
            let _ = writeln!(out, "{},{}", row.encoding_time, row.decoding_time);
        }
    }
    out
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Text as a CSV field (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(psnr: f64, ms_ssim: Option<f64>) -> BTreeMap<String, f64> {
        let psnr = ("psnr-rgb".to_owned(), psnr);
        [psnr]
            .into_iter()
            .chain(ms_ssim.map(|value| ("ms-ssim-rgb".to_owned(), value)))
            .collect()
    }

    fn curve() -> RdCurve {
        let point = RdPoint {
            quality: 5.0,
            rate: 0.25,
            values: values(30.5, Some(0.95)),
            ..RdPoint::default()
        };
        let lossless = RdPoint {
            quality: 6.0,
            rate: 9.0,
            values: values(f64::INFINITY, None),
            ..RdPoint::default()
        };
        let row = FileRow {
            file: "a,b.png".into(),
            quality: 6.0,
            extent: Extent::Picture {
                width: 8,
                height: 4,
            },
            bytes: 36,
            values: values(f64::INFINITY, None),
            counts: [("wer".to_owned(), vec![[1.0, 4.0]])].into(),
            encoding_time: 0.5,
            decoding_time: 0.25,
        };
        RdCurve {
            name: "ours".into(),
            description: "test".into(),
            kind: Kind::Image,
            points: vec![point, lossless],
            environment: [("threads".to_string(), "2".to_string())].into(),
            per_file: vec![row],
            failures: vec![Failure {
                file: "c.png".into(),
                quality: None,
                reason: "torn".into(),
            }],
        }
    }

    #[test]
    fn json_round_trip_and_field_names() {
        let text = to_json(&curve()).unwrap();
        assert_eq!(from_json(&text).unwrap(), curve());
        assert_eq!(
            list_from_json(&list_to_json(&[curve(), curve()]).unwrap()).unwrap(),
            [curve(), curve()]
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["results"]["psnr-rgb"][0], 30.5);
        assert_eq!(value["results"]["ms-ssim-rgb"][0], 0.95);
        assert_eq!(value["per_file"][0]["psnr-rgb"], serde_json::Value::Null);
        assert_eq!(value["per_file"][0]["bpp"], 9.0);
        assert!(value["results"].get("encoding_time").is_none());
    }

    #[test]
    fn sound_has_rates_of_its_own() {
        let mut sound = curve();
        sound.kind = Kind::Audio;
        sound.per_file[0].extent = Extent::Sound {
            sample_rate: 24_000,
            channels: 1,
            samples: 24_000,
        };
        let text = to_json(&sound).unwrap();
        assert_eq!(from_json(&text).unwrap(), sound);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["per_file"][0]["kbps"], 0.288);
        assert_eq!(value["results"]["kbps"][1], 9.0);
    }

    #[test]
    fn reads_foreign_reports_and_refuses_ragged_ones() {
        let text =
            r#"{"name": "x", "results": {"bpp": [0.1, 0.2], "psnr": [30, 31], "extra": [1, 2]}}"#;
        let curve = from_json(text).unwrap();
        assert_eq!(
            (
                curve.points[1].quality,
                curve.points[1].rate,
                curve.points[1].get("psnr-rgb")
            ),
            (1.0, 0.2, Some(31.0))
        );
        assert_eq!(curve.points[1].get("extra"), Some(2.0));
        let ragged = r#"{"name": "x", "results": {"bpp": [0.1, 0.2], "psnr-rgb": [30]}}"#;
        let error = from_json(ragged).unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed report x: `psnr-rgb` has 1 values (expected 2)"
        );
        assert!(matches!(from_json("{"), Err(EvalError::Report(_))));
        assert!(from_json(r#"{"name": "x", "results": {}}"#).is_err());
        let row = r#"{"file": "a", "quality": 1, "bytes": 3, "width": 0, "height": 4, "encoding_time": 0, "decoding_time": 0}"#;
        let empty = format!(r#"{{"name": "x", "results": {{"bpp": []}}, "per_file": [{row}]}}"#);
        assert!(from_json(&empty).is_err());
    }

    #[test]
    fn tables() {
        let text = markdown(&curve());
        assert!(
            text.contains("| quality | bpp | MS-SSIM | PSNR (dB) |")
                && text.contains("| 5 | 0.2500 | 0.9500 | 30.500 | - | - |"),
            "{text}"
        );
        assert_eq!(
            csv(&[curve()]).lines().next(),
            Some("name,quality,bpp,ms_ssim_rgb,psnr_rgb,encoding_time,decoding_time")
        );
        assert_eq!(
            csv(&[curve()]).lines().nth(1),
            Some("ours,5,0.25,0.95,30.5,,")
        );
        assert_eq!(
            csv_per_file(&[curve()]).lines().nth(1),
            Some("ours,\"a,b.png\",6,8x4,36,9,,inf,0.5,0.25")
        );
    }
}
