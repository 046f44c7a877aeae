//! Piecewise cubic interpolation through points with increasing x.

/// Cubic Hermite pieces: value and slope at each knot.
pub(crate) struct Cubic {
    x: Vec<f64>,
    y: Vec<f64>,
    slope: Vec<f64>,
}

impl Cubic {
    /// Akima, "A new method of interpolation and smooth curve fitting based on local procedures", JACM 17(4), 1970.
    ///
    /// `x` strictly increasing, at least 3 points, as many `y`; the caller checks.
    pub(crate) fn akima(x: Vec<f64>, y: Vec<f64>) -> Self {
        let inner = secants(&x, &y);
        let (first, second) = (inner[0], inner[1]);
        let (last, before) = (inner[inner.len() - 1], inner[inner.len() - 2]);
        // Two more secants on either side continue the end's curvature (equations 9 of the paper).
        let mut m = vec![3.0 * first - 2.0 * second, 2.0 * first - second];
        m.extend_from_slice(&inner);
        m.extend([2.0 * last - before, 3.0 * last - 2.0 * before]);
        let weights = |w: &[f64]| ((w[3] - w[2]).abs(), (w[1] - w[0]).abs());
        let largest = m
            .windows(4)
            .map(|w| weights(w).0 + weights(w).1)
            .fold(0.0, f64::max);
        let slope = m
            .windows(4)
            .map(|w| {
                let (left, right) = weights(w);
                // Where both weights vanish the formula is 0/0 and the paper takes the mean of the secants.
                if left + right > 1e-9 * largest {
                    (left * w[1] + right * w[2]) / (left + right)
                } else {
                    0.5 * (w[1] + w[2])
                }
            })
            .collect();
        Self { x, y, slope }
    }

    /// Monotone interpolation: Fritsch and Butland, "A method for constructing local monotone piecewise cubic
    /// interpolants", SIAM J. Sci. Stat. Comput. 5(2), 1984, with the three-point ends that Matlab and SciPy use.
    ///
    /// Same conditions as [`Cubic::akima`].
    pub(crate) fn pchip(x: Vec<f64>, y: Vec<f64>) -> Self {
        let m = secants(&x, &y);
        let h: Vec<f64> = x.windows(2).map(|w| w[1] - w[0]).collect();
        let mut slope = vec![pchip_end(h[0], h[1], m[0], m[1])];
        for (h, m) in h.windows(2).zip(m.windows(2)) {
            slope.push(if m[0] * m[1] <= 0.0 {
                0.0
            } else {
                let (w0, w1) = (2.0 * h[1] + h[0], h[1] + 2.0 * h[0]);
                (w0 + w1) / (w0 / m[0] + w1 / m[1])
            });
        }
        let n = h.len();
        slope.push(pchip_end(h[n - 1], h[n - 2], m[n - 1], m[n - 2]));
        Self { x, y, slope }
    }

    /// Value at `at`, by the end pieces outside the knots.
    #[cfg(test)]
    pub(crate) fn value(&self, at: f64) -> f64 {
        let i = self.x[1..self.x.len() - 1].partition_point(|&x| x <= at);
        let [c0, c1, c2, c3] = self.coefficients(i);
        let t = at - self.x[i];
        c0 + t * (c1 + t * (c2 + t * c3))
    }

    /// Integral from `from` to `to`, both inside the knots and `from <= to`; exact for the cubics.
    pub(crate) fn integral(&self, from: f64, to: f64) -> f64 {
        let mut sum = 0.0;
        for (i, x) in self.x.windows(2).enumerate() {
            let (a, b) = (from.max(x[0]) - x[0], to.min(x[1]) - x[0]);
            if a < b {
                let [c0, c1, c2, c3] = self.coefficients(i);
                let antiderivative =
                    |t: f64| t * (c0 + t * (c1 / 2.0 + t * (c2 / 3.0 + t * c3 / 4.0)));
                sum += antiderivative(b) - antiderivative(a);
            }
        }
        sum
    }

    /// Polynomial coefficients of piece `i` in powers of `x - x[i]`.
    fn coefficients(&self, i: usize) -> [f64; 4] {
        let h = self.x[i + 1] - self.x[i];
        let m = (self.y[i + 1] - self.y[i]) / h;
        let (d0, d1) = (self.slope[i], self.slope[i + 1]);
        [
            self.y[i],
            d0,
            (3.0 * m - 2.0 * d0 - d1) / h,
            (d0 + d1 - 2.0 * m) / (h * h),
        ]
    }
}

fn secants(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.windows(2)
        .zip(y.windows(2))
        .map(|(x, y)| (y[1] - y[0]) / (x[1] - x[0]))
        .collect()
}

/// End slope from the two nearest pieces, limited so that the curve stays monotone.
fn pchip_end(h0: f64, h1: f64, m0: f64, m1: f64) -> f64 {
    let slope = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1);
    if slope * m0 <= 0.0 {
        0.0
    } else if m0 * m1 <= 0.0 && slope.abs() > 3.0 * m0.abs() {
        3.0 * m0
    } else {
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(curve: &Cubic, points: &[(f64, f64)]) {
        for &(x, y) in points {
            assert!(
                (curve.value(x) - y).abs() < 1e-12,
                "at {x}: {} against {y}",
                curve.value(x)
            );
        }
    }

    /// Values of `Akima1DInterpolator` and `PchipInterpolator`, SciPy 1.17.1, by `data/reference.py`.
    #[test]
    fn equals_scipy() {
        // A straight piece with a bend: the rule for vanishing weights is in use.
        let x = vec![20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0];
        let y = vec![0.0, 1.0, 2.0, 3.0, 3.5, 5.0, 7.0];
        check(
            &Cubic::akima(x.clone(), y.clone()),
            &[
                (20.5, 0.5),
                (23.5, 3.25),
                (24.5, 4.145833333333334),
                (25.9, 6.778249999999996),
            ],
        );
        check(
            &Cubic::pchip(x, y),
            &[
                (20.5, 0.5),
                (23.5, 3.2395833333333335),
                (24.5, 4.129464285714286),
                (25.9, 6.777178571428568),
            ],
        );
        // Up, down and flat.
        let x = vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let y = vec![1.0, 2.0, 0.5, 0.7, 3.0, 3.0];
        check(
            &Cubic::akima(x.clone(), y.clone()),
            &[
                (0.5, 1.8422619047619047),
                (1.5, 1.2609989648033126),
                (2.3, 0.3896877173913044),
                (3.9, 2.848048409090908),
            ],
        );
        check(
            &Cubic::pchip(x, y),
            &[
                (0.5, 1.78125),
                (1.5, 1.25),
                (2.3, 0.520016),
                (3.9, 2.938912),
                (4.5, 3.0),
            ],
        );
    }

    #[test]
    fn integral_of_a_line_is_exact() {
        let x = vec![1.0, 2.0, 4.0, 8.0];
        let y: Vec<f64> = x.iter().map(|x| 3.0 * x - 1.0).collect();
        for curve in [Cubic::akima(x.clone(), y.clone()), Cubic::pchip(x, y)] {
            // 1.5 x^2 - x from 1.5 to 6.
            assert!((curve.integral(1.5, 6.0) - (48.0 - 1.875)).abs() < 1e-12);
        }
    }
}
