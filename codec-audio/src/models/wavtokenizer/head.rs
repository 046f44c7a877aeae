//! From channels to a signal: magnitudes and phases, and an inverse short-time Fourier transform (Vocos, section 3.2).

use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::Linear;
use codec_core::weights::Loader;

use super::HeadConfig;
use crate::models::fourier::{envelope, inverse, overlap_add};

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

/// What the head makes of channels.
pub(super) struct Spectrum<B: CodecBackend> {
    /// Items, n.
    pub items: usize,
    /// Logarithms of magnitudes, then phases, `[n l, 2 bins]`.
    pub out: Tensor<B, 2>,
    /// Real parts, then imaginary ones, `[n l, 2 bins]`.
    pub complex: Tensor<B, 2>,
}

impl<B: CodecBackend> Spectrum<B> {
    /// Magnitudes, phases, real and imaginary parts, `[n l, bins]` each.
    pub fn parts(&self) -> [Tensor<B, 2>; 4] {
        let bins = self.out.dims()[1] / 2;
        let half = |of: &Tensor<B, 2>, first| of.clone().narrow(1, first, bins);
        [
            half(&self.out, 0).exp().clamp_max(MAGNITUDE_MAX),
            half(&self.out, bins),
            half(&self.complex, 0),
            half(&self.complex, bins),
        ]
    }
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
        let out = self.out.forward(x.reshape([items * l, dim]));
        Spectrum {
            items,
            complex: B::polar(out.clone(), MAGNITUDE_MAX),
            out,
        }
    }

    /// The signal, `[n, 1, t]`; t is l times the hop where the ends are cut as published.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if the ends are all that there is.
    pub fn synthesize(&self, spectrum: Spectrum<B>) -> Result<Tensor<B, 3>, Error> {
        let (n_fft, hop, n) = (self.config.n_fft, self.config.hop_length, spectrum.items);
        let frames = spectrum.complex;
        let l = frames.dims()[0] / n.max(1);
        let (whole, cut) = (l.saturating_sub(1) * hop + n_fft, self.config.cut());
        let kept = whole.saturating_sub(2 * cut);
        if l == 0 || kept == 0 {
            return Err(Error::bad_parameter(format!(
                "{l} frames are too few for a sample"
            )));
        }
        let frames = frames.matmul(self.basis.clone());
        let Some(sum) = overlap_add(frames.reshape([n, l, n_fft]), hop) else {
            return Err(Error::bad_parameter("frames without samples"));
        };
        let length = sum.dims()[1];
        let signal = sum.reshape([n, 1, length]).narrow(2, cut, kept);
        let envelope = envelope(&self.window, hop, l).into_iter();
        let envelope: Vec<f32> = envelope
            .skip(cut)
            .take(kept)
            .map(|sum| sum.max(ENVELOPE_MIN))
            .collect();
        let envelope = TensorData::new(envelope, [1, 1, kept]);
        Ok(signal / Tensor::from_data(envelope, &self.basis.device()))
    }
}
