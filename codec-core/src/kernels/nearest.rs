//! The nearest of many rows for each of many points.

use rayon::prelude::*;

use super::matmul::{Matrix, matmul};

/// Points of a tile.
const POINTS: usize = 64;
/// Rows of a tile: its products are 256 KiB.
const ROWS: usize = 1024;
/// Running minima of a scan, so that it compiles to vector instructions.
const LANES: usize = 16;

/// Nearest rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// Row of each point, the first of equally near ones.
    pub row: Vec<u32>,
    /// Squared distance to it, as `|z|^2 + |e|^2 - 2 z e` in 32 bits: slightly below 0 at worst.
    pub distance: Vec<f32>,
}

/// Squared norm of every row.
pub fn energies(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks(width)
        .map(|row| row.iter().map(|v| v * v).sum())
        .collect()
}

/// For every point `[n, width]` the nearest of `rows` `[k, width]` by squared Euclidean distance. Memory beyond the result
/// does not grow with n times k. Points that are not numbers get row 0.
///
/// # Panics
/// If there is no row, the width is 0, or the slices are no multiples of it.
pub fn nearest(points: &[f32], rows: &[f32], width: usize) -> Nearest {
    assert!(
        width > 0
            && !rows.is_empty()
            && rows.len().is_multiple_of(width)
            && points.len().is_multiple_of(width),
        "{} and {} values in rows of {width}",
        points.len(),
        rows.len()
    );
    let count = points.len() / width;
    let of_rows = energies(rows, width);
    let mut found = Nearest {
        row: vec![0; count],
        distance: vec![f32::INFINITY; count],
    };
    let tiles = points
        .par_chunks(POINTS * width)
        .zip(found.row.par_chunks_mut(POINTS))
        .zip(found.distance.par_chunks_mut(POINTS));
    tiles.for_each_init(
        || vec![0f32; POINTS * ROWS],
        |scratch, ((points, row), distance)| {
            tile(points, rows, &of_rows, width, scratch, row, distance);
        },
    );
    found
}

/// All rows for a few points.
fn tile(
    points: &[f32],
    rows: &[f32],
    of_rows: &[f32],
    width: usize,
    scratch: &mut [f32],
    best_row: &mut [u32],
    best: &mut [f32],
) {
    let of_points = energies(points, width);
    let count = of_points.len();
    for (block, (rows, of_rows)) in rows
        .chunks(ROWS * width)
        .zip(of_rows.chunks(ROWS))
        .enumerate()
    {
        let n = of_rows.len();
        matmul(
            [count, width, n],
            Matrix::row_major(points, width),
            Matrix::row_major(rows, width).transposed(),
            scratch,
            false,
        );
        let products = scratch.chunks_mut(n).zip(&of_points);
        for ((products, &energy), (best_row, best)) in
            products.zip(best_row.iter_mut().zip(best.iter_mut()))
        {
            for (product, &of_row) in products.iter_mut().zip(of_rows) {
                *product = (energy + of_row) - 2.0 * *product;
            }
            let least = minimum(products);
            if least < *best
                && let Some(index) = products.iter().position(|&d| d == least)
            {
                *best = least;
                *best_row = (block * ROWS + index) as u32;
            }
        }
    }
}

fn minimum(values: &[f32]) -> f32 {
    let less = |a: f32, b: f32| if b < a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::INFINITY; LANES];
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = less(*lane, v);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::INFINITY, less)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1..1.
    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn agrees_with_a_plain_search_across_tiles() {
        for (n, k, width) in [
            (1, 1, 1),
            (3, 17, 2),
            (65, 1025, 3),
            (130, 2500, 8),
            (2, 40, 33),
        ] {
            let (points, rows) = (noise(n * width, 1), noise(k * width, 2));
            let found = nearest(&points, &rows, width);
            for (i, point) in points.chunks(width).enumerate() {
                let distance = |row: &[f32]| -> f64 {
                    let squares = point.iter().zip(row).map(|(a, b)| f64::from(a - b).powi(2));
                    squares.sum()
                };
                let least = rows
                    .chunks(width)
                    .map(distance)
                    .fold(f64::INFINITY, f64::min);
                let chosen = &rows[found.row[i] as usize * width..][..width];
                assert!(distance(chosen) - least < 1e-5, "{n} {k} {width}");
                assert!((f64::from(found.distance[i]) - least).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_first_of_equal_rows_wins() {
        let mut rows = noise(2 * 3000, 3);
        let row = [0.25, -0.5];
        for index in [7, 8, 1500, 2999] {
            rows[2 * index..2 * index + 2].copy_from_slice(&row);
        }
        let found = nearest(&[0.25, -0.5, 0.25, -0.5001], &rows, 2);
        assert_eq!(found.row, [7, 7]);
        assert_eq!(found.distance[0], 0.0);
    }

    #[test]
    fn what_is_no_number_gets_a_row_all_the_same() {
        let found = nearest(&[f32::NAN, f32::INFINITY], &[1.0, 2.0], 1);
        assert_eq!(found.row, [0, 0]);
    }
}
