//! Short-time spectra.

use crate::EvalError;
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f64::consts::PI;
use std::sync::Arc;

/// Power spectra of frames of one length.
pub(super) struct Spectrum {
    fft: Arc<dyn RealToComplex<f64>>,
    input: Vec<f64>,
    output: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f64>,
}

impl Spectrum {
    /// For transforms of `size` samples.
    pub(super) fn new(size: usize) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(size);
        Self {
            input: fft.make_input_vec(),
            output: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; size / 2 + 1],
            fft,
        }
    }

    /// Squared magnitudes of a frame, `size / 2 + 1` of them; what the frame lacks is zero.
    pub(super) fn power(
        &mut self,
        frame: impl Iterator<Item = f64>,
    ) -> Result<&mut [f64], EvalError> {
        let frame = frame.chain(std::iter::repeat(0.0));
        for (to, from) in self.input.iter_mut().zip(frame) {
            *to = from;
        }
        self.fft
            .process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch)
            .map_err(|error| EvalError::Unusable {
                what: "fourier transform".to_owned(),
                reason: error.to_string(),
            })?;
        for (power, value) in self.power.iter_mut().zip(&self.output) {
            *power = value.norm_sqr();
        }
        Ok(&mut self.power)
    }
}

/// The Hann window `0.5 - 0.5 cos(2 pi i / size)`, whose period is its size.
pub(super) fn hann(size: usize) -> Vec<f64> {
    let at = |i| 0.5 - 0.5 * (2.0 * PI * i as f64 / size as f64).cos();
    (0..size).map(at).collect()
}

/// Calls `each` with the power spectra of both sounds, frame by frame. Both are led and followed by `size / 2` zeros;
/// frames of `size` samples under [`hann`] start at every multiple of a quarter of it, as long as they are inside.
pub(super) fn frames(
    a: &[f32],
    b: &[f32],
    size: usize,
    mut each: impl FnMut(&mut [f64], &mut [f64]),
) -> Result<(), EvalError> {
    let window = hann(size);
    let (mut first, mut second) = (Spectrum::new(size), Spectrum::new(size));
    let half = size / 2;
    let windowed = |x: &[f32], start: usize| {
        let value = |i: usize| {
            let at = (start + i).checked_sub(half)?;
            x.get(at).map(|v| f64::from(*v))
        };
        let frame: Vec<f64> = (0..size)
            .zip(&window)
            .map(|(i, w)| w * value(i).unwrap_or(0.0))
            .collect();
        frame
    };
    for start in (0..=a.len()).step_by((size / 4).max(1)) {
        let a = first.power(windowed(a, start).into_iter())?;
        let b = second.power(windowed(b, start).into_iter())?;
        each(a, b);
    }
    Ok(())
}

/// Whether there is nothing but zeros.
pub(super) fn is_silent(x: &[f32]) -> bool {
    x.iter().all(|v| *v == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_lies_in_its_bin() {
        let tone: Vec<f32> = (0..256)
            .map(|i| (2.0 * PI * 5.0 * f64::from(i) / 64.0).cos() as f32)
            .collect();
        let mut count = 0;
        frames(&tone, &tone, 64, |a, b| {
            assert_eq!(a, b);
            // Not where the window reaches over an end.
            if (2..=14).contains(&count) {
                let expected = [8.0f64.powi(2), 16.0f64.powi(2), 8.0f64.powi(2)];
                for (power, expected) in a[4..7].iter().zip(expected) {
                    assert!((power - expected).abs() < 1e-3, "{power}");
                }
                assert!(a[8..].iter().all(|power| *power < 1e-9));
            }
            count += 1;
        })
        .unwrap();
        assert_eq!(count, 17);
    }
}
