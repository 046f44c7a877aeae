//! Finite scalar quantization (Mentzer et al. 2023, arXiv 2309.15505): every dimension has a few levels, and the codebook
//! is all of their combinations. The nearest row is then the rounding of each dimension by itself.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// How far bounded values stay from the levels at the ends.
const MARGIN: f64 = 1e-3;

/// Number of combinations of levels; `None` beyond `most`, and for dimensions without levels.
pub fn combinations(levels: &[usize], most: usize) -> Option<usize> {
    let product = levels
        .iter()
        .try_fold(1usize, |product, &level| product.checked_mul(level))?;
    (!levels.is_empty() && (1..=most).contains(&product)).then_some(product)
}

/// All combinations of levels, `[codes, levels]`, the first dimension running fastest, as in the authors' code. A dimension
/// of L levels has the values `(i - floor(L / 2)) / floor(L / 2)`.
pub fn grid(levels: &[usize]) -> Vec<f32> {
    let codes: usize = levels.iter().product();
    let mut rows = Vec::with_capacity(codes * levels.len());
    for code in 0..codes {
        let mut left = code;
        for &level in levels {
            let half = (level / 2).max(1) as f32;
            rows.push(((left % level) as f32 - (level / 2) as f32) / half);
            left /= level;
        }
    }
    rows
}

/// Levels of each dimension of rows `[codes, width]` that [`grid`] has made; `None` for others.
pub fn levels(rows: &[f32], width: usize) -> Option<Vec<usize>> {
    let levels: Vec<usize> = (0..width)
        .map(|dimension| {
            let column = rows.iter().skip(dimension).step_by(width);
            let mut values: Vec<f32> = column.copied().collect();
            values.sort_by(f32::total_cmp);
            values.dedup();
            values.len()
        })
        .collect();
    let codes = rows.len().checked_div(width)?;
    let same = combinations(&levels, codes)? == codes && grid(&levels) == rows;
    same.then_some(levels)
}

/// Latents `[n, levels]` between the ends of their levels, in the units of [`grid`]; what is nearest is what rounding gives.
pub(super) fn bound<B: Backend>(latents: Tensor<B, 2>, levels: &[usize]) -> Tensor<B, 2> {
    let device = latents.device();
    let row = |of: fn(usize) -> f64| {
        let values: Vec<f32> = levels.iter().map(|&level| of(level) as f32).collect();
        Tensor::<B, 2>::from_data(TensorData::new(values, [1, levels.len()]), &device)
    };
    let bounded = (latents + row(shift)).tanh() * row(reach) - row(offset);
    bounded / row(|level| (level / 2).max(1) as f64)
}

/// Half the distance between the ends.
fn reach(level: usize) -> f64 {
    level.saturating_sub(1) as f64 * (1.0 - MARGIN) / 2.0
}

/// Even numbers of levels have no middle.
fn offset(level: usize) -> f64 {
    if level.is_multiple_of(2) { 0.5 } else { 0.0 }
}

/// What makes 0 stay where it is, nearly.
fn shift(level: usize) -> f64 {
    match reach(level) {
        reach if reach > 0.0 => (offset(level) / reach).tan(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn levels_of_a_grid_are_found_again() {
        for wanted in [vec![8, 5, 5, 5], vec![2], vec![3, 2, 7], vec![1, 4]] {
            let rows = grid(&wanted);
            assert_eq!(combinations(&wanted, 4096), Some(rows.len() / wanted.len()));
            assert_eq!(levels(&rows, wanted.len()), Some(wanted));
        }
        assert_eq!(levels(&[0.0, 0.5], 1), None);
        assert_eq!(levels(&[], 2), None);
        assert_eq!(combinations(&[1 << 40, 1 << 40], usize::MAX), None);
        assert_eq!(combinations(&[], 8), None);
    }

    /// The nearest row of the grid is the rounding of every dimension, at the ends as well.
    #[test]
    fn the_nearest_row_is_the_rounding() {
        let wanted = [8, 5, 2];
        let device = Default::default();
        let values: Vec<f32> = (0..300)
            .map(|i| ((i * 37 % 97) as f32 - 48.0) / 9.0)
            .collect();
        let latents = Tensor::<Flex, 2>::from_data(TensorData::new(values, [100, 3]), &device);
        let bounded: Vec<f32> = bound(latents, &wanted).into_data().into_vec().unwrap();
        let rows = grid(&wanted);
        for latent in bounded.chunks(3) {
            let distance =
                |row: &[f32]| -> f32 { row.iter().zip(latent).map(|(a, b)| (a - b).powi(2)).sum() };
            let nearest = rows
                .chunks(3)
                .min_by(|a, b| distance(a).total_cmp(&distance(b)));
            for ((&level, value), row) in wanted.iter().zip(latent).zip(nearest.unwrap()) {
                let half = (level / 2) as f32;
                assert_eq!((value * half).round() / half, *row);
            }
        }
    }
}
