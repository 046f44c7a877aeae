//! The entropy bottleneck of WaLLoC (Jacobellis and Yadwadkar 2025): normal latents become uniform integers.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::Error;
use crate::backend::CodecBackend;
use crate::noise::uniform;

/// Probabilities are kept this far from 0 and 1 before the normal quantile, for values with noise.
const PROBABILITY_MIN: f64 = 1e-4;
/// Standard deviations that the largest integer stands for.
const SPREAD: f64 = 1.85;
/// Distance of the outermost values from the next rounding boundary.
const MARGIN: f64 = 1e-3;

/// Companding quantizer of `bits` bits: the normal distribution function spreads values evenly over the integers
/// `-limit..=limit`, its inverse brings them back. It has no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Companding {
    bits: u32,
}

/// What stands for rounding in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Uniform noise of one step (section 4 of the paper).
    Noise,
    /// The nearest integers, with the gradient of the identity.
    StraightThrough,
}

impl Companding {
    /// Bits that are accepted.
    pub const BITS: RangeInclusive<u32> = 2..=16;

    /// A quantizer.
    ///
    /// # Errors
    /// [`Error::BadParameter`] outside [`Companding::BITS`].
    pub fn new(bits: u32) -> Result<Self, Error> {
        if !Self::BITS.contains(&bits) {
            return Err(Error::bad_parameter(format!(
                "invalid number of latent bits {bits} (expected {}..={})",
                Self::BITS.start(),
                Self::BITS.end()
            )));
        }
        Ok(Self { bits })
    }

    /// Largest integer, `2^(bits - 1) - 1`.
    pub fn limit(self) -> i32 {
        (1 << (self.bits - 1)) - 1
    }

    /// What continuous values stay below in magnitude.
    fn peak(self) -> f64 {
        f64::from(self.limit()) + 0.5 - MARGIN
    }

    /// Standard deviation of the normal values.
    pub fn scale(self) -> f64 {
        f64::from(self.limit()) / SPREAD
    }

    /// Normal values to continuous values that fill `-limit - 0.5 .. limit + 0.5` evenly, of any shape.
    pub fn compress<B: Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        let unit = 1.0 / (self.scale() * std::f64::consts::SQRT_2);
        x.mul_scalar(unit).erf().mul_scalar(self.peak())
    }

    /// The nearest integers, ties to even.
    pub fn round<B: Backend, const D: usize>(self, z: Tensor<B, D>) -> Tensor<B, D> {
        let limit = f64::from(self.limit());
        z.round().clamp(-limit, limit)
    }

    /// What stands for rounding in training.
    pub fn approximate<B: CodecBackend, const D: usize>(
        self,
        z: Tensor<B, D>,
        rounding: Rounding,
    ) -> Tensor<B, D> {
        match rounding {
            Rounding::Noise => {
                let noise = uniform(z.dims(), &z.device());
                z + noise
            }
            Rounding::StraightThrough => B::ste_round(z),
        }
    }

    /// Integers, or continuous values, back to normal values, of any shape.
    pub fn expand<B: Backend, const D: usize>(self, z: Tensor<B, D>) -> Tensor<B, D> {
        let bound = 1.0 - 2.0 * PROBABILITY_MIN;
        let centred = z.div_scalar(self.peak()).clamp(-bound, bound);
        inverse_erf(centred).mul_scalar(self.scale() * std::f64::consts::SQRT_2)
    }
}

