//! Analysis, quantizers and synthesis.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::EmaCodebook;
use codec_core::layers::{LayerNorm, Linear};
use codec_core::weights::Loader;

use super::config::{SrvqConfig, WINDOW_HOPS};
use crate::models::fourier::{envelope, forward, hann, inverse, overlap_add};

const EPSILON: f64 = 1e-5;
/// Exponent of compressed magnitudes.
const POWER: f64 = 0.3;
/// Least power of a bin, and what the logarithm of magnitudes starts from.
const FLOOR: f64 = 1e-7;
/// Largest logarithm of a magnitude that is synthesized.
const LOG_MAX: f64 = 6.0;
/// Share of the past that codebooks keep, and latents a step that keep a code alive.
const DECAY: f64 = 0.99;
const ALIVE: f64 = 0.05;

/// A block (ConvNeXt, Liu et al. 2022, arXiv 2201.03545, in one dimension): a convolution of each channel over the frames so
/// far, normalization, two layers.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    /// `[kernel, width]`; the last row is for the frame itself.
    taps: Param<Tensor<B, 2>>,
    norm: LayerNorm<B>,
    wide: Linear<B>,
    narrow: Linear<B>,
    /// `[1, width]`.
    scale: Param<Tensor<B, 2>>,
}

impl<B: CodecBackend> Block<B> {
    fn load(config: &SrvqConfig, loader: &Loader<'_, B>) -> Self {
        let (width, wide) = (config.width, config.width * config.expansion);
        Self {
            taps: loader.param("taps", [config.kernel, width]),
            norm: LayerNorm::load(width, EPSILON, &loader.at("norm")),
            wide: Linear::load([width, wide], &loader.at("wide")),
            narrow: Linear::load([wide, width], &loader.at("narrow")),
            scale: loader.param("scale", [1, width]),
        }
    }

    /// `[n, frames, width]` to the same.
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, frames, width] = x.dims();
        let taps = self.taps.val();
        let kernel = taps.dims()[0];
        let before = x
            .clone()
            .pad([(kernel - 1, 0), (0, 0)], PadMode::Constant(0.0));
        let mut h = Tensor::zeros([n, frames, width], &x.device());
        for tap in 0..kernel {
            let weight = taps.clone().narrow(0, tap, 1).reshape([1, 1, width]);
            h = h + before.clone().narrow(1, tap, frames) * weight;
        }
        let h = self.norm.forward(h).reshape([n * frames, width]);
        let h = self.wide.forward(h);
        let [rows, wide] = h.dims();
        let h = B::gelu_exact(h.reshape([1, 1, rows, wide])).reshape([rows, wide]);
        let h = self.narrow.forward(h) * self.scale.val();
        x + h.reshape([n, frames, width])
    }
}

/// Blocks between two layers.
#[derive(Module, Debug)]
struct Trunk<B: Backend> {
    input: Linear<B>,
    blocks: Vec<Block<B>>,
    norm: LayerNorm<B>,
    output: Linear<B>,
}

impl<B: CodecBackend> Trunk<B> {
    fn load(
        config: &SrvqConfig,
        blocks: usize,
        [input, output]: [usize; 2],
        loader: &Loader<'_, B>,
    ) -> Self {
        let each = (0..blocks).map(|i| Block::load(config, &loader.at(format!("blocks.{i}"))));
        Self {
            input: Linear::load([input, config.width], &loader.at("input")),
            blocks: each.collect(),
            norm: LayerNorm::load(config.width, EPSILON, &loader.at("norm")),
            output: Linear::load([config.width, output], &loader.at("output")),
        }
    }

    /// `[n, frames, in]` to `[n frames, out]`.
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 2> {
        let [n, frames, input] = x.dims();
        let h = self.input.forward(x.reshape([n * frames, input]));
        let width = h.dims()[1];
        let mut h = h.reshape([n, frames, width]);
        for block in &self.blocks {
            h = block.forward(h);
        }
        let h = self.norm.forward(h).reshape([n * frames, width]);
        self.output.forward(h)
    }
}

/// Everything with parameters.
#[derive(Module, Debug)]
pub struct Autoencoder<B: Backend> {
    encoder: Trunk<B>,
    /// From the coarsest to the finest.
    codebooks: Vec<EmaCodebook<B>>,
    decoder: Trunk<B>,
}

/// The transforms, which have nothing to learn.
#[derive(Debug, Clone)]
pub struct Transforms<B: Backend> {
    /// `[window, 2 bins]`.
    forward: Tensor<B, 2>,
    /// `[2 bins, window]`.
    inverse: Tensor<B, 2>,
    window: Vec<f32>,
    hop: usize,
}

