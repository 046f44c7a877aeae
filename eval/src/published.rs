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
                Metric::Psnr,
                BdMethod::Akima,
            )
            .unwrap();
        }
        let gap = bd_rate(
            points("MLIC"),
            points("MLIC++"),
            Metric::Psnr,
            BdMethod::Akima,
        )
        .unwrap()
        .percent;
        assert!((gap + 5.8).abs() < 1.0, "{gap}");
    }
}
