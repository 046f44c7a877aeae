//! Curves as JSON, Markdown and CSV.
//!
//! The JSON has the field names that CompressAI's evaluation writes (`name`, `description`, `results` with `bpp`,
//! `psnr-rgb`, `ms-ssim-rgb`, `encoding_time`, `decoding_time`), so that its plots and tables read ours. On top come
//! `results.quality`, `environment` and `per_file`.

use crate::{Environment, EvalError, FileRow, RdCurve, RdPoint};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    #[serde(default)]
    description: String,
    results: Results,
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    environment: Environment,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    per_file: Vec<FileRow>,
}

/// A list is left out when no point has the value. `null` inside stands for a single missing value, or for the
/// infinite PSNR of unchanged pictures.
#[derive(Serialize, Deserialize)]
struct Results {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quality: Vec<f64>,
    bpp: Vec<f64>,
    #[serde(rename = "psnr-rgb", alias = "psnr")]
    psnr: Vec<Option<f64>>,
    #[serde(
        rename = "ms-ssim-rgb",
        alias = "ms-ssim",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    ms_ssim: Vec<Option<f64>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    encoding_time: Vec<Option<f64>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decoding_time: Vec<Option<f64>>,
}

impl From<&RdCurve> for Document {
    fn from(curve: &RdCurve) -> Self {
        let optional = |value: fn(&RdPoint) -> Option<f64>| {
            let list: Vec<Option<f64>> = curve.points.iter().map(value).collect();
            if list.iter().any(Option::is_some) {
                list
            } else {
                Vec::new()
            }
        };
        Self {
            name: curve.name.clone(),
            description: curve.description.clone(),
            results: Results {
                quality: curve.points.iter().map(|point| point.quality).collect(),
                bpp: curve.points.iter().map(|point| point.bpp).collect(),
                psnr: curve
                    .points
                    .iter()
                    .map(|point| point.psnr.is_finite().then_some(point.psnr))
                    .collect(),
                ms_ssim: optional(|point| point.ms_ssim),
                encoding_time: optional(|point| point.encoding_time),
                decoding_time: optional(|point| point.decoding_time),
            },
            environment: curve.environment.clone(),
            per_file: curve.per_file.clone(),
        }
    }
}

impl TryFrom<Document> for RdCurve {
    type Error = EvalError;

