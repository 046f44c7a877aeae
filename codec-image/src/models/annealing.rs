//! Better latents for one picture, found by the encoder: stochastic Gumbel annealing.
//!
//! The analysis transform is only a guess at the latents of least `R + lambda D`. Here they are descended to by gradient through
//! the decoder's networks, while every latent is drawn at random between its two neighbouring integers, more and more surely the
//! nearer one (Yang, Bamler and Mandt 2020, "Improving Inference for Neural Image Compression", section 3.3; used by MLICv2).
//! Files stay what they are for a decoder.

use std::cell::{Cell, RefCell};

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::{AutodiffBackend, Backend};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::noise;

/// Temperature at the beginning and at the end: below 0.2, gradients are noise.
const HOT: f32 = 0.5;
const COLD: f32 = 0.2;
/// Distances to an integer end here, so that their hyperbolic arctangent is finite.
const NEAREST: f32 = 1e-4;
/// Decays of Adam.
const BETAS: (f32, f32) = (0.9, 0.99);
/// Draws of noise from which lambda is estimated.
const DRAWS: usize = 2;
/// Share of the first error that is aimed at, so that roundings end below the whole.
const AIM: f32 = 0.985;
/// How far lambda may move in a whole run: by this power of e for twice the error.
const GAIN: f32 = 60.0;
/// Steps between two candidates.
const CANDIDATES: usize = 5;
/// Most pixels in a tile of a float model that is annealed: all of it is in memory with its gradients.
const PIXELS_MAX: usize = 1 << 20;

/// How many steps, and how long they are at the beginning, in quantization steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Steps.
    pub iterations: usize,
    /// Length of a step.
    pub rate: f32,
}

impl Schedule {
    /// What an effort is worth for a published model; nothing below 9.
    pub fn of(effort: u8) -> Option<Self> {
        match effort {
            9 => Some(Self {
                iterations: 60,
                rate: 0.03,
            }),
            10 => Some(Self {
                iterations: 400,
                rate: 0.01,
            }),
            _ => None,
        }
    }
}

/// Whether a tile of a float model can be annealed.
///
/// # Errors
/// [`Error::Unsupported`] for one that is too large.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), Error> {
    if width * height <= PIXELS_MAX {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "efforts 9 and 10 of this model in tiles of {width}x{height} pixels (--tile 1024 cuts smaller ones)"
    )))
}

/// Latents of lower cost. `cost` is given latents and the temperature to draw them at ([`drawn`]).
///
/// # Errors
/// Those of `cost`.
pub(crate) fn anneal<B: AutodiffBackend>(
    start: Tensor<B::InnerBackend, 4>,
    schedule: Schedule,
    cost: impl Fn(Tensor<B, 4>, f32) -> Result<Tensor<B, 1>, Error>,
) -> Result<Tensor<B::InnerBackend, 4>, Error> {
    let Schedule { iterations, rate } = schedule;
    let mut latents = start;
    let (mut first, mut second) = (latents.zeros_like(), latents.zeros_like());
    // The same draws on every device and with any number of threads.
    noise::with(fill, || {
        for i in 0..iterations {
            let progress = i as f32 / iterations.max(2).saturating_sub(1) as f32;
            let temperature = HOT * (COLD / HOT).powf(progress);
            let leaf = Tensor::<B, 4>::from_inner(latents.clone()).require_grad();
            let cost = cost(leaf.clone(), temperature)?;
            let Some(gradient) = leaf.grad(&cost.backward()) else {
                break;
            };
            first = first.clone().mul_scalar(BETAS.0) + gradient.clone().mul_scalar(1.0 - BETAS.0);
            second =
                second.clone().mul_scalar(BETAS.1) + gradient.square().mul_scalar(1.0 - BETAS.1);
            let power = i as i32 + 1;
            let mean = first.clone().div_scalar(1.0 - BETAS.0.powi(power));
            let root = second.clone().div_scalar(1.0 - BETAS.1.powi(power)).sqrt();
            // The last quarter settles.
            let rate = rate * ((1.0 - progress) * 4.0).clamp(0.1, 1.0);
            latents = latents.clone() - (mean / root.add_scalar(1e-12)).mul_scalar(rate);
        }
        Ok(latents)
    })
}

/// Values between the two neighbouring integers, drawn from the Gumbel-softmax distribution over them whose weights are
/// `exp(-atanh(distance) / temperature)`.
pub(crate) fn drawn<B: Backend>(v: Tensor<B, 4>, temperature: f32) -> Tensor<B, 4> {
    let low = v.clone().detach().floor();
    let above = (v - low.clone()).clamp(NEAREST, 1.0 - NEAREST);
    let atanh = |d: Tensor<B, 4>| {
        let ratio = d.clone().add_scalar(1.0) / d.neg().add_scalar(1.0);
        ratio.log().mul_scalar(0.5)
    };
    let preference = atanh(above.clone()) - atanh(above.clone().neg().add_scalar(1.0));
    // The difference of two Gumbel variables is logistic.
    let uniform = noise::uniform::<B, 4>(above.dims(), &above.device())
        .add_scalar(0.5)
        .clamp(1e-6, 1.0 - 1e-6);
    let noise = uniform.clone().log() - uniform.neg().add_scalar(1.0).log();
    let logits = preference.div_scalar(temperature) + noise;
    low + sigmoid(logits.div_scalar(temperature))
}

