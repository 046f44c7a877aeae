//! How good does a model find it?

use super::network::{Network, Subject};
use super::{TaskError, TaskOptions, higher};
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};

const SCORE: &str = "task.score";
const ORIGINAL: &str = "task.score.original";

/// Opinion of a model that looks at one file alone, such as UTMOS (Saeki et al. 2022) and other predictors of mean opinion
/// scores.
pub(super) struct Score {
    network: Network,
}

impl Score {
    pub(super) fn open(options: &TaskOptions) -> Result<Self, TaskError> {
        Ok(Self {
            network: Network::open("score", options)?,
        })
    }

    /// The only number of the output, averaged over windows.
    fn score<M: Subject>(&self, subject: &M) -> Result<f64, TaskError> {
        let found = self.network.mean(subject)?;
        match found.data.as_slice() {
            [score] => Ok(f64::from(*score)),
            _ => Err(found.unexpected("one number")),
        }
    }
}

struct Heard<'a> {
    task: &'a Score,
    score: f64,
}

impl<M: Subject> Measure<M> for Score {
    fn metrics(&self) -> Vec<Metric> {
        vec![
            higher(SCORE, "score by a model"),
            higher(ORIGINAL, "score of originals by a model"),
        ]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError> {
        Ok(Box::new(Heard {
            task: self,
            score: self.score(original)?,
        }))
    }
}

impl<M: Subject> Reference<M> for Heard<'_> {
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError> {
        let mut outcome = Outcome::value(SCORE, self.task.score(decoded)?);
        outcome.merge(Outcome::value(ORIGINAL, self.score));
        Ok(outcome)
    }
}