    fn try_from(document: Document) -> Result<Self, EvalError> {
        let Results {
            quality,
            bpp,
            psnr,
            ms_ssim,
            encoding_time,
            decoding_time,
        } = document.results;
        let lengths = [
            ("psnr-rgb", psnr.len(), false),
            ("quality", quality.len(), true),
            ("ms-ssim-rgb", ms_ssim.len(), true),
            ("encoding_time", encoding_time.len(), true),
            ("decoding_time", decoding_time.len(), true),
        ];
        for (field, count, may_lack) in lengths {
            if count != bpp.len() && !(may_lack && count == 0) {
                return Err(EvalError::ReportLength {
                    name: document.name,
                    field,
                    count,
                    expected: bpp.len(),
                });
            }
        }
        let at = |list: &[Option<f64>], i: usize| list.get(i).copied().flatten();
        let points = bpp.iter().enumerate().map(|(i, &bpp)| RdPoint {
            quality: quality.get(i).copied().unwrap_or(i as f64),
            bpp,
            psnr: at(&psnr, i).unwrap_or(f64::INFINITY),
            ms_ssim: at(&ms_ssim, i),
            encoding_time: at(&encoding_time, i),
            decoding_time: at(&decoding_time, i),
        });
        Ok(Self {
            name: document.name,
            description: document.description,
            points: points.collect(),
            environment: document.environment,
            per_file: document.per_file,
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

/// The curve's points as a Markdown table.
pub fn markdown(curve: &RdCurve) -> String {
    let mut out =
        String::from("| quality | bpp | PSNR (dB) | MS-SSIM | encode (ms) | decode (ms) |\n");
    out.push_str("| ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for point in &curve.points {
        let ms = |seconds: Option<f64>| {
            seconds.map_or_else(|| "-".to_string(), |s| format!("{:.1}", s * 1000.0))
        };
        let ms_ssim = point
            .ms_ssim
            .map_or_else(|| "-".to_string(), |value| format!("{value:.4}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {} | {:.4} | {:.3} | {ms_ssim} | {} | {} |",
            point.quality,
            point.bpp,
            point.psnr,
            ms(point.encoding_time),
            ms(point.decoding_time)
        );
    }
    out
}

/// The points of several curves as CSV, one line a point.
pub fn csv(curves: &[RdCurve]) -> String {
    let mut out =
        String::from("name,quality,bpp,psnr_rgb,ms_ssim_rgb,encoding_time,decoding_time\n");
    for curve in curves {
        for point in &curve.points {
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{}",
                field(&curve.name),
                point.quality,
                point.bpp,
                point.psnr,
                optional(point.ms_ssim),
                optional(point.encoding_time),
                optional(point.decoding_time)
            );
        }
    }
    out
}

/// The rows of several curves as CSV, one line a picture and quality.
pub fn csv_per_file(curves: &[RdCurve]) -> String {
    let mut out = String::from(
        "name,file,quality,width,height,bytes,bpp,psnr_rgb,ms_ssim_rgb,encoding_time,decoding_time\n",
    );
    for curve in curves {
        for row in &curve.per_file {
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{}",
                field(&curve.name),
                field(&row.file),
                row.quality,
                row.width,
                row.height,
                row.bytes,
                row.bpp,
                row.psnr,
                optional(row.ms_ssim),
                row.encoding_time,
                row.decoding_time
            );
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

    fn curve() -> RdCurve {
        let point = RdPoint {
            quality: 5.0,
            bpp: 0.25,
            psnr: 30.5,
            ms_ssim: Some(0.95),
            ..RdPoint::default()
        };
        let lossless = RdPoint {
            quality: 6.0,
            bpp: 9.0,
            psnr: f64::INFINITY,
            ms_ssim: Some(1.0),
            ..point
        };
        let row = FileRow {
            file: "a,b.png".into(),
            quality: 6.0,
            width: 8,
            height: 4,
            bytes: 36,
            bpp: 9.0,
            psnr: f64::INFINITY,
            ms_ssim: None,
            encoding_time: 0.5,
            decoding_time: 0.25,
        };
        RdCurve {
            name: "ours".into(),
            description: "test".into(),
            points: vec![point, lossless],
            environment: [("threads".to_string(), "2".to_string())].into(),
            per_file: vec![row],
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
        assert!(value["results"].get("encoding_time").is_none());
    }

    #[test]
    fn reads_foreign_reports_and_refuses_ragged_ones() {
        let text =
            r#"{"name": "x", "results": {"bpp": [0.1, 0.2], "psnr-rgb": [30, 31], "extra": [1]}}"#;
        let curve = from_json(text).unwrap();
        assert_eq!(
            curve.points[1],
            RdPoint {
                quality: 1.0,
                bpp: 0.2,
                psnr: 31.0,
                ..RdPoint::default()
            }
        );
        let ragged = r#"{"name": "x", "results": {"bpp": [0.1, 0.2], "psnr-rgb": [30]}}"#;
        let error = from_json(ragged).unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed report x: `psnr-rgb` has 1 values (expected 2)"
        );
        assert!(matches!(from_json("{"), Err(EvalError::Report(_))));
    }

    #[test]
    fn tables() {
        let text = markdown(&curve());
        assert!(
            text.contains("| 5 | 0.2500 | 30.500 | 0.9500 | - | - |"),
            "{text}"
        );
        assert_eq!(
            csv(&[curve()]).lines().nth(1),
            Some("ours,5,0.25,30.5,0.95,,")
        );
        assert_eq!(
            csv_per_file(&[curve()]).lines().nth(1),
            Some("ours,\"a,b.png\",6,8,4,36,9,inf,,0.5,0.25")
        );
    }
}
