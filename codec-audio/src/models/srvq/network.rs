//! Analysis, quantizers and synthesis.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::EmaCodebook;
use codec_core::layers::{LayerNorm, Linear};
use codec_core::noise::uniform;
use codec_core::weights::{HostTensor, Loader};

use super::config::{OUTPUTS, SrvqConfig, WINDOW_HOPS};
use super::pitch::PitchTracker;
use super::source::{FEATURES, features, noise, pulses};
use crate::mel::{MelBank, MelConfig, MelNorm, MelScale};
use crate::models::fourier::{envelope, forward, hann, inverse, overlap_add};

const EPSILON: f64 = 1e-5;
/// What the logarithm of powers starts from, and its scale for the encoder.
const FLOOR: f64 = 1e-4;
const LOG_SCALE: f64 = 0.2;
/// Largest logarithm of a gain.
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

/// What has nothing to learn: transforms, the filter bank and the pitch.
#[derive(Debug, Clone)]
pub struct Transforms<B: Backend> {
    config: SrvqConfig,
    tracker: PitchTracker,
    /// `[window, 2 bins]`.
    forward: Tensor<B, 2>,
    /// `[2 bins, window]`.
    inverse: Tensor<B, 2>,
    bank: MelBank<B>,
    window: Vec<f32>,
}

/// What [`Autoencoder::forward_training`] gives, with gradients.
#[derive(Debug, Clone)]
pub struct TrainingPass<B: Backend> {
    /// `[n, 1, t]`.
    pub reconstruction: Tensor<B, 3>,
    /// Mean squared distance of latents to what they became, `[n]`.
    pub commitment: Tensor<B, 1>,
    /// What each residual codebook saw, `[n frames, latent]`, without gradients.
    pub latents: Vec<Tensor<B, 2>>,
    /// What it found, `[n frames]`.
    pub codes: Vec<Tensor<B, 1, Int>>,
}

/// Pitches of frames, as codes and as networks see them.
struct Pitches<B: Backend> {
    codes: Vec<u32>,
    /// `[frames, features]`.
    features: Tensor<B, 2>,
}

impl<B: Backend> Transforms<B> {
    /// The transforms of a model.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for bands that a spectrum cannot have.
    pub fn new(config: &SrvqConfig, device: &B::Device) -> Result<Self, Error> {
        let window = hann(config.window());
        let (n, values) = (config.window(), 2 * config.bins());
        let tensor =
            |basis, shape: [usize; 2]| Tensor::from_data(TensorData::new(basis, shape), device);
        let bank = MelConfig {
            sample_rate: config.rate,
            size: n,
            bands: config.bands,
            low: 0.0,
            high: None,
            scale: MelScale::Htk,
            norm: MelNorm::None,
        };
        Ok(Self {
            config: config.clone(),
            tracker: PitchTracker::new(config),
            forward: tensor(forward(&window), [n, values]),
            inverse: tensor(inverse(&window), [values, n]),
            bank: bank.init(device)?,
            window,
        })
    }

    /// Pitches of signals `[n, 1, t]`, t a multiple of the hop.
    fn pitches(&self, x: &Tensor<B, 3>) -> Result<Pitches<B>, Error> {
        let [n, channels, samples] = x.dims();
        let signals = HostTensor::from_device(x.clone().detach().reshape([n, channels * samples]))?;
        let signals = signals.as_floats().unwrap_or_default();
        let each = signals.chunks(samples.max(1));
        let codes: Vec<u32> = each.flat_map(|x| self.tracker.codes(x)).collect();
        Ok(self.with_features(codes, &x.device()))
    }

    fn with_features(&self, codes: Vec<u32>, device: &B::Device) -> Pitches<B> {
        let features = features(&self.config, &codes);
        let features = TensorData::new(features, [codes.len(), FEATURES]);
        Pitches {
            features: Tensor::from_data(features, device),
            codes,
        }
    }

