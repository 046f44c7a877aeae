//! The context model in training.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Int, Tensor, TensorData};
use codec_entropy::WEIGHTS_MAX;

use super::model::{Digit, IndexContext, IndexGrid, Stage, digit_shapes, shapes};
use super::{BASE, BIAS_MAX, ContextConfig, EMBEDDING_MAX, LOGIT_FRACTION, LOGIT_MAX};
use crate::Error;
use crate::backend::CodecBackend;
use crate::layers::{FRACTION_BITS, Precision, QuantConv, QuantConvConfig};
use crate::weights::HostTensor;

/// Added to the logits of digits that never occur.
const NEVER: f32 = -1e4;

/// One digit in training.
#[derive(Module, Debug)]
struct DigitNetwork<B: Backend> {
    prefix: Option<Param<Tensor<B, 2>>>,
    hidden: QuantConv<B>,
    logits: QuantConv<B>,
    bias: Param<Tensor<B, 2>>,
}

/// One codebook in training.
#[derive(Module, Debug)]
struct StageNetwork<B: Backend> {
    /// Logits of the codes without any context, `[codes]`, in bits.
    marginal: Param<Tensor<B, 1>>,
    embedding: Param<Tensor<B, 2>>,
    first: QuantConv<B>,
    second: QuantConv<B>,
    digits: Vec<DigitNetwork<B>>,
}

/// The network in training: what [`IndexContext`] does, in floats or with the exact rounding of its integers.
#[derive(Module, Debug)]
pub struct ContextNetwork<B: Backend> {
    stages: Vec<StageNetwork<B>>,
}

/// Places of one codebook, with everything on the host that the network looks up for them.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// For each neighbour the code at every place; the number of codes where there is none.
    neighbours: Vec<Vec<i64>>,
    /// Code at every place.
    codes: Vec<i64>,
    /// Its rank.
    ranks: Vec<usize>,
}

impl Sampled {
    /// Takes in the places of a grid for which `take` says so. Indexes are in the order codebook, row, column.
    pub fn add(
        &mut self,
        config: &ContextConfig,
        ranks: &[u32],
        codebook: usize,
        indexes: &[u32],
        grid: IndexGrid,
        mut take: impl FnMut() -> bool,
    ) {
        let neighbours = config.neighbours(codebook);
        self.neighbours.resize(neighbours.len(), Vec::new());
        let plane = grid.height * grid.width;
        for place in 0..plane {
            let Some(&code) = indexes.get(codebook * plane + place) else {
                continue;
            };
            let Some(rank) = ranks.get(code as usize) else {
                continue;
            };
            if !take() {
                continue;
            }
            let (row, column) = (place / grid.width, place % grid.width);
            for (neighbour, codes) in neighbours.iter().zip(&mut self.neighbours) {
                let at = grid.neighbour(neighbour, row, column);
                let none = config.codes.get(neighbour.codebook).copied().unwrap_or(0);
                let code = at.and_then(|at| indexes.get(at));
                codes.push(code.map_or(none as i64, |&code| code.into()));
            }
            self.codes.push(code.into());
            self.ranks.push(*rank as usize);
        }
    }

    /// Number of places.
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }
}

impl<B: CodecBackend> ContextNetwork<B> {
    /// A network with initial parameters.
    pub fn init(config: &ContextConfig, device: &B::Device) -> Self {
        let table = |rows: usize, columns: usize, spread: f64| {
            let values = Distribution::Normal(0.0, spread);
            Param::from_tensor(Tensor::random([rows, columns], values, device))
        };
        let stages = (0..config.codes.len()).map(|q| {
            let [first, second] = shapes(config, q).map(|shape| QuantConvConfig::new(shape, 1));
            let codes = config.codes.get(q).copied().unwrap_or(0);
            let digits = (0..config.digits(q)).map(|digit| {
                let [hidden, logits] = digit_shapes(config, digit);
                let prefixes = config.prefixes(q, digit);
                let logits = QuantConvConfig::new(logits, 1)
                    .with_lo(-LOGIT_MAX)
                    .with_hi(LOGIT_MAX)
                    .with_fraction(LOGIT_FRACTION)
                    .with_init_gain(0.3);
                DigitNetwork {
                    prefix: (digit > 0).then(|| table(prefixes, config.embedding, 1.0)),
                    hidden: QuantConvConfig::new(hidden, 1).init(device),
                    logits: logits.init(device),
                    bias: Param::from_tensor(Tensor::zeros([prefixes, BASE], device)),
                }
            });
            StageNetwork {
                marginal: Param::from_tensor(Tensor::zeros([codes], device)),
                embedding: table(codes + 1, config.embedding, 1.0),
                first: first.init(device),
                second: second.init(device),
                digits: digits.collect(),
            }
        });
        Self {
            stages: stages.collect(),
        }
    }

