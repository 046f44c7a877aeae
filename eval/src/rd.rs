//! Rate-distortion curves and how they come from per-file rows.

use crate::{BdMethod, BdRate, Environment, EvalError, Metric, bd_rate};
use serde::{Deserialize, Serialize};

/// Rates in bits per pixel over which a codec is compared with an anchor.
pub const BPP_RANGE: (f64, f64) = (0.1, 2.0);

/// Averages over all pictures at one quality setting.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RdPoint {
    /// The codec's own quality setting; the index of the point where none is known.
    pub quality: f64,
    /// Bits per pixel from file sizes, averaged over pictures.
    pub bpp: f64,
    /// PSNR in dB in RGB per picture, averaged over pictures.
    pub psnr: f64,
    /// MS-SSIM in RGB per picture, averaged over pictures; `None` when a picture is too small for it or it was not
    /// published.
    pub ms_ssim: Option<f64>,
    /// Mean seconds to encode a picture, where measured.
    pub encoding_time: Option<f64>,
    /// Mean seconds to decode a picture, where measured.
    pub decoding_time: Option<f64>,
}

/// One picture at one quality setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRow {
    /// Name of the picture.
    pub file: String,
    /// Quality setting.
    pub quality: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Length of the encoded file.
    pub bytes: u64,
    /// Bits per pixel.
    pub bpp: f64,
    /// PSNR in dB in RGB; infinite (`null` in JSON) when the picture came back unchanged.
    #[serde(rename = "psnr-rgb", with = "finite_or_null")]
    pub psnr: f64,
    /// MS-SSIM in RGB, unless the picture is too small.
    #[serde(rename = "ms-ssim-rgb")]
    pub ms_ssim: Option<f64>,
    /// Seconds to encode.
    pub encoding_time: f64,
    /// Seconds to decode.
    pub decoding_time: f64,
}

/// A codec's curve over one set of pictures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RdCurve {
    /// Short name.
    pub name: String,
    /// Settings, or the source of published figures.
    pub description: String,
    /// Averages, in the order in which the qualities were given.
    pub points: Vec<RdPoint>,
    /// Versions and machine. Empty for published figures.
    pub environment: Environment,
    /// What was averaged. Empty for published figures.
    pub per_file: Vec<FileRow>,
}

impl RdCurve {
    /// Points whose rate lies in `low..=high` bits per pixel.
    pub fn points_between(&self, low: f64, high: f64) -> Vec<RdPoint> {
        self.points
            .iter()
            .copied()
            .filter(|point| (low..=high).contains(&point.bpp))
            .collect()
    }

    /// BD-rate of this curve against `anchor` on the project's scale: this curve's points in [`BPP_RANGE`], all of the
    /// anchor's points, Akima interpolation. The anchor is not cut, because it reaches the same quality at far higher
    /// rates. With JPEG at qualities 5..95 this gives -51.9, -55.1 and -68.9% for the published curves of
    /// bmshj2018-hyperprior, mbt2018-mean and MLIC++.
    ///
    /// # Errors
    /// As [`bd_rate`].
    pub fn bd_rate_against(&self, anchor: &Self, metric: Metric) -> Result<BdRate, EvalError> {
        bd_rate(
            &anchor.points,
            &self.points_between(BPP_RANGE.0, BPP_RANGE.1),
            metric,
            BdMethod::Akima,
        )
    }
}

/// Averages rows over pictures, one point per quality in the given order. Qualities without rows are left out.
pub(crate) fn average(rows: &[FileRow], qualities: &[f64]) -> Vec<RdPoint> {
    let mut points = Vec::new();
    for &quality in qualities {
        let rows: Vec<&FileRow> = rows.iter().filter(|row| row.quality == quality).collect();
        if rows.is_empty() {
            continue;
        }
        let mean = |value: &dyn Fn(&FileRow) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / rows.len() as f64
        };
        let ms_ssim = rows.iter().map(|row| row.ms_ssim).sum::<Option<f64>>();
        points.push(RdPoint {
            quality,
            bpp: mean(&|row| row.bpp),
            psnr: mean(&|row| row.psnr),
            ms_ssim: ms_ssim.map(|sum| sum / rows.len() as f64),
            encoding_time: Some(mean(&|row| row.encoding_time)),
            decoding_time: Some(mean(&|row| row.decoding_time)),
        });
    }
    points
}

/// JSON knows no infinity: an unchanged picture's PSNR is written as `null` and read back as infinite.
pub(crate) mod finite_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file: &str, quality: f64, bpp: f64, psnr: f64, ms_ssim: Option<f64>) -> FileRow {
        let (width, height, bytes) = (10, 10, (bpp * 12.5) as u64);
        let (encoding_time, decoding_time) = (1.0, 2.0);
        FileRow {
            file: file.into(),
            quality,
            width,
            height,
            bytes,
            bpp,
            psnr,
            ms_ssim,
            encoding_time,
            decoding_time,
        }
    }

    #[test]
    fn averages_per_quality() {
        let rows = [
            row("a", 2.0, 1.0, 40.0, Some(0.9)),
            row("a", 1.0, 0.5, 30.0, Some(0.8)),
            row("b", 2.0, 3.0, 44.0, None),
            row("b", 1.0, 0.7, 32.0, Some(0.6)),
        ];
        let points = average(&rows, &[1.0, 2.0, 3.0]);
        assert_eq!(points.len(), 2);
        assert_eq!(
            (points[0].quality, points[0].bpp, points[0].psnr),
            (1.0, 0.6, 31.0)
        );
        assert!((points[0].ms_ssim.unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(
            (points[1].bpp, points[1].psnr, points[1].ms_ssim),
            (2.0, 42.0, None)
        );
        assert_eq!(points[1].decoding_time, Some(2.0));
    }
}
