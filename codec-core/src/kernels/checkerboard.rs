//! The two halves of a plane's checkerboard on contiguous slices.

use rayon::prelude::*;

use super::simd::vectorized;

/// Which cells of a checkerboard, by the sum of their row and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parity {
    /// Odd sums: columns 1, 3, 5 … of even rows, columns 0, 2, 4 … of odd ones.
    Odd,
    /// Even sums.
    Even,
}

impl Parity {
    /// Column of the first such cell in a row, 0 or 1.
    pub fn first_column(self, row: usize) -> usize {
        (row + usize::from(self == Self::Odd)) % 2
    }
}

/// Copies the cells of one parity: planes of `h` x `w` samples to planes of `h` x `w / 2`. Both sides are even.
pub(crate) fn take(input: &[f32], output: &mut [f32], h: usize, w: usize, parity: Parity) {
    planes(output, h * w / 2, |index, out| {
        let plane = &input[index * h * w..][..h * w];
        let rows = out.chunks_exact_mut(w / 2).zip(plane.chunks_exact(w));
        for (row, (out, source)) in rows.enumerate() {
            let first = parity.first_column(row);
            for (o, pair) in out.iter_mut().zip(source.chunks_exact(2)) {
                *o = pair[first];
            }
        }
    });
}

/// The transpose of [`take`]: the other cells become zero.
pub(crate) fn put(input: &[f32], output: &mut [f32], h: usize, w: usize, parity: Parity) {
    planes(output, h * w, |index, out| {
        let plane = &input[index * h * w / 2..][..h * w / 2];
        let rows = out.chunks_exact_mut(w).zip(plane.chunks_exact(w / 2));
        for (row, (out, source)) in rows.enumerate() {
            let first = parity.first_column(row);
            for (pair, s) in out.chunks_exact_mut(2).zip(source) {
                pair[first] = *s;
                pair[1 - first] = 0.0;
            }
        }
    });
}

/// Both halves in one plane.
pub(crate) fn join(odd: &[f32], even: &[f32], output: &mut [f32], h: usize, w: usize) {
    planes(output, h * w, |index, out| {
        let half = index * h * w / 2..(index + 1) * h * w / 2;
        let odd = odd[half.clone()].chunks_exact(w / 2);
        let even = even[half].chunks_exact(w / 2);
        let rows = out.chunks_exact_mut(w).zip(odd.zip(even));
        for (row, (out, (odd, even))) in rows.enumerate() {
            let first = Parity::Odd.first_column(row);
            for (pair, (o, e)) in out.chunks_exact_mut(2).zip(odd.iter().zip(even)) {
                pair[first] = *o;
                pair[1 - first] = *e;
            }
        }
    });
}

/// Calls `work` with the number of each plane of `output` and its samples.
fn planes(output: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if output.is_empty() {
        return;
    }
    let each = output.par_chunks_exact_mut(size).enumerate();
    each.with_min_len((1usize << 14).div_ceil(size))
        .for_each(|(index, out)| vectorized(|| work(index, out)));
}
