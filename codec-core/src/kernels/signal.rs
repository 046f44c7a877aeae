//! Convolutions of signals `[N, C, T]`.

use rayon::prelude::*;

use super::activation::Activation;
use super::conv::{BiasActivation, Epilogue, tile_pixels, tiles};
use super::depthwise::DepthwiseShape;
use super::fresh::zeros;
use super::scratch::with_scratch;
use super::sight::Sight;

/// How a convolution walks over a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Samples from one output to the next.
    pub stride: usize,
    /// Samples from one tap to the next.
    pub dilation: usize,
    /// Samples of the border before the first sample.
    pub before: usize,
    /// Samples of the border after the last sample.
    pub after: usize,
}

impl Walk {
    /// Every sample, neighbouring taps, no border.
    pub const PLAIN: Self = Self {
        stride: 1,
        dilation: 1,
        before: 0,
        after: 0,
    };

    /// Outputs of `time` samples, if the taps fit into the signal with its border at all.
    pub fn outputs(&self, time: usize, kernel: usize) -> Option<usize> {
        let reach = kernel.checked_sub(1)?.checked_mul(self.dilation)?;
        let last = (time + self.before + self.after).checked_sub(reach + 1)?;
        Some(last / self.stride + 1)
    }
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalShape {
    /// Dimensions of the input, `[N, Ci, T]`.
    pub input: [usize; 3],
    /// Output channels, Co.
    pub outputs: usize,
    /// Taps, k.
    pub kernel: usize,
    /// How it walks.
    pub walk: Walk,
    /// Output samples.
    pub time: usize,
}

impl SignalShape {
    /// From the dimensions of the input `[N, Ci, T]` and of the weights `[Co, Ci, k]`.
    ///
    /// # Panics
    /// If the channels disagree, the stride is 0 or the signal is shorter than the taps reach.
    pub fn new(input: [usize; 3], weight: [usize; 3], walk: Walk) -> Self {
        let [outputs, inputs, kernel] = weight;
        assert_eq!(
            input[1], inputs,
            "input and weight disagree on the input channels"
        );
        assert!(walk.stride > 0, "a stride of 0");
        let Some(time) = walk.outputs(input[2], kernel) else {
            panic!("{} samples for {kernel} taps in {walk:?}", input[2]);
        };
        Self {
            input,
            outputs,
            kernel,
            walk,
            time,
        }
    }

    /// Dimensions of the output, `[N, Co, T']`.
    pub fn output_dims(&self) -> [usize; 3] {
        [self.input[0], self.outputs, self.time]
    }

    pub(super) fn sight(&self, border: Border, activation: Activation) -> Sight {
        let Walk { before, after, .. } = self.walk;
        let [_, channels, time] = self.input;
        border.check([before, after], time);
        Sight {
            channels,
            time,
            kernel: self.kernel,
            walk: self.walk,
            border,
            activation,
        }
    }
}

/// Convolution with an epilogue.
///
/// # Shapes
/// `x` is `[N, Ci, T]`, `weight` `[Co, Ci, k]`, the result as [`SignalShape::output_dims`] says.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv1d(
    shape: &SignalShape,
    border: Border,
    x: &[f32],
    weight: &[f32],
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    let [batch, channels, time] = shape.input;
    assert_eq!(
        x.len(),
        batch * channels * time,
        "input does not fit {shape:?}"
    );
    let sight = shape.sight(border, Activation::None);
    assert_eq!(
        weight.len(),
        shape.outputs * sight.rows(),
        "weight does not fit {shape:?}"
    );
    let mut out = zeros(batch * shape.outputs * shape.time);
    if out.is_empty() {
        return out;
    }
    let pixels = tile_pixels(batch, shape.time, sight.rows());
    let tiles = tiles(&mut out, shape.outputs, shape.time, pixels);
    tiles.into_par_iter().for_each(|tile| {
        let count = pixels.min(shape.time - tile.start);
        let image = &x[tile.image * channels * time..][..channels * time];
        let seen = sight.scratch(count);
        with_scratch(seen + tile.outputs.len() * count, |scratch| {
            let (seen, sums) = scratch.split_at_mut(seen);
            let positions = tile.start..tile.start + count;
            sight.sums(image, weight, tile.outputs.clone(), positions, seen, sums);
            let rows = tile.rows.into_iter().zip(sums.chunks(count));
            for (channel, (out, sums)) in tile.outputs.zip(rows) {
                epilogue.write(channel, sums, out);
            }
        });
    });
    out
}

