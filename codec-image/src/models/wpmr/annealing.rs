//! The toolkit's own family under [`crate::models::annealing`]: latents are descended through the exact integer networks and the
//! synthesis transform of the decoder.
//!
//! The same networks tell by how much the cost would change with a symbol ([`Annealer::slopes`]), for a descent from one
//! choice of symbols to the next (`super::symbols::descended`).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::{Precision, RelaxedConv};

use super::config::{PASSES, WpmrConfig};
use super::entropy::{PassLayers, PassParameters, context_input};
use super::layout::{folded_from_passes, pass_latents};
use super::model::{join, wavelet_inverse};
use super::parts::Parts;
use super::quality::lambda;
use super::transform::Synthesis;
use super::weights::Weights;
use crate::models::annealing::{Schedule, anneal, drawn};

/// Largest side, in latents, of what is refined at once: bounds memory to about half a gigabyte.
const REGION: usize = 64;
/// Latents around a region that are refined with it and thrown away.
const MARGIN: usize = 4;
/// Step of the descent, in quantization steps.
const RATE: f32 = 0.01;
/// What a decoder runs, with gradients.
pub(super) struct Annealer<B: Backend> {
    config: WpmrConfig,
    synthesis: Synthesis<B>,
    passes: Vec<PassLayers<RelaxedConv<B>>>,
}

/// One tile.
pub(super) struct Problem<B: Backend> {
    /// `[1, 3, 16h, 16w]` in 0..1.
    pub pixels: Tensor<B, 4>,
    /// First guess, in quantization steps, `[1, 768, h, w]`.
    pub latents: Tensor<B, 4>,
    /// Features of the hyperlatents in real units, `[1, f, h, w]`.
    pub features: Tensor<B, 4>,
    /// Quantization steps, `[1, 768, 1, 1]`.
    pub steps: Tensor<B, 4>,
    /// Base step, `[1, 192, 1, 1]`.
    pub base: Tensor<B, 4>,
    /// Quality in `0..=1`.
    pub t: f32,
}

