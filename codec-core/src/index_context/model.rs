//! The integers that code.

use std::ops::RangeInclusive;

use burn::tensor::backend::Backend;
use codec_entropy::{WEIGHTS_MAX, WeightedDecoder, WeightedEncoder};

use super::{BASE, BIAS_MAX, ContextConfig, EMBEDDING_MAX, LOGIT_FRACTION, LOGIT_MAX, Neighbour};
use crate::Error;
use crate::layers::{IntConvParams, IntRange};
use crate::weights::{HostTensor, Loader, Tensors};

/// First byte of a stream: coded by the statistics of all indexes.
const STATIC: u8 = 3;
/// First byte of a stream: coded by the network.
const LEARNED: u8 = 4;
/// Weight of the most likely digit.
const WEIGHT_BITS: i32 = 14;
/// `2^(14 + i / 16)`, rounded.
const POWERS: [u32; 16] = [
    16384, 17109, 17867, 18658, 19484, 20347, 21247, 22188, 23170, 24196, 25268, 26386, 27554,
    28774, 30048, 31379,
];

/// Size of what is coded: `codebooks x height x width` indexes; recordings have a height of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexGrid {
    /// Codebooks.
    pub codebooks: usize,
    /// Rows.
    pub height: usize,
    /// Columns, or frames.
    pub width: usize,
}

impl IndexGrid {
    /// Indexes in all.
    fn count(&self) -> Option<usize> {
        self.codebooks
            .checked_mul(self.height)?
            .checked_mul(self.width)
    }

    /// Place of an index in an array in this order.
    fn place(&self, codebook: usize, row: usize, column: usize) -> usize {
        (codebook * self.height + row) * self.width + column
    }

    /// Place of a neighbour, if it is inside.
    pub(super) fn neighbour(&self, n: &Neighbour, row: usize, column: usize) -> Option<usize> {
        let row = row.checked_sub(n.above)?;
        let column = column.checked_add_signed(-n.left)?;
        let inside = column < self.width && n.codebook < self.codebooks;
        inside.then(|| self.place(n.codebook, row, column))
    }

    /// Places in the order of coding: position by position, the codebooks of one after the other.
    fn walk(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.height).flat_map(move |row| {
            (0..self.width)
                .flat_map(move |column| (0..self.codebooks).map(move |q| (q, row, column)))
        })
    }
}

/// One digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digit {
    /// What stands for the digits before, `[prefixes, embedding]`; empty for the first.
    pub prefix: Vec<i32>,
    pub hidden: IntConvParams,
    pub logits: IntConvParams,
    /// Added to logits, `[prefixes, 16]`.
    pub bias: Vec<i32>,
}

/// One codebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// Rank of each code.
    pub ranks: Vec<u32>,
    /// What stands for a code, `[codes + 1, embedding]`; the last row for none.
    pub embedding: Vec<i32>,
    /// How often each code occurs, of [`WEIGHTS_MAX`] at most.
    pub counts: Vec<u32>,
    pub first: IntConvParams,
    pub second: IntConvParams,
    pub digits: Vec<Digit>,
}

/// A context model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexContext {
    config: ContextConfig,
    stages: Vec<Stage>,
    /// Code of each rank.
    codes: Vec<Vec<u32>>,
    neighbours: Vec<Vec<Neighbour>>,
}