    /// Bits of every place of a codebook by the statistics of all codes alone, `[places]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a codebook that there is not.
    pub fn static_bits(&self, codebook: usize, sampled: &Sampled) -> Result<Tensor<B, 1>, Error> {
        let none = || Error::bad_parameter(format!("codebook {codebook} of a context model"));
        let logits = self.stages.get(codebook).ok_or_else(none)?.marginal.val();
        let codes = TensorData::new(sampled.codes.clone(), [sampled.len()]);
        let codes = Tensor::<B, 1, Int>::from_data(codes, &logits.device());
        let log = log_softmax(logits.mul_scalar(std::f64::consts::LN_2), 0);
        Ok(log.select(0, codes).div_scalar(-std::f64::consts::LN_2))
    }

    /// Bits of every place of a codebook, `[places]`.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a codebook that there is not or parameters that integers cannot hold.
    pub fn bits(
        &self,
        config: &ContextConfig,
        codebook: usize,
        sampled: &Sampled,
        precision: Precision,
    ) -> Result<Tensor<B, 1>, Error> {
        let none = || Error::bad_parameter(format!("codebook {codebook} of a context model"));
        let stage = self.stages.get(codebook).ok_or_else(none)?;
        let device = stage.embedding.val().device();
        let count = sampled.len();
        let look = |table: Tensor<B, 2>, codes: &[i64]| {
            let codes = TensorData::new(codes.to_vec(), [count]);
            table.select(0, Tensor::<B, 1, Int>::from_data(codes, &device))
        };
        let neighbours = config.neighbours(codebook);
        let mut seen = Vec::with_capacity(neighbours.len());
        for (neighbour, codes) in neighbours.iter().zip(&sampled.neighbours) {
            let of = self.stages.get(neighbour.codebook).ok_or_else(none)?;
            seen.push(look(
                held(of.embedding.val(), EMBEDDING_MAX, precision),
                codes,
            ));
        }
        if seen.is_empty() {
            seen.push(Tensor::zeros([count, config.embedding], &device));
        }
        let h = columns(Tensor::cat(seen, 1));
        let h = stage.first.forward(h, precision)?;
        let context = stage.second.forward(h, precision)?;
        let mut bits = Tensor::zeros([count], &device);
        for (index, digit) in stage.digits.iter().enumerate() {
            let span = config.span(codebook, index);
            let prefixes: Vec<i64> = sampled
                .ranks
                .iter()
                .map(|rank| (rank / (span * BASE)) as i64)
                .collect();
            let values: Vec<i64> = sampled
                .ranks
                .iter()
                .map(|rank| (rank / span % BASE) as i64)
                .collect();
            let mut input = context.clone();
            if let Some(prefix) = &digit.prefix {
                let table = held(prefix.val(), EMBEDDING_MAX, precision);
                input = Tensor::cat(vec![input, columns(look(table, &prefixes))], 1);
            }
            let hidden = digit.hidden.forward(input, precision)?;
            let logits = rows(digit.logits.forward(hidden, precision)?);
            let bias = held(digit.bias.val(), BIAS_MAX, precision);
            let logits = logits + look(bias, &prefixes);
            // Only the codebook's last part can have fewer than all digits.
            let codes = config.codes.get(codebook).copied().unwrap_or(0);
            let never: Vec<f32> = prefixes
                .iter()
                .flat_map(|&prefix| {
                    (0..BASE).map(move |value| {
                        let first = (prefix as usize * BASE + value) * span;
                        if first < codes { 0.0 } else { NEVER }
                    })
                })
                .collect();
            let logits = if codes.is_multiple_of(span * BASE) {
                logits
            } else {
                logits + Tensor::from_data(TensorData::new(never, [count, BASE]), &device)
            };
            let log = log_softmax(logits.mul_scalar(std::f64::consts::LN_2), 1);
            let values = TensorData::new(values, [count, 1]);
            let chosen = log.gather(1, Tensor::<B, 2, Int>::from_data(values, &device));
            bits = bits - chosen.reshape([count]);
        }
        Ok(bits.div_scalar(std::f64::consts::LN_2))
    }

