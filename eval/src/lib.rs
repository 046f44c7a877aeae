//! Metrics, rate-distortion curves and anchors.
//!
//! * [`psnr_rgb`] and [`ms_ssim`] compare two pictures,
//! * [`evaluate`] and [`evaluate_anchor`] run a codec over pictures and qualities and give an [`RdCurve`],
//! * [`bd_rate`] compares two curves,
//! * [`anchors`] are the codecs of today, run through their own command-line tools,
//! * [`report`] writes JSON, Markdown and CSV, [`plot`] an SVG, and [`published`] holds figures of published models.
//!
//! Conditions: 8-bit RGB, rate from the length of the file, metrics per picture and then averaged over pictures for
//! each quality setting.
//!
//! ```
//! use codec_eval::{BdMethod, Metric, bd_rate, published};
//!
//! # fn main() -> Result<(), codec_eval::EvalError> {
//! let curves = published::kodak()?;
//! let find = |name: &str| curves.iter().find(|curve| curve.name == name).map(|curve| curve.points.as_slice());
//! let (hyperprior, mean) = (find("bmshj2018-hyperprior").unwrap(), find("mbt2018-mean").unwrap());
//! let bd = bd_rate(hyperprior, mean, Metric::Psnr, BdMethod::Akima)?;
//! assert!((bd.percent + 6.826).abs() < 0.001);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod anchors;
mod bd_rate;
mod environment;
mod error;
mod evaluate;
mod interpolate;
mod ms_ssim;
pub mod plot;
mod psnr;
pub mod published;
mod rd;
pub mod report;

pub use bd_rate::{BdMethod, BdRate, Metric, bd_rate};
pub use environment::{Environment, environment};
pub use error::EvalError;
pub use evaluate::{Coded, TestPicture, evaluate, evaluate_anchor, evaluate_serial, load_pictures};
pub use image::RgbImage;
pub use ms_ssim::{MS_SSIM_MIN_SIDE, ms_ssim};
pub use psnr::psnr_rgb;
pub use rd::{BPP_RANGE, FileRow, RdCurve, RdPoint};

#[cfg(test)]
mod test_images;