/// What [`Autoencoder::forward_training`] gives, with gradients.
#[derive(Debug, Clone)]
pub struct TrainingPass<B: Backend> {
    /// `[n, 1, t]`.
    pub reconstruction: Tensor<B, 3>,
    /// Mean squared distance of latents to what they became, `[n]`.
    pub commitment: Tensor<B, 1>,
    /// What each codebook saw, `[n frames, latent]`, without gradients.
    pub latents: Vec<Tensor<B, 2>>,
    /// What it found, `[n frames]`.
    pub codes: Vec<Tensor<B, 1, Int>>,
}

impl<B: Backend> Transforms<B> {
    /// The transforms of a model.
    pub fn new(config: &SrvqConfig, device: &B::Device) -> Self {
        let window = hann(config.window());
        let (n, values) = (config.window(), 2 * config.bins());
        let tensor =
            |basis, shape: [usize; 2]| Tensor::from_data(TensorData::new(basis, shape), device);
        Self {
            forward: tensor(forward(&window), [n, values]),
            inverse: tensor(inverse(&window), [values, n]),
            window,
            hop: config.hop,
        }
    }

    /// Compressed spectra and logarithms of magnitudes of a signal `[n, 1, t]`, t a multiple of the hop: `[n, frames, 3 bins]`.
    fn analyze(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [n, _, samples] = x.dims();
        let (hop, frames) = (self.hop, samples / self.hop);
        let x = x
            .reshape([n, samples])
            .pad([(0, 0), (hop, hop)], PadMode::Constant(0.0));
        let hops = x.reshape([n, frames + 2, hop]);
        let parts = (0..WINDOW_HOPS).map(|part| hops.clone().narrow(1, part, frames));
        let seen = Tensor::cat(parts.collect(), 2).reshape([n * frames, WINDOW_HOPS * hop]);
        let spectrum = seen.matmul(self.forward.clone());
        let bins = spectrum.dims()[1] / 2;
        let real = spectrum.clone().narrow(1, 0, bins);
        let imaginary = spectrum.clone().narrow(1, bins, bins);
        let log = (real.square() + imaginary.square()).add_scalar(FLOOR).log();
        // The power of a magnitude over the magnitude.
        let gain = log.clone().mul_scalar(0.5 * (POWER - 1.0)).exp();
        let compressed = spectrum * Tensor::cat(vec![gain.clone(), gain], 1);
        let features = Tensor::cat(vec![compressed, log.mul_scalar(0.1)], 1);
        features.reshape([n, frames, 3 * bins])
    }

    /// The signal of logarithms of magnitudes and phases, `[n frames, 2 bins]` to `[n, 1, hop frames]`.
    fn synthesize(&self, x: Tensor<B, 2>, n: usize) -> Tensor<B, 3> {
        let [rows, values] = x.dims();
        let (bins, frames, hop) = (values / 2, rows / n.max(1), self.hop);
        let magnitude = x.clone().narrow(1, 0, bins).clamp_max(LOG_MAX).exp();
        let phase = x.narrow(1, bins, bins);
        let real = magnitude.clone() * phase.clone().cos();
        let imaginary = magnitude * phase.sin();
        let signals = Tensor::cat(vec![real, imaginary], 1).matmul(self.inverse.clone());
        let signals = signals.reshape([n, frames, WINDOW_HOPS * hop]);
        let Some(sum) = overlap_add(signals.clone(), hop) else {
            return signals.reshape([n, 1, 0]);
        };
        let sum = sum.narrow(1, hop, frames * hop);
        let envelope: Vec<f32> = envelope(&self.window, hop, frames)
            .into_iter()
            .skip(hop)
            .take(frames * hop)
            .collect();
        let envelope = TensorData::new(envelope, [1, frames * hop]);
        let signal = sum.clone() / Tensor::from_data(envelope, &sum.device());
        signal.reshape([n, 1, frames * hop])
    }
}

impl<B: CodecBackend> Autoencoder<B> {
    /// The networks of a weights file.
    pub fn load(config: &SrvqConfig, loader: &Loader<'_, B>) -> Self {
        let (latent, bins) = (config.latent, config.bins());
        let codebooks = (0..config.codebooks).map(|q| {
            EmaCodebook::load(
                config.codes,
                latent,
                DECAY,
                &loader.at(format!("codebooks.{q}")),
            )
        });
        Self {
            encoder: Trunk::load(
                config,
                config.encoder_blocks,
                [3 * bins, latent],
                &loader.at("encoder"),
            ),
            codebooks: codebooks.collect(),
            decoder: Trunk::load(
                config,
                config.decoder_blocks,
                [latent, 2 * bins],
                &loader.at("decoder"),
            ),
        }
    }

    /// Rows of the codebooks, `[codes, latent]` each.
    pub fn rows(&self) -> Vec<Tensor<B, 2>> {
        self.codebooks.iter().map(|book| book.embed.val()).collect()
    }