impl<B> Annealer<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    /// Puts the decoder's networks on a device.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    pub fn new(weights: &Weights, device: &B::Device) -> Result<Self, Error> {
        let layer = |name: &str| Ok(weights.integer(name)?.relaxed(device));
        let passes = (0..PASSES).map(|pass| PassLayers::load(pass, layer));
        let passes = passes.collect::<Result<Vec<_>, Error>>()?;
        let parts = Parts { weights, device };
        Ok(Self {
            config: weights.config().clone(),
            // Nothing here is learned.
            synthesis: parts.synthesis()?.no_grad(),
            passes,
        })
    }

    /// Latents of lower cost, found in `iterations` steps of annealing.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn refine(
        &self,
        problem: &Problem<B::InnerBackend>,
        iterations: usize,
    ) -> Result<Tensor<B::InnerBackend, 4>, Error> {
        self.by_region(problem, |region| self.anneal(region, iterations))
    }

    /// Change of the cost in bits, by unit of each decoded latent, but for the rate of that latent itself: through the
    /// distortion and through the tables of the latents that are coded after it. `latents` of the problem are decoded ones.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn slopes(
        &self,
        problem: &Problem<B::InnerBackend>,
    ) -> Result<Tensor<B::InnerBackend, 4>, Error> {
        self.by_region(problem, |region| {
            let leaf = Tensor::<B, 4>::from_inner(region.latents.clone()).require_grad();
            let cost = self.cost(region, &leaf, |y, _| y, |y| y.detach())?;
            let gradient = leaf.grad(&cost.backward());
            Ok(gradient.unwrap_or_else(|| region.latents.zeros_like()))
        })
    }

    /// Does `work` on parts of a tile, so that memory is bounded, and puts the results together.
    fn by_region(
        &self,
        problem: &Problem<B::InnerBackend>,
        work: impl Fn(&Problem<B::InnerBackend>) -> Result<Tensor<B::InnerBackend, 4>, Error>,
    ) -> Result<Tensor<B::InnerBackend, 4>, Error> {
        let [_, channels, height, width] = problem.latents.dims();
        let mut results = problem.latents.clone();
        for rows in spans(height) {
            for columns in spans(width) {
                let cut = |x: &Tensor<B::InnerBackend, 4>, scale: usize| {
                    x.clone().slice([
                        0..1,
                        0..x.dims()[1],
                        rows.from * scale..rows.to * scale,
                        columns.from * scale..columns.to * scale,
                    ])
                };
                let found = work(&Problem {
                    pixels: cut(&problem.pixels, 16),
                    latents: cut(&problem.latents, 1),
                    features: cut(&problem.features, 1),
                    steps: problem.steps.clone(),
                    base: problem.base.clone(),
                    t: problem.t,
                })?;
                let kept = found.slice([0..1, 0..channels, rows.kept(), columns.kept()]);
                let place = [0..1, 0..channels, rows.inner(), columns.inner()];
                results = results.slice_assign(place, kept);
            }
        }
        Ok(results)
    }

    fn anneal(
        &self,
        problem: &Problem<B::InnerBackend>,
        iterations: usize,
    ) -> Result<Tensor<B::InnerBackend, 4>, Error> {
        let schedule = Schedule {
            iterations,
            rate: RATE,
        };
        anneal::<B>(problem.latents.clone(), schedule, |leaf, temperature| {
            let draw = |y: Tensor<B, 4>, mean: &Tensor<B, 4>| {
                drawn(y - mean.clone(), temperature) + mean.clone()
            };
            self.cost(problem, &leaf, draw, |y| y)
        })
    }

    /// Bits plus lambda times the squared error, `[1]`. `quantize` makes decoded latents of those of a pass and their means;
    /// their own rate is that of what `own` gives.
    fn cost(
        &self,
        problem: &Problem<B::InnerBackend>,
        latents: &Tensor<B, 4>,
        quantize: impl Fn(Tensor<B, 4>, &Tensor<B, 4>) -> Tensor<B, 4>,
        own: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Result<Tensor<B, 1>, Error> {
        let pixels = Tensor::<B, 4>::from_inner(problem.pixels.clone());
        let features = Tensor::<B, 4>::from_inner(problem.features.clone());
        let [_, _, height, width] = pixels.dims();
        let mut bits = Tensor::<B, 1>::zeros([1], &pixels.device());
        let (mut seen, mut decoded) = (None, None);
        for (index, pass) in self.passes.iter().enumerate() {
            let y = B::gather_channels(latents.clone(), &pass_latents(index))?;
            let PassParameters { mean, scale } =
                pass.parameters(features.clone(), seen.as_ref(), |layer, x| {
                    Ok(layer.forward(x))
                })?;
            let quantized = quantize(y, &mean);
            let rate = B::gaussian_bits(own(quantized.clone()), mean, scale);
            bits = bits + B::sum_per_picture(rate);
            if index + 1 < PASSES {
                let context = context_input(quantized.clone(), Precision::Integer);
                seen = Some(join(seen, context));
            }
            decoded = Some(join(decoded, quantized));
        }
        let decoded =
            decoded.ok_or_else(|| Error::BadParameter("the model has no passes".into()))?;
        let decoded = B::gather_channels(decoded, &folded_from_passes())?;
        let coefficients = self.synthesis.forward(
            decoded,
            Tensor::from_inner(problem.steps.clone()),
            Tensor::from_inner(problem.base.clone()),
            &[problem.t],
        )?;
        let error = (wavelet_inverse(coefficients)? - pixels).mul_scalar(255.0);
        let lambda = lambda(&self.config, problem.t) * (height * width) as f64;
        Ok(bits + error.square().mean().mul_scalar(lambda))
    }
}

/// A part of a side that is refined at once, in latents.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    from: usize,
    to: usize,
    /// What of it is kept, counted from the side's beginning.
    inner: (usize, usize),
}

impl Span {
    fn inner(&self) -> std::ops::Range<usize> {
        self.inner.0..self.inner.1
    }

    /// What is kept, counted from the span's beginning.
    fn kept(&self) -> std::ops::Range<usize> {
        self.inner.0 - self.from..self.inner.1 - self.from
    }
}

/// Covers a side of an even number of latents; spans begin and end at even ones.
fn spans(side: usize) -> Vec<Span> {
    let count = side.div_ceil(REGION).max(1);
    let length = side.div_ceil(count).next_multiple_of(2);
    let starts = (0..side).step_by(length.max(2));
    starts
        .map(|start| {
            let end = (start + length).min(side);
            Span {
                from: start.saturating_sub(MARGIN),
                to: (end + MARGIN).min(side),
                inner: (start, end),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_a_side_once() {
        for side in (2..400).step_by(2) {
            let spans = spans(side);
            let mut next = 0;
            for span in &spans {
                assert_eq!(span.inner.0, next);
                next = span.inner.1;
                assert!(span.to - span.from <= REGION + 2 * MARGIN);
                assert!(span.from.is_multiple_of(2) && span.to.is_multiple_of(2));
                assert_eq!(span.kept().len(), span.inner().len());
            }
            assert_eq!(next, side);
        }
    }
}
