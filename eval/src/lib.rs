//! Metrics, rate-distortion curves and anchors.
//!
//! * [`metrics`] compare pictures and sounds,
//! * [`tasks`] ask how machines see them,
//! * [`run`] takes a [`Codec`] over a [`Dataset`] and qualities and gives an [`RdCurve`]; [`merge`] joins those of shards,
//! * [`bd_rate`] and [`bd_metric`] compare two curves,
//! * [`anchors`] are the codecs of today, run through their own command-line tools,
//! * [`report`] writes JSON, Markdown and CSV, [`html`] a page to look at, [`plot`] an SVG, and
//!   [`published`] holds figures of published models.
//!
//! Conditions: rate from the length of the file; metrics per file, then averaged over files for each quality setting;
//! pictures in 8-bit RGB.
//!
//! ```
//! use codec_eval::{BdMethod, Metric, bd_rate, published};
//!
//! # fn main() -> Result<(), codec_eval::EvalError> {
//! let curves = published::kodak()?;
//! let find = |name: &str| curves.iter().find(|curve| curve.name == name).map(|curve| curve.points.as_slice());
//! let (hyperprior, mean) = (find("bmshj2018-hyperprior").unwrap(), find("mbt2018-mean").unwrap());
//! let bd = bd_rate(hyperprior, mean, &Metric::psnr(), BdMethod::Akima)?;
//! assert!((bd.percent + 6.826).abs() < 0.001);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod anchors;
mod bd_rate;
mod codec;
mod dataset;
mod environment;
mod error;
pub mod html;
mod interpolate;
mod journal;
mod medium;
mod merge;
pub mod metrics;
pub mod plot;
pub mod published;
mod rd;
pub mod report;
mod run;
mod samples;
pub mod tasks;

pub use bd_rate::{BdMethod, BdMetric, BdRate, bd_metric, bd_rate};
pub use codec::{Cause, Codec};
pub use dataset::{Dataset, Item, load_picture};
pub use environment::{Environment, environment};
pub use error::EvalError;
pub use image::RgbImage;
pub use journal::Journal;
pub use medium::{Extent, Kind, Medium, Sound};
pub use merge::merge;
pub use metrics::Metric;
pub use rd::{BPP_RANGE, Failure, FileRow, RdCurve, RdPoint, align};
pub use run::{Plan, run};
pub use samples::equal_bytes;

#[cfg(test)]
mod test_images;
#[cfg(test)]
mod test_sounds;
