//! The pitch of each frame, on the host.
//!
//! The normalized cross-correlation of the signal with itself (Talkin, "A robust algorithm for pitch tracking (RAPT)",
//! 1995) is looked up at pitches that lie evenly on a logarithmic scale; the best path through the last few frames decides.
//! Frames that do not repeat have no pitch. A path of bounded length makes a code a function of its neighbourhood alone.

use super::config::{SrvqConfig, WINDOW_HOPS};

/// Samples a second that the correlation works on, about: harmonics above a kilohertz tell it nothing.
const RATE: u32 = 12_000;
/// Taps to each side of the low-pass filter, in samples of that rate.
const SIDE: usize = 6;
/// Frames that a path looks back.
pub(super) const PATH: usize = 8;
/// What an octave of change costs a path, and what any change costs at most, in units of correlation.
const OCTAVE: f32 = 2.0;
const JUMP: f32 = 0.6;
/// What an octave downwards costs: a period repeats at its multiples too.
const LOWER: f32 = 0.02;
/// Least correlation of a frame with a pitch.
const VOICED: f32 = 0.45;
/// Mean power of noise that correlates with nothing.
const QUIET: f64 = 1e-7;

/// Which lags a frame is looked at with, and with what weight each counts towards a pitch.
#[derive(Debug, Clone)]
pub(super) struct PitchTracker {
    hop: usize,
    /// Samples of the signal for one of the correlation.
    every: usize,
    filter: Vec<f32>,
    /// Shortest and longest lag.
    lags: [usize; 2],
    /// Samples that are correlated.
    length: usize,
    /// For each pitch, three neighbouring lags from the shortest one on and their weights.
    pitches: Vec<(usize, [f32; 3], f32)>,
    /// What neighbouring pitches are apart, in units of correlation.
    step: f32,
}

/// Samples of the signal for one of the correlation.
fn every(rate: u32) -> usize {
    (rate as usize / RATE as usize).max(1)
}

/// Longest lag, in samples of the correlation.
fn longest(config: &SrvqConfig) -> usize {
    let rate = f64::from(config.rate) / every(config.rate) as f64;
    (rate / config.lowest).ceil() as usize + 1
}

/// Whether two periods of the lowest pitch fit into what a frame sees.
pub(super) fn fits(config: &SrvqConfig) -> bool {
    let seen = WINDOW_HOPS * config.hop / every(config.rate);
    seen >= 2 * longest(config)
}

/// Hertz of a code above 0.
pub(super) fn hertz(config: &SrvqConfig, code: u32) -> Option<f64> {
    let last = config.pitches.checked_sub(2)?.max(1) as f64;
    let at = f64::from(code.checked_sub(1)?) / last;
    Some(config.lowest * (config.highest / config.lowest).powf(at))
}

impl PitchTracker {
    pub(super) fn new(config: &SrvqConfig) -> Self {
        let every = every(config.rate);
        let rate = f64::from(config.rate) / every as f64;
        let shortest = ((rate / config.highest).floor() as usize).saturating_sub(1);
        let lags = [shortest.max(1), longest(config)];
        let side = SIDE * every;
        let taps = (0..=2 * side).map(|i| {
            let turn = std::f64::consts::PI * (i + 1) as f64 / (side + 1) as f64;
            0.5 - 0.5 * turn.cos()
        });
        let taps: Vec<f64> = taps.collect();
        let sum: f64 = taps.iter().sum();
        let pitches = (1..config.pitches as u32).filter_map(|code| {
            let lag = rate / hertz(config, code)?;
            let middle = (lag.round() as usize).clamp(lags[0] + 1, lags[1] - 1);
            let x = lag - middle as f64;
            let weights = [0.5 * x * (x - 1.0), 1.0 - x * x, 0.5 * x * (x + 1.0)];
            let cost = LOWER * (lag / lags[0] as f64).log2() as f32;
            Some((middle - 1 - lags[0], weights.map(|w| w as f32), cost))
        });
        let octaves = (config.highest / config.lowest).log2();
        Self {
            hop: config.hop,
            every,
            filter: taps.iter().map(|tap| (tap / sum) as f32).collect(),
            lags,
            length: WINDOW_HOPS * config.hop / every - lags[1],
            pitches: pitches.collect(),
            step: OCTAVE * (octaves / config.pitches.saturating_sub(2).max(1) as f64) as f32,
        }
    }

    /// Codes of a signal of whole frames: 0 for frames without a pitch, else 1 and up from the lowest pitch to the highest.
    pub(super) fn codes(&self, x: &[f32]) -> Vec<u32> {
        let frames = x.len() / self.hop;
        let scores = self.scores(x, frames);
        let count = self.pitches.len();
        let scores: Vec<&[f32]> = scores.chunks(count.max(1)).collect();
        let code = |frame: usize| {
            let mut path = vec![0.0f32; count];
            for scores in scores.get(frame.saturating_sub(PATH)..=frame)? {
                self.spread(&mut path);
                path.iter_mut()
                    .zip(*scores)
                    .for_each(|(sum, score)| *sum += score);
            }
            let best = (0..count).max_by(|&a, &b| {
                path.get(a)
                    .partial_cmp(&path.get(b))
                    .unwrap_or(std::cmp::Ordering::Equal)
            })?;
            let own = scores.get(frame)?.get(best)?;
            let (.., cost) = self.pitches.get(best)?;
            (own + cost >= VOICED).then_some(best as u32 + 1)
        };
        (0..frames).map(|frame| code(frame).unwrap_or(0)).collect()
    }

