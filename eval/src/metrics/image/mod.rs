//! Metrics of pictures.

mod backbone;
mod butteraugli;
mod dists;
mod lpips;
mod ms_ssim;
mod psnr;
mod psnr_ycbcr;
mod ssimulacra2;

pub use backbone::Network;
#[cfg(test)]
pub(crate) use backbone::tests::uniform;
pub use butteraugli::{BUTTERAUGLI_MIN_SIDE, Butteraugli, ButteraugliDistance, butteraugli};
pub use dists::Dists;
pub use lpips::Lpips;
pub use ms_ssim::{MS_SSIM_MIN_SIDE, ms_ssim};
pub(crate) use psnr::check_sizes;
pub use psnr::psnr_rgb;
pub use psnr_ycbcr::{psnr_y, psnr_ycbcr};
pub use ssimulacra2::{SSIMULACRA2_MIN_SIDE, Ssimulacra2, ssimulacra2};

use super::{Measure, Metric, Plain, where_defined};
use crate::EvalError;
use image::RgbImage;

/// Keys of the metrics that are measured where none are named: together 0.2 s for a picture of 768x512 on one thread. PSNR
/// of chroma is not among them, since it is infinite for gray pictures.
pub const USUAL: &[&str] = &[
    "psnr-rgb",
    "ms-ssim-rgb",
    "ssimulacra2",
    "butteraugli-3norm",
];

/// The metric of this key, ready to measure; `None` for one that needs more than the pictures ([`Lpips`], [`Dists`]).
pub fn of_key(key: &str) -> Option<Box<dyn Measure<RgbImage>>> {
    type Compare = fn(&RgbImage, &RgbImage) -> Result<f64, EvalError>;
    let compare: Compare = match key {
        "psnr-rgb" => psnr_rgb,
        "psnr-y" => psnr_y,
        "psnr-ycbcr" => psnr_ycbcr,
        "ms-ssim-rgb" => ms_ssim,
        "ssimulacra2" => return Some(Box::new(Ssimulacra2)),
        _ => return Some(Box::new(Butteraugli::of_keys(&[key])?)),
    };
    Some(Box::new(Plain::new(Metric::of_key(key), move |a, b| {
        where_defined(compare(a, b))
    })))
}

/// The metrics of these keys, each once and in this order; those that [`of_key`] does not know are left out. Keys that one
/// computation serves share it.
pub fn of_keys(keys: &[&str]) -> Vec<Box<dyn Measure<RgbImage>>> {
    let mut measures: Vec<Box<dyn Measure<RgbImage>>> = Vec::new();
    for &key in keys {
        let mut given = measures.iter().flat_map(|measure| measure.metrics());
        if given.any(|metric| metric.key == key) {
            continue;
        }
        match (Butteraugli::of_keys(&[key]), Butteraugli::of_keys(keys)) {
            (Some(_), Some(all)) => measures.push(Box::new(all)),
            _ => measures.extend(of_key(key)),
        }
    }
    measures
}

/// The metrics of these keys; those that are not known are left out.
#[cfg(test)]
pub(crate) fn standard(keys: &[&str]) -> Vec<Box<dyn Measure<RgbImage>>> {
    of_keys(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn keys_are_those_of_the_registry() {
        let keys: Vec<&str> = Metric::known(Kind::Image).collect();
        let with_weights = ["lpips-alex", "lpips-vgg", "dists"];
        for key in &keys {
            let metrics = of_key(key).map(|measure| measure.metrics());
            match metrics.as_deref() {
                Some([metric]) => assert_eq!(&metric.key, key),
                None => assert!(with_weights.contains(key), "{key}"),
                _ => panic!("{key}"),
            }
        }
        assert!(of_key("no such metric").is_none());
        assert!(USUAL.iter().all(|key| of_key(key).is_some()));
    }

    #[test]
    fn butteraugli_is_computed_once() {
        let keys = ["butteraugli-3norm", "psnr-y", "butteraugli", "psnr-y", "?"];
        let measures = of_keys(&keys);
        assert_eq!(measures.len(), 2);
        assert_eq!(measures[0].metrics().len(), 2);
    }
}