impl IndexContext {
    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Error::Malformed`] for parts that do not fit or sums that integer layers cannot hold.
    pub(super) fn new(config: ContextConfig, stages: Vec<Stage>) -> Result<Self, Error> {
        config.check()?;
        let neighbours: Vec<_> = (0..stages.len()).map(|q| config.neighbours(q)).collect();
        let mut codes = Vec::with_capacity(stages.len());
        for stage in &stages {
            for layer in stage.layers() {
                layer.validate(EMBEDDING_MAX)?;
            }
            let mut inverse = vec![u32::MAX; stage.ranks.len()];
            for (code, &rank) in stage.ranks.iter().enumerate() {
                match inverse.get_mut(rank as usize) {
                    Some(slot) if *slot == u32::MAX => *slot = code as u32,
                    _ => return Err(Error::malformed("context model: ranks are no permutation")),
                }
            }
            codes.push(inverse);
            let total = stage
                .counts
                .iter()
                .try_fold(0u32, |sum, &n| sum.checked_add(n));
            if stage.counts.contains(&0) || total.is_none_or(|sum| sum > WEIGHTS_MAX) {
                return Err(Error::malformed("context model: counts out of range"));
            }
        }
        Ok(Self {
            config,
            stages,
            codes,
            neighbours,
        })
    }

    /// The model in a file of weights.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for sizes that no model has, [`Error::Malformed`] for tensors that make none. Missing ones
    /// are left to the loader's account, and there is no model then.
    pub fn load<B: Backend>(
        config: &ContextConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Option<Self>, Error> {
        config.check()?;
        let stages: Option<Vec<Stage>> = (0..config.codes.len())
            .map(|q| Stage::load(config, q, &loader.at(q)))
            .collect::<Result<_, _>>()?;
        stages
            .map(|stages| Self::new(config.clone(), stages))
            .transpose()
    }

    /// What [`IndexContext::load`] reads.
    ///
    /// # Errors
    /// None for a model that was made.
    pub fn tensors(&self) -> Result<Tensors, Error> {
        let mut tensors = Tensors::new();
        for (q, stage) in self.stages.iter().enumerate() {
            stage.store(&self.config, q, &mut tensors)?;
        }
        Ok(tensors)
    }

    /// Sizes.
    pub fn config(&self) -> &ContextConfig {
        &self.config
    }

    /// Whether it is a model of such indexes.
    pub fn fits(&self, grid: IndexGrid, codes: usize) -> bool {
        self.config.codes.len() >= grid.codebooks && self.config.codes.iter().all(|&n| n == codes)
    }

    /// The shorter of the streams by the network and by the statistics of all indexes. Indexes are in the order codebook,
    /// row, column.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for another number of indexes, or codes that are none.
    pub fn encode(&self, indexes: &[u32], grid: IndexGrid) -> Result<Vec<u8>, Error> {
        if grid.count() != Some(indexes.len()) || grid.codebooks > self.stages.len() {
            return Err(Error::bad_parameter(format!(
                "{} indexes for {grid:?}",
                indexes.len()
            )));
        }
        let entropy = |e: codec_entropy::Error| Error::bad_parameter(format!("indexes: {e}"));
        let (mut learned, mut plain) = (WeightedEncoder::new(), WeightedEncoder::new());
        let mut work = Work::default();
        for (q, row, column) in grid.walk() {
            let Some((stage, &code)) = self
                .stages
                .get(q)
                .zip(indexes.get(grid.place(q, row, column)))
            else {
                continue;
            };
            let rank = stage.ranks.get(code as usize).ok_or_else(|| {
                let codes = stage.ranks.len();
                Error::bad_parameter(format!("index {code} of a codebook of {codes}"))
            })?;
            let rank = *rank as usize;
            plain.push(&stage.counts, code as usize).map_err(entropy)?;
            self.look(q, indexes, grid, [row, column], &mut work);
            let mut prefix = 0;
            for digit in 0..stage.digits.len() {
                let value = rank / self.config.span(q, digit) % BASE;
                self.weigh(q, digit, prefix, &mut work);
                learned.push(&work.weights, value).map_err(entropy)?;
                prefix = prefix * BASE + value;
            }
        }
        let (form, stream) = if plain.bits() < learned.bits() {
            (STATIC, plain)
        } else {
            (LEARNED, learned)
        };
        let mut bytes = vec![form];
        bytes.extend(stream.finish().map_err(entropy)?);
        Ok(bytes)
    }

    /// Whether a stream is one of [`IndexContext::encode`], by its first byte.
    pub fn made(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(&(STATIC | LEARNED)))
    }

    /// Indexes of a stream.
    ///
    /// # Errors
    /// [`Error::Malformed`] for damage.
    pub fn decode(&self, bytes: &[u8], grid: IndexGrid) -> Result<Vec<u32>, Error> {
        let entropy = |e: codec_entropy::Error| Error::malformed(format!("indexes: {e}"));
        let short = || Error::malformed("indexes: not of this model");
        let (&form, stream) = bytes.split_first().ok_or_else(short)?;
        let count = grid.count().filter(|_| grid.codebooks <= self.stages.len());
        let count = count.ok_or_else(short)?;
        if !matches!(form, STATIC | LEARNED) {
            return Err(short());
        }
        let mut decoder = WeightedDecoder::new(stream).map_err(entropy)?;
        let mut indexes = Vec::new();
        indexes
            .try_reserve_exact(count)
            .map_err(|_| Error::malformed(format!("{count} indexes")))?;
        indexes.resize(count, 0);
        let mut work = Work::default();
        for (q, row, column) in grid.walk() {
            let (Some(stage), Some(codes)) = (self.stages.get(q), self.codes.get(q)) else {
                continue;
            };
            let code = if form == STATIC {
                decoder.decode(&stage.counts).map_err(entropy)? as u32
            } else {
                self.look(q, &indexes, grid, [row, column], &mut work);
                let mut rank = 0;
                for digit in 0..stage.digits.len() {
                    self.weigh(q, digit, rank, &mut work);
                    let value = decoder.decode(&work.weights).map_err(entropy)?;
                    rank = rank * BASE + value;
                }
                codes.get(rank).copied().ok_or_else(short)?
            };
            if let Some(slot) = indexes.get_mut(grid.place(q, row, column)) {
                *slot = code;
            }
        }
        decoder.finish().map_err(entropy)?;
        Ok(indexes)
    }

    /// Runs the layers over the neighbours of a place.
    fn look(
        &self,
        q: usize,
        indexes: &[u32],
        grid: IndexGrid,
        [row, column]: [usize; 2],
        work: &mut Work,
    ) {
        let (Some(stage), Some(neighbours)) = (self.stages.get(q), self.neighbours.get(q)) else {
            return;
        };
        work.input.clear();
        for neighbour in neighbours {
            let place = grid.neighbour(neighbour, row, column);
            let code = place.and_then(|place| indexes.get(place));
            let of = self.stages.get(neighbour.codebook).unwrap_or(stage);
            let code = code.map_or(of.ranks.len(), |&code| code as usize);
            work.input
                .extend(slice(&of.embedding, code, self.config.embedding));
        }
        if neighbours.is_empty() {
            work.input.resize(self.config.embedding, 0);
        }
        stage.first.apply(&work.input, &mut work.hidden);
        stage.second.apply(&work.hidden, &mut work.context);
    }

    /// Weights of a digit after those before it.
    fn weigh(&self, q: usize, digit: usize, prefix: usize, work: &mut Work) {
        work.weights.clear();
        let Some((stage, part)) = self
            .stages
            .get(q)
            .and_then(|s| Some((s, s.digits.get(digit)?)))
        else {
            return;
        };
        work.input.clear();
        work.input.extend_from_slice(&work.context);
        if !part.prefix.is_empty() {
            work.input
                .extend(slice(&part.prefix, prefix, self.config.embedding));
        }
        part.hidden.apply(&work.input, &mut work.hidden);
        part.logits.apply(&work.hidden, &mut work.logits);
        for (logit, bias) in work.logits.iter_mut().zip(slice(&part.bias, prefix, BASE)) {
            *logit += bias;
        }
        // Digits beyond the last rank never occur.
        let span = self.config.span(q, digit);
        let there = |value: usize| (prefix * BASE + value) * span < stage.ranks.len();
        let largest = (0..BASE).filter(|v| there(*v));
        let largest = largest.filter_map(|v| work.logits.get(v)).max();
        let largest = largest.copied().unwrap_or(0);
        let logits = work.logits.iter().enumerate();
        work.weights.extend(logits.map(|(value, &logit)| {
            if there(value) {
                weight(largest - logit)
            } else {
                0
            }
        }));
    }
}

/// Scratch space.
#[derive(Default)]
struct Work {
    input: Vec<i32>,
    hidden: Vec<i32>,
    context: Vec<i32>,
    logits: Vec<i32>,
    weights: Vec<u32>,
}

fn slice(table: &[i32], row: usize, width: usize) -> impl Iterator<Item = i32> {
    table
        .chunks(width.max(1))
        .nth(row)
        .unwrap_or_default()
        .iter()
        .copied()
}

/// `2^(14 - below / 16)`, rounded, at least 1.
fn weight(below: i32) -> u32 {
    let whole = below >> LOGIT_FRACTION;
    if whole >= WEIGHT_BITS {
        return 1;
    }
    // 2^(-part / 16) is half of 2^((16 - part) / 16).
    match (below & (BASE as i32 - 1)) as usize {
        0 => 1 << (WEIGHT_BITS - whole),
        part => {
            let power = POWERS.get(BASE - part).copied().unwrap_or(0);
            ((power + (1 << whole)) >> (whole + 1)).max(1)
        }
    }
}

const WIDE: IntRange = IntRange {
    lo: -LOGIT_MAX,
    hi: LOGIT_MAX,
    fraction: LOGIT_FRACTION,
};

impl Stage {
    fn layers(&self) -> impl Iterator<Item = &IntConvParams> {
        let digits = self.digits.iter().flat_map(|d| [&d.hidden, &d.logits]);
        [&self.first, &self.second].into_iter().chain(digits)
    }

    fn load<B: Backend>(
        config: &ContextConfig,
        q: usize,
        loader: &Loader<'_, B>,
    ) -> Result<Option<Self>, Error> {
        let [first, second] = shapes(config, q);
        let codes = config.codes.get(q).copied().unwrap_or(0);
        let embedding = integers(
            loader,
            "embedding",
            &[codes + 1, config.embedding],
            symmetric(EMBEDDING_MAX),
        )?;
        let ranks = integers(loader, "ranks", &[codes], 0..=i32::MAX)?;
        let counts = integers(loader, "counts", &[codes], 1..=WEIGHTS_MAX as i32)?;
        let first = layer(&loader.at("first"), first, IntRange::HIDDEN)?;
        let second = layer(&loader.at("second"), second, IntRange::HIDDEN)?;
        let mut digits = Vec::new();
        for digit in 0..config.digits(q) {
            let at = loader.at(format!("digit.{digit}"));
            let prefixes = config.prefixes(q, digit);
            let [hidden, logits] = digit_shapes(config, digit);
            let prefix = if digit == 0 {
                Some(Vec::new())
            } else {
                integers(
                    &at,
                    "prefix",
                    &[prefixes, config.embedding],
                    symmetric(EMBEDDING_MAX),
                )?
            };
            let hidden = layer(&at.at("hidden"), hidden, IntRange::HIDDEN)?;
            let logits = layer(&at.at("logits"), logits, WIDE)?;
            let bias = integers(&at, "bias", &[prefixes, BASE], symmetric(BIAS_MAX))?;
            if let (Some(prefix), Some(hidden), Some(logits), Some(bias)) =
                (prefix, hidden, logits, bias)
            {
                digits.push(Digit {
                    prefix,
                    hidden,
                    logits,
                    bias,
                });
            }
        }
        let unsigned = |values: Option<Vec<i32>>| -> Option<Vec<u32>> {
            Some(values?.into_iter().map(i32::cast_unsigned).collect())
        };
        let whole = digits.len() == config.digits(q);
        let parts = (embedding, unsigned(ranks), unsigned(counts), first, second);
        Ok(match parts {
            (Some(embedding), Some(ranks), Some(counts), Some(first), Some(second)) if whole => {
                Some(Self {
                    ranks,
                    embedding,
                    counts,
                    first,
                    second,
                    digits,
                })
            }
            _ => None,
        })
    }

    fn store(&self, config: &ContextConfig, q: usize, to: &mut Tensors) -> Result<(), Error> {
        let codes = self.ranks.len();
        let signed = |values: &[u32]| values.iter().map(|&v| v as i32).collect::<Vec<_>>();
        put(
            to,
            &format!("{q}.embedding"),
            &[codes + 1, config.embedding],
            &self.embedding,
        )?;
        put(to, &format!("{q}.ranks"), &[codes], &signed(&self.ranks))?;
        put(to, &format!("{q}.counts"), &[codes], &signed(&self.counts))?;
        put_layer(to, &format!("{q}.first"), &self.first)?;
        put_layer(to, &format!("{q}.second"), &self.second)?;
        for (digit, part) in self.digits.iter().enumerate() {
            let at = format!("{q}.digit.{digit}");
            let prefixes = config.prefixes(q, digit);
            if digit > 0 {
                put(
                    to,
                    &format!("{at}.prefix"),
                    &[prefixes, config.embedding],
                    &part.prefix,
                )?;
            }
            put_layer(to, &format!("{at}.hidden"), &part.hidden)?;
            put_layer(to, &format!("{at}.logits"), &part.logits)?;
            put(to, &format!("{at}.bias"), &[prefixes, BASE], &part.bias)?;
        }
        Ok(())
    }
}

/// Inputs and outputs of the two layers of a codebook.
pub(super) fn shapes(config: &ContextConfig, q: usize) -> [[usize; 2]; 2] {
    let inputs = config.neighbours(q).len().max(1) * config.embedding;
    [[inputs, config.width], [config.width; 2]]
}

/// Inputs and outputs of the two layers of a digit.
pub(super) fn digit_shapes(config: &ContextConfig, digit: usize) -> [[usize; 2]; 2] {
    let prefix = if digit == 0 { 0 } else { config.embedding };
    [[config.width + prefix, config.width], [config.width, BASE]]
}

/// Real numbers that are integers in a range; `None` if the tensor is not there.
fn integers<B: Backend>(
    loader: &Loader<'_, B>,
    name: &str,
    shape: &[usize],
    range: RangeInclusive<i32>,
) -> Result<Option<Vec<i32>>, Error> {
    let Some(values) = loader.host(name, shape).and_then(HostTensor::as_floats) else {
        return Ok(None);
    };
    let whole = |v: &f32| v.fract() == 0.0 && range.contains(&(*v as i32)) && v.abs() < 2e9;
    if values.iter().all(whole) {
        return Ok(Some(values.iter().map(|&v| v as i32).collect()));
    }
    Err(Error::malformed(format!(
        "weights: {} has values other than integers in {range:?}",
        loader.name(name)
    )))
}

fn symmetric(max: i32) -> RangeInclusive<i32> {
    -max..=max
}

fn layer<B: Backend>(
    loader: &Loader<'_, B>,
    [input, output]: [usize; 2],
    range: IntRange,
) -> Result<Option<IntConvParams>, Error> {
    let weight = integers(
        loader,
        "weight",
        &[output, input],
        symmetric(i16::MAX.into()),
    )?;
    let bias = integers(loader, "bias", &[output], symmetric(1 << 24))?;
    let fraction = integers(loader, "fraction", &[output], 0..=u8::MAX.into())?;
    let (Some(weight), Some(bias), Some(fraction)) = (weight, bias, fraction) else {
        return Ok(None);
    };
    Ok(Some(IntConvParams {
        shape: [output, input, 1],
        depthwise: false,
        weight: weight.iter().map(|&w| w as i16).collect(),
        bias,
        weight_fraction: fraction.iter().map(|&f| f as u8).collect(),
        range,
    }))
}

fn put(to: &mut Tensors, name: &str, shape: &[usize], values: &[i32]) -> Result<(), Error> {
    let values = values.iter().map(|&v| v as f32).collect();
    to.insert(name, HostTensor::floats(shape, values)?);
    Ok(())
}

fn put_layer(to: &mut Tensors, name: &str, layer: &IntConvParams) -> Result<(), Error> {
    let [output, input, _] = layer.shape;
    let wide = |values: &[i16]| values.iter().map(|&v| v.into()).collect::<Vec<i32>>();
    let fraction: Vec<i32> = layer.weight_fraction.iter().map(|&f| f.into()).collect();
    put(
        to,
        &format!("{name}.weight"),
        &[output, input],
        &wide(&layer.weight),
    )?;
    put(to, &format!("{name}.bias"), &[output], &layer.bias)?;
    put(to, &format!("{name}.fraction"), &[output], &fraction)
}
