//! Elementary functions without branches, so that loops over them become vector instructions.
//!
//! They use no fused products and so give the same bits on every machine.

/// `e^x` with a relative error below 3e-7 for -87..88; arguments beyond are taken as -87 or 88.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// `1.5 * 2^23`: adding it leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // The logarithm of 2 in two parts; the first has so few bits that its product with the integer is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let r = (x - power * HIGH) - power * LOW;
    // Taylor's series to the seventh power: 5e-9 at the ends, ln(2) / 2.
    let series = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let series = 1.0 / 24.0 + r * (1.0 / 120.0 + r * series);
    let series = 0.5 + r * (1.0 / 6.0 + r * series);
    let series = 1.0 + r * (1.0 + r * series);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    series * f32::from_bits(exponent.wrapping_add(127) << 23)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent with an absolute error below 3e-7.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `x` where positive, `e^x - 1` elsewhere, with an absolute error below 1e-7.
#[inline(always)]
pub(crate) fn elu(x: f32) -> f32 {
    let below = exp(x.min(0.0)) - 1.0;
    if x > 0.0 { x } else { below }
}

/// `sin(x)^2` with an absolute error below 3e-7 for arguments up to some ten thousand.
#[inline(always)]
pub(crate) fn sin_squared(x: f32) -> f32 {
    /// `1.5 * 2^23`, as in [`exp`].
    const ROUND: f32 = 12_582_912.0;
    // Half a turn in three parts; the products of the first two with the number of half turns are exact.
    const HIGH: f32 = 3.140_625;
    const MIDDLE: f32 = 9.675_026e-4;
    const LOW: f32 = 1.509_958e-7;
    // Half turns change the sign, which the square loses.
    let turns = (x * std::f32::consts::FRAC_1_PI + ROUND) - ROUND;
    let r = ((x - turns * HIGH) - turns * MIDDLE) - turns * LOW;
    let square = r * r;
    // Taylor's series to the thirteenth power: 1e-9 at the ends, pi / 2.
    let series = 1.0 / 39_916_800.0 - square * (1.0 / 6_227_020_800.0);
    let series = 1.0 / 362_880.0 - square * series;
    let series = 1.0 / 5_040.0 - square * series;
    let series = 1.0 / 120.0 - square * series;
    let series = 1.0 / 6.0 - square * series;
    let sine = r - r * square * series;
    sine * sine
}

/// Sine and cosine with an absolute error below 3e-7 for arguments up to some ten thousand.
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    /// `1.5 * 2^23`, as in [`exp`].
    const ROUND: f32 = 12_582_912.0;
    // A quarter turn in three parts, half of those in [`sin_squared`].
    const HIGH: f32 = 1.570_312_5;
    const MIDDLE: f32 = 4.837_513e-4;
    const LOW: f32 = 7.549_79e-8;
    let shifted = x * std::f32::consts::FRAC_2_PI + ROUND;
    let turns = shifted - ROUND;
    let r = ((x - turns * HIGH) - turns * MIDDLE) - turns * LOW;
    let square = r * r;
    // Taylor's series to the ninth and the tenth power: 2e-9 at the ends, pi / 4.
    let series = 1.0 / 5_040.0 - square * (1.0 / 362_880.0);
    let sine = r - r * square * (1.0 / 6.0 - square * (1.0 / 120.0 - square * series));
    let series = 1.0 / 40_320.0 - square * (1.0 / 3_628_800.0);
    let series = 1.0 / 24.0 - square * (1.0 / 720.0 - square * series);
    let cosine = 1.0 - square * (0.5 - square * series);
    // The lowest bits count quarter turns: odd ones exchange the two, and both change their signs every two.
    let quarter = shifted.to_bits();
    let (odd, sign) = (quarter & 1 == 1, (quarter & 2) << 30);
    let (a, b) = if odd { (cosine, sine) } else { (sine, cosine) };
    let other = (quarter.wrapping_add(1) & 2) << 30;
    (
        f32::from_bits(a.to_bits() ^ sign),
        f32::from_bits(b.to_bits() ^ other),
    )
}

/// Distribution function of the standard normal distribution, with a relative error of about 1e-6 for `x > -6`.
#[inline(always)]
pub(crate) fn normal(x: f32) -> f32 {
    // For `a = |x|`, the tail is `e^(-a^2/2)` times a polynomial without constant part in `t = 1 / (1 + 0.35 a)`. The
    // coefficients were fitted by weighted least squares to a relative error of 3e-8 on 0..13.5.
    const P: [f32; 9] = [
        0.139_621_57,
        0.139_859_08,
        0.119_852_43,
        0.105_432_965,
        -0.022_937_208,
        0.158_929_38,
        -0.255_504_64,
        0.143_872_26,
        -0.029_125_871,
    ];
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.35 * a);
    let mut p = P[8];
    for &c in P[..8].iter().rev() {
        p = p * t + c;
    }
    let tail = p * t * exp(-0.5 * a * a);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Sum of `of` every value, in 16 lanes and in parts, so that it vectorizes and its error grows slowly.
