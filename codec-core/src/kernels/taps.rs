//! Convolutions as matrix products of weights with shifted copies of the input.
//!
//! Every kind of convolution is a list of [`Tap`]s: which plane of a channel an output sees, and how far away. Stride 1
//! has one plane a channel; a strided convolution splits each channel in its phases first, so that all copies are
//! contiguous; a transposed one is an ordinary convolution for each phase of its output.

use std::ops::Range;

use super::matmul::{Matrix, matmul};
use super::unfold::shifted;

/// Floats of an unfolded block: together with the packed copy inside the product it stays in a cache of 1 MiB.
pub(super) const BLOCK_FLOATS: usize = 1 << 17;

/// Longer than any row, and short enough that some rows of it are no overflow.
const ENDLESS: usize = usize::MAX >> 16;

/// One weight of a kernel: output `(y, x)` sees `(y + dy, x + dx)` of plane `plane` of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub plane: usize,
    pub dy: isize,
    pub dx: isize,
}

/// What the outputs of an image see.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub channels: usize,
    /// Planes of a channel.
    pub planes: usize,
    pub height: usize,
    pub width: usize,
    pub taps: Vec<Tap>,
}

/// How many of some channels are unfolded at a time, with `floats` values each: blocks of about equal size.
pub(super) fn channels_of_a_block(channels: usize, floats: usize) -> usize {
    let most = (BLOCK_FLOATS / floats.max(1)).max(1);
    let blocks = channels.div_ceil(most).max(1);
    channels.div_ceil(blocks).max(1)
}

impl Field {
    /// Values of one plane.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Values of one image.
    pub fn image(&self) -> usize {
        self.channels * self.planes * self.plane()
    }

    /// Weights of one output.
    pub fn rows(&self) -> usize {
        self.channels * self.taps.len()
    }

    /// Values from one row of a plane to the next. A single row has no next one that its ends could reach into.
    fn line(&self) -> usize {
        if self.height == 1 {
            ENDLESS
        } else {
            self.width
        }
    }

    /// The one tap of a kernel that is no more than a matrix product.
    fn pointwise(&self) -> Option<usize> {
        match self.taps[..] {
            [
                Tap {
                    plane,
                    dy: 0,
                    dx: 0,
                },
            ] => Some(plane),
            _ => None,
        }
    }

    /// Channels that are unfolded at a time, for tiles of `count` pixels.
    fn block(&self, count: usize) -> usize {
        channels_of_a_block(self.channels, count * self.taps.len())
    }

    /// Floats of scratch that [`Field::sums`] needs for a tile of `count` pixels.
    pub fn scratch(&self, count: usize) -> usize {
        if self.pointwise().is_some() {
            return 0;
        }
        self.block(count) * self.taps.len() * count
    }

    /// Sums of `outputs` at `pixels` of an image.
    ///
    /// `weight` is `[outputs of the layer, channels * taps]`, `columns` scratch of the size that [`Field::scratch`] gives,
    /// `sums` `[outputs, pixels]`.
    pub fn sums(
        &self,
        image: &[f32],
        weight: &[f32],
        outputs: Range<usize>,
        pixels: Range<usize>,
        columns: &mut [f32],
        sums: &mut [f32],
    ) {
        let (rows, plane, count) = (self.rows(), self.plane(), pixels.len());
        let weight = &weight[outputs.start * rows..outputs.end * rows];
        if rows == 0 {
            sums[..outputs.len() * count].fill(0.0);
            return;
        }
        if let Some(at) = self.pointwise() {
            let seen = Matrix::row_major(&image[at * plane + pixels.start..], self.planes * plane);
            let weight = Matrix::row_major(weight, rows);
            matmul([outputs.len(), rows, count], weight, seen, sums, false);
            return;
        }
        let block = self.block(count);
        let channels = image.chunks(block * self.planes * plane).enumerate();
        for (number, channels) in channels {
            let mut unfolded = columns.chunks_exact_mut(count);
            for channel in channels.chunks_exact(self.planes * plane) {
                for (tap, row) in self.taps.iter().zip(&mut unfolded) {
                    let seen = &channel[tap.plane * plane..][..plane];
                    shifted(seen, self.line(), [tap.dy, tap.dx], pixels.start, row);
                }
            }
            let depth = channels.len() / (self.planes * plane) * self.taps.len();
            let weight = Matrix::row_major(&weight[number * block * self.taps.len()..], rows);
            let seen = Matrix::row_major(columns, count);
            matmul(
                [outputs.len(), depth, count],
                weight,
                seen,
                sums,
                number > 0,
            );
        }
    }
}
