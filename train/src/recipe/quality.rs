//! Which qualities a batch is trained at.

use codec_datasets::SplitMix64;
use serde::{Deserialize, Serialize};

use super::suggest::invalid;
use crate::TrainError;

/// How the qualities of a batch are drawn, in 0..=100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualitySampling {
    /// Way of drawing.
    pub sampling: Sampling,
    /// Lowest quality of `stratified` and `uniform`.
    pub min: f32,
    /// Highest quality of these.
    pub max: f32,
    /// Qualities of `list`.
    pub values: Vec<f32>,
}

/// Way of drawing qualities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// One from each of as many equal parts of the range as there are samples, in random order.
    Stratified,
    /// Each sample anywhere in the range.
    Uniform,
    /// Each sample one of `values`.
    List,
}

impl Default for QualitySampling {
    fn default() -> Self {
        Self {
            sampling: Sampling::Stratified,
            min: 0.0,
            max: 100.0,
            values: Vec::new(),
        }
    }
}

impl QualitySampling {
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let inside = |q: f32| (0.0..=100.0).contains(&q);
        if !(inside(self.min) && inside(self.max) && self.min <= self.max) {
            let range = format!("{}..={}", self.min, self.max);
            return Err(invalid("quality range", &range, "0 <= min <= max <= 100"));
        }
        if let Some(bad) = self.values.iter().find(|q| !inside(**q)) {
            return Err(invalid("quality.values", bad, "0..=100"));
        }
        if self.sampling == Sampling::List && self.values.is_empty() {
            return Err(invalid(
                "quality.values",
                &"[]",
                "at least one with sampling list",
            ));
        }
        Ok(())
    }

    /// Qualities of a batch of `n` in `0..=1`: a pure function of seed and step.
    pub fn draw(&self, seed: u64, step: u64, n: usize) -> Vec<f32> {
        let mut rng = SplitMix64::keyed(&[seed, step, 0x71]);
        let (low, span) = (self.min / 100.0, (self.max - self.min) / 100.0);
        match self.sampling {
            Sampling::Stratified => {
                let mut t: Vec<f32> = (0..n)
                    .map(|i| low + span * ((i as f32 + rng.unit()) / n as f32))
                    .collect();
                for i in (1..n).rev() {
                    t.swap(i, rng.below(i as u64 + 1) as usize);
                }
                t
            }
            Sampling::Uniform => (0..n).map(|_| low + span * rng.unit()).collect(),
            Sampling::List => (0..n)
                .map(|_| {
                    let drawn = rng.below(self.values.len() as u64) as usize;
                    self.values.get(drawn).map_or(low, |q| q / 100.0)
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_lists_and_ranges() {
        let stratified = QualitySampling::default();
        let mut t = stratified.draw(1, 2, 8);
        assert_eq!(t, stratified.draw(1, 2, 8));
        assert_ne!(t, stratified.draw(1, 3, 8));
        t.sort_by(f32::total_cmp);
        for (i, t) in t.iter().enumerate() {
            assert!((i as f32 / 8.0..=(i + 1) as f32 / 8.0).contains(t));
        }
        let list = QualitySampling {
            sampling: Sampling::List,
            values: vec![20.0, 60.0],
            ..QualitySampling::default()
        };
        assert!(list.draw(5, 5, 100).iter().all(|t| [0.2, 0.6].contains(t)));
        let uniform = QualitySampling {
            sampling: Sampling::Uniform,
            min: 30.0,
            max: 40.0,
            ..QualitySampling::default()
        };
        assert!(
            uniform
                .draw(5, 5, 100)
                .iter()
                .all(|t| (0.3..=0.4).contains(t))
        );
        assert!(
            QualitySampling {
                min: 50.0,
                max: 40.0,
                ..stratified
            }
            .check()
            .is_err()
        );
    }
}