    /// What the frames of signals `[n, hop (frames + 2)]` see: `[n frames, window]`.
    fn seen(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [n, samples] = x.dims();
        let hop = self.config.hop;
        let frames = samples / hop - (WINDOW_HOPS - 1);
        let hops = x.reshape([n, frames + WINDOW_HOPS - 1, hop]);
        let parts = (0..WINDOW_HOPS).map(|part| hops.clone().narrow(1, part, frames));
        Tensor::cat(parts.collect(), 2).reshape([n * frames, WINDOW_HOPS * hop])
    }

    /// What the encoder sees of signals `[n, 1, t]`, t a multiple of the hop: logarithms of the power in mel bands, and the
    /// pitch. `[n, frames, bands + features]`.
    fn analyze(&self, x: Tensor<B, 3>, pitches: &Pitches<B>) -> Tensor<B, 3> {
        let [n, _, samples] = x.dims();
        let hop = self.config.hop;
        let frames = samples / hop;
        let x = x
            .reshape([n, samples])
            .pad([(0, 0), (hop, hop)], PadMode::Constant(0.0));
        let spectrum = self.seen(x).matmul(self.forward.clone());
        let [rows, values] = spectrum.dims();
        let square = spectrum.square();
        let bins = values / 2;
        let power = square.clone().narrow(1, 0, bins) + square.narrow(1, bins, bins);
        let bands = self.bank.forward(power.reshape([n, frames, bins]));
        let bands = bands.add_scalar(FLOOR).log().mul_scalar(LOG_SCALE);
        let features = pitches
            .features
            .clone()
            .reshape([n, rows / n.max(1), FEATURES]);
        Tensor::cat(vec![bands, features], 2)
    }

