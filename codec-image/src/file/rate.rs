//! Finding the quality that makes a file of a wanted size.

use codec_core::error::Error;

use super::{EncodeOptions, ModelId, Prepared};
use crate::coder::{ImageCoder, Quality, Rates, Stages};
use crate::picture::Picture;

/// Files from this share of the wanted size up to the whole of it are a hit.
const HIT: f64 = 0.98;
/// Where interpolation aims inside that window.
const AIM: f64 = 0.99;
/// No search takes more tries than this; a plain bisection of the 10 001 qualities takes 14.
const MAX_TRIES: usize = 24;

/// What decides the size of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum RateGoal {
    /// Quality 50, or the only rate of a model that has one.
    #[default]
    Usual,
    /// A quality; one try.
    Quality(Quality),
    /// Bits of the whole file per pixel.
    BitsPerPixel(f64),
    /// Bytes of the whole file.
    TargetBytes(u64),
}

/// A file that was made to a goal.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Where the time of its tiles went; of the last try alone.
    pub stages: Stages,
    /// Bits of all tiles by the model's likelihoods, where it computes them.
    pub estimate: Option<f64>,
    /// The quality that was taken.
    pub quality: Quality,
    /// Whether the goal was reached: at most the wanted size, and at most 2% below it. Always so for a quality.
    pub reached: bool,
    /// Number of times the picture was encoded.
    pub tries: usize,
}

