//! Bjøntegaard delta rate (G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves",
//! ITU-T VCEG-M33, 2001), with piecewise cubics in place of one polynomial as is usual today.

use crate::interpolate::Cubic;
use crate::{EvalError, Metric, RdPoint};

/// Fewest points of a curve.
const MIN_POINTS: usize = 4;
/// Least common interval, as a share of the narrower curve's range.
const MIN_OVERLAP: f64 = 0.05;
/// One point in so many may be beaten by another at a lower rate, and is left out then.
const MOST_BEATEN: usize = 4;
/// Common interval below which a figure speaks of a corner only.
const FAIR_OVERLAP: f64 = 0.25;

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

/// Average difference in rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BdRate {
    /// Rate of the test over the anchor at equal quality, in percent: -20 means that a fifth is saved.
    pub percent: f64,
    /// The common quality interval that was averaged over, on the metric's scale ([`Metric::scaled`]).
    pub interval: (f64, f64),
    /// The common interval as a share of the narrower of the two ranges.
    pub share: f64,
}

impl BdRate {
    /// Whether the curves share so little that the figure speaks of a corner only.
    pub fn barely_overlaps(&self) -> bool {
        self.share < FAIR_OVERLAP
    }
}

/// Average difference in quality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BdMetric {
    /// The test's metric less the anchor's at equal rate, on the metric's scale ([`Metric::scaled`]): more is better.
    pub difference: f64,
    /// The common interval of rates that was averaged over.
    pub interval: (f64, f64),
    /// The common interval of log rates as a share of the narrower of the two ranges.
    pub share: f64,
}

/// Average difference in rate between two curves over their common quality interval.
///
/// The natural logarithm of the rate is interpolated over the metric, both curves are integrated over the common interval,
/// and the mean difference is turned into percent. Points may come in any order.
///
/// # Errors
/// Fewer than 4 points, values that are not finite or rates that are not positive, a metric that does not get better with
/// the rate, or a common interval shorter than a twentieth of the narrower range. Points that another one beats at no
/// higher rate are left out, unless they are more than a quarter.
pub fn bd_rate(
    anchor: &[RdPoint],
    test: &[RdPoint],
    metric: &Metric,
    method: BdMethod,
) -> Result<BdRate, EvalError> {
    let anchor = prepare("anchor", anchor, metric)?;
    let test = prepare("test", test, metric)?;
    let (mean, interval, share) = mean_difference(anchor, test, method)?;
    Ok(BdRate {
        percent: (mean.exp() - 1.0) * 100.0,
        interval,
        share,
    })
}

/// Average difference in a metric between two curves over their common interval of log rates.
///
/// # Errors
/// As [`bd_rate`].
pub fn bd_metric(
    anchor: &[RdPoint],
    test: &[RdPoint],
    metric: &Metric,
    method: BdMethod,
) -> Result<BdMetric, EvalError> {
    let turned = |(quality, rate): (Vec<f64>, Vec<f64>)| (rate, quality);
    let anchor = turned(prepare("anchor", anchor, metric)?);
    let test = turned(prepare("test", test, metric)?);
    let (difference, (low, high), share) = mean_difference(anchor, test, method)?;
    Ok(BdMetric {
        difference,
        interval: (low.exp(), high.exp()),
        share,
    })
}

/// Mean of test less anchor over their common interval of x, that interval, and its share of the narrower range.
#[allow(clippy::type_complexity)]
fn mean_difference(
    anchor: (Vec<f64>, Vec<f64>),
    test: (Vec<f64>, Vec<f64>),
    method: BdMethod,
) -> Result<(f64, (f64, f64), f64), EvalError> {
    let range = |x: &[f64]| (x[0], x[x.len() - 1]);
    let ((a0, a1), (t0, t1)) = (range(&anchor.0), range(&test.0));
    let (low, high) = (a0.max(t0), a1.min(t1));
    let share = ((high - low) / (a1 - a0).min(t1 - t0)).max(0.0);
    if share < MIN_OVERLAP {
        return Err(EvalError::LittleOverlap {
            share,
            min: MIN_OVERLAP,
        });
    }
    let fit = |(x, y)| match method {
        BdMethod::Akima => Cubic::akima(x, y),
        BdMethod::Pchip => Cubic::pchip(x, y),
    };
    let anchor = fit(anchor).integral(low, high);
    let test = fit(test).integral(low, high);
    Ok(((test - anchor) / (high - low), (low, high), share))
}

