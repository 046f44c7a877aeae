//! From probabilities to integer tables. Runs when a model is exported, never on decode.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::error::{Error, Result};
use crate::table::{Cdf, MAX_TABLES, TableSet};

/// A probability mass function over consecutive integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pmf<'a> {
    /// The integer that the first mass belongs to.
    pub offset: i32,
    /// Mass of `offset`, `offset + 1` and so on. What they lack to 1 goes to the escape; if they exceed 1, they are
    /// divided by their sum.
    pub mass: &'a [f64],
}

const TOTAL: u32 = 1 << 16;

impl TableSet {
    /// Quantizes probability mass functions to 16 bit, one table each.
    ///
    /// Every symbol and the escape get at least one count. Among such counts those are taken that cost the fewest bits
    /// on data that follow the function, found greedily: round down, then hand out (or take back) single counts where
    /// that gains most (costs least), the first symbol on ties. The same input gives the same tables everywhere: the
    /// logarithms are in software.
    ///
    /// # Errors
    /// [`Error::InvalidMass`], [`Error::NoMass`], [`Error::TableSize`] (1 to 65535 masses), [`Error::TableOffset`],
    /// [`Error::TableCount`] and [`Error::TooManyEntries`].
    pub fn from_pmfs(pmfs: &[Pmf<'_>]) -> Result<Self> {
        if pmfs.is_empty() || pmfs.len() > MAX_TABLES {
            return Err(Error::TableCount {
                tables: pmfs.len(),
                max: MAX_TABLES,
            });
        }
        let cdfs = pmfs
            .iter()
            .enumerate()
            .map(|(table, pmf)| quantize(table, pmf.mass))
            .collect::<Result<Vec<_>>>()?;
        let cdfs: Vec<Cdf<'_>> = pmfs
            .iter()
            .zip(&cdfs)
            .map(|(pmf, cdf)| Cdf {
                offset: pmf.offset,
                cdf,
            })
            .collect();
        Self::from_cdfs(&cdfs)
    }
}

/// Cumulative distribution of `mass` and the escape.
fn quantize(table: usize, mass: &[f64]) -> Result<Vec<u32>> {
    let symbols = mass.len() + 1;
    if !(2..=TOTAL as usize).contains(&symbols) {
        return Err(Error::TableSize { table, symbols });
    }
    if let Some((symbol, &mass)) = mass
        .iter()
        .enumerate()
        .find(|(_, m)| !(m.is_finite() && **m >= 0.0))
    {
        return Err(Error::InvalidMass {
            table,
            symbol,
            mass,
        });
    }
    let sum: f64 = mass.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        return Err(Error::NoMass { table });
    }
    let norm = sum.max(1.0);
    let escape = (1.0 - sum).max(0.0);
    let probabilities: Vec<f64> = mass.iter().chain([&escape]).map(|m| m / norm).collect();
    let mut counts: Vec<u32> = probabilities
        .iter()
        .map(|p| ((p * f64::from(TOTAL)) as u32).max(1))
        .collect();

    let mut total: u32 = counts.iter().sum();
    let step = |symbol: usize, count: u32, p: f64, up: bool| {
        let gain = if up {
            value(count + 1, count, p)
        } else {
            -value(count, count.saturating_sub(1), p)
        };
        Step { gain, symbol }
    };
    let up = total < TOTAL;
    let mut steps: BinaryHeap<Step> = counts
        .iter()
        .zip(&probabilities)
        .enumerate()
        .filter(|(_, (count, _))| up || **count > 1)
        .map(|(symbol, (&count, &p))| step(symbol, count, p, up))
        .collect();
    while total != TOTAL {
        // There is always a step: taking back ends at one count a symbol, which are at most TOTAL.
        let Some(Step { symbol, .. }) = steps.pop() else {
            break;
        };
        let (Some(count), Some(&p)) = (counts.get_mut(symbol), probabilities.get(symbol)) else {
            break;
        };
        if up {
            *count += 1;
            total += 1;
        } else {
            *count -= 1;
            total -= 1;
        }
        if up || *count > 1 {
            steps.push(step(symbol, *count, p, up));
        }
    }

    let mut edge = 0;
    let edges = counts.iter().map(|count| {
        edge += count;
        edge
    });
    Ok(std::iter::once(0).chain(edges).collect())
}

/// Bits saved per coded symbol by `more` instead of `less` counts for a symbol of probability `p`.
fn value(more: u32, less: u32, p: f64) -> f64 {
    p * libm::log2(f64::from(more) / f64::from(less.max(1)))
}

/// One count more or less for a symbol; the largest gain is on top of the heap, the first symbol on ties.
struct Step {
    gain: f64,
    symbol: usize,
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain
            .total_cmp(&other.gain)
            .then(other.symbol.cmp(&self.symbol))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mass: &[f64]) -> Vec<u32> {
        quantize(0, mass)
            .unwrap()
            .windows(2)
            .map(|w| w[1] - w[0])
            .collect()
    }

    #[test]
    fn everything_gets_a_count() {
        assert_eq!(counts(&[1.0]), [65535, 1]);
        assert_eq!(counts(&[0.0, 1.0, 0.0]), [1, 65533, 1, 1]);
        assert_eq!(counts(&[1e-300]), [1, 65535]);
        assert_eq!(counts(&vec![1.0; 65535]), vec![1; 65536]);
        assert_eq!(counts(&[0.25, 0.5, 0.125]), [16384, 32768, 8192, 8192]);
        assert_eq!(counts(&[3.0, 1.0]), [49151, 16384, 1]);
    }

    #[test]
    fn redundancy_is_minimal_against_exchanging_counts() {
        let mass = [0.3001, 0.19, 0.2, 1e-5, 2e-5, 0.1, 3e-6, 0.05, 0.0];
        let quantized = counts(&mass);
        let p: Vec<f64> = mass
            .iter()
            .copied()
            .chain([1.0 - mass.iter().sum::<f64>()])
            .collect();
        let cost = |c: &[u32]| -> f64 {
            c.iter()
                .zip(&p)
                .map(|(&c, p)| -p * (f64::from(c)).log2())
                .sum()
        };
        let best = cost(&quantized);
        for from in 0..quantized.len() {
            for to in 0..quantized.len() {
                let mut other = quantized.clone();
                if from != to && other[from] > 1 {
                    other[from] -= 1;
                    other[to] += 1;
                    assert!(cost(&other) >= best - 1e-12, "{from} -> {to}");
                }
            }
        }
    }

    #[test]
    fn bad_masses_are_refused() {
        let error = |mass: &[f64]| TableSet::from_pmfs(&[Pmf { offset: 0, mass }]).unwrap_err();
        assert_eq!(
            error(&[]),
            Error::TableSize {
                table: 0,
                symbols: 1
            }
        );
        assert_eq!(error(&[0.0]), Error::NoMass { table: 0 });
        assert_eq!(error(&[f64::MAX, f64::MAX]), Error::NoMass { table: 0 });
        assert_eq!(
            error(&[0.1, -0.1]),
            Error::InvalidMass {
                table: 0,
                symbol: 1,
                mass: -0.1
            }
        );
        assert!(matches!(
            error(&[f64::NAN]),
            Error::InvalidMass { symbol: 0, .. }
        ));
        assert_eq!(
            error(&vec![0.0; 65536]),
            Error::TableSize {
                table: 0,
                symbols: 65537
            }
        );
    }
}
