//! Bjøntegaard delta rate (G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves",
//! ITU-T VCEG-M33, 2001), with piecewise cubics in place of one polynomial as is usual today.

use crate::interpolate::Cubic;
use crate::{EvalError, RdPoint};

/// Fewest points of a curve.
const MIN_POINTS: usize = 4;
/// Least common interval, as a share of the narrower curve's range. Below it the figure speaks of a corner only.
const MIN_OVERLAP: f64 = 0.25;

/// How log rate is interpolated over quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BdMethod {
    /// Akima splines: follow bends with little overshoot.
    #[default]
    Akima,
    /// Piecewise cubic Hermite, monotone.
    Pchip,
}

/// What is held equal between the curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Metric {
    /// PSNR in dB.
    #[default]
    Psnr,
    /// MS-SSIM in dB, `-10 log10(1 - value)`.
    MsSsim,
}

impl Metric {
    /// The metric of a point on the scale that is averaged over; `NaN` when the point lacks it.
    pub fn of(self, point: &RdPoint) -> f64 {
        match self {
            Self::Psnr => point.psnr,
            Self::MsSsim => point
                .ms_ssim
                .map_or(f64::NAN, |value| -10.0 * (1.0 - value).log10()),
        }
    }

    /// Name with unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR (dB)",
            Self::MsSsim => "MS-SSIM (dB)",
        }
    }
}

/// Average difference in rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BdRate {
    /// Rate of the test over the anchor at equal quality, in percent: -20 means that a fifth is saved.
    pub percent: f64,
    /// The common quality interval that was averaged over, in the metric's unit.
    pub interval: (f64, f64),
}

/// Average difference in rate between two curves over their common quality interval.
///
/// The natural logarithm of bpp is interpolated over the metric, both curves are integrated over the common interval,
/// and the mean difference is turned into percent. Points may come in any order.
///
/// # Errors
/// Fewer than 4 points, values that are not finite or rates that are not positive, a metric that does not strictly
/// rise with the rate, or a common interval shorter than a quarter of the narrower range.
pub fn bd_rate(
    anchor: &[RdPoint],
    test: &[RdPoint],
    metric: Metric,
    method: BdMethod,
) -> Result<BdRate, EvalError> {
    let (anchor_quality, anchor_rate) = prepare("anchor", anchor, metric)?;
    let (test_quality, test_rate) = prepare("test", test, metric)?;
    let range = |quality: &[f64]| (quality[0], quality[quality.len() - 1]);
    let ((a0, a1), (t0, t1)) = (range(&anchor_quality), range(&test_quality));
    let (low, high) = (a0.max(t0), a1.min(t1));
    let share = ((high - low) / (a1 - a0).min(t1 - t0)).max(0.0);
    if share < MIN_OVERLAP {
        return Err(EvalError::LittleOverlap {
            share,
            min: MIN_OVERLAP,
        });
    }
    let fit = |x, y| match method {
        BdMethod::Akima => Cubic::akima(x, y),
        BdMethod::Pchip => Cubic::pchip(x, y),
    };
    let anchor = fit(anchor_quality, anchor_rate).integral(low, high);
    let test = fit(test_quality, test_rate).integral(low, high);
    let percent = (((test - anchor) / (high - low)).exp() - 1.0) * 100.0;
    Ok(BdRate {
        percent,
        interval: (low, high),
    })
}

