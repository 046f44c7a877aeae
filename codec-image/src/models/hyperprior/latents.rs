//! Latents under a hyperprior: what is coded, with which tables, and what the synthesis sees.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;

use super::context::Position;
use super::model::Hyper;
use crate::models::host;
use crate::models::payload::Reader;

/// Latents of one picture on the host.
pub(super) struct Latents {
    /// What is coded, in coding order: channels, rows, columns, or rows, columns, channels with a context model.
    pub symbols: Vec<i32>,
    /// Standard deviations that choose their tables, in the same order.
    pub scales: Vec<f32>,
    /// Likelihoods of the values, in the same order.
    pub likelihoods: Vec<f32>,
    /// What the synthesis sees, `[M, h, w]`.
    pub values: Vec<f32>,
    /// What they were coded under.
    pub parameters: HostParameters,
}

/// Parameters on the host, `[M, h, w]` each.
#[derive(Clone)]
pub(super) struct HostParameters {
    pub scales: Vec<f32>,
    pub means: Vec<f32>,
}

impl<B: CodecBackend> Hyper<B> {
    /// Scales and means of one picture's latents, or the features that stand in their place with a context model.
    pub fn parameters(&self, z: Tensor<B, 4>) -> Result<HostParameters, Error> {
        let parameters = self.synthesis(z);
        let scales = host(parameters.scales)?;
        let means = match parameters.means {
            Some(means) => host(means)?,
            None => vec![0.0; scales.len()],
        };
        Ok(HostParameters { scales, means })
    }

    /// Quantizes latents `[M, h, w]`.
    pub fn quantize(
        &self,
        y: &[f32],
        parameters: &HostParameters,
        size: [usize; 2],
    ) -> Result<Latents, Error> {
        let HostParameters { scales, means } = parameters;
        let gaussian = &self.gaussian;
        let Some(context) = &self.context else {
            let symbols = rounded(y, means);
            let residuals = symbols.iter().zip(scales);
            return Ok(Latents {
                scales: scales.clone(),
                likelihoods: residuals
                    .map(|(&v, &scale)| gaussian.likelihood(v as f32, scale))
                    .collect(),
                values: dequantize(&symbols, means),
                symbols,
                parameters: parameters.clone(),
            });
        };
        let mut latents = Latents {
            symbols: Vec::with_capacity(y.len()),
            scales: Vec::with_capacity(y.len()),
            likelihoods: Vec::with_capacity(y.len()),
            values: Vec::new(),
            parameters: parameters.clone(),
        };
        let area = size[0] * size[1];
        let features = [scales.as_slice(), means.as_slice()].concat();
        let code = |position: usize, known: Position<'_>, out: &mut [f32]| -> Result<(), Error> {
            let y: Vec<f32> = y.iter().skip(position).step_by(area).copied().collect();
            let symbols = rounded(&y, known.means);
            for (&symbol, &scale) in symbols.iter().zip(known.scales) {
                latents
                    .likelihoods
                    .push(gaussian.likelihood(symbol as f32, scale));
            }
            fill(out, &symbols, known.means);
            latents.scales.extend_from_slice(known.scales);
            latents.symbols.extend(symbols);
            scatter(&mut latents.parameters.scales, known.scales, position, area);
            scatter(&mut latents.parameters.means, known.means, position, area);
            Ok(())
        };
        let values = context.run(&features, size, code)?;
        Ok(Latents { values, ..latents })
    }

    /// Decodes latents `[M, h, w]`.
    pub fn decode(
        &self,
        payload: &mut Reader<'_>,
        parameters: &HostParameters,
        size: [usize; 2],
    ) -> Result<Vec<f32>, Error> {
        let HostParameters { scales, means } = parameters;
        let mut pull = |scales: &[f32]| -> Result<(Vec<u8>, Vec<i32>), Error> {
            let mut symbols = vec![0; scales.len()];
            let indexes = payload.scaled(scales, &mut symbols, &self.gaussian)?;
            Ok((indexes, symbols))
        };
        let Some(context) = &self.context else {
            let (indexes, symbols) = pull(scales)?;
            payload.checked(&indexes, &symbols);
            return Ok(dequantize(&symbols, means));
        };
        let (mut all_indexes, mut all_symbols) = (Vec::new(), Vec::new());
        let features = [scales.as_slice(), means.as_slice()].concat();
        let code = |_: usize, known: Position<'_>, out: &mut [f32]| -> Result<(), Error> {
            let (indexes, symbols) = pull(known.scales)?;
            fill(out, &symbols, known.means);
            all_indexes.extend(indexes);
            all_symbols.extend(symbols);
            Ok(())
        };
        let values = context.run(&features, size, code)?;
        payload.checked(&all_indexes, &all_symbols);
        Ok(values)
    }
}

/// Sets one position of every plane of `area` values.
fn scatter(planes: &mut [f32], values: &[f32], position: usize, area: usize) {
    let slots = planes.iter_mut().skip(position).step_by(area.max(1));
    slots.zip(values).for_each(|(slot, &value)| *slot = value);
}

/// `round(y - mean)`, ties to even.
fn rounded(y: &[f32], means: &[f32]) -> Vec<i32> {
    let pairs = y.iter().zip(means);
    pairs
        .map(|(&y, &mean)| (y - mean).round_ties_even() as i32)
        .collect()
}

fn dequantize(symbols: &[i32], means: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0; symbols.len()];
    fill(&mut values, symbols, means);
    values
}

fn fill(out: &mut [f32], symbols: &[i32], means: &[f32]) {
    for ((slot, &symbol), &mean) in out.iter_mut().zip(symbols).zip(means) {
        *slot = symbol as f32 + mean;
    }
}
