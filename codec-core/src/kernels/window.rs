//! Attention inside overlapping windows of a checkerboard plane, and the convolution over each window's result.
//!
//! Eight windows of a row go through together, one a lane: planes are kept as rows of every second column, so that the
//! eight cells at one place of eight neighbouring windows are consecutive. Nothing of the size of all windows' cells
//! exists: a band of rows is attended, multiplied by the convolution's kernel and forgotten.

use std::ops::Range;

use rayon::prelude::*;

use super::checkerboard::Parity;
use super::matmul::{Matrix, matmul};
use super::rate::exp2;
use super::scratch::with_scratch;
use super::simd::vectorized;

/// Windows at a time.
const LANES: usize = 8;
/// Windows in a band: as many as a matrix product needs to be efficient.
const BAND: usize = 96;
/// Added to the logits of masked pairs.
const MASKED: f32 = -100.0;

/// Sizes of [`attend`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowShape {
    /// Images.
    pub batch: usize,
    /// Channels of queries, of keys and of values; a multiple of the heads.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns, even.
    pub width: usize,
    /// Heads, each with its block of channels.
    pub heads: usize,
    /// Side of a window, odd.
    pub window: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Which cells are centres of windows.
    pub centres: Parity,
}

type Lanes = [f32; LANES];

impl WindowShape {
    fn radius(&self) -> usize {
        self.window / 2
    }

    fn cells(&self) -> usize {
        self.window * self.window
    }

    /// Columns of zeros on each side, even.
    fn margin(&self) -> usize {
        self.radius().next_multiple_of(2)
    }

    /// Length of a row of every second column, with room for lanes past its end.
    fn half_row(&self) -> usize {
        self.width / 2 + self.margin() + LANES
    }

    fn rows(&self) -> usize {
        self.height + 2 * self.radius()
    }

    /// Where a cell of a window lies: `start` is the first lane's place in the padded planes, `column` its column.
    fn place(&self, [row, column]: [usize; 2], cell: usize) -> Place {
        let (dy, dx) = (cell / self.window, cell % self.window);
        let (r, margin) = (self.radius(), self.margin());
        // Offset by the margin, so that nothing is negative.
        let padded = column + dx + margin - r;
        let start = ((row + dy) * 2 + padded % 2) * 3 * self.channels * self.half_row();
        Place {
            start: start + padded / 2,
            anchor: (row + dy + r + padded) % 2 == 1,
            row: (r..r + self.height).contains(&(row + dy)),
            column: padded,
        }
    }

    /// Whether the eight cells from a place on are in the picture, 1 or 0. Lanes past the last window count as `spare`.
    fn inside(&self, place: &Place, valid: usize, spare: f32) -> Lanes {
        std::array::from_fn(|lane| {
            let column = place.column + 2 * lane;
            let inside = place.row && (self.margin()..self.margin() + self.width).contains(&column);
            if lane < valid {
                f32::from(u8::from(inside))
            } else {
                spare
            }
        })
    }
}

/// A cell of the windows in the lanes.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    anchor: bool,
    row: bool,
    column: usize,
}

/// The planes with a border of zeros, in the order row, parity of the column, channel, every second column.
fn split(s: &WindowShape, planes: &[f32]) -> Vec<f32> {
    let (half, margin, r) = (s.half_row(), s.margin(), s.radius());
    let row_length = 2 * 3 * s.channels * half;
    let mut out = super::fresh::zeros(s.rows() * row_length);
    let inner = &mut out[r * row_length..][..s.height * row_length];
    let each = inner.par_chunks_exact_mut(row_length.max(1)).enumerate();
    each.for_each(|(y, rows)| {
        let (even, odd) = rows.split_at_mut(row_length / 2);
        for parity in [(0, even), (1, odd)] {
            for (channel, row) in parity.1.chunks_exact_mut(half).enumerate() {
                let source = &planes[(channel * s.height + y) * s.width..][..s.width];
                let row = &mut row[margin / 2..];
                for (o, pair) in row.iter_mut().zip(source.chunks_exact(2)) {
                    *o = pair[parity.0];
                }
            }
        }
    });
    out
}

#[inline(always)]
fn lanes(values: &[f32], start: usize) -> Lanes {
    let mut out = [0.0; LANES];
    out.copy_from_slice(&values[start..start + LANES]);
    out
}

/// Weighted sums of `N` neighbouring channels.
#[inline(always)]
fn sums<const N: usize>(planes: &[f32], half: usize, channel: usize, keys: &[Key]) -> [Lanes; N] {
    let mut sums = [[0.0; LANES]; N];
    for key in keys {
        for (n, sum) in sums.iter_mut().enumerate() {
            let value = lanes(planes, key.place.start + (channel + n) * half);
            for ((s, v), weight) in sum.iter_mut().zip(value).zip(key.weight) {
                *s += v * weight;
            }
        }
    }
    sums
}

/// A key, and what it weighs in each of the lanes.
#[derive(Clone, Copy)]
struct Key {
    place: Place,
    weight: Lanes,
}

