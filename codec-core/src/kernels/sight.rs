//! What the outputs of a convolution see of a signal, brought together tile by tile.
//!
//! Borders, an activation before the convolution and the phases of a strided one exist in the scratch of a tile alone: as
//! passes of their own over a signal with few channels they cost more than the products.

use std::ops::Range;

use super::activation::Activation;
use super::matmul::{Matrix, matmul};
use super::signal::{Border, Walk};
use super::simd::vectorized;
use super::taps::channels_of_a_block;

/// How outputs see a signal `[channels, time]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub channels: usize,
    pub time: usize,
    pub kernel: usize,
    pub walk: Walk,
    pub border: Border,
    /// Of what is seen.
    pub activation: Activation,
}

impl Sight {
    /// Weights of one output.
    pub fn rows(&self) -> usize {
        self.channels * self.kernel
    }

    /// Whether the outputs see the signal as it is, so that nothing has to be copied.
    fn is_plain(&self) -> bool {
        let walk = Walk {
            dilation: 1,
            ..self.walk
        };
        self.kernel == 1 && walk == Walk::PLAIN && self.activation == Activation::None
    }

    /// Samples that `count` outputs see of a channel, in whole strides.
    fn seen(&self, count: usize) -> usize {
        let span = self.kernel.saturating_sub(1) * self.walk.dilation + 1;
        (count.saturating_sub(1) * self.walk.stride + span).next_multiple_of(self.walk.stride)
    }

    /// Floats of scratch that [`Sight::sums`] needs for a tile of `count` outputs.
    pub fn scratch(&self, count: usize) -> usize {
        if self.is_plain() {
            return 0;
        }
        let columns = channels_of_a_block(self.channels, count * self.kernel) * self.kernel * count;
        columns + 2 * self.seen(count)
    }

    /// Sums of `outputs` at `positions`.
    ///
    /// `weight` is `[outputs of the layer, channels * taps]`, `scratch` as large as [`Sight::scratch`] says, `sums`
    /// `[outputs, positions]`.
    pub fn sums(
        &self,
        signal: &[f32],
        weight: &[f32],
        outputs: Range<usize>,
        positions: Range<usize>,
        scratch: &mut [f32],
        sums: &mut [f32],
    ) {
        let (rows, count) = (self.rows(), positions.len());
        let weight = &weight[outputs.start * rows..outputs.end * rows];
        if rows == 0 {
            sums[..outputs.len() * count].fill(0.0);
            return;
        }
        if self.is_plain() {
            let seen = Matrix::row_major(&signal[positions.start..], self.time);
            let weight = Matrix::row_major(weight, rows);
            matmul([outputs.len(), rows, count], weight, seen, sums, false);
            return;
        }
        let block = channels_of_a_block(self.channels, count * self.kernel);
        let length = self.seen(count);
        let (line, scratch) = scratch.split_at_mut(length);
        let (phases, columns) = scratch.split_at_mut(length);
        let channels = signal.chunks(block * self.time).enumerate();
        for (number, channels) in channels {
            let mut columns_left = columns.chunks_exact_mut(count * self.kernel);
            for (channel, taps) in channels.chunks_exact(self.time).zip(&mut columns_left) {
                self.look(channel, positions.start, line);
                let seen = self.split(line, phases);
                self.unfold(seen, taps, count);
            }
            let depth = channels.len() / self.time * self.kernel;
            let weight = Matrix::row_major(&weight[number * block * self.kernel..], rows);
            let seen = Matrix::row_major(columns, count);
            let sizes = [outputs.len(), depth, count];
            matmul(sizes, weight, seen, sums, number > 0);
        }
    }

    /// What the outputs from `first` on see of a channel, after the activation; it does not matter what stands beyond that.
    fn look(&self, channel: &[f32], first: usize, line: &mut [f32]) {
        let start = (first * self.walk.stride) as isize - self.walk.before as isize;
        let place = |at: isize| (at - start).clamp(0, line.len() as isize) as usize;
        let inside = place(0)..place(channel.len() as isize);
        let from = start.max(0) as usize;
        for at in (0..inside.start).chain(inside.end..line.len()) {
            line[at] = self.beyond(channel, start + at as isize);
        }
        let outside = [0..inside.start, inside.end..line.len()];
        let seen = channel.get(from..).unwrap_or_default();
        if self.activation == Activation::None {
            line[inside.clone()].copy_from_slice(&seen[..inside.len()]);
            return;
        }
        vectorized(
            #[inline(always)]
            || {
                let seen = &seen[..inside.len()];
                self.activation.write(0.0, seen, &mut line[inside]);
            },
        );
        for value in outside.into_iter().flatten() {
            let seen = [line[value]];
            self.activation.write(0.0, &seen, &mut line[value..=value]);
        }
    }

    /// The sample of a place outside of the signal; zero beyond what the border may be asked for.
    fn beyond(&self, channel: &[f32], at: isize) -> f32 {
        let last = channel.len() as isize - 1;
        let at = match self.border {
            Border::Zeros => return 0.0,
            Border::Reflect if at < 0 => -at,
            Border::Reflect => 2 * last - at,
            Border::Edge => at.clamp(0, last),
        };
        let at = usize::try_from(at).ok();
        at.and_then(|at| channel.get(at)).copied().unwrap_or(0.0)
    }

    /// The phases of a line one after the other.
    fn split<'s>(&self, line: &'s [f32], phases: &'s mut [f32]) -> &'s [f32] {
        let stride = self.walk.stride;
        if stride == 1 {
            return line;
        }
        let length = line.len() / stride;
        for (phase, to) in phases.chunks_exact_mut(length).enumerate() {
            let from = line.iter().skip(phase).step_by(stride);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        phases
    }

    /// What each tap sees, from the phases.
    fn unfold(&self, phases: &[f32], taps: &mut [f32], count: usize) {
        let Walk {
            stride, dilation, ..
        } = self.walk;
        let length = phases.len() / stride;
        for (tap, row) in taps.chunks_exact_mut(count).enumerate() {
            let ahead = tap * dilation;
            let start = ahead % stride * length + ahead / stride;
            row.copy_from_slice(&phases[start..start + count]);
        }
    }
}