    /// Codes of a signal `[n, 1, t]`, t a multiple of the hop, by the first codebooks: `[n frames]` each.
    pub fn codes(
        &self,
        transforms: &Transforms<B>,
        x: Tensor<B, 3>,
        codebooks: usize,
    ) -> Vec<Tensor<B, 1, Int>> {
        let mut left = self.encoder.forward(transforms.analyze(x));
        let books = self.codebooks.iter().take(codebooks);
        books
            .map(|book| {
                let book = book.codebook();
                let codes = book.search(left.clone());
                left = left.clone() - book.rows(codes.clone());
                codes
            })
            .collect()
    }

    /// A signal `[1, 1, hop frames]` of codes, `[frames]` each.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for no codes.
    pub fn samples(
        &self,
        transforms: &Transforms<B>,
        codes: &[Tensor<B, 1, Int>],
    ) -> Result<Tensor<B, 3>, Error> {
        let books = self.codebooks.iter().zip(codes);
        let rows = books.map(|(book, codes)| book.codebook().rows(codes.clone()));
        let sum = rows.reduce(|sum, rows| sum + rows);
        let sum = sum.ok_or_else(|| Error::bad_parameter("codes of no codebook"))?;
        let [frames, latent] = sum.dims();
        let out = self.decoder.forward(sum.reshape([1, frames, latent]));
        Ok(transforms.synthesize(out, 1))
    }

    /// One pass over signals `[n, 1, t]`, t a multiple of the hop, the first by `codebooks[0]` codebooks, and so on.
    pub fn forward_training(
        &self,
        transforms: &Transforms<B>,
        x: Tensor<B, 3>,
        codebooks: &[usize],
    ) -> TrainingPass<B> {
        let n = x.dims()[0];
        let z = self.encoder.forward(transforms.analyze(x));
        let [rows, latent] = z.dims();
        let frames = rows / n.max(1);
        let device = z.device();
        let mut left = z.clone().detach();
        let mut found = Tensor::zeros([rows, latent], &device);
        let (mut latents, mut codes) = (Vec::new(), Vec::new());
        for (q, book) in self.codebooks.iter().enumerate() {
            let book = book.codebook();
            let own = book.search(left.clone());
            let row = book.rows(own.clone()).detach();
            // 1 where the codebook is in use.
            let used: Vec<f32> = codebooks
                .iter()
                .flat_map(|&count| std::iter::repeat_n(f32::from(u8::from(q < count)), frames))
                .collect();
            let used = Tensor::<B, 2>::from_data(TensorData::new(used, [rows, 1]), &device);
            found = found + row.clone() * used;
            latents.push(left.clone());
            codes.push(own);
            left = left - row;
        }
        let passed = z.clone() + (found.clone() - z.clone()).detach();
        let commitment = (z - found)
            .square()
            .mean_dim(1)
            .reshape([n, frames])
            .mean_dim(1);
        let out = self.decoder.forward(passed.reshape([n, frames, latent]));
        TrainingPass {
            reconstruction: transforms.synthesize(out, n),
            commitment: commitment.reshape([n]),
            latents,
            codes,
        }
    }

    /// A step of the codebooks towards the latents that chose them; codes that none has chosen for long start anew as one of
    /// them. Codebooks that no latent has chosen yet become the clusters of the latents.
    ///
    /// # Errors
    /// Device errors, fewer latents than codes for clusters.
    pub fn settle(
        mut self,
        latents: Vec<Tensor<B, 2>>,
        codes: Vec<Tensor<B, 1, Int>>,
        step: u64,
    ) -> Result<Self, Error> {
        let chosen = self
            .codebooks
            .first()
            .map(|book| book.cluster_size.val().sum());
        let chosen = chosen.map_or(0.0, |sum| sum.into_scalar().elem::<f64>());
        if chosen == 0.0 {
            return self.start(latents);
        }
        let books = self.codebooks.into_iter().zip(latents).zip(codes);
        self.codebooks = books
            .map(|((book, latents), codes)| {
                let (count, n) = (book.embed.dims()[0], latents.dims()[0]);
                // Other latents for other codes and steps, in an order that repeats only after all of them.
                let picks: Vec<i64> = (0..count)
                    .map(|code| ((code as u64 + step * 37).wrapping_mul(7919) % n as u64) as i64)
                    .collect();
                let picks = TensorData::new(picks, [count]);
                let picks = Tensor::<B, 1, Int>::from_data(picks, &latents.device());
                let candidates = latents.clone().select(0, picks);
                book.update(latents, codes).restart(candidates, ALIVE)
            })
            .collect();
        Ok(self)
    }

    fn start(mut self, latents: Vec<Tensor<B, 2>>) -> Result<Self, Error> {
        let Some(mut left) = latents.into_iter().next() else {
            return Ok(self);
        };
        let mut started = Vec::with_capacity(self.codebooks.len());
        for (seed, book) in (0..).zip(self.codebooks) {
            let count = book.embed.dims()[0];
            let book = book.at(EmaCodebook::start(left.clone(), count, DECAY, seed)?);
            let rows = book.codebook();
            left = left.clone() - rows.rows(rows.search(left));
            started.push(book);
        }
        self.codebooks = started;
        Ok(self)
    }
}