/// Logits of one query in each lane; keys that all lanes' masks leave out are dropped.
#[inline(always)]
fn logits(
    s: &WindowShape,
    planes: &[f32],
    bias: &[f32],
    head: usize,
    query: usize,
    places: &[Place],
    valid: usize,
    keys: &mut Vec<Key>,
) {
    let (half, dims) = (s.half_row(), s.channels / s.heads);
    let at = places[query];
    let seen = if at.anchor {
        s.inside(&at, valid, 1.0)
    } else {
        [0.0; LANES]
    };
    let strict = seen.iter().all(|&v| v == 1.0);
    let side = 2 * s.window - 1;
    keys.clear();
    for (cell, place) in places.iter().enumerate() {
        let visible = place.anchor && place.row;
        // A pair that is masked in every lane has a weight below e^-100 of the query's own, which is nothing in 32 bits.
        if strict && !visible {
            continue;
        }
        let dy = query / s.window + s.window - 1 - cell / s.window;
        let dx = query % s.window + s.window - 1 - cell % s.window;
        let mut sum = [bias[(dy * side + dx) * s.heads + head]; LANES];
        let first = head * dims;
        for d in first..first + dims {
            let q = lanes(planes, at.start + d * half);
            let k = lanes(planes, place.start + (s.channels + d) * half);
            for ((s, q), k) in sum.iter_mut().zip(q).zip(k) {
                *s += q * k;
            }
        }
        let key = if visible {
            s.inside(place, valid, 1.0)
        } else {
            [0.0; LANES]
        };
        for ((v, query), key) in sum.iter_mut().zip(seen).zip(key) {
            *v += MASKED * query * (1.0 - key);
        }
        keys.push(Key {
            place: *place,
            weight: sum,
        });
    }
}

/// Softmax over the keys, in place.
#[inline(always)]
fn normalize(keys: &mut [Key]) {
    let mut most = [f32::NEG_INFINITY; LANES];
    for key in keys.iter() {
        for (m, v) in most.iter_mut().zip(key.weight) {
            *m = if v > *m { v } else { *m };
        }
    }
    let mut total = [0.0; LANES];
    for key in keys.iter_mut() {
        for ((v, m), t) in key.weight.iter_mut().zip(most).zip(&mut total) {
            *v = exp2((*v - m) * std::f32::consts::LOG2_E);
            *t += *v;
        }
    }
    let scale = total.map(|t| 1.0 / t);
    for key in keys {
        for (v, scale) in key.weight.iter_mut().zip(scale) {
            *v *= scale;
        }
    }
}

/// Attention results of the windows whose centres are in `rows`: `out` is `[channels, cells, windows]`.
#[inline(always)]
fn band(s: &WindowShape, planes: &[f32], bias: &[f32], rows: Range<usize>, out: &mut [f32]) {
    let (half, dims, cells) = (s.half_row(), s.channels / s.heads, s.cells());
    let windows = s.width / 2;
    let length = rows.len() * windows;
    let mut places = Vec::with_capacity(cells);
    let mut keys = Vec::with_capacity(cells);
    for (line, row) in rows.enumerate() {
        for first in (0..windows).step_by(LANES) {
            let valid = LANES.min(windows - first);
            let column = s.centres.first_column(row) + 2 * first;
            places.clear();
            places.extend((0..cells).map(|cell| s.place([row, column], cell)));
            for head in 0..s.heads {
                for query in 0..cells {
                    logits(s, planes, bias, head, query, &places, valid, &mut keys);
                    normalize(&mut keys);
                    let mut store = |channel: usize, values: &Lanes| {
                        let start = (channel * cells + query) * length + line * windows + first;
                        out[start..start + valid].copy_from_slice(&values[..valid]);
                    };
                    let (mut d, end) = (head * dims, (head + 1) * dims);
                    while d + 4 <= end {
                        let values = sums::<4>(planes, half, 2 * s.channels + d, &keys);
                        for (n, values) in values.iter().enumerate() {
                            store(d + n, values);
                        }
                        d += 4;
                    }
                    for d in d..end {
                        let [values] = sums::<1>(planes, half, 2 * s.channels + d, &keys);
                        store(d, &values);
                    }
                }
            }
        }
    }
}

/// Attention in every window around cells of one parity, then the convolution over the window's cells.
///
/// # Shapes
/// `qkv` is `[n, 3 channels, h, w]`, `bias` `[(2 window - 1)^2, heads]`, `fusion` `[outputs, channels, window, window]`,
/// `offset` `[outputs]`, the result `[n, outputs, h, w / 2]`.
pub(crate) fn attend(
    s: &WindowShape,
    qkv: &[f32],
    bias: &[f32],
    fusion: &[f32],
    offset: &[f32],
) -> Vec<f32> {
    let windows = s.width / 2;
    let size = s.height * windows;
    let mut out = super::fresh::zeros(s.batch * s.outputs * size);
    let depth = s.channels * s.cells();
    let rows = BAND.div_ceil(windows.max(1));
    let bands: Vec<usize> = (0..s.height).step_by(rows).collect();
    let images = qkv.chunks_exact((3 * s.channels * s.height * s.width).max(1));
    for (image, out) in images.zip(out.chunks_exact_mut((s.outputs * size).max(1))) {
        let planes = split(s, image);
        let results: Vec<Vec<f32>> = bands
            .par_iter()
            .map(|&top| {
                let count = rows.min(s.height - top);
                let length = count * windows;
                let mut result = vec![0.0; s.outputs * length];
                with_scratch(depth * length, |attended| {
                    vectorized(
                        #[inline(always)]
                        || band(s, &planes, bias, top..top + count, attended),
                    );
                    matmul(
                        [s.outputs, depth, length],
                        Matrix::row_major(fusion, depth),
                        Matrix::row_major(attended, length),
                        &mut result,
                        false,
                    );
                });
                result
            })
            .collect();
        for (channel, plane) in out.chunks_exact_mut(size.max(1)).enumerate() {
            for (part, result) in plane.chunks_mut(rows * windows).zip(&results) {
                let sums = &result[channel * part.len()..][..part.len()];
                for (o, sum) in part.iter_mut().zip(sums) {
                    *o = sum + offset[channel];
                }
            }
        }
    }
    out
}
