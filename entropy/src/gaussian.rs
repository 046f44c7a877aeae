//! Zero-mean Gaussians on the integers, at 64 scales.
//!
//! The scales are those of the scale hyperprior (Ballé et al. 2018, arXiv 1802.01436, as in CompressAI): 64 from 0.11
//! to 256, equally spaced in their logarithm. Its tables reach out to a tail mass of 1e-9 and hold 28 000 symbols, most
//! of which get a count of 1/65536 that they do not deserve. Ours end where a symbol would get less than half a count,
//! and leave the tail (0.1% at the widest scale, less elsewhere) to the escape: 15 000 symbols, which stay in the
//! cache, and on Gaussian data no more bits. At least -1, 0 and 1 are in every table.

use crate::error::Result;
use crate::pmf::Pmf;
use crate::table::TableSet;

/// Standard deviation of table 0.
pub const SCALE_MIN: f64 = 0.11;
/// Standard deviation of the last table.
pub const SCALE_MAX: f64 = 256.0;
/// Number of Gaussian tables.
pub const SCALES: usize = 64;

/// Least expected count (of 65536) of the outermost symbol of a table.
const LEAST_COUNT: f64 = 0.5;

/// Standard deviation of Gaussian table `index`: `SCALE_MIN * (SCALE_MAX / SCALE_MIN)^(index / 63)`. Indexes above 63
/// count as 63.
pub fn scale_of(index: usize) -> f64 {
    match index {
        0 => SCALE_MIN,
        i if i + 1 >= SCALES => SCALE_MAX,
        i => SCALE_MIN * libm::pow(SCALE_MAX / SCALE_MIN, i as f64 / (SCALES - 1) as f64),
    }
}

/// The tables of all [`SCALES`] Gaussians, index i at standard deviation [`scale_of`]`(i)`.
///
/// Built from floats, so call it when a model is exported and store the result with the weights: a decoder must never
/// build its own.
///
/// # Errors
/// None in practice; the type is that of the builder it stands on.
pub fn gaussian_tables() -> Result<TableSet> {
    let masses: Vec<Vec<f64>> = (0..SCALES).map(|index| masses(scale_of(index))).collect();
    let pmfs: Vec<Pmf<'_>> = masses
        .iter()
        .map(|mass| Pmf {
            offset: -(mass.len() as i32 / 2),
            mass,
        })
        .collect();
    TableSet::from_pmfs(&pmfs)
}

/// Symmetric masses around 0, an odd number.
fn masses(scale: f64) -> Vec<f64> {
    let mut side = vec![mass_of(1, scale)];
    for k in 2.. {
        let mass = mass_of(k, scale);
        if mass * 65536.0 < LEAST_COUNT {
            break;
        }
        side.push(mass);
    }
    side.iter()
        .rev()
        .chain([&mass_of(0, scale)])
        .chain(&side)
        .copied()
        .collect()
}

/// Mass of `[k - 1/2, k + 1/2]` for `k >= 0`, exact to the last digits also in the tail.
fn mass_of(k: u32, scale: f64) -> f64 {
    let upper_tail = |x: f64| 0.5 * libm::erfc(x / (scale * std::f64::consts::SQRT_2));
    match k {
        0 => 1.0 - 2.0 * upper_tail(0.5),
        k => upper_tail(f64::from(k) - 0.5) - upper_tail(f64::from(k) + 0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_those_of_the_paper() {
        assert_eq!(scale_of(0), 0.11);
        assert_eq!(scale_of(63), 256.0);
        for i in 1..SCALES {
            let ratio = scale_of(i) / scale_of(i - 1);
            assert!((ratio - (256.0f64 / 0.11).powf(1.0 / 63.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn tables_are_compact_and_symmetric() {
        let tables = gaussian_tables().unwrap();
        assert_eq!(tables.len(), SCALES);
        assert_eq!(tables.support(0), Some(-1..=1));
        assert!(
            tables.entries().len() < 16_000,
            "{}",
            tables.entries().len()
        );
        for i in 0..SCALES {
            let support = tables.support(i).unwrap();
            assert_eq!(*support.start(), -support.end());
            for k in 1..=*support.end() {
                // Counts of mirrored symbols differ by at most the one count that has to go somewhere.
                assert!((tables.bits(i, k) - tables.bits(i, -k)).abs() <= 1.0);
            }
        }
    }

    #[test]
    fn redundancy_is_small_at_every_scale() {
        let tables = gaussian_tables().unwrap();
        for i in 0..SCALES {
            let scale = scale_of(i);
            let (mut entropy, mut cost) = (0.0, 0.0);
            for k in 0..(scale * 12.0) as i32 + 2 {
                let mass = mass_of(k as u32, scale);
                if mass > 0.0 {
                    let sides = if k == 0 { 1.0 } else { 2.0 };
                    entropy -= sides * mass * mass.log2();
                    cost += sides / 2.0 * mass * f64::from(tables.bits(i, k) + tables.bits(i, -k));
                }
            }
            assert!(
                cost - entropy < 2e-4 + 1e-3 * entropy,
                "scale {scale}: {cost} against {entropy}"
            );
        }
    }
}