/// Rate and distortion of one choice of latents.
pub(crate) struct Cost<B: Backend> {
    /// Bits, `[1]`.
    pub bits: Tensor<B, 1>,
    /// Sum of squared errors of the samples in 0..255, `[1]`.
    pub error: Tensor<B, 1>,
}

/// How residuals `y - mean` become what is coded.
pub(crate) enum Quantizer {
    /// Drawn at this temperature.
    Drawn(f32),
    /// With uniform noise, as in training.
    Noise,
    /// Rounded, as in files.
    Rounded,
}

impl Quantizer {
    /// Residuals in quantization steps.
    pub fn apply<B: Backend>(&self, v: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Drawn(temperature) => drawn(v, *temperature),
            Self::Noise => {
                let noise = noise::uniform::<B, 4>(v.dims(), &v.device());
                v + noise
            }
            Self::Rounded => v.round(),
        }
    }
}

/// Latents of fewer bits at no larger error, for a model that does not know its lambda, or the ones given if no better are found.
///
/// Lambda begins where the gradients of rate and distortion balance, as they do for a trained encoder's latents, and is then
/// raised and lowered so that the error stays what it was.
///
/// # Errors
/// Those of `cost`.
pub(crate) fn refine<B>(
    start: Tensor<B::InnerBackend, 4>,
    schedule: Schedule,
    cost: impl Fn(Tensor<B, 4>, &Quantizer) -> Result<Cost<B>, Error>,
) -> Result<Tensor<B::InnerBackend, 4>, Error>
where
    B: AutodiffBackend + CodecBackend,
{
    let rounded = |y: &Tensor<B::InnerBackend, 4>| -> Result<[f32; 2], Error> {
        let y = Tensor::<B, 4>::from_inner(y.clone());
        let Cost { bits, error } = cost(y, &Quantizer::Rounded)?;
        Ok([scalar(bits.inner()), scalar(error.inner())])
    };
    let [bits, error] = rounded(&start)?;
    let balanced = noise::with(fill, || balance(&start, &cost))?;
    let first = if balanced.is_finite() && balanced > 0.0 {
        balanced
    } else {
        bits / error
    };
    if !(first.is_finite() && first > 0.0) {
        return Ok(start);
    }
    let lambda = Cell::new(first);
    let gain = GAIN / schedule.iterations as f32;
    let best = RefCell::new((bits, start.clone()));
    let steps = Cell::new(0);
    anneal::<B>(start, schedule, |y, temperature| {
        steps.set(steps.get() + 1);
        // Roundings on the way are candidates, too: the last one need not be the best that keeps the error.
        if steps.get() > schedule.iterations / 2 && steps.get().is_multiple_of(CANDIDATES) {
            let y = y.clone().inner();
            let [fewer, same] = rounded(&y)?;
            if same <= error && fewer < best.borrow().0 {
                *best.borrow_mut() = (fewer, y);
            }
        }
        let Cost { bits, error: drawn } = cost(y, &Quantizer::Drawn(temperature))?;
        let excess = scalar(drawn.clone().inner()) / (AIM * error) - 1.0;
        lambda.set(lambda.get() * (gain * excess.clamp(-0.5, 0.5)).exp());
        Ok(bits + drawn.mul_scalar(lambda.get()))
    })
    .map(|last| match rounded(&last) {
        Ok([fewer, same]) if same <= error && fewer < best.borrow().0 => last,
        _ => best.into_inner().1,
    })
}

/// The lambda at which the encoder's latents are a minimum.
fn balance<B: AutodiffBackend>(
    start: &Tensor<B::InnerBackend, 4>,
    cost: &impl Fn(Tensor<B, 4>, &Quantizer) -> Result<Cost<B>, Error>,
) -> Result<f32, Error> {
    // Each with noise of its own, so that noise is not taken for agreement.
    let gradient = |of: fn(Cost<B>) -> Tensor<B, 1>| {
        let leaf = Tensor::<B, 4>::from_inner(start.clone()).require_grad();
        let cost = of(cost(leaf.clone(), &Quantizer::Noise)?);
        let gradient = leaf.grad(&cost.backward());
        Ok::<_, Error>(gradient.unwrap_or_else(|| start.zeros_like()))
    };
    let (mut mixed, mut square) = (0.0, 0.0);
    for _ in 0..DRAWS {
        let rate = gradient(|cost| cost.bits)?;
        let distortion = gradient(|cost| cost.error)?;
        mixed += scalar((rate * distortion.clone()).sum());
        square += scalar((distortion * gradient(|cost| cost.error)?).sum());
    }
    Ok(-mixed / square)
}

