//! Activations that can be fused into a convolution, and the pass that takes them back.

use std::borrow::Cow;

use pulp::Arch;
use rayon::prelude::*;

use super::fresh::zeros;
use super::math;

/// What happens to a convolution's sum before it is written.
///
/// Each can be undone from its output alone, so that training keeps no copy of the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// The sum as it is.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, `slope * x` elsewhere. The slope must not be negative.
    LeakyRelu(f32),
    /// `min(max(x, 0), limit)`, with a positive limit.
    ClampedRelu(f32),
    /// `x` where positive, `e^x - 1` elsewhere (Clevert et al. 2015).
    Elu,
}

impl Activation {
    /// Writes `activation(sums + bias)` to `out`. Both slices have the same length.
    #[inline(always)]
    pub fn write(self, bias: f32, sums: &[f32], out: &mut [f32]) {
        let pairs = out.iter_mut().zip(sums);
        match self {
            Self::None => pairs.for_each(|(o, s)| *o = s + bias),
            Self::Relu => pairs.for_each(|(o, s)| *o = (s + bias).max(0.0)),
            Self::LeakyRelu(slope) => pairs.for_each(|(o, s)| {
                let v = s + bias;
                *o = if v > 0.0 { v } else { slope * v };
            }),
            Self::ClampedRelu(limit) => {
                pairs.for_each(|(o, s)| *o = (s + bias).max(0.0).min(limit))
            }
            Self::Elu => pairs.for_each(|(o, s)| *o = math::elu(s + bias)),
        }
    }

    /// Writes the gradient of the sum, from the gradient of the output and the output.
    #[inline(always)]
    fn write_gradient(self, output: &[f32], gradient: &[f32], out: &mut [f32]) {
        let triples = out.iter_mut().zip(output).zip(gradient);
        match self {
            Self::None => triples.for_each(|((o, _), g)| *o = *g),
            Self::Relu => triples.for_each(|((o, y), g)| *o = if *y > 0.0 { *g } else { 0.0 }),
            Self::LeakyRelu(slope) => {
                triples.for_each(|((o, y), g)| *o = if *y > 0.0 { *g } else { slope * g });
            }
            Self::ClampedRelu(limit) => {
                triples.for_each(|((o, y), g)| *o = if *y > 0.0 && *y < limit { *g } else { 0.0 });
            }
            Self::Elu => {
                triples.for_each(|((o, y), g)| *o = if *y > 0.0 { *g } else { (y + 1.0) * g });
            }
        }
    }

    /// The gradient of the sum before the activation; `plane` is the size of the pieces done in parallel.
    ///
    /// Without an activation the gradient is borrowed, not copied. `output` is not read then and may be empty.
    pub fn backward<'a>(self, output: &[f32], gradient: &'a [f32], plane: usize) -> Cow<'a, [f32]> {
        if self == Self::None || plane == 0 {
            return Cow::Borrowed(gradient);
        }
        let mut out = zeros(gradient.len());
        out.par_chunks_mut(plane)
            .zip(output.par_chunks(plane))
            .zip(gradient.par_chunks(plane))
            .for_each(|((o, y), g)| Arch::new().dispatch(|| self.write_gradient(y, g, o)));
        Cow::Owned(out)
    }
}

/// Sums over batch and pixels of `[N, C, plane]`, one a channel: the gradient of a bias.
///
/// The order of summation depends on the shape alone.
pub fn channel_sums(values: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    if plane == 0 {
        return sums;
    }
    let rows: Vec<f32> = values.par_chunks(plane).map(sum).collect();
    for image in rows.chunks(channels.max(1)) {
        for (total, row) in sums.iter_mut().zip(image) {
            *total += row;
        }
    }
    sums
}

/// Sum in 16 interleaved parts, so that it vectorizes and its error grows slowly.
fn sum(values: &[f32]) -> f32 {
    Arch::new().dispatch(|| {
        let mut lanes = [0.0f32; 16];
        let (blocks, rest) = values.as_chunks::<16>();
        for block in blocks {
            for (lane, v) in lanes.iter_mut().zip(block) {
                *lane += v;
            }
        }
        lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
    })
}

#[cfg(test)]
mod tests {
    use super::{Activation, channel_sums};

    #[test]
    fn values_and_gradients() {
        let sums = [-2.0, -0.5, 0.25, 3.0];
        let cases = [
            (Activation::None, [-2.0, -0.5, 0.25, 3.0], [1.0; 4]),
            (
                Activation::Relu,
                [0.0, 0.0, 0.25, 3.0],
                [0.0, 0.0, 1.0, 1.0],
            ),
            (
                Activation::LeakyRelu(0.5),
                [-1.0, -0.25, 0.25, 3.0],
                [0.5, 0.5, 1.0, 1.0],
            ),
            (
                Activation::ClampedRelu(1.0),
                [0.0, 0.0, 0.25, 1.0],
                [0.0, 0.0, 1.0, 0.0],
            ),
        ];
        for (activation, values, gradients) in cases {
            let mut out = [0.0; 4];
            activation.write(0.0, &sums, &mut out);
            assert_eq!(out, values, "{activation:?}");
            assert_eq!(
                activation.backward(&out, &[1.0; 4], 2).as_ref(),
                gradients,
                "{activation:?}"
            );
        }
    }

    #[test]
    fn sums_run_over_batch_and_pixels() {
        let values: Vec<f32> = (0..2 * 3 * 20).map(|i| i as f32).collect();
        let want: Vec<f32> = (0..3)
            .map(|c| {
                (0..2)
                    .flat_map(|n| (0..20).map(move |p| ((n * 3 + c) * 20 + p) as f32))
                    .sum()
            })
            .collect();
        assert_eq!(channel_sums(&values, 3, 20), want);
    }
}
