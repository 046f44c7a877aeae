//! From channels to a signal: magnitudes and phases, and an inverse short-time Fourier transform (Vocos, section 3.2).

use std::f64::consts::PI;

use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::Linear;
use codec_core::weights::Loader;

use super::HeadConfig;

/// Largest magnitude.
const MAGNITUDE_MAX: f64 = 100.0;
/// Least sum of squared windows that a sample is divided by.
const ENVELOPE_MIN: f32 = 1e-11;

/// The head on a device.
#[derive(Debug)]
pub(super) struct Head<B: CodecBackend> {
    out: Linear<B>,
    /// Inverse transform and window: real parts, then imaginary ones, to samples, `[2 bins, n_fft]`.
    basis: Tensor<B, 2>,
    /// On the host.
    window: Vec<f32>,
    config: HeadConfig,
}

/// What the head makes of channels, all `[n l, ...]` but the first.
pub(super) struct Spectrum<B: CodecBackend> {
    /// Items, n.
    pub items: usize,
    /// `[n l, n_fft + 2]`.
    pub out: Tensor<B, 2>,
    /// `[n l, bins]`, and so are all others.
    pub magnitude: Tensor<B, 2>,
    pub phase: Tensor<B, 2>,
    pub real: Tensor<B, 2>,
    pub imaginary: Tensor<B, 2>,
}

impl<B: CodecBackend> Head<B> {
    /// # Errors
    /// [`Error::Malformed`] for a window that is not of numbers.
    pub fn load(config: &HeadConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let n = config.n_fft;
        let stored = loader.at("istft").host("window", &[n]);
        // Only the account of the loader counts where there is none.
        let window = stored.map_or_else(|| vec![1.0; n], |w| w.as_floats().unwrap_or(&[]).to_vec());
        if window.len() != n || window.iter().any(|w| !w.is_finite()) {
            return Err(Error::malformed("head.istft.window has no numbers"));
        }
        let basis = TensorData::new(inverse(&window), [n + 2, n]);
        Ok(Self {
            out: Linear::load([config.dim, n + 2], &loader.at("out")),
            basis: Tensor::from_data(basis, loader.device()),
            window,
            config: config.clone(),
        })
    }

    /// Of channels `[n, l, dim]`.
    pub fn spectrum(&self, x: Tensor<B, 3>) -> Spectrum<B> {
        let [items, l, dim] = x.dims();
        let bins = self.config.n_fft / 2 + 1;
        let out = self.out.forward(x.reshape([items * l, dim]));
        let magnitude = out.clone().narrow(1, 0, bins).exp();
        let magnitude = magnitude.clamp_max(MAGNITUDE_MAX);
        let phase = out.clone().narrow(1, bins, bins);
        Spectrum {
            items,
            real: magnitude.clone() * phase.clone().cos(),
            imaginary: magnitude.clone() * phase.clone().sin(),
            out,
            magnitude,
            phase,
        }
    }

    /// The signal, `[n, 1, t]`; t is l times the hop where the ends are cut as published.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the ends are all that there is.
    pub fn synthesize(&self, spectrum: Spectrum<B>) -> Result<Tensor<B, 3>, Error> {
        let (n_fft, hop, n) = (self.config.n_fft, self.config.hop_length, spectrum.items);
        let frames = Tensor::cat(vec![spectrum.real, spectrum.imaginary], 1);
        let l = frames.dims()[0] / n.max(1);
        let (whole, cut) = (l.saturating_sub(1) * hop + n_fft, self.config.cut());
        let kept = whole.saturating_sub(2 * cut);
        if l == 0 || kept == 0 {
            return Err(Error::bad_parameter(format!(
                "{l} frames are too few for a sample"
            )));
        }
        let frames = frames.matmul(self.basis.clone());
        // Parts of a hop each: part j of frame i belongs to hop i + j of the signal.
        let parts = n_fft.div_ceil(hop);
        let frames = frames.pad([(0, parts * hop - n_fft)], PadMode::Constant(0.0));
        let frames: Tensor<B, 4> = frames.reshape([n, l, parts, hop]);
        let shifted = (0..parts).map(|part| {
            let part_of_all = frames.clone().narrow(2, part, 1).reshape([n, l, hop]);
            let around = [(part, parts - 1 - part), (0, 0)];
            part_of_all.pad(around, PadMode::Constant(0.0))
        });
        let sum = shifted.reduce(|sum, part| sum + part);
        let Some(sum) = sum else {
            return Err(Error::bad_parameter("frames without samples"));
        };
        let signal = sum
            .reshape([n, 1, (l + parts - 1) * hop])
            .narrow(2, cut, kept);
        let envelope = self.envelope(l, whole);
        let envelope: Vec<f32> = envelope.into_iter().skip(cut).take(kept).collect();
        let envelope = TensorData::new(envelope, [1, 1, kept]);
        Ok(signal / Tensor::from_data(envelope, &self.basis.device()))
    }

    /// Sum of the squared windows of `l` frames.
    fn envelope(&self, l: usize, whole: usize) -> Vec<f32> {
        let mut envelope = vec![0.0f32; whole];
        for frame in 0..l {
            let seen = envelope.iter_mut().skip(frame * self.config.hop_length);
            seen.zip(&self.window).for_each(|(sum, w)| *sum += w * w);
        }
        envelope
            .iter_mut()
            .for_each(|sum| *sum = sum.max(ENVELOPE_MIN));
        envelope
    }
}

/// The inverse Fourier transform of real signals with a window, `[2 bins, n]`. Imaginary parts at the ends of the spectrum
/// count for nothing.
fn inverse(window: &[f32]) -> Vec<f32> {
    let n = window.len();
    let bins = n / 2 + 1;
    let circle: Vec<(f64, f64)> = (0..n)
        .map(|i| (2.0 * PI * i as f64 / n as f64).sin_cos())
        .collect();
    let mut basis = Vec::with_capacity(2 * bins * n);
    for imaginary in [false, true] {
        for k in 0..bins {
            let end = k == 0 || 2 * k == n;
            let weight = match (end, imaginary) {
                (true, true) => 0.0,
                (true, false) => 1.0,
                (false, _) => 2.0,
            } / n as f64;
            basis.extend(window.iter().enumerate().map(|(i, &w)| {
                // The product is reduced to one turn exactly.
                let (sine, cosine) = circle.get(i * k % n).copied().unwrap_or_default();
                let value = if imaginary { -sine } else { cosine };
                (value * weight * f64::from(w)) as f32
            }));
        }
    }
    basis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_comes_out_of_its_bin() {
        let basis = inverse(&[1.0; 8]);
        let row = |at: usize| &basis[at * 8..][..8];
        assert!(row(0).iter().all(|&v| v == 0.125));
        // Imaginary parts of bin 0 and of the last one.
        assert!(row(5).iter().chain(row(9)).all(|&v| v == 0.0));
        for i in 0..8 {
            let turn = 2.0 * PI * 3.0 * i as f64 / 8.0;
            assert!((f64::from(row(3)[i]) - 0.25 * turn.cos()).abs() < 1e-7);
            assert!((f64::from(row(8)[i]) + 0.25 * turn.sin()).abs() < 1e-7);
        }
    }
}
