//! Rate-distortion points of published models, to be drawn beside ours.

use crate::{EvalError, RdCurve, report};

/// Averages over the 24 Kodak pictures from actual file sizes, models optimized for MSE. Each curve's description
/// names its source.
///
/// # Errors
/// [`EvalError::Report`] or [`EvalError::ReportLength`] if the embedded file were damaged.
pub fn kodak() -> Result<Vec<RdCurve>, EvalError> {
    report::list_from_json(include_str!("../data/kodak_published.json"))
}

/// Averages over the 24 Kodak pictures of JPEG, WebP and AVIF in several settings, taken by commit 9071f82 (`eval/examples/anchors.rs`);
/// versions are in each curve's environment. To see where a codec stands without installing the tools; figures that
/// are reported should come from a run of one's own.
///
/// # Errors
/// As [`kodak`].
pub fn kodak_anchors() -> Result<Vec<RdCurve>, EvalError> {
    report::list_from_json(include_str!("../data/kodak_anchors.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BdMethod, Metric, bd_rate};

    /// The README of MLIC++ gives -13.39 and -8.05% against VTM for MLIC++ and MLIC on Kodak; the gap between the two is
    /// then about -5.8%.
    #[test]
    fn curves_are_usable_and_consistent() {
        let curves = kodak().unwrap();
        let points = |name: &str| {
            curves
                .iter()
                .find(|curve| curve.name == name)
                .unwrap()
                .points
                .as_slice()
        };
        for curve in &curves {
            assert!(!curve.description.is_empty());
            bd_rate(
                points("mbt2018-mean"),
                &curve.points,
                &Metric::psnr(),
                BdMethod::Akima,
            )
            .unwrap();
        }
        let gap = bd_rate(
            points("MLIC"),
            points("MLIC++"),
            &Metric::psnr(),
            BdMethod::Akima,
        )
        .unwrap()
        .percent;
        assert!((gap + 5.8).abs() < 1.0, "{gap}");
    }

    /// The scale on which the project states its figures: -52, -55 and -69% for these models against JPEG.
    #[test]
    fn the_scale_stays() {
        let (anchors, curves) = (kodak_anchors().unwrap(), kodak().unwrap());
        let expected = [
            ("bmshj2018-hyperprior", -51.86),
            ("mbt2018-mean", -55.08),
            ("MLIC++", -68.88),
        ];
        for (name, percent) in expected {
            let curve = curves.iter().find(|curve| curve.name == name).unwrap();
            let bd = curve.bd_rate_against(&anchors[0], &Metric::psnr()).unwrap();
            assert!(
                (bd.percent - percent).abs() < 0.02,
                "{name}: {}",
                bd.percent
            );
        }
    }
}
