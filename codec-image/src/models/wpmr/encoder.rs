//! From a tile to its payload: choosing symbols, and searching for better ones.

use std::time::{Duration, Instant};

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::{Backend, BackendTypes};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::FRACTION_BITS;
use codec_entropy::{Encoder, TableSet};

use super::annealing::{Annealer, Problem};
use super::coder::{Coder, Grid, coding, hyper_indexes, padded};
use super::config::{HYPER_MAX, LATENTS};
use super::layout::pass_latents;
use super::model::wavelet_forward;
use super::quality::lambda;
use super::symbols::{ERROR_BITS, PassLatents, descended, nearest, optimized_residual, residual};
use crate::coder::{EncodedTile, Quality, RgbTile, Stages, TileOptions};
use crate::models::host;

/// Effort from which quantization is rate-distortion optimized.
const OPTIMIZED_EFFORT: u8 = 4;
/// Integers of hidden layers stand for this many parts of one.
const FRACTIONS: f32 = (1 << FRACTION_BITS) as f32;

/// Effort from which symbols are searched for with gradients.
const SEARCH_EFFORT: u8 = 9;
/// Rounds of descent, and how many of them may be in vain.
const DESCENT_ROUNDS: usize = 12;
const DESCENT_PATIENCE: usize = 3;
/// Effort from which latents are annealed before, and for how many steps.
const ANNEALING_EFFORT: u8 = 10;
const ANNEALING_STEPS: usize = 250;
/// How symbols are chosen.
#[derive(Debug, Clone, Copy)]
enum Choice<'a> {
    /// The nearest.
    Nearest,
    /// By rate and distortion.
    Optimized,
    /// From decoded latents, by the slopes of the cost in them.
    Descended { slopes: &'a [f32], round: usize },
}

/// A coded tile and what a decoder makes of it.
struct Coded {
    bytes: Vec<u8>,
    /// By pass.
    latents: Vec<PassLatents>,
    entropy: Duration,
}

/// What a search starts from.
struct Search<'a, B: Backend> {
    tile: RgbTile<'a>,
    grid: Grid,
    options: TileOptions,
    z: &'a [i32],
    features: &'a Tensor<B, 4>,
}

impl<B: CodecBackend> Coder<B> {
    /// Codes latents with given hyperlatents; `values` is `[768, h, w]`.
    fn code(
        &self,
        values: &[f32],
        z: &[i32],
        features: &Tensor<B, 4>,
        grid: Grid,
        choice: Choice<'_>,
    ) -> Result<Coded, Error> {
        let mut encoder = Encoder::new();
        let channels = self.weights.config().hyper_latents;
        encoder
            .push(
                z,
                &hyper_indexes(channels, grid.hyper_area()),
                self.weights.hyper_tables(),
            )
            .map_err(coding)?;
        let tables: &TableSet = self.weights.latent_tables();
        let digits = self.weights.config().mean_fraction();
        let latents = self.run_passes(features, grid, |pass, integers| {
            let mut symbols = Vec::with_capacity(integers.means.len());
            for (position, latent) in pass_latents(pass).into_iter().enumerate() {
                let area = grid.area();
                let plane = |v: usize| v * area..(v + 1) * area;
                let y = values.get(plane(latent)).unwrap_or_default();
                let means = integers.means.get(plane(position)).unwrap_or_default();
                let scales = integers.scales.get(plane(position)).unwrap_or_default();
                let all = y.iter().zip(means).zip(scales);
                match choice {
                    Choice::Optimized => symbols.extend(all.map(|((&y, &m), &s)| {
                        optimized_residual(residual(y, m, digits), s, ERROR_BITS, tables)
                    })),
                    Choice::Nearest => {
                        symbols.extend(all.map(|((&y, &m), _)| nearest(y, m, digits)))
                    }
                    Choice::Descended { slopes, round } => {
                        let slopes = slopes.get(plane(latent)).unwrap_or_default();
                        symbols.extend(all.zip(slopes).enumerate().map(
                            |(i, (((&y, &m), &s), &slope))| {
                                let place = (latent * area + i, round);
                                descended(nearest(y, m, digits), s, slope, place, tables)
                            },
                        ));
                    }
                }
            }
            encoder
                .push(&symbols, &integers.scales, tables)
                .map_err(coding)?;
            Ok(symbols)
        })?;
        let clock = Instant::now();
        let bytes = encoder.finish().map_err(coding)?;
        Ok(Coded {
            bytes,
            latents,
            entropy: clock.elapsed(),
        })
    }

