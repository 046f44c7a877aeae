//! Short-time Fourier transform with a gradient.

use std::f64::consts::PI;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::losses::LossError;

/// Longest window, so that a basis (a quadratic number of values) stays below 270 MB.
const LONGEST: usize = 8192;
/// Powers below this have no slope: the square root has none at 0.
const SMALLEST_POWER: f64 = 1e-14;

/// Shape of the analysis window, periodic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// `0.5 - 0.5 cos(2 pi i / n)`.
    #[default]
    Hann,
    /// All ones.
    Rectangular,
}

/// Configuration of [`Stft`].
#[derive(Debug, Clone, PartialEq)]
pub struct StftConfig {
    /// Samples of a frame, even, 2 to 8192.
    pub size: usize,
    /// Samples from frame to frame, 1 to `size`.
    pub hop: usize,
    /// The window, as long as the frame.
    pub window: Window,
    /// Whether values are divided by the square root of the sum of the squared window.
    pub normalized: bool,
}

impl StftConfig {
    /// Hann window, a quarter of it as hop, not normalized.
    pub fn hann(size: usize) -> Self {
        Self {
            size,
            hop: (size / 4).max(1),
            window: Window::Hann,
            normalized: false,
        }
    }

    /// Number of frequencies, from 0 to half the rate.
    pub fn bins(&self) -> usize {
        self.size / 2 + 1
    }

    /// The transform as a matrix on a device.
    ///
    /// # Errors
    /// [`LossError::Parameter`] for sizes and hops out of range.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<Stft<B>, LossError> {
        let bad = |reason: String| LossError::Parameter {
            term: "stft".into(),
            reason,
        };
        if !(2..=LONGEST).contains(&self.size) || !self.size.is_multiple_of(2) {
            return Err(bad(format!(
                "window of {} samples (expected an even number in 2..={LONGEST})",
                self.size
            )));
        }
        if !(1..=self.size).contains(&self.hop) {
            return Err(bad(format!(
                "hop of {} samples (expected 1..={})",
                self.hop, self.size
            )));
        }
        let (n, bins) = (self.size, self.bins());
        let turn = 2.0 * PI / n as f64;
        let window: Vec<f64> = (0..n)
            .map(|i| match self.window {
                Window::Hann => 0.5 - 0.5 * (turn * i as f64).cos(),
                Window::Rectangular => 1.0,
            })
            .collect();
        let gain = if self.normalized {
            window.iter().map(|w| w * w).sum::<f64>().sqrt().recip()
        } else {
            1.0
        };
        // One turn of the circle in f64; the product of time and frequency is reduced to it exactly.
        let circle: Vec<(f64, f64)> = (0..n).map(|i| (turn * i as f64).sin_cos()).collect();
        let mut basis = Vec::with_capacity(n * 2 * bins);
        for (i, w) in window.iter().enumerate() {
            let at = |k: usize| circle.get(i * k % n).copied().unwrap_or_default();
            basis.extend((0..bins).map(|k| (at(k).1 * w * gain) as f32));
            basis.extend((0..bins).map(|k| (-at(k).0 * w * gain) as f32));
        }
        Ok(Stft {
            basis: Tensor::from_data(TensorData::new(basis, [n, 2 * bins]), device),
            size: n,
            hop: self.hop,
        })
    }
}

/// The transform as a matrix product, since Burn's FFT has no gradient.
///
/// Frames are centered: the signal is extended by half a window on both sides by reflection.
#[derive(Module, Debug)]
pub struct Stft<B: Backend> {
    /// Windowed cosines, then negative sines, `[size, 2 * bins]`; a constant.
    basis: Tensor<B, 2>,
    size: usize,
    hop: usize,
}

impl<B: Backend> Stft<B> {
    /// Fewest samples of a signal: reflection must have something to reflect.
    pub fn min_samples(&self) -> usize {
        self.size / 2 + 1
    }

