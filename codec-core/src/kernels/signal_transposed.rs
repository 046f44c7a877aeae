//! Transposed convolutions of signals `[N, C, T]`, as one ordinary convolution for each phase of the output.

use rayon::prelude::*;

use super::conv::{BLOCK_PIXELS, Epilogue, PIECES, Tile, tiles};
use super::fresh::zeros;
use super::scratch::with_scratch;
use super::signal::{Border, extend};
use super::taps::{Field, Tap};

/// Sizes of a transposed convolution: `stride * (T - 1) + k` samples, less those that are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedSignalShape {
    /// Dimensions of the input, `[N, Ci, T]`.
    pub input: [usize; 3],
    /// Output channels, Co.
    pub outputs: usize,
    /// Taps, k.
    pub kernel: usize,
    /// Output samples for one input.
    pub stride: usize,
    /// Output samples that are cut off at the beginning and at the end.
    pub cut: [usize; 2],
    /// Output samples.
    pub time: usize,
}

impl TransposedSignalShape {
    /// From the dimensions of the input `[N, Ci, T]` and of the weights `[Ci, Co, k]`.
    ///
    /// # Panics
    /// If the channels disagree, the stride is 0 or more is cut off than there is.
    pub fn new(input: [usize; 3], weight: [usize; 3], stride: usize, cut: [usize; 2]) -> Self {
        let [inputs, outputs, kernel] = weight;
        assert_eq!(
            input[1], inputs,
            "input and weight disagree on the input channels"
        );
        assert!(stride > 0, "a stride of 0");
        let Some(time) = transposed_outputs(input[2], kernel, stride, cut) else {
            panic!("{} samples, {kernel} taps, {cut:?} cut off", input[2]);
        };
        Self {
            input,
            outputs,
            kernel,
            stride,
            cut,
            time,
        }
    }

    /// Dimensions of the output, `[N, Co, T']`.
    pub fn output_dims(&self) -> [usize; 3] {
        [self.input[0], self.outputs, self.time]
    }

    /// The convolution that gives outputs `stride * i + phase`, with weights `[Co, Ci * taps]`.
    fn phase(&self, phase: usize, weight: &[f32]) -> (Field, Vec<f32>) {
        let [_, channels, time] = self.input;
        let place = phase + self.cut[0];
        let seen: Vec<usize> = (place % self.stride..self.kernel)
            .step_by(self.stride)
            .collect();
        let taps = seen.iter().map(|&k| Tap {
            plane: 0,
            dy: 0,
            dx: (place as isize - k as isize) / self.stride as isize,
        });
        let field = Field {
            channels,
            planes: 1,
            height: 1,
            width: time,
            taps: taps.collect(),
        };
        let mut own = zeros(self.outputs * field.rows());
        if !own.is_empty() {
            let outputs = own.par_chunks_mut(field.rows()).enumerate();
            outputs.for_each(|(output, own)| {
                let filters = weight.chunks_exact(self.kernel).skip(output);
                let filters = filters.step_by(self.outputs);
                for (own, filter) in own.chunks_exact_mut(seen.len()).zip(filters) {
                    for (v, &k) in own.iter_mut().zip(&seen) {
                        *v = filter[k];
                    }
                }
            });
        }
        (field, own)
    }
}

/// Output samples of a transposed convolution of `time` samples; none if nothing is left.
pub fn transposed_outputs(
    time: usize,
    kernel: usize,
    stride: usize,
    cut: [usize; 2],
) -> Option<usize> {
    let full = time.checked_sub(1)?.checked_mul(stride)? + kernel;
    full.checked_sub(cut[0])?
        .checked_sub(cut[1])
        .filter(|&t| t > 0)
}

/// Transposed convolution with an epilogue, as one ordinary convolution for each phase of the output.
///
/// # Shapes
/// `x` is `[N, Ci, T]`, `weight` `[Ci, Co, k]`, the result as [`TransposedSignalShape::output_dims`] says.
///
/// # Panics
/// If a slice does not fit `shape`.
pub fn conv1d_transposed(
    shape: &TransposedSignalShape,
    x: &[f32],
    weight: &[f32],
    epilogue: &impl Epilogue,
) -> Vec<f32> {
    let [batch, channels, time] = shape.input;
    let (stride, outputs, length) = (shape.stride, shape.outputs, shape.time);
    assert_eq!(
        x.len(),
        batch * channels * time,
        "input does not fit {shape:?}"
    );
    assert_eq!(
        weight.len(),
        channels * outputs * shape.kernel,
        "weight does not fit {shape:?}"
    );
    let beyond = length.div_ceil(stride).saturating_sub(time);
    if beyond > 0 {
        // A phase of a single tap is a product with the whole input, which cannot reach beyond it.
        let x = extend(x, time, [0, beyond], Border::Zeros);
        let input = [batch, channels, time + beyond];
        let shape = TransposedSignalShape { input, ..*shape };
        return conv1d_transposed(&shape, &x, weight, epilogue);
    }
    let mut out = zeros(batch * outputs * length);
    if out.is_empty() {
        return out;
    }
    let phases = (0..stride).map(|phase| shape.phase(phase, weight));
    let phases: Vec<(Field, Vec<f32>)> = phases.collect();
    let share = length.div_ceil(stride).div_ceil(PIECES);
    let positions = share.next_multiple_of(16).clamp(64, BLOCK_PIXELS);
    let tiles = tiles(&mut out, outputs, length, positions * stride);
    tiles.into_par_iter().for_each(|tile| {
        let Tile {
            image,
            start,
            outputs,
            rows,
        } = tile;
        let samples = (positions * stride).min(length - start);
        let count = samples.div_ceil(stride);
        let first = start / stride;
        let image = &x[image * channels * time..][..channels * time];
        let columns = phases.iter().map(|(field, _)| field.scratch(count)).max();
        let columns = columns.unwrap_or(0);
        let block = outputs.len() * count;
        with_scratch(columns + stride * block + stride * count, |scratch| {
            let (columns, scratch) = scratch.split_at_mut(columns);
            let (sums, line) = scratch.split_at_mut(stride * block);
            for ((field, weight), sums) in phases.iter().zip(sums.chunks_mut(block)) {
                let seen = first..first + count;
                field.sums(image, weight, outputs.clone(), seen, columns, sums);
            }
            for (number, (channel, out)) in outputs.zip(rows).enumerate() {
                for (phase, sums) in sums.chunks(block).enumerate() {
                    let to = line.iter_mut().skip(phase).step_by(stride);
                    for (to, &sum) in to.zip(&sums[number * count..][..count]) {
                        *to = sum;
                    }
                }
                epilogue.write(channel, &line[..samples], out);
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::transposed_outputs;

    #[test]
    fn numbers_of_outputs() {
        assert_eq!(transposed_outputs(4, 10, 5, [3, 2]), Some(20));
        assert_eq!(transposed_outputs(1, 4, 2, [2, 2]), None);
        assert_eq!(transposed_outputs(0, 4, 2, [0, 0]), None);
    }
}
