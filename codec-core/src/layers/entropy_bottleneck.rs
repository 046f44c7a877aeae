//! The entropy bottleneck of published models: a factorized prior with medians and tables, as CompressAI stores it.
//!
//! Everything here runs on the CPU whatever the network's backend, so that medians, tables and likelihoods are the same for
//! all of them.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_entropy::{Cdf, TableSet, compressai_cdf};

use super::factorized::{FactorizedPrior, Likelihood};
use super::tables::stored_tables;
use crate::Error;
use crate::weights::{HostTensor, Loader};

/// Most values between the quantiles of a channel; wider ones are not a trained model's.
const SUPPORT_MAX: f32 = 8_192.0;
/// Largest mass outside a channel's outer quantiles together (CompressAI's `tail_mass`).
const TAIL_MASS: f64 = 1e-9;

/// Factorized prior, medians and probability tables; one of each a channel.
#[derive(Debug, Clone)]
pub struct EntropyBottleneck {
    prior: FactorizedPrior<Flex>,
    /// Lower quantile, median, upper quantile of each channel.
    quantiles: Vec<[f32; 3]>,
    tables: TableSet,
    likelihood: Likelihood,
}

impl EntropyBottleneck {
    /// The name that published files give a parameter, from that of any version of CompressAI: `entropy_bottleneck._matrix0`
    /// for `entropy_bottleneck.matrices.0` and `entropy_bottleneck._matrices.0`.
    pub fn published_name(name: &str) -> String {
        for (plural, single) in [
            ("matrices", "_matrix"),
            ("biases", "_bias"),
            ("factors", "_factor"),
        ] {
            let Some((head, index)) = name.rsplit_once('.') else {
                break;
            };
            let Some((scope, part)) = head.rsplit_once('.') else {
                break;
            };
            let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
            if digits && part.strip_prefix('_').unwrap_or(part) == plural {
                return format!("{scope}.{single}{index}");
            }
        }
        name.to_owned()
    }

    /// The bottleneck of a checkpoint. Tables that were never computed are computed now.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tables that are not distributions, or quantiles from which none follow.
    pub fn load<B: Backend>(
        channels: usize,
        likelihood: Likelihood,
        loader: &Loader<'_, B>,
    ) -> Result<Self, Error> {
        let prior = FactorizedPrior::load(channels, loader);
        let quantiles = loader.host("quantiles", &[channels, 1, 3]);
        let quantiles: Vec<[f32; 3]> = match quantiles.and_then(HostTensor::as_floats) {
            Some(values) => values.as_chunks().0.to_vec(),
            None => vec![[-1.0, 0.0, 1.0]; channels],
        };
        for buffer in ["target", "likelihood_lower_bound.bound"] {
            loader.known(buffer);
        }
        let tables = match stored_tables(channels, loader)? {
            Some(tables) => tables,
            None => built_tables(&prior, &quantiles, likelihood)?,
        };
        Ok(Self {
            prior,
            quantiles,
            tables,
            likelihood,
        })
    }

    /// One table a channel.
    pub fn tables(&self) -> &TableSet {
        &self.tables
    }

    /// The tables that follow from the parameters, whatever the checkpoint holds.
    ///
    /// # Errors
    /// As [`EntropyBottleneck::load`].
    pub fn rebuilt_tables(&self) -> Result<TableSet, Error> {
        built_tables(&self.prior, &self.quantiles, self.likelihood)
    }

    /// Median of a channel; 0 for one that is not there.
    pub fn median(&self, channel: usize) -> f32 {
        self.quantiles.get(channel).map_or(0.0, |q| q[1])
    }

    /// `round(z - median)`, ties to even, of `[channels, area]` values.
    pub fn quantize(&self, z: &[f32], area: usize) -> Vec<i32> {
        self.by_channel(z, area, |v, median| (v - median).round_ties_even() as i32)
    }

    /// Symbols plus medians, `[channels, area]`.
    pub fn dequantize(&self, symbols: &[i32], area: usize) -> Vec<f32> {
        self.by_channel(symbols, area, |symbol, median| symbol as f32 + median)
    }

    fn by_channel<T: Copy, U>(&self, x: &[T], area: usize, f: impl Fn(T, f32) -> U) -> Vec<U> {
        let planes = x.chunks(area.max(1)).enumerate();
        planes
            .flat_map(|(c, plane)| {
                let (median, f) = (self.median(c), &f);
                plane.iter().map(move |&v| f(v, median))
            })
            .collect()
    }