fn scalar<B: Backend>(x: Tensor<B, 1>) -> f32 {
    let data = x.into_data().convert::<f32>();
    data.as_slice()
        .ok()
        .and_then(|v: &[f32]| v.first().copied())
        .unwrap_or(f32::NAN)
}

/// Where a scale stands among the scales of `RateOps::gaussian_bits`.
pub(crate) fn scale_index<B: Backend>(scale: Tensor<B, 4>) -> Tensor<B, 4> {
    let (low, high) = (codec_entropy::SCALE_MIN, codec_entropy::SCALE_MAX);
    let steps = (codec_entropy::SCALES - 1) as f64 / (high / low).ln();
    let scale = scale.clamp_min(low);
    scale.div_scalar(low).log().mul_scalar(steps)
}

/// Numbers in -0.5..0.5 by counting (SplitMix64 of the number of the draw and of the value).
fn fill(draw: u64, sample: usize, values: &mut [f32]) {
    let stream = (draw << 32) ^ sample as u64;
    for (i, value) in values.iter_mut().enumerate() {
        let mut z = stream
            .wrapping_mul(0xd134_2543_de82_ef95)
            .wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        *value = (z >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::TensorData;

    fn tensor(v: Vec<f32>) -> Tensor<Flex, 4> {
        let count = v.len();
        Tensor::from_data(TensorData::new(v, [1, 1, 1, count]), &Default::default())
    }

    #[test]
    fn cold_draws_are_the_nearest_integers() {
        let v = vec![-1.7f32, -0.2, 0.0, 0.3, 2.9, 7.0];
        let drawn: Vec<f32> = drawn(tensor(v.clone()), 1e-3)
            .into_data()
            .into_vec()
            .expect("floats");
        for (v, drawn) in v.iter().zip(drawn) {
            assert!((drawn - v.round()).abs() < 1e-3, "{v}: {drawn}");
        }
    }

    #[test]
    fn lambda_is_where_rate_and_distortion_balance() {
        // R = 3 y, D = (y - t)^2: with lambda 0.5 the minimum is at y = t - 3.
        let target = Tensor::<Autodiff<Flex>, 4>::from_inner(tensor(vec![7.0, 1.0, -2.0]));
        let cost = |y: Tensor<Autodiff<Flex>, 4>, _: &Quantizer| {
            Ok(Cost {
                bits: y.clone().mul_scalar(3.0).sum(),
                error: (y - target.clone()).square().sum(),
            })
        };
        let lambda = balance(&tensor(vec![4.0, -2.0, -5.0]), &cost).unwrap();
        assert!((lambda - 0.5).abs() < 1e-6, "{lambda}");
    }

    #[test]
    fn errors_that_latents_share_are_traded_between_them() {
        // Only sums of pairs count, and the first of each pair is the cheaper one.
        let count = 64;
        let target: Vec<f32> = (0..count).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
        let start: Vec<f32> = target.iter().map(|t| 0.9 * t).collect();
        let target = Tensor::<Autodiff<Flex>, 4>::from_inner(tensor(target));
        let prices = (0..count)
            .map(|i| if i % 2 == 0 { 1.0 } else { 3.0 })
            .collect();
        let prices = Tensor::<Autodiff<Flex>, 4>::from_inner(tensor(prices));
        let pairs = |x: Tensor<Autodiff<Flex>, 4>| x.reshape([1, 1, count / 2, 2]).sum_dim(3);
        let cost = |y: Tensor<Autodiff<Flex>, 4>, quantizer: &Quantizer| {
            let y = quantizer.apply(y);
            Ok(Cost {
                bits: (y.clone().abs() * prices.clone()).sum(),
                error: (pairs(y) - pairs(target.clone())).square().sum(),
            })
        };
        let schedule = Schedule::of(10).unwrap();
        let start = tensor(start);
        let found = refine::<Autodiff<Flex>>(start.clone(), schedule, cost).unwrap();
        let of = |y: Tensor<Flex, 4>| {
            let cost = cost(Tensor::from_inner(y), &Quantizer::Rounded).unwrap();
            (scalar(cost.bits.inner()), scalar(cost.error.inner()))
        };
        let (before, after) = (of(start), of(found));
        assert!(
            after.0 < 0.98 * before.0 && after.1 <= before.1,
            "{before:?} to {after:?}"
        );
    }

    #[test]
    fn scales_have_their_index() {
        let index = scale_index(tensor(vec![0.05, 0.11, 256.0]));
        let index: Vec<f32> = index.into_data().into_vec().expect("floats");
        assert!(index[0] == index[1] && index[0].abs() < 1e-3 && (index[2] - 63.0).abs() < 1e-3);
    }
}