    /// Real and imaginary part.
    ///
    /// # Shapes
    /// - signal: `[n, t]`
    /// - both parts: `[n, t / hop + 1, size / 2 + 1]`
    ///
    /// # Errors
    /// [`LossError::TooSmall`].
    pub fn forward(&self, signal: Tensor<B, 2>) -> Result<(Tensor<B, 3>, Tensor<B, 3>), LossError> {
        let [n, t] = signal.dims();
        if t < self.min_samples() {
            return Err(LossError::TooSmall {
                term: "stft".into(),
                what: "number of samples",
                found: t,
                smallest: self.min_samples(),
            });
        }
        let half = self.size / 2;
        let padded = signal.pad([(0, 0), (half, half)], PadMode::Reflect);
        let frames: Tensor<B, 3> = padded.unfold(1, self.size, self.hop);
        let [_, count, _] = frames.dims();
        let bins = half + 1;
        let spectrum = frames
            .reshape([n * count, self.size])
            .matmul(self.basis.clone())
            .reshape([n, count, 2 * bins]);
        let real = spectrum.clone().narrow(2, 0, bins);
        Ok((real, spectrum.narrow(2, bins, bins)))
    }

    /// Magnitude, at least 1e-7.
    ///
    /// # Shapes
    /// As [`Stft::forward`].
    ///
    /// # Errors
    /// As [`Stft::forward`].
    pub fn magnitude(&self, signal: Tensor<B, 2>) -> Result<Tensor<B, 3>, LossError> {
        let (real, imaginary) = self.forward(signal)?;
        Ok((real.square() + imaginary.square())
            .clamp_min(SMALLEST_POWER)
            .sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, tensor};

    fn stft(config: &StftConfig) -> Stft<Back> {
        config.init(&Default::default()).unwrap()
    }

    /// The sum over a frame written out, with an odd hop and a size that is no power of two.
    #[test]
    fn equals_the_definition() {
        let config = StftConfig {
            hop: 5,
            normalized: true,
            ..StftConfig::hann(12)
        };
        let x = noise(40, 1, -1.0, 1.0);
        let (real, imaginary) = stft(&config).forward(tensor([1, 40], &x)).unwrap();
        assert_eq!(real.dims(), [1, 9, 7]);
        let real: Vec<f32> = real.into_data().into_vec().unwrap();
        let imaginary: Vec<f32> = imaginary.into_data().into_vec().unwrap();
        let reflected = |i: i64| {
            let i = i.abs();
            f64::from(x[if i > 39 { 78 - i } else { i } as usize])
        };
        let window = |i: usize| 0.5 - 0.5 * (2.0 * PI * i as f64 / 12.0).cos();
        let energy: f64 = (0..12).map(|i| window(i).powi(2)).sum();
        for frame in 0..9 {
            for k in 0..7 {
                let (mut re, mut im) = (0.0, 0.0);
                for i in 0..12 {
                    let v = reflected(frame as i64 * 5 + i as i64 - 6) * window(i) / energy.sqrt();
                    let angle = 2.0 * PI * (i * k) as f64 / 12.0;
                    re += v * angle.cos();
                    im -= v * angle.sin();
                }
                close(f64::from(real[frame * 7 + k]), re, 1e-5);
                close(f64::from(imaginary[frame * 7 + k]), im, 1e-5);
            }
        }
    }

    #[test]
    fn gradients() {
        let transform = stft(&StftConfig::hann(8));
        let error = gradient_error([2, 20], &noise(40, 2, -1.0, 1.0), |x| {
            let (real, imaginary) = transform.forward(x).unwrap();
            (real.powi_scalar(3) + imaginary.square()).mean()
        });
        assert!(error < 1e-2, "{error}");
    }

    /// Silence has no phase: its gradient must be finite all the same.
    #[test]
    fn silence() {
        let x = tensor([1, 16], &[0.0; 16]).require_grad();
        let value = stft(&StftConfig::hann(8))
            .magnitude(x.clone())
            .unwrap()
            .sum();
        let gradient: Vec<f32> = x
            .grad(&value.backward())
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        assert!(gradient.iter().all(|g| *g == 0.0), "{gradient:?}");
    }

    #[test]
    fn typed_errors() {
        let error = stft(&StftConfig::hann(8))
            .forward(tensor([1, 4], &[0.0; 4]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "loss `stft`: number of samples is 4, but at least 5 is needed"
        );
        for (size, hop) in [(0, 1), (7, 1), (8194, 1), (8, 0), (8, 9)] {
            let config = StftConfig {
                hop,
                ..StftConfig::hann(size)
            };
            let error = config.init::<Back>(&Default::default()).unwrap_err();
            assert!(matches!(error, LossError::Parameter { .. }), "{error}");
        }
    }
}