    /// Table of each of `[channels, area]` symbols: its channel.
    pub fn indexes(&self, area: usize) -> Vec<u16> {
        (0..self.quantiles.len())
            .flat_map(|c| std::iter::repeat_n(c as u16, area))
            .collect()
    }

    /// Likelihoods of dequantized values, at least 1e-9.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are not `[channels, area]` values.
    pub fn likelihoods(&self, z: &[f32], area: usize) -> Result<Vec<f32>, Error> {
        let shape = [self.quantiles.len(), 1, area];
        let z = HostTensor::floats(&shape, z.to_vec())?;
        let z: Tensor<Flex, 3> = z.to_device(&Default::default())?;
        let likelihood = self.prior.likelihood(z, self.likelihood).clamp_min(1e-9);
        Ok(host(likelihood))
    }

    /// The auxiliary loss that trains the quantiles: distance of their logits from those of the tail masses.
    pub fn auxiliary_loss(&self) -> f64 {
        let target = (2.0 / TAIL_MASS - 1.0).ln() as f32;
        let flat = self.quantiles.as_flattened();
        let Ok(x) = HostTensor::floats(&[self.quantiles.len(), 1, 3], flat.to_vec()) else {
            return f64::NAN;
        };
        let Ok(x) = x.to_device::<Flex, 3>(&Default::default()) else {
            return f64::NAN;
        };
        let logits = host(self.prior.logits(x));
        let distance = |row: &[f32]| -> f64 {
            let targets = [-target, 0.0, target];
            row.iter()
                .zip(targets)
                .map(|(&v, t)| f64::from((v - t).abs()))
                .sum()
        };
        logits.chunks(3).map(distance).sum()
    }
}

fn host(x: Tensor<Flex, 3>) -> Vec<f32> {
    x.into_data().into_vec().unwrap_or_default()
}

/// CompressAI's `update`: masses between the outer quantiles, what is left to the escape.
fn built_tables(
    prior: &FactorizedPrior<Flex>,
    quantiles: &[[f32; 3]],
    likelihood: Likelihood,
) -> Result<TableSet, Error> {
    let channels = quantiles.len();
    let mut sides = Vec::with_capacity(channels);
    for (channel, [low, median, high]) in quantiles.iter().enumerate() {
        let (below, above) = (
            (median - low).ceil().max(0.0),
            (high - median).ceil().max(0.0),
        );
        if !(below + above <= SUPPORT_MAX && median.is_finite()) {
            return Err(Error::malformed(format!(
                "weights: quantiles of channel {channel} of the entropy bottleneck"
            )));
        }
        sides.push((below as usize, above as usize));
    }
    let lengths = || sides.iter().map(|(below, above)| below + above + 1);
    // The tail is taken beyond the longest support of all channels, a quirk of the original that its tables have.
    let longest = lengths().max().unwrap_or(1);
    let values: Vec<f32> = quantiles
        .iter()
        .zip(&sides)
        .flat_map(|([_, median, _], (below, _))| {
            let start = median - *below as f32;
            (0..longest).map(move |k| start + k as f32)
        })
        .collect();
    let x = HostTensor::floats(&[channels, 1, longest], values)?;
    let x: Tensor<Flex, 3> = x.to_device(&Default::default())?;
    let masses = host(prior.likelihood(x.clone(), likelihood));
    let tails = host(prior.tails(x));
    let mut rows = Vec::with_capacity(channels);
    for (((masses, tail), length), (below, _)) in
        masses.chunks(longest).zip(tails).zip(lengths()).zip(&sides)
    {
        let row: Vec<f32> = masses.iter().take(length).copied().chain([tail]).collect();
        let cdf = compressai_cdf(&row)
            .map_err(|e| Error::malformed(format!("weights: entropy bottleneck: {e}")))?;
        rows.push((-(*below as i32), cdf));
    }
    let cdfs: Vec<Cdf<'_>> = rows
        .iter()
        .map(|(offset, cdf)| Cdf {
            offset: *offset,
            cdf,
        })
        .collect();
    TableSet::from_cdfs(&cdfs)
        .map_err(|e| Error::malformed(format!("weights: entropy bottleneck: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_version_become_the_published_one() {
        for (name, published) in [
            (
                "entropy_bottleneck.matrices.0",
                "entropy_bottleneck._matrix0",
            ),
            ("entropy_bottleneck._biases.4", "entropy_bottleneck._bias4"),
            ("entropy_bottleneck._factor3", "entropy_bottleneck._factor3"),
            ("g_a.0.bias", "g_a.0.bias"),
            ("x.matrices.y", "x.matrices.y"),
        ] {
            assert_eq!(EntropyBottleneck::published_name(name), published);
        }
    }
}
