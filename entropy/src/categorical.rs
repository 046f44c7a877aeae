//! Static tables for categories, such as the indexes of a vector quantizer.

use crate::adaptive::MAX_ALPHABET;
use crate::error::{Error, Result};
use crate::pmf::Pmf;
use crate::table::TableSet;

/// A single table (index 0) for symbols `0..counts.len()` that were seen so many times.
///
/// Symbols that were never seen stay codable at a price, in the table; all counts zero means uniform. Use the result
/// with [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder); several tables in one set come from
/// [`TableSet::from_pmfs`].
///
/// # Errors
/// [`Error::AlphabetSize`] unless there are 1 to [`MAX_ALPHABET`] counts.
pub fn static_table(counts: &[u64]) -> Result<TableSet> {
    let size = counts.len();
    if size == 0 || size > MAX_ALPHABET {
        return Err(Error::AlphabetSize {
            size,
            max: MAX_ALPHABET,
        });
    }
    let empty = counts.iter().all(|&count| count == 0);
    let counts: Vec<f64> = counts
        .iter()
        .map(|&count| if empty { 1.0 } else { count as f64 })
        .collect();
    let sum: f64 = counts.iter().sum();
    let mass: Vec<f64> = counts.iter().map(|count| count / sum).collect();
    TableSet::from_pmfs(&[Pmf {
        offset: 0,
        mass: &mass,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_probabilities() {
        let tables = static_table(&[6, 0, 2]).unwrap();
        assert_eq!(tables.cdf(0).unwrap(), [0, 49150, 49151, 65535, 65536]);
        let uniform = static_table(&[0; 4]).unwrap();
        assert!((0..4).all(|s| (uniform.bits(0, s) - 2.0).abs() < 1e-3));
        assert_eq!(
            static_table(&[]).unwrap_err(),
            Error::AlphabetSize {
                size: 0,
                max: MAX_ALPHABET
            }
        );
        assert!(static_table(&vec![1; MAX_ALPHABET + 1]).is_err());
        assert!(static_table(&vec![u64::MAX; MAX_ALPHABET]).is_ok());
    }
}
