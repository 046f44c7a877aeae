//! The entropy bottleneck of published models: a factorized prior with medians and tables, as CompressAI stores it.
//!
//! Everything here runs on the host, each function rounded to 32 bits by itself, so that medians, tables and likelihoods are the
//! same for every backend and tables come out as PyTorch made them. [`super::FactorizedPrior`] is the same prior in training.

use burn::tensor::backend::Backend;
use codec_entropy::{Cdf, TableSet, compressai_cdf};

use super::tables::stored_tables;
use crate::Error;
use crate::weights::{HostTensor, Loader};

/// Widths of the five layers that map a value to a logit (Balle et al. 2018, appendix 6.1).
const FILTERS: [usize; 6] = [1, 3, 3, 3, 3, 1];
/// Widest of them.
const WIDEST: usize = 3;
/// Smallest likelihood, at most 29.9 bits a value.
const LIKELIHOOD_BOUND: f32 = 1e-9;
/// Most values between the quantiles of a channel; wider ones are not a trained model's.
const SUPPORT_MAX: f32 = 8_192.0;
/// Largest mass outside a channel's outer quantiles together (CompressAI's `tail_mass`).
const TAIL_MASS: f64 = 1e-9;

/// How the mass between two logits is taken. The values are equal, their last bits in 32 are not, and recomputed tables
/// tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likelihood {
    /// Both logits on the negative side, where the sigmoid keeps its relative precision: CompressAI up to 1.2.4.
    Signed,
    /// As they are: CompressAI from 1.2.5 on.
    Plain,
}