/// Quality and log rate in order of rate, checked.
fn prepare(
    curve: &'static str,
    points: &[RdPoint],
    metric: &Metric,
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
        .map(|point| {
            (
                point.rate,
                point
                    .get(&metric.key)
                    .map_or(f64::NAN, |value| metric.scaled(value)),
            )
        })
        .collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let what = &metric.key;
    for (index, &(rate, quality)) in pairs.iter().enumerate() {
        if !(rate.is_finite() && rate > 0.0) {
            return Err(EvalError::BadPoint {
                curve,
                what: "rate".to_owned(),
                index,
                value: rate,
            });
        }
        if !quality.is_finite() {
            return Err(EvalError::BadPoint {
                curve,
                what: what.clone(),
                index,
                value: quality,
            });
        }
    }
    // Nobody would use a setting that a smaller file beats.
    let mut front: Vec<(f64, f64)> = Vec::with_capacity(pairs.len());
    let mut beaten = None;
    for &(rate, quality) in &pairs {
        match front.last() {
            Some(&(rate_before, before)) if quality <= before => {
                beaten.get_or_insert((rate_before, before, rate, quality));
            }
            Some(&(rate_before, _)) if rate <= rate_before => {
                front.pop();
                front.push((rate, quality));
            }
            _ => front.push((rate, quality)),
        }
    }
    if front.len() < MIN_POINTS || (pairs.len() - front.len()) * MOST_BEATEN > pairs.len() {
        let (rate_before, before, rate_after, after) = beaten.unwrap_or_default();
        return Err(EvalError::NotMonotone {
            curve,
            what: what.clone(),
            before,
            after,
            rate_before,
            rate_after,
        });
    }
    let pairs = front;
    Ok(pairs
        .into_iter()
        .map(|(rate, quality)| (quality, rate.ln()))
        .unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<RdPoint> {
        points
            .iter()
            .map(|&(rate, psnr)| RdPoint {
                rate,
                values: [("psnr-rgb".to_owned(), psnr)].into(),
                ..RdPoint::default()
            })
            .collect()
    }

    fn set(point: &mut RdPoint, psnr: f64) {
        point.values.insert("psnr-rgb".to_owned(), psnr);
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
            let bd = bd_rate(&hyperprior(), &mlicpp(), &Metric::psnr(), method).unwrap();
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
            let bd = bd_rate(&bent, &test, &Metric::psnr(), method).unwrap();
            assert!((bd.percent - expected).abs() < 1e-9, "{}", bd.percent);
        }
    }

    #[test]
    fn a_constant_factor_is_found_in_any_order() {
        let anchor = hyperprior();
        let mut test = anchor.clone();
        test.iter_mut().for_each(|point| point.rate *= 0.8);
        test.reverse();
        let bd = bd_rate(&anchor, &test, &Metric::psnr(), BdMethod::Akima).unwrap();
        assert!((bd.percent + 20.0).abs() < 1e-9);
    }

    #[test]
    fn quality_at_equal_rate() {
        let anchor = hyperprior();
        let mut test = anchor.clone();
        test.iter_mut()
            .for_each(|point| set(point, point.values["psnr-rgb"] + 0.5));
        let bd = bd_metric(&anchor, &test, &Metric::psnr(), BdMethod::Pchip).unwrap();
        assert!((bd.difference - 0.5).abs() < 1e-9 && bd.share == 1.0);
        assert!((bd.interval.0 - 0.1313).abs() < 1e-9 && (bd.interval.1 - 1.6602).abs() < 1e-9);
        let bd = bd_metric(&anchor, &mlicpp(), &Metric::psnr(), BdMethod::Akima).unwrap();
        assert!((1.8..2.6).contains(&bd.difference), "{}", bd.difference);
    }

    #[test]
    fn corners_are_told() {
        let anchor = hyperprior();
        let mut test = anchor.clone();
        test.iter_mut()
            .for_each(|point| set(point, point.values["psnr-rgb"] + 11.0));
        let bd = bd_rate(&anchor, &test, &Metric::psnr(), BdMethod::Akima).unwrap();
        assert!(bd.barely_overlaps() && bd.share > 0.1, "{}", bd.share);
        let whole = bd_rate(&anchor, &anchor, &Metric::psnr(), BdMethod::Akima).unwrap();
        assert!(!whole.barely_overlaps());
    }

    #[test]
    fn unusable_curves_are_typed_errors() {
        let good = hyperprior();
        let fail = |points: &[RdPoint]| {
            bd_rate(&good, points, &Metric::psnr(), BdMethod::Akima).unwrap_err()
        };
        assert!(matches!(
            fail(&good[..3]),
            EvalError::TooFewPoints {
                curve: "test",
                count: 3,
                min: 4
            }
        ));
        let mut dip = good.clone();
        set(&mut dip[4], 30.0);
        // A single one is left out.
        let mut without = good.clone();
        without.remove(4);
        let bd =
            |points: &[RdPoint]| bd_rate(&good, points, &Metric::psnr(), BdMethod::Akima).unwrap();
        assert_eq!(bd(&dip), bd(&without));
        set(&mut dip[5], 30.0);
        set(&mut dip[6], 30.0);
        assert!(matches!(
            fail(&dip),
            EvalError::NotMonotone { curve: "test", .. }
        ));
        let mut twice = good.clone();
        twice[4].rate = twice[3].rate;
        without = good.clone();
        without.remove(3);
        without[3].rate = good[3].rate;
        assert_eq!(bd(&twice), bd(&without));
        let mut lossless = good.clone();
        set(&mut lossless[7], f64::INFINITY);
        assert!(matches!(
            fail(&lossless),
            EvalError::BadPoint { index: 7, .. }
        ));
        let mut free = good.clone();
        free[0].rate = 0.0;
        assert!(matches!(
            fail(&free),
            EvalError::BadPoint { what, index: 0, .. } if what == "rate"
        ));
        let mut far = good.clone();
        far.iter_mut()
            .for_each(|point| set(point, point.values["psnr-rgb"] + 20.0));
        assert!(matches!(fail(&far), EvalError::LittleOverlap { .. }));
        let missing = bd_rate(&good, &good, &Metric::ms_ssim(), BdMethod::Akima).unwrap_err();
        assert!(matches!(
            missing,
            EvalError::BadPoint {
                curve: "anchor",
                ..
            }
        ));
    }
}