/// Convolution of every channel with its own odd kernel, zeros outside, as long as the input.
///
/// # Shapes
/// `x` and the result are `[N, C, T]`, `weight` is `[C, 1, k]`.
///
/// # Panics
/// If a slice does not fit or the kernel is even.
pub fn depthwise1d(
    [batch, channels, time]: [usize; 3],
    kernel: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: &BiasActivation<'_>,
) -> Vec<f32> {
    assert_eq!(x.len(), batch * channels * time, "input of another shape");
    assert_eq!(weight.len(), channels * kernel, "weight of another shape");
    // The shape of one row; its kernel is square, but a row sees no more than the middle.
    let row = DepthwiseShape::new([batch, channels, 1, time], [channels, 1, kernel, kernel]);
    super::depthwise::depthwise_rows(&row, x, weight, epilogue)
}

/// What lies beyond the ends of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zeros,
    /// The signal mirrored, without repeating the sample at the end. Needs more samples than it adds on a side.
    Reflect,
    /// The sample at the end.
    Edge,
}

impl Border {
    /// # Panics
    /// If a signal is too short for its border.
    fn check(self, [before, after]: [usize; 2], time: usize) {
        assert!(
            match self {
                Self::Zeros => true,
                Self::Reflect => before.max(after) < time.max(1),
                Self::Edge => time > 0 || before + after == 0,
            },
            "{time} samples for a border of {before} and {after} of {self:?}"
        );
    }
}

/// Rows of `time` samples with what lies before and after them.
///
/// # Panics
/// If a signal is too short for its border.
pub fn extend(x: &[f32], time: usize, [before, after]: [usize; 2], border: Border) -> Vec<f32> {
    let length = before + time + after;
    border.check([before, after], time);
    let rows = x.len().checked_div(time).unwrap_or(0);
    let mut out = zeros(rows * length);
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(length)
        .zip(x.par_chunks(time))
        .for_each(|(out, x)| {
            let (head, rest) = out.split_at_mut(before);
            let (middle, tail) = rest.split_at_mut(time);
            middle.copy_from_slice(x);
            match border {
                Border::Zeros => {}
                Border::Reflect => {
                    let mirrored = head.iter_mut().rev().zip(&x[1..]);
                    mirrored.for_each(|(to, from)| *to = *from);
                    let mirrored = tail.iter_mut().zip(x[..time - 1].iter().rev());
                    mirrored.for_each(|(to, from)| *to = *from);
                }
                Border::Edge => {
                    head.fill(x[0]);
                    tail.fill(x[time - 1]);
                }
            }
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(
            extend(&x, 3, [2, 1], Border::Reflect),
            [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 6.0, 5.0, 4.0, 5.0, 6.0, 5.0]
        );
        assert_eq!(
            extend(&x, 6, [1, 2], Border::Edge),
            [1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 6.0]
        );
        assert_eq!(extend(&x[..1], 1, [1, 1], Border::Zeros), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn numbers_of_outputs() {
        let walk = Walk {
            stride: 3,
            dilation: 2,
            before: 1,
            after: 0,
        };
        assert_eq!(walk.outputs(4, 3), Some(1));
        assert_eq!(walk.outputs(7, 3), Some(2));
        assert_eq!(walk.outputs(3, 3), None);
        assert_eq!(walk.outputs(3, 0), None);
    }
}