/// Inverse error function of values well inside -1..1 (Giles, "Approximating the erfinv function", 2010, single precision):
/// polynomials in `w = -ln(1 - x^2)`, one for the centre and one for the tails.
fn inverse_erf<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    const CENTRE: [f64; 9] = [
        2.810_226_36e-8,
        3.432_739_39e-7,
        -3.523_387_7e-6,
        -4.391_506_54e-6,
        2.185_808_7e-4,
        -1.253_725_03e-3,
        -4.177_681_64e-3,
        0.246_640_727,
        1.501_409_41,
    ];
    const TAIL: [f64; 9] = [
        -2.002_142_57e-4,
        1.009_505_58e-4,
        1.349_343_22e-3,
        -3.673_428_44e-3,
        5.739_507_73e-3,
        -7.622_461_3e-3,
        9.438_870_47e-3,
        1.001_674_06,
        2.832_976_82,
    ];
    const BORDER: f64 = 5.0;
    let polynomial = |w: Tensor<B, D>, coefficients: [f64; 9]| {
        let start = w.zeros_like();
        coefficients
            .into_iter()
            .fold(start, |sum, c| sum * w.clone() + c)
    };
    let w = ((-x.clone()).add_scalar(1.0) * x.clone().add_scalar(1.0))
        .log()
        .neg();
    let centre = polynomial(w.clone().sub_scalar(2.5), CENTRE);
    // The root has no finite slope at 0, where this branch is not taken.
    let root = w.clone().clamp_min(BORDER).sqrt();
    let tail = polynomial(root.sub_scalar(3.0), TAIL);
    let far = w.greater_equal_elem(BORDER);
    centre.mask_where(far, tail) * x
}

#[cfg(test)]
mod tests {
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    use super::*;

    fn values(x: Tensor<Flex, 1>) -> Vec<f32> {
        x.into_data().into_vec().unwrap()
    }

    #[test]
    fn every_integer_comes_back() {
        for bits in [2, 4, 8, 10] {
            let quantizer = Companding::new(bits).unwrap();
            let limit = quantizer.limit();
            let all: Vec<f32> = (-limit..=limit).map(|v| v as f32).collect();
            let z = Tensor::<Flex, 1>::from_floats(all.as_slice(), &Default::default());
            let back = quantizer.compress(quantizer.expand(z));
            // Beyond 1e-4 of either end the quantile is clamped, as in the reference: 10 bits have no such integer.
            for (got, want) in values(back).into_iter().zip(&all) {
                assert!((got - want).abs() < 2e-3, "{bits} bits: {got} {want}");
            }
        }
        assert!(Companding::new(1).is_err() && Companding::new(17).is_err());
    }

    /// The quantile of 0.975 and its like, from tables of the normal distribution; 0.999 is rounded to 24 bits first.
    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        let x = Tensor::<Flex, 1>::from_floats([0.0, 0.95, -0.5, 0.999], &Default::default());
        let quantiles = values(inverse_erf(x).mul_scalar(std::f64::consts::SQRT_2));
        for (got, want) in
            quantiles
                .into_iter()
                .zip([0.0f32, 1.959_964, -0.674_489_75, 3.290_526_7])
        {
            assert!((got - want).abs() < 6e-6, "{got} {want}");
        }
    }

    #[test]
    fn gradients_are_finite_at_zero_and_in_the_tails() {
        type Ad = Autodiff<Flex>;
        let quantizer = Companding::new(8).unwrap();
        let z = Tensor::<Ad, 1>::from_floats([0.0, 1.0, 126.9, -120.0], &Default::default());
        let z = z.require_grad();
        let gradient = z.grad(&quantizer.expand(z.clone()).sum().backward());
        let slopes = values(gradient.unwrap());
        // The slope at 0 is scale * sqrt(2 pi) / (2 peak).
        let expected = 127.0 / 1.85 * (2.0 * std::f32::consts::PI).sqrt() / (2.0 * 127.499);
        assert!((slopes[0] - expected).abs() < 1e-3, "{slopes:?}");
        assert!(
            slopes.iter().all(|s| s.is_finite() && *s > 0.0),
            "{slopes:?}"
        );
        let device = Default::default();
        let zeros = Tensor::<Flex, 1>::zeros([1000], &device);
        let noisy = quantizer.approximate(zeros, Rounding::Noise);
        let noisy = values(noisy);
        assert!(noisy.iter().all(|v| v.abs() <= 0.5));
        assert!(noisy.iter().any(|v| v.abs() > 0.3));
        let z = Tensor::<Ad, 1>::from_floats([0.4, -1.6], &device).require_grad();
        let rounded = quantizer.approximate(z.clone(), Rounding::StraightThrough);
        let gradient = z.grad(&rounded.clone().sum().backward()).unwrap();
        assert_eq!(values(rounded.inner()), [0.0, -2.0]);
        assert_eq!(values(gradient), [1.0, 1.0]);
    }
}
