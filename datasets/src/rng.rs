//! A small random number generator whose output never changes between releases.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// Written here, because data order must stay the same across versions of any dependency: a checkpoint records only a
/// seed and a step.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// Generator started at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Generator for one cell of a grid of independent streams, such as (seed, step, sample).
    ///
    /// Each part goes through the mixing function before the next is added, so that neighbouring cells share nothing.
    pub fn keyed(parts: &[u64]) -> Self {
        let mut state = 0;
        for &part in parts {
            state = Self::new(state ^ part).next_u64();
        }
        Self { state }
    }

    /// Next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Integer in `0..bound`; 0 when `bound` is 0.
    ///
    /// The bias of the multiplication is below `bound / 2^64`, which no training run can notice.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Number in `0.0..1.0` with 24 random bits.
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// `true` or `false` with equal chance.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published reference sequence for seed 1234567.
    #[test]
    fn reference_sequence() {
        let mut rng = SplitMix64::new(1_234_567);
        let expected = [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431u64,
        ];
        for value in expected {
            assert_eq!(rng.next_u64(), value);
        }
    }

    #[test]
    fn ranges_hold_and_are_even() {
        let mut rng = SplitMix64::keyed(&[3, 4]);
        let mut counts = [0usize; 7];
        let mut heads = 0;
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
            heads += usize::from(rng.coin());
            let unit = rng.unit();
            assert!((0.0..1.0).contains(&unit));
        }
        // Standard deviation of a count is 93; six of them.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 560),
            "{counts:?}"
        );
        assert!(heads.abs_diff(35_000) < 800, "{heads}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn keys_in_other_order_give_other_streams() {
        let mut first = SplitMix64::keyed(&[1, 2, 3]);
        assert_ne!(first.next_u64(), SplitMix64::keyed(&[1, 3, 2]).next_u64());
    }
}
