//! Requantization of integer-exact convolutions, fused into the convolution's tiles.
//!
//! Sums, biases and outputs are integers held in `f32` and the multipliers powers of two, so every step is exact
//! as long as all partial sums stay below 2^24.

use pulp::Arch;

use super::conv::Epilogue;

/// `clamp(floor((sum + bias) * multiplier + 0.5), lo, hi)`, with a bias and a multiplier for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Requant<'a> {
    /// One integer an output channel.
    pub bias: &'a [f32],
    /// One power of two an output channel.
    pub multiplier: &'a [f32],
    /// Smallest output.
    pub lo: f32,
    /// Largest output.
    pub hi: f32,
}

impl Epilogue for Requant<'_> {
    #[inline]
    fn write(&self, channel: usize, sums: &[f32], out: &mut [f32]) {
        let (bias, multiplier) = (self.bias[channel], self.multiplier[channel]);
        let (lo, hi) = (self.lo, self.hi);
        Arch::new().dispatch(|| {
            for (o, s) in out.iter_mut().zip(sums) {
                *o = ((s + bias) * multiplier + 0.5).floor().max(lo).min(hi);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Epilogue, Requant};

    #[test]
    fn halves_round_up_and_ends_clamp() {
        let requant = Requant {
            bias: &[0.0, 1.0],
            multiplier: &[0.25, 0.5],
            lo: -2.0,
            hi: 3.0,
        };
        let mut out = [0.0; 6];
        requant.write(0, &[-6.0, -5.0, 1.0, 2.0, 100.0, -100.0], &mut out);
        assert_eq!(out, [-1.0, -1.0, 0.0, 1.0, 3.0, -2.0]);
        requant.write(1, &[-6.0, -5.0, 1.0, 2.0, 100.0, -100.0], &mut out);
        assert_eq!(out, [-2.0, -2.0, 1.0, 2.0, 3.0, -2.0]);
    }
}