/// Quality and log rate in order of rate, checked.
fn prepare(
    curve: &'static str,
    points: &[RdPoint],
    metric: Metric,
) -> Result<(Vec<f64>, Vec<f64>), EvalError> {
    if points.len() < MIN_POINTS {
        return Err(EvalError::TooFewPoints {
            curve,
            count: points.len(),
            min: MIN_POINTS,
        });
    }
    let mut pairs: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (point.bpp, metric.of(point)))
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let what = metric.label();
    for (index, &(bpp, quality)) in pairs.iter().enumerate() {
        if !(bpp.is_finite() && bpp > 0.0) {
            return Err(EvalError::BadPoint {
                curve,
                what: "bpp",
                index,
                value: bpp,
            });
        }
        if !quality.is_finite() {
            return Err(EvalError::BadPoint {
                curve,
                what,
                index,
                value: quality,
            });
        }
    }
    for (&(bpp_before, before), &(bpp_after, after)) in pairs.iter().zip(pairs.iter().skip(1)) {
        if bpp_after <= bpp_before || after <= before {
            return Err(EvalError::NotMonotone {
                curve,
                what,
                before,
                after,
                bpp_before,
                bpp_after,
            });
        }
    }
    Ok(pairs
        .into_iter()
        .map(|(bpp, quality)| (quality, bpp.ln()))
        .unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<RdPoint> {
        points
            .iter()
            .map(|&(bpp, psnr)| RdPoint {
                bpp,
                psnr,
                ..RdPoint::default()
            })
            .collect()
    }

    fn hyperprior() -> Vec<RdPoint> {
        curve(&[
            (0.1313, 27.582),
            (0.2089, 29.197),
            (0.3199, 30.972),
            (0.4784, 32.838),
            (0.6687, 34.526),
            (0.9388, 36.743),
            (1.2592, 38.584),
            (1.6602, 40.557),
        ])
    }

    fn mlicpp() -> Vec<RdPoint> {
        curve(&[
            (0.1075, 29.161),
            (0.1747, 30.7137),
            (0.2721, 32.3345),
            (0.4129, 34.1702),
            (0.5923, 35.8161),
            (0.8025, 37.3229),
        ])
    }

    /// SciPy 1.17.1 `Akima1DInterpolator` and `PchipInterpolator`, `.integrate`, by `data/reference.py`.
    #[test]
    fn equals_scipy() {
        for (method, expected) in [
            (BdMethod::Akima, -35.50476625845352),
            (BdMethod::Pchip, -35.52944812992899),
        ] {
            let bd = bd_rate(&hyperprior(), &mlicpp(), Metric::Psnr, method).unwrap();
            assert!((bd.percent - expected).abs() < 1e-9, "{}", bd.percent);
            assert_eq!(bd.interval, (29.161, 37.3229));
        }
        let bent = curve(
            &[0.0, 1.0, 2.0, 3.0, 3.5, 5.0, 7.0]
                .map(f64::exp)
                .iter()
                .copied()
                .zip(20..)
                .map(|(r, q)| (r, f64::from(q)))
                .collect::<Vec<_>>(),
        );
        let rates = [-0.2, 0.7, 1.5, 2.6, 3.3, 4.6].map(f64::exp);
        let test = curve(
            &rates
                .into_iter()
                .zip([20.2, 21.0, 22.0, 23.1, 24.0, 25.5])
                .collect::<Vec<_>>(),
        );
        for (method, expected) in [
            (BdMethod::Akima, -37.54837443918927),
            (BdMethod::Pchip, -37.666549484824586),
        ] {
            let bd = bd_rate(&bent, &test, Metric::Psnr, method).unwrap();
            assert!((bd.percent - expected).abs() < 1e-9, "{}", bd.percent);
        }
    }

    #[test]
    fn a_constant_factor_is_found_in_any_order() {
        let anchor = hyperprior();
        let mut test = anchor.clone();
        test.iter_mut().for_each(|point| point.bpp *= 0.8);
        test.reverse();
        let bd = bd_rate(&anchor, &test, Metric::Psnr, BdMethod::Akima).unwrap();
        assert!((bd.percent + 20.0).abs() < 1e-9);
    }

    #[test]
    fn unusable_curves_are_typed_errors() {
        let good = hyperprior();
        let fail =
            |points: &[RdPoint]| bd_rate(&good, points, Metric::Psnr, BdMethod::Akima).unwrap_err();
        assert!(matches!(
            fail(&good[..3]),
            EvalError::TooFewPoints {
                curve: "test",
                count: 3,
                min: 4
            }
        ));
        let mut dip = good.clone();
        dip[4].psnr = 30.0;
        assert!(matches!(
            fail(&dip),
            EvalError::NotMonotone { curve: "test", .. }
        ));
        let mut twice = good.clone();
        twice[4].bpp = twice[3].bpp;
        assert!(matches!(fail(&twice), EvalError::NotMonotone { .. }));
        let mut lossless = good.clone();
        lossless[7].psnr = f64::INFINITY;
        assert!(matches!(
            fail(&lossless),
            EvalError::BadPoint { index: 7, .. }
        ));
        let mut free = good.clone();
        free[0].bpp = 0.0;
        assert!(matches!(
            fail(&free),
            EvalError::BadPoint {
                what: "bpp",
                index: 0,
                ..
            }
        ));
        let mut far = good.clone();
        far.iter_mut().for_each(|point| point.psnr += 20.0);
        assert!(matches!(fail(&far), EvalError::LittleOverlap { .. }));
        let missing = bd_rate(&good, &good, Metric::MsSsim, BdMethod::Akima).unwrap_err();
        assert!(matches!(
            missing,
            EvalError::BadPoint {
                curve: "anchor",
                ..
            }
        ));
    }
}