#[inline(always)]
pub(crate) fn sum_of(values: &[f32], of: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for part in values.chunks(4096) {
        let mut lanes = [0.0f32; 16];
        let (blocks, rest) = part.as_chunks::<16>();
        for block in blocks {
            for (lane, &v) in lanes.iter_mut().zip(block) {
                *lane += of(v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(rest) {
            *lane += of(v);
        }
        total += f64::from(lanes.iter().sum::<f32>());
    }
    total
}

/// Largest value, or negative infinity.
#[inline(always)]
pub(crate) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (blocks, rest) = values.as_chunks::<16>();
    for block in blocks {
        for (lane, &v) in lanes.iter_mut().zip(block) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let ends = lanes.iter().chain(rest);
    ends.fold(f32::NEG_INFINITY, |most, &v| most.max(v))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(from: f32, to: f32, got: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        let at = |i| from + (to - from) * i as f32 / steps as f32;
        let error = |x: f32| (f64::from(got(x)) / want(f64::from(x)) - 1.0).abs();
        (0..=steps).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn exponentials() {
        assert!(worst(-87.0, 88.0, exp, f64::exp) < 3e-7);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), exp(-87.0));
        assert!(worst(-80.0, 80.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 4e-7);
        assert_eq!(sigmoid(200.0), 1.0);
    }

    #[test]
    fn bounded_functions() {
        let worst = |most: f32, got: fn(f32) -> f32, want: fn(f64) -> f64| {
            let at = |i: i32| most * (i as f32 / 100_000.0);
            let error = |x: f32| (f64::from(got(x)) - want(f64::from(x))).abs();
            (-100_000..=100_000)
                .map(|i| error(at(i)))
                .fold(0.0, f64::max)
        };
        assert!(worst(30.0, tanh, f64::tanh) < 3e-7);
        assert!(worst(3.0, elu, |x| if x > 0.0 { x } else { x.exp() - 1.0 }) < 1e-7);
        for most in [4.0, 300.0, 20_000.0] {
            assert!(
                worst(most, sin_squared, |x| x.sin() * x.sin()) < 3e-7,
                "{most}"
            );
        }
        for most in [1.0, 10.0, 20_000.0] {
            assert!(worst(most, |x| sin_cos(x).0, f64::sin) < 3e-7, "{most}");
            assert!(worst(most, |x| sin_cos(x).1, f64::cos) < 3e-7, "{most}");
        }
        assert_eq!(tanh(200.0), 1.0);
        assert_eq!(tanh(-200.0), -1.0);
        assert_eq!(elu(f32::NEG_INFINITY), -1.0);
    }

    #[test]
    fn normal_distribution() {
        let want = |x: f64| 0.5 * libm_erfc(-x / std::f64::consts::SQRT_2);
        assert!(worst(-4.0, 0.0, normal, want) < 1e-6);
        assert!(worst(-6.0, 6.0, normal, want) < 1.5e-6);
        assert_eq!(normal(40.0), 1.0);
        assert!(normal(-40.0).abs() < 1e-30);
    }

    /// Complementary error function by its continued fraction, or by its series near 0.
    fn libm_erfc(x: f64) -> f64 {
        if x < 0.0 {
            return 2.0 - libm_erfc(-x);
        }
        let square = x * x;
        if x < 2.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..80 {
                let n = f64::from(n);
                term *= -square / n;
                sum += term / (2.0 * n + 1.0);
            }
            return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let fraction = (1..200).rev().fold(x, |f, n| x + f64::from(n) / 2.0 / f);
        (-square).exp() / std::f64::consts::PI.sqrt() / fraction
    }

    #[test]
    fn sums_and_largest() {
        let values: Vec<f32> = (0..10_003)
            .map(|i| ((i * 37) % 1001) as f32 - 500.0)
            .collect();
        let want: f64 = values.iter().map(|&v| f64::from(v)).sum();
        assert_eq!(sum_of(&values, |v| v), want);
        assert_eq!(largest(&values), 500.0);
        assert_eq!(largest(&[]), f32::NEG_INFINITY);
        assert_eq!(largest(&[-3.0]), -3.0);
    }
}
