//! The entropy models that constriction sees: plain integer intervals.

use std::borrow::Borrow;
use std::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};

/// The interval `[start, start + width)` of one symbol, in units of 2^-PRECISION.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub start: u32,
    pub width: u32,
}

impl Interval {
    /// From a packed entry: start in the low, width in the high half.
    #[inline(always)]
    pub(crate) fn unpack(entry: u32) -> Self {
        Self {
            start: entry & 0xffff,
            width: entry >> 16,
        }
    }
}

impl<const PRECISION: usize> EntropyModel<PRECISION> for Interval {
    type Symbol = ();
    type Probability = u32;
}

impl<const PRECISION: usize> EncoderModel<PRECISION> for Interval {
    #[inline(always)]
    fn left_cumulative_and_probability(&self, _: impl Borrow<()>) -> Option<(u32, NonZeroU32)> {
        NonZeroU32::new(self.width).map(|width| (self.start, width))
    }
}

/// `bits` uniformly distributed bits, 1 to 16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uniform(pub u32);

impl Uniform {
    /// Interval of `value`, which has at most that many bits.
    pub(crate) fn interval(self, value: u32) -> Interval {
        let shift = 16 - self.0;
        Interval {
            start: value << shift,
            width: 1 << shift,
        }
    }
}

impl EntropyModel<16> for Uniform {
    type Symbol = u32;
    type Probability = u32;
}

impl DecoderModel<16> for Uniform {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        let shift = 16 - self.0;
        let value = quantile >> shift;
        (value, value << shift, power(shift))
    }
}

/// 2^shift.
fn power(shift: u32) -> NonZeroU32 {
    NonZeroU32::new(1 << shift).unwrap_or(NonZeroU32::MIN)
}
