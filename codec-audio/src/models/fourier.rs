//! Short-time Fourier transforms as products with matrices, which every backend has and differentiates.

use std::f64::consts::PI;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;

/// Sine and cosine of every n-th part of a turn.
fn circle(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|i| (2.0 * PI * i as f64 / n as f64).sin_cos())
        .collect()
}

/// The Fourier transform of real signals under a window: real parts, then imaginary ones, `[n, 2 bins]`.
pub(crate) fn forward(window: &[f32]) -> Vec<f32> {
    let n = window.len();
    let bins = n / 2 + 1;
    let circle = circle(n);
    let mut basis = Vec::with_capacity(2 * bins * n);
    for (i, &w) in window.iter().enumerate() {
        for imaginary in [false, true] {
            basis.extend((0..bins).map(|k| {
                // The product is reduced to one turn exactly.
                let (sine, cosine) = circle.get(i * k % n).copied().unwrap_or_default();
                let value = if imaginary { -sine } else { cosine };
                (value * f64::from(w)) as f32
            }));
        }
    }
    basis
}

/// The inverse Fourier transform of real signals with a window, `[2 bins, n]`. Imaginary parts at the ends of the spectrum
/// count for nothing.
pub(crate) fn inverse(window: &[f32]) -> Vec<f32> {
    let n = window.len();
    let bins = n / 2 + 1;
    let circle = circle(n);
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
                let (sine, cosine) = circle.get(i * k % n).copied().unwrap_or_default();
                let value = if imaginary { -sine } else { cosine };
                (value * weight * f64::from(w)) as f32
            }));
        }
    }
    basis
}

/// Hann window of a period of n samples.
pub(crate) fn hann(n: usize) -> Vec<f32> {
    circle(n)
        .into_iter()
        .map(|(_, cosine)| (0.5 - 0.5 * cosine) as f32)
        .collect()
}

/// Frames `[n, l, length]` at a distance of `hop` samples, added up: `[n, (l + parts - 1) hop]`, where `parts` is the number of
/// hops in a frame, rounded up. Nothing if there is no frame.
pub(crate) fn overlap_add<B: Backend>(frames: Tensor<B, 3>, hop: usize) -> Option<Tensor<B, 2>> {
    let [n, l, length] = frames.dims();
    // Parts of a hop each: part j of frame i belongs to hop i + j of the signal.
    let parts = length.div_ceil(hop);
    let frames = frames.pad([(0, parts * hop - length)], PadMode::Constant(0.0));
    let frames: Tensor<B, 4> = frames.reshape([n, l, parts, hop]);
    let shifted = (0..parts).map(|part| {
        let part_of_all = frames.clone().narrow(2, part, 1).reshape([n, l, hop]);
        let around = [(part, parts - 1 - part), (0, 0)];
        part_of_all.pad(around, PadMode::Constant(0.0))
    });
    let sum = shifted.reduce(|sum, part| sum + part)?;
    Some(sum.reshape([n, (l + parts - 1) * hop]))
}

/// Sum of the squared windows of `l` frames.
pub(crate) fn envelope(window: &[f32], hop: usize, l: usize) -> Vec<f32> {
    let length = l.saturating_sub(1) * hop + window.len();
    let mut envelope = vec![0.0f32; length];
    for frame in 0..l {
        let seen = envelope.iter_mut().skip(frame * hop);
        seen.zip(window).for_each(|(sum, w)| *sum += w * w);
    }
    envelope
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_flex::Flex;

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

    #[test]
    fn transforms_are_inverse() {
        let (n, hop, l) = (12, 4, 9);
        let window = hann(n);
        let device = Default::default();
        let signal: Vec<f32> = (0..(l + 2) * hop)
            .map(|i| ((i * i * 7) % 23) as f32 - 11.0)
            .collect();
        let frames: Vec<f32> = (0..l)
            .flat_map(|i| signal[i * hop..i * hop + n].to_vec())
            .collect();
        let frames = Tensor::<Flex, 2>::from_data(TensorData::new(frames, [l, n]), &device);
        let basis = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<Flex, 2>::from_data(TensorData::new(values, shape), &device)
        };
        let spectrum = frames.matmul(basis(forward(&window), [n, n + 2]));
        let frames = spectrum.matmul(basis(inverse(&window), [n + 2, n]));
        let sum = overlap_add(frames.reshape([1, l, n]), hop).unwrap();
        let sum: Vec<f32> = sum.into_data().into_vec().unwrap();
        let envelope = envelope(&window, hop, l);
        assert_eq!(sum.len(), envelope.len());
        for i in hop..signal.len() - hop {
            assert!((sum[i] / envelope[i] - signal[i]).abs() < 1e-4, "{i}");
        }
    }
}