    /// The best that can lead to each pitch: changes cost by their size, and never more than a jump.
    fn spread(&self, path: &mut [f32]) {
        let most = path.iter().copied().fold(f32::MIN, f32::max) - JUMP;
        let mut reach = most;
        for sum in path.iter_mut() {
            reach = sum.max(reach - self.step).max(most);
            *sum = reach;
        }
        reach = most;
        for sum in path.iter_mut().rev() {
            reach = sum.max(reach - self.step).max(most);
            *sum = reach;
        }
    }

    /// Correlation at every pitch less its cost, `[frames, pitches]`.
    fn scores(&self, x: &[f32], frames: usize) -> Vec<f32> {
        // Samples of the correlation that lie before the signal.
        let [shortest, longest] = self.lags;
        let before = self.length + longest + 2 * SIDE;
        let low = self.lower(x, before);
        let mut powers = vec![0.0f64];
        let mut power = 0.0;
        for &value in &low {
            power += f64::from(value).powi(2);
            powers.push(power);
        }
        let mut scores = Vec::with_capacity(frames * self.pitches.len());
        let mut correlations = vec![0.0f32; longest - shortest + 1];
        for frame in 0..frames {
            // The last sample that the filter gives from what the frame sees.
            let end = before + ((frame + 2) * self.hop).div_ceil(self.every) - SIDE;
            let start = end - (self.length + longest);
            for (lag, correlation) in (shortest..).zip(&mut correlations) {
                let first = start + (longest - lag) / 2;
                let part = |from: usize| low.get(from..from + self.length).unwrap_or_default();
                let power = |from: usize| {
                    let at = |i: usize| powers.get(i).copied().unwrap_or(power);
                    at(from + self.length) - at(from) + QUIET * self.length as f64
                };
                let product = dot(part(first), part(first + lag));
                let scale = (power(first) * power(first + lag)).sqrt();
                *correlation = (f64::from(product) / scale) as f32;
            }
            scores.extend(self.pitches.iter().map(|(first, weights, cost)| {
                let near = correlations.get(*first..*first + 3).unwrap_or_default();
                let value: f32 = near.iter().zip(weights).map(|(c, w)| c * w).sum();
                value - cost
            }));
        }
        scores
    }

    /// The signal without its high frequencies, with `before` samples of silence before it and enough after it.
    fn lower(&self, x: &[f32], before: usize) -> Vec<f32> {
        let side = SIDE * self.every;
        let padded: Vec<f32> = std::iter::repeat_n(0.0, side)
            .chain(x.iter().copied())
            .chain(std::iter::repeat_n(0.0, 2 * self.hop + side + self.every))
            .collect();
        let count = (x.len() + 2 * self.hop) / self.every;
        let filtered = (0..count).map(|i| {
            let seen = padded.get(i * self.every..).unwrap_or_default();
            seen.get(..self.filter.len())
                .map_or(0.0, |seen| dot(seen, &self.filter))
        });
        std::iter::repeat_n(0.0, before).chain(filtered).collect()
    }
}

/// Sum of products, in lanes that processors have.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::Random;

    /// Harmonics of a pitch that may glide, or noise.
    fn voice(config: &SrvqConfig, from: f64, to: f64, samples: usize) -> Vec<f32> {
        let mut turns = 0.0f64;
        (0..samples)
            .map(|i| {
                turns += (from + (to - from) * i as f64 / samples as f64) / f64::from(config.rate);
                let value: f64 = (1..8)
                    .map(|k| (std::f64::consts::TAU * turns * f64::from(k)).cos() / f64::from(k))
                    .sum();
                0.1 * value as f32
            })
            .collect()
    }

    #[test]
    fn pitches_are_found() {
        let config = SrvqConfig::default();
        let tracker = PitchTracker::new(&config);
        for wanted in [70.0, 110.0, 201.0, 395.0] {
            let codes = tracker.codes(&voice(&config, wanted, wanted, 40 * config.hop));
            for &code in &codes[4..36] {
                let found = hertz(&config, code).unwrap();
                assert!((found / wanted).log2().abs() < 0.02, "{found} {wanted}");
            }
        }
        let codes = tracker.codes(&voice(&config, 100.0, 200.0, 80 * config.hop));
        for (frame, &code) in codes.iter().enumerate().take(76).skip(4) {
            let wanted = 100.0 + 100.0 * (frame as f64 + 0.5) / 80.0;
            let found = hertz(&config, code).unwrap();
            assert!((found / wanted).log2().abs() < 0.04, "{found} {wanted}");
        }
    }

    #[test]
    fn noise_and_silence_have_no_pitch() {
        let config = SrvqConfig::default();
        let tracker = PitchTracker::new(&config);
        assert_eq!(tracker.codes(&[0.0; 3200]), [0; 10]);
        let mut random = Random(3);
        let noise: Vec<f32> = (0..320 * 50).map(|_| 0.1 * random.next()).collect();
        let voiced = tracker
            .codes(&noise)
            .iter()
            .filter(|&&code| code > 0)
            .count();
        assert!(voiced < 10, "{voiced}");
    }

    #[test]
    fn codes_cover_the_range() {
        let config = SrvqConfig::default();
        assert_eq!(hertz(&config, 0), None);
        assert!((hertz(&config, 1).unwrap() - config.lowest).abs() < 1e-9);
        let last = config.pitches as u32 - 1;
        assert!((hertz(&config, last).unwrap() - config.highest).abs() < 1e-9);
    }
}
