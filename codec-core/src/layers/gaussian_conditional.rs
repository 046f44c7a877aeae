//! The Gaussian conditional of published models (Balle et al. 2018, as in CompressAI): scales to tables and likelihoods.

use burn::tensor::backend::Backend;
use codec_entropy::{SCALES, TableSet, compressai_gaussian_tables, compressai_scales};

use super::tables::stored_tables;
use crate::Error;
use crate::weights::{HostTensor, Loader};

/// Smallest scale.
const SCALE_BOUND: f32 = 0.11;
/// Smallest likelihood, at most 29.9 bits a value.
const LIKELIHOOD_BOUND: f64 = 1e-9;

/// Tables at fixed scales, and which of them a scale takes.
#[derive(Debug, Clone)]
pub struct GaussianConditional {
    scales: Vec<f32>,
    /// Geometric means of neighbouring scales.
    between: Vec<f32>,
    tables: TableSet,
}

impl GaussianConditional {
    /// That of a checkpoint; one without tables gets CompressAI's.
    ///
    /// # Errors
    /// [`Error::Malformed`] for scales that do not rise or tables that are not distributions.
    pub fn load<B: Backend>(loader: &Loader<'_, B>) -> Result<Self, Error> {
        for buffer in [
            "scale_bound",
            "likelihood_lower_bound.bound",
            "lower_bound_scale.bound",
        ] {
            loader.known(buffer);
        }
        let count = match loader.shape("scale_table") {
            Some(&[count]) if count > 0 => count,
            _ => {
                loader.known("scale_table");
                SCALES
            }
        };
        if count > usize::from(u8::MAX) + 1 {
            return Err(Error::malformed("weights: more than 256 scales"));
        }
        let stored = loader
            .shape("scale_table")
            .is_some_and(|shape| shape == [count]);
        let scales = stored
            .then(|| loader.host("scale_table", &[count]))
            .flatten();
        let scales = match scales.and_then(HostTensor::as_floats) {
            Some(scales) => scales.to_vec(),
            None => compressai_scales().to_vec(),
        };
        let rising = scales.iter().zip(scales.iter().skip(1)).all(|(a, b)| a < b);
        if !rising {
            return Err(Error::malformed("weights: scales that do not rise"));
        }
        let tables = match stored_tables(scales.len(), loader)? {
            Some(tables) => tables,
            None => built(&scales)?,
        };
        let pairs = scales.iter().zip(scales.iter().skip(1));
        let between = pairs.map(|(a, b)| (a * b).sqrt()).collect();
        Ok(Self {
            scales,
            between,
            tables,
        })
    }

    /// The tables that follow from the scales, whatever the checkpoint holds.
    ///
    /// # Errors
    /// [`Error::Malformed`] for scales that have none.
    pub fn rebuilt_tables(&self) -> Result<TableSet, Error> {
        built(&self.scales)
    }

    /// One table a scale.
    pub fn tables(&self) -> &TableSet {
        &self.tables
    }

    /// Table of a scale in our files: the nearest in the logarithm. On the average that costs less than the next wider one.
    pub fn nearest(&self, scale: f32) -> u8 {
        self.between.partition_point(|&s| s < scale) as u8
    }

    /// Table of a scale in CompressAI's strings: the first at least as wide, the last one for wider scales, the first one for
    /// what is not a number.
    pub fn index(&self, scale: f32) -> u8 {
        let scale = if scale > SCALE_BOUND {
            scale
        } else {
            SCALE_BOUND
        };
        let last = self.scales.len() - 1;
        self.scales.partition_point(|&s| s < scale).min(last) as u8
    }

    /// Likelihood of a value `distance` from its mean, at least 1e-9.
    pub fn likelihood(&self, distance: f32, scale: f32) -> f32 {
        let scale = f64::from(scale.max(SCALE_BOUND));
        let distance = f64::from(distance.abs());
        let cumulative = |t: f64| 0.5 * libm::erfc(-t * std::f64::consts::FRAC_1_SQRT_2);
        let mass = cumulative((0.5 - distance) / scale) - cumulative((-0.5 - distance) / scale);
        mass.max(LIKELIHOOD_BOUND) as f32
    }
}

fn built(scales: &[f32]) -> Result<TableSet, Error> {
    compressai_gaussian_tables(scales)
        .map_err(|e| Error::malformed(format!("weights: Gaussian tables: {e}")))
}

/// Bits of likelihoods.
pub fn bits(likelihoods: &[f32]) -> f64 {
    likelihoods.iter().map(|&p| -f64::from(p).log2()).sum()
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;
    use crate::weights::Tensors;

    #[test]
    fn scales_take_the_first_table_that_is_wide_enough() {
        let tensors = Tensors::new();
        let device = Default::default();
        let gaussian = GaussianConditional::load(&Loader::<Flex>::new(&tensors, &device)).unwrap();
        for scale in [-1.0, 0.0, 0.11, f32::NAN] {
            assert_eq!(gaussian.index(scale), 0, "{scale}");
        }
        for (scale, nearest) in [(-1.0, 0), (0.116, 0), (0.118, 1), (1e9, 63), (f32::NAN, 0)] {
            assert_eq!(gaussian.nearest(scale), nearest, "{scale}");
        }
        assert_eq!(gaussian.index(0.1101), 1);
        assert_eq!(gaussian.index(256.0), 63);
        assert_eq!(gaussian.index(f32::INFINITY), 63);
        let sum: f32 = (-20..=20)
            .map(|k| gaussian.likelihood(k as f32 - 0.3, 1.7))
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert_eq!(gaussian.likelihood(1e9, 0.5), 1e-9);
        // Five standard deviations out, where 1 - erf in 32 bits has one digit left.
        let far = gaussian.likelihood(5.5, 1.0);
        assert!((far / 2.856_65e-7 - 1.0).abs() < 1e-4, "{far}");
    }
}
