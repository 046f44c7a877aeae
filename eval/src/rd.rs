//! Rate-distortion curves and how they come from per-file rows.

use crate::metrics::share;
use crate::{BdMethod, BdRate, Environment, EvalError, Extent, Kind, Metric, bd_rate};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Rates in bits per pixel over which a codec is compared with an anchor.
pub const BPP_RANGE: (f64, f64) = (0.1, 2.0);

/// Averages over all files at one quality setting.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RdPoint {
    /// The codec's own quality setting; the index of the point where none is known.
    pub quality: f64,
    /// Bits per pixel or kilobits per second from file sizes, averaged over files.
    pub rate: f64,
    /// Metrics by key, taken per file and averaged over files; those that some file lacks are left out.
    pub values: BTreeMap<String, f64>,
    /// Mean seconds to encode a file, where measured.
    pub encoding_time: Option<f64>,
    /// Mean seconds to decode a file, where measured.
    pub decoding_time: Option<f64>,
}

impl RdPoint {
    /// The value of a metric.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied()
    }
}

/// One file at one quality setting.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// Name of the file.
    pub file: String,
    /// Quality setting.
    pub quality: f64,
    /// Size of the original.
    pub extent: Extent,
    /// Length of the encoded file.
    pub bytes: u64,
    /// Metrics by key. Infinite (`null` in JSON) where nothing was lost.
    pub values: BTreeMap<String, f64>,
    /// What is summed over files before it is divided; see [`crate::metrics::Outcome`].
    pub counts: BTreeMap<String, Vec<[f64; 2]>>,
    /// Seconds to encode.
    pub encoding_time: f64,
    /// Seconds to decode.
    pub decoding_time: f64,
}

impl FileRow {
    /// Bits per pixel or kilobits per second.
    pub fn rate(&self) -> f64 {
        self.extent.rate(self.bytes)
    }

    /// The value of a metric in this file.
    pub fn get(&self, key: &str) -> Option<f64> {
        let counted = || self.counts.get(key).and_then(|counts| share(counts));
        self.values.get(key).copied().or_else(counted)
    }
}

/// A file that could not be coded or measured, and is in no average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the file.
    pub file: String,
    /// Quality setting, unless the file could not even be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// What was wrong.
    pub reason: String,
}

/// A codec's curve over one set of files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RdCurve {
    /// Short name.
    pub name: String,
    /// Settings, or the source of published figures.
    pub description: String,
    /// Pictures or sound.
    pub kind: Kind,
    /// Averages, in the order in which the qualities were given.
    pub points: Vec<RdPoint>,
    /// Versions and machine. Empty for published figures.
    pub environment: Environment,
    /// What was averaged, in order of names. Empty for published figures.
    pub per_file: Vec<FileRow>,
    /// What is in no average, in order of names.
    pub failures: Vec<Failure>,
}

impl RdCurve {
    /// Points whose rate lies in `low..=high`.
    pub fn points_between(&self, low: f64, high: f64) -> Vec<RdPoint> {
        let points = self.points.iter();
        points
            .filter(|point| (low..=high).contains(&point.rate))
            .cloned()
            .collect()
    }

    /// Keys of all metrics that some point has.
    pub fn keys(&self) -> BTreeSet<&str> {
        let points = self.points.iter();
        points
            .flat_map(|point| point.values.keys().map(String::as_str))
            .collect()
    }

    /// Names of the files that have a row at every quality.
    pub fn complete_files(&self) -> BTreeSet<&str> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for row in &self.per_file {
            *counts.entry(&row.file).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        counts.retain(|_, count| *count == most);
        counts.into_keys().collect()
    }

    /// Averages over the files that have a row at every quality, one point per quality in the given order.
    pub(crate) fn average_complete(&mut self, qualities: &[f64]) {
        let complete = self.complete_files();
        let rows = self.per_file.iter();
        let rows: Vec<&FileRow> = rows
            .filter(|row| complete.contains(row.file.as_str()))
            .collect();
        let points = average(&rows, qualities);
        self.points = points;
    }

    /// Averages anew over these files alone; the others' rows stay.
    pub fn average_over(&mut self, files: &BTreeSet<String>) {
        let qualities: Vec<f64> = self.points.iter().map(|point| point.quality).collect();
        let rows = self.per_file.iter().filter(|row| files.contains(&row.file));
        self.points = average(&rows.collect::<Vec<_>>(), &qualities);
    }

    /// BD-rate of this curve against `anchor` on the project's scale: this curve's points in [`BPP_RANGE`] (all of them
    /// for sound), all of the anchor's points, Akima interpolation. The anchor is not cut, because it reaches the same
    /// quality at far higher rates. With JPEG at qualities 5..95 this gives -51.9, -55.1 and -68.9% for the published
    /// curves of bmshj2018-hyperprior, mbt2018-mean and MLIC++.
    ///
    /// # Errors
    /// As [`bd_rate`].
    pub fn bd_rate_against(&self, anchor: &Self, metric: &Metric) -> Result<BdRate, EvalError> {
        let own = match self.kind {
            Kind::Image => self.points_between(BPP_RANGE.0, BPP_RANGE.1),
            Kind::Audio => self.points.clone(),
        };
        bd_rate(&anchor.points, &own, metric, BdMethod::Akima)
    }
}

