//! WaLLoC's periodic transform written out as sparse matrices, straight from its filters.
//!
//! Used where a side is shorter than the ten-tap filter: there the reference drops what would wrap around twice, which
//! no lifting scheme reproduces. Slow; also the check for the lifting kernels.

use super::wavelet::Map;

/// Sides below this length (the filter length) follow the reference's border behaviour.
pub(crate) const SHORT: usize = 10;

const OUTER: [f32; 5] = [
    0.852_698_7,
    0.377_402_85,
    -0.110_624_4,
    -0.023_849_465,
    0.037_828_455,
];
const INNER: [f32; 4] = [0.788_485_6, 0.418_092_28, -0.040_689_417, -0.064_538_88];

/// Analysis low-pass: tap 5 is the centre.
fn h0(j: usize) -> f32 {
    OUTER.get(j.abs_diff(5)).copied().unwrap_or(0.0)
}

/// Analysis high-pass: tap 4 is the centre, signs alternate.
fn h1(j: usize) -> f32 {
    let g = INNER.get(j.abs_diff(4)).copied().unwrap_or(0.0);
    // The taps of g0 with the sign of every second one changed.
    if j.is_multiple_of(2) { -g } else { g }
}

/// Synthesis low-pass: tap 4 is the centre.
fn g0(j: usize) -> f32 {
    INNER.get(j.abs_diff(4)).copied().unwrap_or(0.0)
}

/// Synthesis high-pass: tap 5 is the centre, signs alternate.
fn g1(j: usize) -> f32 {
    if j.is_multiple_of(2) { h0(j) } else { -h0(j) }
}

/// Taps of the four filters: analysis low-pass and high-pass, synthesis low-pass and high-pass.
pub(crate) fn taps() -> [[f32; SHORT]; 4] {
    [h0, h1, g0, g1].map(std::array::from_fn)
}

/// Rows of a matrix: pairs of column and weight. Bands are stored low half first.
pub(crate) type Sparse = Vec<Vec<(usize, f32)>>;

/// The matrix of one level along one axis of `n` samples.
pub(crate) fn matrix(map: Map, n: usize) -> Sparse {
    let m = n / 2;
    let mut rows: Sparse = vec![Vec::new(); n];
    match map {
        Map::Analysis => {
            for k in 0..m {
                for j in 0..SHORT {
                    // Index into the signal rotated by five; what would wrap more than once is dropped.
                    let index = if 2 * k >= j {
                        Some(2 * k - j)
                    } else {
                        (2 * k + n).checked_sub(j)
                    };
                    let Some(index) = index else { continue };
                    let column = (index + 5) % n;
                    rows[k].push((column, h0(j)));
                    rows[m + k].push((column, h1(j)));
                }
            }
        }
        Map::Synthesis => {
            for k in 0..m {
                for j in 0..SHORT {
                    // Position in the full convolution; only one overhang of eight samples is folded back.
                    let full = 2 * k + j;
                    let folded = if full >= n { full - n } else { full };
                    if folded >= n {
                        continue;
                    }
                    let y = (folded + n - 4 % n) % n;
                    rows[y].push((k, g0(j)));
                    rows[y].push((m + k, g1(j)));
                }
            }
        }
        Map::AnalysisAdjoint | Map::SynthesisAdjoint => {
            for (i, row) in matrix(map.transposed(), n).into_iter().enumerate() {
                for (column, weight) in row {
                    rows[column].push((i, weight));
                }
            }
        }
    }
    rows
}

/// One level on every plane, with the layout of [`super::wavelet::level`].
pub(crate) fn level(map: Map, input: &[f32], output: &mut [f32], height: usize, width: usize) {
    let (across, down) = (matrix(map, width), matrix(map, height));
    let size = height * width;
    let (half_h, half_w) = (height / 2, width / 2);
    // Where the sample of row `r` and column `c` of the halves-first order lies among the bands.
    let place = |r: usize, c: usize| {
        let band = usize::from(r >= half_h) + 2 * usize::from(c >= half_w);
        band * half_h * half_w + (r % half_h) * half_w + c % half_w
    };
    let mut rows = vec![0.0; size];
    for (x, y) in input.chunks_exact(size).zip(output.chunks_exact_mut(size)) {
        for r in 0..height {
            for (c, taps) in across.iter().enumerate() {
                let at = |k: usize| {
                    if map.splits() {
                        x[r * width + k]
                    } else {
                        x[place(r, k)]
                    }
                };
                rows[r * width + c] = taps.iter().map(|&(k, w)| w * at(k)).sum();
            }
        }
        for (r, taps) in down.iter().enumerate() {
            for c in 0..width {
                let value = taps.iter().map(|&(k, w)| w * rows[k * width + c]).sum();
                y[if map.splits() {
                    place(r, c)
                } else {
                    r * width + c
                }] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_those_of_the_specification() {
        assert_eq!(
            (h0(0), h0(1), h0(5), h0(9)),
            (0.0, 0.037_828_455, 0.852_698_7, 0.037_828_455)
        );
        assert_eq!(
            (h1(1), h1(2), h1(3), h1(4)),
            (-0.064_538_88, 0.040_689_417, 0.418_092_28, -0.788_485_6)
        );
        assert_eq!((h1(0), h1(8)), (0.0, -0.0));
        assert_eq!(
            (g0(1), g0(4), g0(7)),
            (-0.064_538_88, 0.788_485_6, -0.064_538_88)
        );
        assert_eq!(
            (g1(1), g1(2), g1(4), g1(5)),
            (-0.037_828_455, -0.023_849_465, 0.377_402_85, -0.852_698_7)
        );
    }
}
