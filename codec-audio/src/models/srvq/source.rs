//! What the decoder shapes into sound: a train of pulses at the pitch, and noise.
//!
//! Of a frame, only its own pitch and those before it are known. The pulses that it shows the decoder follow the pitch up to
//! the middle of its window, and go on from there at the frame's own.

use std::f64::consts::PI;

use super::config::{SrvqConfig, WINDOW_HOPS};
use super::pitch;

/// Highest harmonic, as a share of the rate.
const TOP: f64 = 0.47;
/// Shapes that tell the decoder where a pitch lies.
const SHAPES: usize = 8;

/// Numbers that tell a network about a pitch: that there is one, its octave, and how near it is to places in the range.
pub(super) const FEATURES: usize = SHAPES + 2;

/// [`FEATURES`] for each code.
pub(super) fn features(config: &SrvqConfig, codes: &[u32]) -> Vec<f32> {
    let last = config.pitches.saturating_sub(2).max(1) as f32;
    let of = |&code: &u32| {
        let mut values = [0.0; FEATURES];
        if let Some(index) = code.checked_sub(1) {
            let at = index as f32 / last;
            let shapes = (0..SHAPES).map(|shape| {
                let distance = at * (SHAPES - 1) as f32 - shape as f32;
                (-0.5 * distance * distance).exp()
            });
            let all = [1.0, 2.0 * at - 1.0].into_iter().chain(shapes);
            values.iter_mut().zip(all).for_each(|(slot, v)| *slot = v);
        }
        values
    };
    codes.iter().flat_map(of).collect()
}

/// The pulses that each frame sees, `[frames, window]`, of mean power 1; zeros where there is no pitch. Pulses begin at the
/// middle of the first frame of a run with pitch.
pub(super) fn pulses(config: &SrvqConfig, codes: &[u32]) -> Vec<f32> {
    let (hop, rate) = (config.hop as f64, f64::from(config.rate));
    let window = WINDOW_HOPS * config.hop;
    let mut all = Vec::with_capacity(codes.len() * window);
    // Turns at the middle of the frame, and the pitches of the two frames before.
    let mut turns = 0.0f64;
    let mut before: Option<[f64; 2]> = None;
    for &code in codes {
        let Some(own) = pitch::hertz(config, code) else {
            before = None;
            all.extend(std::iter::repeat_n(0.0, window));
            continue;
        };
        let [last, earlier] = before.unwrap_or([own; 2]);
        let between = 0.5 * (own + last) * hop / rate;
        turns = match before {
            Some(_) => (turns + between).fract(),
            None => 0.0,
        };
        let harmonics = (TOP * rate / own).max(1.0);
        let scale = (2.0 / harmonics).sqrt();
        all.extend((0..window).map(|i| {
            let at = i as f64 - 0.5 * window as f64;
            // Backwards from the middle of a frame, where the pitch goes from `here` to `there` over a hop.
            let back = |distance: f64, here: f64, there: f64| {
                (here + (there - here) * distance / (2.0 * hop)) * distance / rate
            };
            let phase = if at >= 0.0 {
                turns + own * at / rate
            } else if at >= -hop {
                turns - back(-at, own, last)
            } else {
                turns - between - back(-at - hop, last, earlier)
            };
            (scale * pulse(phase, harmonics)) as f32
        }));
        before = Some([own, last]);
    }
    all
}

/// Sum of the first harmonics of a cosine at a phase in turns, the last of them in part: Dirichlet's kernel.
fn pulse(phase: f64, harmonics: f64) -> f64 {
    let (whole, part) = (harmonics.floor(), harmonics.fract());
    let phase = phase - phase.round();
    let half = (PI * phase).sin();
    let sum = if half.abs() < 1e-9 {
        whole
    } else {
        ((2.0 * whole + 1.0) * PI * phase).sin() / (2.0 * half) - 0.5
    };
    sum + part * (2.0 * PI * (whole + 1.0) * phase).cos()
}

/// White noise of mean power 1, the same every time.
pub(super) fn noise(samples: usize) -> Vec<f32> {
    // SplitMix64 (Steele, Lea and Flood 2014); uniform numbers in -0.5..0.5 have a power of 1/12.
    let value = |index: u64| {
        let mut z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let scale = 12.0f32.sqrt();
    (1..=samples as u64).map(|i| scale * value(i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_are_sums_of_cosines() {
        for harmonics in [1.0f64, 5.0, 7.3] {
            for phase in [0.0f64, 1e-12, 0.1, 0.5, 0.77, 3.0, -2.4] {
                let cosine = |k: f64| (2.0 * PI * k * phase).cos();
                let whole: f64 = (1..=harmonics as u32).map(|k| cosine(k.into())).sum();
                let sum = whole + harmonics.fract() * cosine(harmonics.floor() + 1.0);
                assert!((pulse(phase, harmonics) - sum).abs() < 1e-5, "{phase}");
            }
        }
    }

    /// Frames of a steady or gliding pitch agree where they overlap, up to the middle of the earlier one's window.
    #[test]
    fn frames_agree_on_their_pulses() {
        let config = SrvqConfig::default();
        let (hop, window) = (config.hop, WINDOW_HOPS * config.hop);
        let codes = [0, 90, 92, 95, 97, 97, 97, 0, 40, 40];
        let all = pulses(&config, &codes);
        let frame = |t: usize| &all[t * window..][..window];
        for t in 4..6 {
            let (old, new) = (
                &frame(t)[hop..window / 2],
                &frame(t + 1)[..window / 2 - hop],
            );
            for (a, b) in old.iter().zip(new) {
                assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }
        assert!(frame(7).iter().all(|&v| v == 0.0));
        let power = |t: usize| frame(t).iter().map(|v| v * v).sum::<f32>() / window as f32;
        assert!((power(5) - 1.0).abs() < 0.2 && (power(9) - 1.0).abs() < 0.3);
    }

    #[test]
    fn noise_is_white() {
        let values = noise(20_000);
        let product = |lag: usize| {
            let pairs = values.iter().zip(&values[lag..]);
            pairs.map(|(a, b)| a * b).sum::<f32>() / 20_000.0
        };
        assert!((product(0) - 1.0).abs() < 0.03);
        assert!(product(1).abs() < 0.03 && product(7).abs() < 0.03);
        assert_eq!(values[..100], noise(100));
    }
}
