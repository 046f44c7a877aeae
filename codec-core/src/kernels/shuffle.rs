//! Moves between space and channels on contiguous NCHW planes, and copies of whole planes.

use super::simd::vectorized;
use rayon::prelude::*;

/// Space to depth by two: `input` holds `n` images of `c` planes of `h` x `w`, `output` as many of `4 c` planes of half
/// the size. The result's plane `(2 dy + dx) c + k` holds the samples `(2 y + dy, 2 x + dx)` of plane `k`.
///
/// Both sides are even; `output` is as long as `input`.
pub(crate) fn space_to_depth2(input: &[f32], output: &mut [f32], c: usize, h: usize, w: usize) {
    let (size, half) = (h * w, w / 2);
    if input.is_empty() {
        return;
    }
    output
        .par_chunks_exact_mut(size / 4)
        .enumerate()
        .for_each(|(index, out)| {
            let (image, channel) = (index / (4 * c), index % (4 * c));
            let (position, k) = (channel / c, channel % c);
            let (dy, dx) = (position / 2, position % 2);
            let plane = &input[(image * c + k) * size..][..size];
            vectorized(
                #[inline(always)]
                || {
                    for (row, pair) in out.chunks_exact_mut(half).zip(plane.chunks_exact(2 * w)) {
                        let source = &pair[dy * w..][..w];
                        for (o, s) in row.iter_mut().zip(source.chunks_exact(2)) {
                            *o = s[dx];
                        }
                    }
                },
            );
        });
}

/// The inverse (and the transpose) of [`space_to_depth2`]: `h` and `w` are the sides of the result.
pub(crate) fn depth_to_space2(input: &[f32], output: &mut [f32], c: usize, h: usize, w: usize) {
    let (size, half) = (h * w, w / 2);
    if input.is_empty() {
        return;
    }
    output
        .par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(index, out)| {
            let (image, k) = (index / c, index % c);
            let plane = |position: usize| {
                &input[((image * 4 + position) * c + k) * (size / 4)..][..size / 4]
            };
            let planes = [plane(0), plane(1), plane(2), plane(3)];
            vectorized(
                #[inline(always)]
                || {
                    for (y, row) in out.chunks_exact_mut(w).enumerate() {
                        let from = (y / 2) * half;
                        let left = &planes[2 * (y % 2)][from..from + half];
                        let right = &planes[2 * (y % 2) + 1][from..from + half];
                        for ((pair, l), r) in row.chunks_exact_mut(2).zip(left).zip(right) {
                            pair[0] = *l;
                            pair[1] = *r;
                        }
                    }
                },
            );
        });
}

/// Copies planes: plane `i` of each image of the result is plane `indices[i]` of the same image of `input`, which has
/// `c` planes of `size` samples. Indices are checked by the callers.
pub(crate) fn gather(input: &[f32], output: &mut [f32], c: usize, size: usize, indices: &[usize]) {
    if output.is_empty() {
        return;
    }
    let k = indices.len();
    output
        .par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(i, out)| {
            out.copy_from_slice(&input[((i / k) * c + indices[i % k]) * size..][..size]);
        });
}

/// The transpose of [`gather`]: adds each plane of `input` to the plane it came from. `output` starts at zero.
pub(crate) fn scatter_add(
    input: &[f32],
    output: &mut [f32],
    c: usize,
    size: usize,
    indices: &[usize],
) {
    if output.is_empty() {
        return;
    }
    // For each plane of the result, the planes that go there, in order: sums do not depend on threads.
    let mut sources = vec![Vec::new(); c];
    for (i, &index) in indices.iter().enumerate() {
        sources[index].push(i);
    }
    output
        .par_chunks_exact_mut(size)
        .enumerate()
        .for_each(|(i, out)| {
            for source in &sources[i % c] {
                let plane = &input[((i / c) * indices.len() + source) * size..][..size];
                for (o, p) in out.iter_mut().zip(plane) {
                    *o += p;
                }
            }
        });
}