    /// The integers that code. `ranks` are those of each codebook.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for parameters that integers cannot hold, device errors.
    pub fn export(
        &self,
        config: &ContextConfig,
        ranks: &[Vec<u32>],
    ) -> Result<IndexContext, Error> {
        let mut stages = Vec::with_capacity(self.stages.len());
        for (stage, ranks) in self.stages.iter().zip(ranks) {
            let digits: Result<_, Error> = stage
                .digits
                .iter()
                .map(|digit| {
                    let prefix = digit.prefix.as_ref();
                    Ok(Digit {
                        prefix: match prefix {
                            Some(prefix) => rounded(prefix.val(), EMBEDDING_MAX)?,
                            None => Vec::new(),
                        },
                        hidden: digit.hidden.export()?,
                        logits: digit.logits.export()?,
                        bias: rounded(digit.bias.val(), BIAS_MAX)?,
                    })
                })
                .collect();
            stages.push(Stage {
                ranks: ranks.clone(),
                embedding: rounded(stage.embedding.val(), EMBEDDING_MAX)?,
                counts: shares(stage.marginal.val())?,
                first: stage.first.export()?,
                second: stage.second.export()?,
                digits: digits?,
            });
        }
        IndexContext::new(config.clone(), stages)
    }
}

/// A table as integers hold it.
fn held<B: CodecBackend>(table: Tensor<B, 2>, max: i32, precision: Precision) -> Tensor<B, 2> {
    let [rows, columns] = table.dims();
    match precision {
        Precision::Float => table,
        Precision::Integer => {
            let unit = 2f32.powi(FRACTION_BITS);
            let plane = table.reshape([1, 1, rows, columns]);
            B::fake_quant(plane, unit, -max as f32, max as f32).reshape([rows, columns])
        }
    }
}

/// The integers of a table, rounded as in [`held`].
fn rounded<B: CodecBackend>(table: Tensor<B, 2>, max: i32) -> Result<Vec<i32>, Error> {
    let table = HostTensor::from_device(held(table, max, Precision::Integer))?;
    let unit = 2f32.powi(FRACTION_BITS);
    let values = table.as_floats().unwrap_or_default();
    Ok(values.iter().map(|v| (v * unit).round() as i32).collect())
}

/// Probabilities as weights of a sum that the coder takes, none of them 0.
fn shares<B: Backend>(logits: Tensor<B, 1>) -> Result<Vec<u32>, Error> {
    let logits = HostTensor::from_device(logits)?;
    let logits = logits.as_floats().unwrap_or_default();
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|&logit| f64::from(logit - largest).exp2())
        .collect();
    let sum: f64 = powers.iter().sum();
    if !sum.is_finite() {
        return Err(Error::bad_parameter("statistics that are not finite"));
    }
    let room = f64::from(WEIGHTS_MAX) - logits.len() as f64;
    Ok(powers
        .iter()
        .map(|power| 1 + (power / sum * room) as u32)
        .collect())
}

/// Rows `[n, c]` as a picture of one row, `[1, c, 1, n]`.
fn columns<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 4> {
    let [n, c] = x.dims();
    x.transpose().reshape([1, c, 1, n])
}

/// The inverse of [`columns`].
fn rows<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    let [_, c, _, n] = x.dims();
    x.reshape([c, n]).transpose()
}