/// Factorized prior, medians and probability tables; one of each a channel.
#[derive(Debug, Clone)]
pub struct EntropyBottleneck {
    prior: Prior,
    /// Lower quantile, median, upper quantile of each channel.
    quantiles: Vec<[f32; 3]>,
    tables: TableSet,
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
        let prior = Prior::load(channels, likelihood, loader);
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
            None => built_tables(&prior, &quantiles)?,
        };
        Ok(Self {
            prior,
            quantiles,
            tables,
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
        built_tables(&self.prior, &self.quantiles)
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

    /// Likelihoods of dequantized values `[channels, area]`, at least 1e-9.
    pub fn likelihoods(&self, z: &[f32], area: usize) -> Vec<f32> {
        let planes = z.chunks(area.max(1)).zip(&self.prior.channels);
        planes
            .flat_map(|(plane, channel)| {
                let of = |&v: &f32| self.prior.mass(channel, v).max(LIKELIHOOD_BOUND);
                plane.iter().map(of)
            })
            .collect()
    }

    /// The auxiliary loss that trains the quantiles: distance of their logits from those of the tail masses.
    pub fn auxiliary_loss(&self) -> f64 {
        let target = (2.0 / TAIL_MASS - 1.0).ln() as f32;
        let channels = self.prior.channels.iter().zip(&self.quantiles);
        channels
            .flat_map(|(channel, quantiles)| {
                let targets = [-target, 0.0, target];
                let pairs = quantiles.iter().zip(targets);
                pairs.map(|(&v, t)| f64::from((channel.logit(v) - t).abs()))
            })
            .sum()
    }
}

/// The parameters of one channel: rows of `softplus(matrix)`, `bias` and `tanh(factor)`, layer by layer.
#[derive(Debug, Clone, Default)]
struct Channel {
    matrices: Vec<f32>,
    biases: Vec<f32>,
    factors: Vec<f32>,
}

impl Channel {
    /// Logit of the cumulative distribution.
    fn logit(&self, v: f32) -> f32 {
        let mut h = [v, 0.0, 0.0];
        let (mut matrices, mut rows) =
            (self.matrices.iter(), self.biases.iter().zip(&self.factors));
        for pair in FILTERS.windows(2) {
            let &[inputs, outputs] = pair else { continue };
            let mut next = [0f32; WIDEST];
            for slot in next.iter_mut().take(outputs) {
                let products = h.iter().take(inputs).zip(matrices.by_ref());
                let sum = products.fold(0f32, |sum, (h, weight)| sum + h * weight);
                let (bias, factor) = rows.next().unwrap_or((&0.0, &0.0));
                let sum = sum + bias;
                *slot = sum + factor * tanh(sum);
            }
            h = next;
        }
        h[0]
    }
}

/// The factorized prior of a checkpoint.
#[derive(Debug, Clone)]
struct Prior {
    channels: Vec<Channel>,
    likelihood: Likelihood,
}

impl Prior {
    /// Tensors `_matrix0` to `_matrix4`, `_bias0` to `_bias4`, `_factor0` to `_factor3`.
    fn load<B: Backend>(channels: usize, likelihood: Likelihood, loader: &Loader<'_, B>) -> Self {
        let mut all = vec![Channel::default(); channels];
        let mut add = |name: String, shape: [usize; 3], add: fn(&mut Channel, &[f32])| {
            let floats = loader.host(&name, &shape).and_then(HostTensor::as_floats);
            let each = (shape[1] * shape[2]).max(1);
            let zeros = vec![0.0; channels * each];
            let values = floats.unwrap_or(&zeros).chunks(each);
            all.iter_mut()
                .zip(values)
                .for_each(|(channel, values)| add(channel, values));
        };
        for (i, pair) in FILTERS.windows(2).enumerate() {
            let &[input, output] = pair else { continue };
            add(
                format!("_matrix{i}"),
                [channels, output, input],
                |channel, values| {
                    channel.matrices.extend(values.iter().map(|&v| softplus(v)));
                },
            );
            add(
                format!("_bias{i}"),
                [channels, output, 1],
                |channel, values| {
                    channel.biases.extend(values);
                },
            );
            if i + 2 < FILTERS.len() {
                add(
                    format!("_factor{i}"),
                    [channels, output, 1],
                    |channel, values| {
                        channel.factors.extend(values.iter().map(|&v| tanh(v)));
                    },
                );
            }
        }
        // The last layer has no factor: its one row is left as it is.
        all.iter_mut().for_each(|channel| channel.factors.push(0.0));
        Self {
            channels: all,
            likelihood,
        }
    }

    /// Mass of the unit interval around a value.
    fn mass(&self, channel: &Channel, v: f32) -> f32 {
        let (lower, upper) = (channel.logit(v - 0.5), channel.logit(v + 0.5));
        match self.likelihood {
            Likelihood::Plain => sigmoid(upper) - sigmoid(lower),
            Likelihood::Signed => {
                let sum = lower + upper;
                let sign = if sum > 0.0 {
                    -1.0
                } else if sum < 0.0 {
                    1.0
                } else {
                    0.0
                };
                (sigmoid(sign * upper) - sigmoid(sign * lower)).abs()
            }
        }
    }
}

/// In 32 bits step by step, as tables were made: masses are differences, and their last bits decide counts.
fn sigmoid(x: f32) -> f32 {
    let e = libm::exp(-f64::from(x)) as f32;
    1.0 / (1.0 + e)
}

fn tanh(x: f32) -> f32 {
    libm::tanh(f64::from(x)) as f32
}

fn softplus(x: f32) -> f32 {
    if x > 20.0 {
        return x;
    }
    libm::log1p(libm::exp(f64::from(x))) as f32
}

/// CompressAI's `update`: masses between the outer quantiles, what is left to the escape.
fn built_tables(prior: &Prior, quantiles: &[[f32; 3]]) -> Result<TableSet, Error> {
    let bad =
        |e: &dyn std::fmt::Display| Error::malformed(format!("weights: entropy bottleneck: {e}"));
    let mut sides = Vec::with_capacity(quantiles.len());
    for (channel, [low, median, high]) in quantiles.iter().enumerate() {
        let (below, above) = (
            (median - low).ceil().max(0.0),
            (high - median).ceil().max(0.0),
        );
        if !(below + above <= SUPPORT_MAX && median.is_finite()) {
            return Err(bad(&format!("quantiles of channel {channel}")));
        }
        sides.push((below, above));
    }
    // The tail is taken beyond the longest support of all channels, a quirk of the original that its tables have.
    let longest = sides
        .iter()
        .map(|(below, above)| below + above)
        .fold(0.0, f32::max);
    let mut rows = Vec::with_capacity(quantiles.len());
    let channels = prior.channels.iter().zip(quantiles).zip(&sides);
    for ((channel, [_, median, _]), (below, above)) in channels {
        let start = median - below;
        let masses = (0..=(below + above) as usize).map(|k| prior.mass(channel, start + k as f32));
        let lower = channel.logit(start - 0.5);
        let upper = channel.logit(start + longest + 0.5);
        let masses: Vec<f32> = masses.chain([sigmoid(lower) + sigmoid(-upper)]).collect();
        rows.push((
            -(*below as i32),
            compressai_cdf(&masses).map_err(|e| bad(&e))?,
        ));
    }
    let cdfs: Vec<Cdf<'_>> = rows
        .iter()
        .map(|(offset, cdf)| Cdf {
            offset: *offset,
            cdf,
        })
        .collect();
    TableSet::from_cdfs(&cdfs).map_err(|e| bad(&e))
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