/// Encodes a picture to a goal; the quality in `options` counts for nothing.
///
/// Sizes are those of real, whole files. They grow with quality up to noise; where no quality hits the window, the
/// largest file below the wanted size is taken, or the smallest of all if even that is too large.
///
/// # Errors
/// [`Error::BadParameter`] for a rate that is not above 0 or any rate asked of a model that has only one, and those of [`super::encode_picture`].
pub fn encode_to_goal(
    coder: &dyn ImageCoder,
    model: &ModelId,
    picture: &Picture,
    goal: RateGoal,
    options: &EncodeOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Encoding, Error> {
    let first = match (coder.rates(), goal) {
        (Rates::Variable, RateGoal::Quality(quality)) => quality,
        (Rates::Variable, _) => Quality::DEFAULT,
        (Rates::Fixed, RateGoal::Usual) => Quality::FIXED,
        (Rates::Fixed, _) => {
            return Err(Error::bad_parameter(format!(
                "model '{}' codes at the one rate that it was trained for (no quality, rate or size can be asked of it)",
                model.name
            )));
        }
    };
    let target = match goal {
        RateGoal::Usual | RateGoal::Quality(_) => None,
        RateGoal::TargetBytes(0) => {
            return Err(Error::bad_parameter(
                "invalid target size 0 (expected at least 1)",
            ));
        }
        RateGoal::TargetBytes(bytes) => Some(bytes),
        RateGoal::BitsPerPixel(rate) if rate.is_finite() && rate > 0.0 => {
            let pixels = f64::from(picture.width) * f64::from(picture.height);
            Some(((rate * pixels / 8.0) as u64).max(1))
        }
        RateGoal::BitsPerPixel(rate) => {
            return Err(Error::bad_parameter(format!(
                "invalid rate {rate} bits per pixel (expected above 0)"
            )));
        }
    };
    let prepared = Prepared::new(coder, model, picture, options)?;
    let mut best: Option<Encoding> = None;
    let mut search = Search::new(target);
    let mut next = Some(first);
    while let Some(quality) = next {
        let encoded = prepared.encode(coder, quality, progress)?;
        let size = encoded.bytes.len() as u64;
        search.tries += 1;
        if best
            .as_ref()
            .is_none_or(|best| search.is_better(size, best.bytes.len() as u64))
        {
            let reached = search.hits(size);
            best = Some(Encoding {
                bytes: encoded.bytes,
                stages: encoded.stages,
                estimate: encoded.estimate,
                quality,
                reached,
                tries: 0,
            });
        }
        next = search.next(quality, size);
    }
    match best {
        Some(best) => Ok(Encoding {
            tries: search.tries,
            ..best
        }),
        // The loop runs at least once.
        None => Err(Error::bad_parameter("no quality was tried")),
    }
}

/// A bracket of qualities that closes around the target.
struct Search {
    target: Option<u64>,
    /// Highest quality known to be small enough, with its size.
    low: Option<(u16, u64)>,
    /// Lowest quality known to be too large, with its size.
    high: Option<(u16, u64)>,
    /// Width of the bracket two tries ago, to notice slow progress.
    width: u16,
    tries: usize,
}

impl Search {
    fn new(target: Option<u64>) -> Self {
        Self {
            target,
            low: None,
            high: None,
            width: u16::MAX,
            tries: 0,
        }
    }

    fn hits(&self, size: u64) -> bool {
        self.target
            .is_none_or(|target| size <= target && size as f64 >= HIT * target as f64)
    }

    /// Whether a file of `size` bytes serves better than one of `other` bytes.
    fn is_better(&self, size: u64, other: u64) -> bool {
        let target = self.target.unwrap_or(u64::MAX);
        match (size <= target, other <= target) {
            (true, true) => size > other,
            (false, false) => size < other,
            (fits, _) => fits,
        }
    }

    /// The next quality to try after `quality` gave `size` bytes.
    fn next(&mut self, quality: Quality, size: u64) -> Option<Quality> {
        let target = self.target?;
        if self.hits(size) || self.tries >= MAX_TRIES {
            return None;
        }
        let tried = (quality.hundredths(), size);
        *(if size <= target {
            &mut self.low
        } else {
            &mut self.high
        }) = Some(tried);
        let next = match (self.low, self.high) {
            // The ends of the scale come second, so that goals out of reach end there.
            (Some((low, _)), None) if low == Quality::MAX.hundredths() => return None,
            (Some(_), None) => Quality::MAX.hundredths(),
            (None, Some((0, _))) => return None,
            (None, _) => 0,
            (Some(low), Some(high)) => self.between(low, high, target)?,
        };
        Quality::from_hundredths(next).ok()
    }

    /// A quality inside the bracket: where the logarithm of the size, taken as linear, meets the target, or the middle
    /// when that makes slow progress.
    fn between(&mut self, low: (u16, u64), high: (u16, u64), target: u64) -> Option<u16> {
        // Noise can turn the bracket around; there is nothing left to find then.
        let width = high.0.checked_sub(low.0).filter(|width| *width > 1)?;
        let slow = width > self.width / 2;
        self.width = if self.width == u16::MAX {
            width * 2 - 1
        } else {
            width
        };
        let share = if slow {
            0.5
        } else {
            let [small, large, wanted] =
                [low.1 as f64, high.1 as f64, AIM * target as f64].map(|size| size.max(1.0).ln());
            if large > small {
                ((wanted - small) / (large - small)).clamp(0.0, 1.0)
            } else {
                0.5
            }
        };
        let step = (share * f64::from(width)).round() as u16;
        Some(low.0 + step.clamp(1, width - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the search against a law of sizes and returns quality, size and tries.
    fn run(target: u64, law: impl Fn(f64) -> f64) -> (u16, u64, usize) {
        let mut search = Search::new(Some(target));
        let mut best: Option<(u16, u64)> = None;
        let mut next = Some(Quality::DEFAULT);
        while let Some(quality) = next {
            let size = law(f64::from(quality.value())) as u64;
            search.tries += 1;
            if best.is_none_or(|best| search.is_better(size, best.1)) {
                best = Some((quality.hundredths(), size));
            }
            next = search.next(quality, size);
        }
        let (quality, size) = best.unwrap();
        (quality, size, search.tries)
    }

    #[test]
    fn exponential_laws_take_few_tries() {
        for target in [2_000, 5_000, 20_239, 60_000, 200_000] {
            let (_, size, tries) = run(target, |quality| 1_000.0 * (quality * 0.055).exp());
            assert!(
                size <= target && size as f64 >= 0.98 * target as f64,
                "{target}: {size}"
            );
            assert!(tries <= 5, "{target}: {tries} tries");
        }
    }

    #[test]
    fn bent_and_noisy_laws_still_hit() {
        for target in [3_000, 9_000, 47_000, 130_000] {
            let bent = |quality: f64| 1_500.0 + (quality / 100.0).powi(6) * 300_000.0;
            let noisy = |quality: f64| bent(quality) * (1.0 + 0.002 * (quality * 977.0).sin());
            for law in [&bent as &dyn Fn(f64) -> f64, &noisy] {
                let (_, size, tries) = run(target, law);
                assert!(
                    size <= target && size as f64 >= 0.98 * target as f64,
                    "{target}: {size}"
                );
                assert!(tries <= 16, "{target}: {tries} tries");
            }
        }
    }

    #[test]
    fn goals_out_of_reach_end_at_the_ends_after_two_tries() {
        let law = |quality: f64| 1_000.0 + 10.0 * quality;
        assert_eq!(run(500, law), (0, 1_000, 2));
        assert_eq!(run(5_000, law), (10_000, 2_000, 2));
    }

    #[test]
    fn steps_in_the_law_give_the_largest_file_that_fits() {
        let (_, size, _) = run(
            15_000,
            |quality| if quality < 63.0 { 10_000.0 } else { 20_000.0 },
        );
        assert_eq!(size, 10_000);
    }
}
