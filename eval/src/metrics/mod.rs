//! Measures of how well a decoded picture or sound stands for its original.
//!
//! A [`Measure`] looks at an original once ([`Measure::reference`]) and then at every version decoded from a file. What it
//! finds goes under the keys of its [`Metric`]s into rows, averages, curves and plots.

pub mod features;
pub mod image;
mod registry;
pub mod sound;

pub use features::{Features, frechet, kernel_distance};
pub use registry::{Better, Metric, Scale};

use crate::EvalError;
use std::collections::BTreeMap;

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Values by key, averaged over files. What is not defined for a file (a picture too small for it) is left out.
    pub values: BTreeMap<String, f64>,
    /// Counts by key: pairs of a part and its whole. They are summed over files before they are divided, and the mean is
    /// taken over those pairs whose whole is not 0: one pair of errors and words gives a word error rate, a pair of
    /// intersection and union for each class gives a mean intersection over union.
    pub counts: BTreeMap<String, Vec<[f64; 2]>>,
}

impl Outcome {
    /// One value.
    pub fn value(key: &str, value: f64) -> Self {
        Self {
            values: [(key.to_owned(), value)].into(),
            counts: BTreeMap::new(),
        }
    }

    /// One value, or none.
    pub fn optional(key: &str, value: Option<f64>) -> Self {
        value.map_or_else(Self::default, |value| Self::value(key, value))
    }

    /// Everything that `other` holds, too.
    pub fn merge(&mut self, other: Self) {
        self.values.extend(other.values);
        self.counts.extend(other.counts);
    }
}

/// The mean share of counts; `None` where all wholes are 0.
pub(crate) fn share(counts: &[[f64; 2]]) -> Option<f64> {
    let shares: Vec<f64> = counts
        .iter()
        .filter(|[_, whole]| *whole > 0.0)
        .map(|[part, whole]| part / whole)
        .collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Compares originals with what codecs made of them.
pub trait Measure<M>: Send + Sync {
    /// What it gives. Keys are those of every [`Outcome`].
    fn metrics(&self) -> Vec<Metric>;

    /// Looks at an original. `file` is its name in reports, by which labels are found.
    ///
    /// # Errors
    /// An original that cannot be measured at all.
    fn reference<'a>(
        &'a self,
        file: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError>;
}

/// An original that was looked at.
pub trait Reference<M> {
    /// Compares it with a decoded version.
    ///
    /// # Errors
    /// A version of another size, or one that cannot be measured.
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError>;
}

/// A measure that is a function of both, with one value under one key.
pub struct Plain<M> {
    metric: Metric,
    #[allow(clippy::type_complexity)]
    compare: Box<dyn Fn(&M, &M) -> Result<Option<f64>, EvalError> + Send + Sync>,
}

impl<M> Plain<M> {
    /// `compare` takes the original first and gives `None` where the metric is not defined.
    pub fn new(
        metric: Metric,
        compare: impl Fn(&M, &M) -> Result<Option<f64>, EvalError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            metric,
            compare: Box::new(compare),
        }
    }
}

impl<M: Send + Sync> Measure<M> for Plain<M> {
    fn metrics(&self) -> Vec<Metric> {
        vec![self.metric.clone()]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError> {
        Ok(Box::new((self, original)))
    }
}

impl<M> Reference<M> for (&Plain<M>, &M) {
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError> {
        let (plain, original) = self;
        let value = (plain.compare)(original, decoded)?;
        Ok(Outcome::optional(&plain.metric.key, value))
    }
}

/// `None` for pictures or sounds that are too small for a metric.
pub(crate) fn where_defined(value: Result<f64, EvalError>) -> Result<Option<f64>, EvalError> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(EvalError::PictureTooSmall { .. } | EvalError::SoundTooShort { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
