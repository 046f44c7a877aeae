//! Rearrangements that turn convolutions into matrix products.

use std::ops::Range;

use rayon::prelude::*;

use super::conv::ConvShape;
use super::fresh::zeros;

/// Values of a matrix that one task transposes.
const TASK: usize = 1 << 16;

/// Copies what the kernel sees at `pixels` of an image: row `(channel, ky, kx)` of `columns` holds the input
/// shifted by that tap, zero beyond the border. As many channels as `image` has planes.
pub(super) fn unfold(shape: &ConvShape, image: &[f32], pixels: Range<usize>, columns: &mut [f32]) {
    let pad = (shape.kernel / 2) as isize;
    let taps = || 0..shape.kernel as isize;
    let mut rows = columns.chunks_exact_mut(pixels.len());
    for channel in image.chunks_exact(shape.plane()) {
        for ky in taps() {
            for (kx, row) in taps().zip(&mut rows) {
                let distance = [ky - pad, kx - pad];
                shifted(channel, shape.width, distance, pixels.start, row);
            }
        }
    }
}

/// What the pixels from `start` on see at a distance of `dy` rows and `dx` columns, zero beyond the border.
pub(super) fn shifted(
    plane: &[f32],
    width: usize,
    [dy, dx]: [isize; 2],
    start: usize,
    row: &mut [f32],
) {
    // One copy of the whole shifted range: right inside the image, and where it wraps around a border column it is
    // set to zero below.
    let ahead = dy * width as isize + dx;
    let inside = |at: usize| at.saturating_add_signed(ahead).min(plane.len());
    let (from, to) = (inside(start), inside(start + row.len()));
    let before = (-ahead).saturating_sub(start as isize).max(0) as usize;
    let (zeros, rest) = row.split_at_mut(before.min(row.len()));
    zeros.fill(0.0);
    let (copied, beyond) = rest.split_at_mut(to - from);
    copied.copy_from_slice(&plane[from..to]);
    beyond.fill(0.0);
    let border = if dx < 0 {
        0..dx.unsigned_abs().min(width)
    } else {
        width - dx.unsigned_abs().min(width)..width
    };
    if !border.is_empty() {
        clear_columns(row, start, width, border);
    }
}

/// Sets the image columns `border` to zero in a run of pixels that begins at pixel `start`.
fn clear_columns(row: &mut [f32], start: usize, width: usize, border: Range<usize>) {
    // Offset of the image row that holds `start`, counted from the run; negative unless the run begins a row.
    let mut line = -((start % width) as isize);
    while line < row.len() as isize {
        for x in border.clone() {
            if let Ok(at) = usize::try_from(line + x as isize)
                && let Some(v) = row.get_mut(at)
            {
                *v = 0.0;
            }
        }
        line += width as isize;
    }
}

/// Every matrix `[rows, columns]` of `from` as `[columns, rows]`.
pub(crate) fn transpose_all(from: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut to = zeros(from.len());
    if to.is_empty() {
        return to;
    }
    // Some rows of the result at a time, so that a single matrix has work for several threads.
    let block = (TASK / rows).max(16);
    let matrices = to
        .chunks_mut(rows * columns)
        .zip(from.chunks(rows * columns));
    let tasks: Vec<(&[f32], usize, &mut [f32])> = matrices
        .flat_map(|(to, from)| {
            let parts = to.chunks_mut(block * rows).enumerate();
            parts.map(move |(number, part)| (from, number * block, part))
        })
        .collect();
    tasks.into_par_iter().for_each(|(from, first, to)| {
        transpose(&from[first..], rows, columns, to);
    });
    to
}

/// Writes `[rows, columns]` as `[columns, rows]`, in squares that stay in the nearest cache.
pub(super) fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    for (block, lines) in to.chunks_mut(SIDE * rows).enumerate() {
        for first in (0..rows).step_by(SIDE) {
            for (x, line) in (block * SIDE..).zip(lines.chunks_exact_mut(rows)) {
                for (y, v) in (first..rows).zip(line[first..].iter_mut().take(SIDE)) {
                    *v = from[y * columns + x];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{transpose, unfold};
    use crate::kernels::conv::ConvShape;

    #[test]
    fn a_run_across_rows_sees_zeros_beyond_the_border() {
        let s = ConvShape::new([1, 1, 2, 3], [1, 1, 3, 3]);
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut columns = [9.0; 9 * 2];
        // Pixels (0, 2) and (1, 0), tap by tap.
        unfold(&s, &image, 2..4, &mut columns);
        let want = [
            [0.0, 0.0],
            [0.0, 1.0],
            [0.0, 2.0],
            [2.0, 0.0],
            [3.0, 4.0],
            [0.0, 5.0],
            [5.0, 0.0],
            [6.0, 0.0],
            [0.0, 0.0],
        ];
        assert_eq!(columns, *want.as_flattened());
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        for (rows, columns) in [(1, 1), (3, 40), (33, 17), (16, 16)] {
            let from: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let (mut to, mut back) = (vec![0.0; from.len()], vec![0.0; from.len()]);
            transpose(&from, rows, columns, &mut to);
            assert_eq!(to[(columns - 1) * rows], from[columns - 1]);
            transpose(&to, columns, rows, &mut back);
            assert_eq!(back, from);
        }
    }
}