    /// The signal of what the decoder says, `[n frames, 3 bins]`: gains and phases of the pulses, gains of the noise `[n, hop
    /// (frames + 2)]`. Gains are logarithms. `[n, 1, hop frames]`.
    fn synthesize(
        &self,
        x: Tensor<B, 2>,
        pitches: &Pitches<B>,
        noise: Tensor<B, 2>,
    ) -> Tensor<B, 3> {
        let [rows, values] = x.dims();
        let (n, bins, hop) = (noise.dims()[0], values / OUTPUTS, self.config.hop);
        let frames = rows / n.max(1);
        let pulses = pulses(&self.config, &pitches.codes);
        let pulses = TensorData::new(pulses, [rows, self.config.window()]);
        let pulses = Tensor::from_data(pulses, &x.device()).matmul(self.forward.clone());
        let noise = self.seen(noise).matmul(self.forward.clone());
        let gain = |part: usize| {
            let gain = x.clone().narrow(1, part * bins, bins);
            gain.clamp_max(LOG_MAX).exp()
        };
        let phase = x.clone().narrow(1, bins, bins);
        let (gains, hiss) = (gain(0), gain(2));
        let (cosine, sine) = (gains.clone() * phase.clone().cos(), gains * phase.sin());
        let part = |spectrum: &Tensor<B, 2>, at: usize| spectrum.clone().narrow(1, at * bins, bins);
        let (real, imaginary) = (part(&pulses, 0), part(&pulses, 1));
        let spectrum = Tensor::cat(
            vec![
                real.clone() * cosine.clone() - imaginary.clone() * sine.clone()
                    + part(&noise, 0) * hiss.clone(),
                real * sine + imaginary * cosine + part(&noise, 1) * hiss,
            ],
            1,
        );
        let signals = spectrum.matmul(self.inverse.clone());
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
                [config.bands + FEATURES, latent],
                &loader.at("encoder"),
            ),
            codebooks: codebooks.collect(),
            decoder: Trunk::load(
                config,
                config.decoder_blocks,
                [latent + FEATURES, OUTPUTS * bins],
                &loader.at("decoder"),
            ),
        }
    }

    /// Rows of the codebooks, `[codes, width]` each. Those of the pitch are places in its range.
    pub fn rows(&self, config: &SrvqConfig, device: &B::Device) -> Vec<Tensor<B, 2>> {
        let places: Vec<f32> = (0..config.pitches).map(|code| code as f32).collect();
        let places = TensorData::new(places, [config.pitches, 1]);
        let residual = self.codebooks.iter().map(|book| book.embed.val());
        std::iter::once(Tensor::from_data(places, device))
            .chain(residual)
            .collect()
    }

    /// Codes of a signal `[n, 1, t]`, t a multiple of the hop, by the first codebooks: `[n frames]` each.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn codes(
        &self,
        transforms: &Transforms<B>,
        x: Tensor<B, 3>,
        codebooks: usize,
    ) -> Result<Vec<Tensor<B, 1, Int>>, Error> {
        let (pitches, device) = (transforms.pitches(&x)?, x.device());
        let mut left = self.encoder.forward(transforms.analyze(x, &pitches));
        let values: Vec<i32> = pitches.codes.iter().map(|&code| code as i32).collect();
        let frames = values.len();
        let mut all = vec![Tensor::from_data(
            TensorData::new(values, [frames]),
            &device,
        )];
        for book in self.codebooks.iter().take(codebooks.saturating_sub(1)) {
            let book = book.codebook();
            let codes = book.search(left.clone());
            left = left - book.rows(codes.clone());
            all.push(codes);
        }
        all.truncate(codebooks);
        Ok(all)
    }

    /// A signal `[1, 1, hop frames]` of codes, `[frames]` each.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for no codes, [`Error::Device`].
    pub fn samples(
        &self,
        transforms: &Transforms<B>,
        codes: &[Tensor<B, 1, Int>],
    ) -> Result<Tensor<B, 3>, Error> {
        let (pitches, residual) = codes
            .split_first()
            .ok_or_else(|| Error::bad_parameter("codes of no codebook"))?;
        let device = pitches.device();
        let pitches = pitches.to_data();
        let pitches = pitches.iter::<i64>().map(|code| code as u32).collect();
        let pitches = transforms.with_features(pitches, &device);
        let frames = pitches.codes.len();
        let books = self.codebooks.iter().zip(residual);
        let rows = books.map(|(book, codes)| book.codebook().rows(codes.clone()));
        let sum = rows.fold(
            Tensor::zeros([frames, transforms.config.latent], &device),
            |sum, rows| sum + rows,
        );
        let out = self.decode(sum, &pitches, 1);
        let samples = (frames + 2) * transforms.config.hop;
        let noise = TensorData::new(noise(samples), [1, samples]);
        let noise = Tensor::from_data(noise, &device);
        Ok(transforms.synthesize(out, &pitches, noise))
    }

    /// What the decoder says of latents `[n frames, latent]`.
    fn decode(&self, latents: Tensor<B, 2>, pitches: &Pitches<B>, n: usize) -> Tensor<B, 2> {
        let x = Tensor::cat(vec![latents, pitches.features.clone()], 1);
        let [rows, width] = x.dims();
        self.decoder.forward(x.reshape([n, rows / n.max(1), width]))
    }

    /// One pass over signals `[n, 1, t]`, t a multiple of the hop, the first by `codebooks[0]` codebooks, and so on, that of
    /// the pitch among them.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn forward_training(
        &self,
        transforms: &Transforms<B>,
        x: Tensor<B, 3>,
        codebooks: &[usize],
    ) -> Result<TrainingPass<B>, Error> {
        let [n, _, samples] = x.dims();
        let pitches = transforms.pitches(&x)?;
        let z = self.encoder.forward(transforms.analyze(x, &pitches));
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
                .flat_map(|&count| std::iter::repeat_n(f32::from(u8::from(q + 1 < count)), frames))
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
        let out = self.decode(passed, &pitches, n);
        // Uniform noise of mean power 1.
        let noise = uniform([n, samples + 2 * transforms.config.hop], &device);
        let noise = noise.mul_scalar(12f64.sqrt());
        Ok(TrainingPass {
            reconstruction: transforms.synthesize(out, &pitches, noise),
            commitment: commitment.reshape([n]),
            latents,
            codes,
        })
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