    /// Bits a pixel plus lambda times the mean squared error of what a decoder gives.
    fn cost(
        &self,
        coded: &Coded,
        tile: RgbTile<'_>,
        grid: Grid,
        quality: Quality,
    ) -> Result<f64, Error> {
        let samples = self.synthesize(
            &coded.latents,
            grid,
            self.scaling(quality),
            tile.width,
            tile.height,
        )?;
        let squares = samples.iter().zip(tile.samples);
        let sum: u64 = squares
            .map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2))
            .sum();
        let lambda = lambda(self.weights.config(), quality.unit());
        let pixels = (tile.width * tile.height) as f64;
        let bits = 8.0 * coded.bytes.len() as f64;
        Ok(bits / pixels + lambda * sum as f64 / (3.0 * pixels))
    }
}

impl<B> Coder<B>
where
    B: CodecBackend,
    Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
{
    /// Encodes a tile; see [`ImageCoder::encode_tile`](crate::coder::ImageCoder::encode_tile).
    ///
    /// # Errors
    /// As there.
    pub(super) fn encode(
        &self,
        tile: RgbTile<'_>,
        options: TileOptions,
    ) -> Result<EncodedTile, Error> {
        let grid = Grid::of(tile.width, tile.height)?;
        if tile.samples.len() != 3 * tile.width * tile.height {
            return Err(Error::BadParameter(format!(
                "{} samples for a tile of {}x{}",
                tile.samples.len(),
                tile.width,
                tile.height
            )));
        }
        let mut stages = Stages::default();
        let clock = Instant::now();
        let scaling = self.scaling(options.quality);
        let pixels = self.tensor(
            padded(tile, grid),
            [1, 3, grid.height * 16, grid.width * 16],
        );
        let latents = self.analysis.forward(
            wavelet_forward(pixels.clone())?,
            scaling.eighth.recip(),
            scaling.steps.clone().recip(),
            &[scaling.t],
        )?;
        let z = host(self.hyper_analysis.forward(latents.clone(), &[scaling.t])?)?;
        let values = host(latents.clone())?;
        stages.transform = clock.elapsed();

        let clock = Instant::now();
        let limit = HYPER_MAX as f32;
        let z: Vec<i32> = z
            .into_iter()
            .map(|v| (v + 0.5).floor().clamp(-limit, limit) as i32)
            .collect();
        let features = self.features(&z, grid, scaling.t)?;
        let choice = if options.effort >= OPTIMIZED_EFFORT {
            Choice::Optimized
        } else {
            Choice::Nearest
        };
        let mut best = self.code(&values, &z, &features, grid, choice)?;
        if options.effort >= SEARCH_EFFORT {
            let problem = Problem {
                pixels,
                latents,
                features: features.clone().div_scalar(FRACTIONS),
                steps: scaling.steps,
                base: scaling.base,
                t: scaling.t,
            };
            let task = Search {
                tile,
                grid,
                options,
                z: &z,
                features: &features,
            };
            best = self.search(&task, problem, best)?;
        }
        stages.entropy = best.entropy;
        stages.context = clock.elapsed().saturating_sub(best.entropy);
        Ok(EncodedTile {
            bytes: best.bytes,
            estimate: None,
            stages,
        })
    }

    /// Better symbols than those of `best`, found with gradients; `best` itself if there are none.
    fn search(
        &self,
        task: &Search<'_, B>,
        mut problem: Problem<B>,
        mut best: Coded,
    ) -> Result<Coded, Error> {
        let (grid, quality) = (task.grid, task.options.quality);
        let annealer = Annealer::<Autodiff<B>>::new(&self.weights, &self.device)?;
        let mut least = self.cost(&best, task.tile, grid, quality)?;
        if task.options.effort >= ANNEALING_EFFORT {
            let values = host(annealer.refine(&problem, ANNEALING_STEPS)?)?;
            for choice in [Choice::Nearest, Choice::Optimized] {
                let coded = self.code(&values, task.z, task.features, grid, choice)?;
                let cost = self.cost(&coded, task.tile, grid, quality)?;
                if cost < least {
                    (best, least) = (coded, cost);
                }
            }
        }
        let mut current = self.decoded(&best.latents, grid);
        let mut in_vain = 0;
        for round in 0..DESCENT_ROUNDS {
            let shape = [1, LATENTS, grid.height, grid.width];
            problem.latents = self.tensor(current.clone(), shape);
            let slopes = host(annealer.slopes(&problem)?)?;
            let choice = Choice::Descended {
                slopes: &slopes,
                round,
            };
            let coded = self.code(&current, task.z, task.features, grid, choice)?;
            let cost = self.cost(&coded, task.tile, grid, quality)?;
            current = self.decoded(&coded.latents, grid);
            in_vain += 1;
            if cost < least {
                (best, least, in_vain) = (coded, cost, 0);
            }
            if in_vain == DESCENT_PATIENCE {
                break;
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coder::ImageCoder as _;
    use crate::models::wpmr::{Weights, WpmrConfig, export};
    use burn::backend::Flex;

    fn coder() -> Coder<Flex> {
        let device = Default::default();
        let config = WpmrConfig {
            analysis_width: 8,
            analysis_refine_width: 8,
            synthesis_width: 8,
            synthesis_refine_width: 8,
            hyper_analysis_width: 8,
            hyper_latents: 4,
            hyper_width: 8,
            entry_width: 8,
            context_width: 16,
            ..WpmrConfig::new()
        };
        <Flex as Backend>::seed(&device, 3);
        let file = export(&config.init::<Flex>(&device), &config, "wpmr/test", "");
        let weights = Weights::from_bytes(&file.expect("a file")).expect("weights");
        Coder::new(&weights, &device).expect("a coder")
    }

    /// More effort costs less, by the measure that the encoder goes by, and decodes like any other file.
    #[test]
    fn searching_pays() {
        let coder = coder();
        let (width, height) = (70usize, 45usize);
        let samples: Vec<u8> = (0..3 * width * height)
            .map(|i| {
                let (x, y) = ((i / 3 % width) as f32, (i / 3 / width) as f32);
                let edge = if x > 0.7 * y + 20.0 { 60.0 } else { 0.0 };
                (90.0 + 40.0 * (x / 5.0 + y / 9.0).sin() + edge) as u8
            })
            .collect();
        let tile = RgbTile {
            width,
            height,
            samples: &samples,
        };
        let quality = Quality::new(60.0).expect("in range");
        let cost = |effort| {
            let file = coder.encode_tile(tile, TileOptions { quality, effort });
            let bytes = file.expect("encodes").bytes;
            let decoded = coder.decode_tile(&bytes, width, height, quality);
            let decoded = decoded.expect("decodes").samples;
            let squares = decoded.iter().zip(&samples);
            let sum: f64 = squares
                .map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2))
                .sum();
            let pixels = (width * height) as f64;
            let lambda = lambda(coder.weights.config(), quality.unit());
            (8.0 * bytes.len() as f64 + lambda * sum / 3.0) / pixels
        };
        let (plain, descended, annealed) = (cost(8), cost(9), cost(10));
        assert!(descended < 0.995 * plain, "{descended} {plain}");
        assert!(annealed < 0.99 * plain, "{annealed} {plain}");
    }
}