/// Averages over those files that every curve with rows has at every quality, so that curves speak of the same files. Gives
/// the names of the files that are left out.
pub fn align(curves: &mut [RdCurve]) -> Vec<String> {
    let measured = || curves.iter().filter(|curve| !curve.per_file.is_empty());
    let all: BTreeSet<&str> = measured()
        .flat_map(|curve| {
            let rows = curve.per_file.iter().map(|row| row.file.as_str());
            rows.chain(curve.failures.iter().map(|failure| failure.file.as_str()))
        })
        .collect();
    let complete: Vec<BTreeSet<&str>> = measured().map(RdCurve::complete_files).collect();
    let shared: BTreeSet<String> = all
        .iter()
        .filter(|file| complete.iter().all(|files| files.contains(*file)))
        .map(|file| (*file).to_owned())
        .collect();
    let left_out = all.iter().filter(|file| !shared.contains(**file));
    let left_out: Vec<String> = left_out.map(|file| (*file).to_owned()).collect();
    for curve in curves.iter_mut().filter(|curve| !curve.per_file.is_empty()) {
        curve.average_over(&shared);
    }
    left_out
}

/// Averages rows over files, one point per quality in the given order. Qualities without rows are left out.
pub(crate) fn average(rows: &[&FileRow], qualities: &[f64]) -> Vec<RdPoint> {
    let mut points = Vec::new();
    for &quality in qualities {
        let rows: Vec<&FileRow> = rows
            .iter()
            .copied()
            .filter(|row| row.quality == quality)
            .collect();
        let Some(first) = rows.first() else {
            continue;
        };
        let count = rows.len() as f64;
        let mean = |value: &dyn Fn(&FileRow) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / count
        };
        let mut values = BTreeMap::new();
        for key in first.values.keys() {
            let sum = rows
                .iter()
                .map(|row| row.values.get(key).copied())
                .sum::<Option<f64>>();
            values.extend(sum.map(|sum| (key.clone(), sum / count)));
        }
        let counted: BTreeSet<&String> = rows.iter().flat_map(|row| row.counts.keys()).collect();
        for key in counted {
            let sums = summed(rows.iter().filter_map(|row| row.counts.get(key)));
            values.extend(share(&sums).map(|share| (key.clone(), share)));
        }
        points.push(RdPoint {
            quality,
            rate: mean(&FileRow::rate),
            values,
            encoding_time: Some(mean(&|row| row.encoding_time)),
            decoding_time: Some(mean(&|row| row.decoding_time)),
        });
    }
    points
}

fn summed<'a>(counts: impl Iterator<Item = &'a Vec<[f64; 2]>>) -> Vec<[f64; 2]> {
    let mut sums: Vec<[f64; 2]> = Vec::new();
    for counts in counts {
        if sums.len() < counts.len() {
            sums.resize(counts.len(), [0.0; 2]);
        }
        for (sum, count) in sums.iter_mut().zip(counts) {
            sum[0] += count[0];
            sum[1] += count[1];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file: &str, quality: f64, bytes: u64, psnr: f64, ms_ssim: Option<f64>) -> FileRow {
        let mut values: BTreeMap<String, f64> = [("psnr-rgb".to_owned(), psnr)].into();
        values.extend(ms_ssim.map(|v| ("ms-ssim-rgb".to_owned(), v)));
        FileRow {
            file: file.into(),
            quality,
            extent: Extent::Picture {
                width: 10,
                height: 8,
            },
            bytes,
            values,
            counts: BTreeMap::new(),
            encoding_time: 1.0,
            decoding_time: 2.0,
        }
    }

    #[test]
    fn averages_per_quality() {
        let mut rows = [
            row("a", 2.0, 10, 40.0, Some(0.9)),
            row("a", 1.0, 5, 30.0, Some(0.8)),
            row("b", 2.0, 30, 44.0, None),
            row("b", 1.0, 7, 32.0, Some(0.6)),
        ];
        rows[0].counts.insert("wer".into(), vec![[1.0, 4.0]]);
        rows[2].counts.insert("wer".into(), vec![[0.0, 12.0]]);
        let points = average(&rows.iter().collect::<Vec<_>>(), &[1.0, 2.0, 3.0]);
        assert_eq!(points.len(), 2);
        assert_eq!(
            (points[0].quality, points[0].get("psnr-rgb")),
            (1.0, Some(31.0))
        );
        assert!((points[0].rate - 0.6).abs() < 1e-12);
        assert!((points[0].get("ms-ssim-rgb").unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(
            (
                points[1].rate,
                points[1].get("psnr-rgb"),
                points[1].get("ms-ssim-rgb")
            ),
            (2.0, Some(42.0), None)
        );
        assert_eq!(points[1].get("wer"), Some(1.0 / 16.0));
        assert_eq!(rows[0].get("wer"), Some(0.25));
        assert_eq!(points[1].decoding_time, Some(2.0));
    }

    #[test]
    fn curves_are_aligned_to_files_that_all_have() {
        let curve = |rows: &[FileRow]| {
            let mut curve = RdCurve {
                per_file: rows.to_vec(),
                ..RdCurve::default()
            };
            curve.points = average(&rows.iter().collect::<Vec<_>>(), &[1.0, 2.0]);
            curve
        };
        let all: Vec<FileRow> = ["a", "b", "c"]
            .iter()
            .zip([30.0, 40.0, 50.0])
            .flat_map(|(f, p)| [row(f, 1.0, 1, p, None), row(f, 2.0, 2, p + 1.0, None)])
            .collect();
        let mut curves = [curve(&all), curve(&all[1..]), RdCurve::default()];
        assert_eq!(align(&mut curves), ["a"]);
        assert_eq!(curves[0].points[0].get("psnr-rgb"), Some(45.0));
        assert_eq!(curves[0].points, curves[1].points);
        assert_eq!(curves[0].per_file.len(), 6);
    }
}
