//! Which class is it?

use super::labels::Labels;
use super::network::{Network, Subject, greatest};
use super::onnx::Tensor;
use super::{TaskError, TaskOptions, higher};
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use std::collections::BTreeMap;

pub(super) const TOP1: &str = "task.top1";
pub(super) const ORIGINAL: &str = "task.top1.original";
pub(super) const AGREEMENT: &str = "task.agreement";

/// Share of files, or of their windows, whose class is found: that of the label, and that found in the original.
pub(super) struct Classification {
    network: Network,
    /// Class of each file.
    labels: Option<BTreeMap<String, usize>>,
}

impl Classification {
    pub(super) fn open(options: &TaskOptions) -> Result<Self, TaskError> {
        let network = Network::open("classification", options)?;
        let classes = network.config.classes.as_deref();
        let labels = options.labels.as_deref().map(|path| {
            let number = |(file, label): (&str, &str)| {
                let named = classes.and_then(|names| names.iter().position(|name| name == label));
                let within = |number: &usize| classes.is_none_or(|classes| *number < classes.len());
                let number = named.or_else(|| label.parse().ok().filter(within));
                let unknown = || {
                    let reason = format!("`{label}`, the label of {file}, is no class");
                    TaskError::malformed(path, reason)
                };
                Ok((file.to_owned(), number.ok_or_else(unknown)?))
            };
            Labels::read(path)?.iter().map(number).collect()
        });
        Ok(Self {
            labels: labels.transpose()?,
            network,
        })
    }

    /// The class, or that of every window.
    fn classes<M: Subject>(&self, subject: &M) -> Result<Vec<usize>, TaskError> {
        let scores = match self.network.config.each {
            true => self.network.one(subject)?,
            false => vec![self.network.mean(subject)?],
        };
        let classes = self.network.config.classes.as_ref();
        let class = |scores: Tensor| {
            let wanted = classes.map_or(scores.data.len().max(2), Vec::len);
            if scores.data.len() != wanted {
                return Err(scores.unexpected(format!("[1, {wanted}], a score for each class")));
            }
            Ok(greatest(scores.data))
        };
        scores.into_iter().map(class).collect()
    }
}

struct Seen<'a> {
    task: &'a Classification,
    classes: Vec<usize>,
    label: Option<usize>,
}

impl<M: Subject> Measure<M> for Classification {
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![higher(AGREEMENT, "class as in the original")];
        if self.labels.is_some() {
            metrics.push(higher(TOP1, "top-1 accuracy"));
            metrics.push(higher(ORIGINAL, "top-1 accuracy of originals"));
        }
        metrics
    }

    fn reference<'a>(
        &'a self,
        file: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError> {
        let label = self.labels.as_ref().map(|labels| {
            labels.get(file).copied().ok_or_else(|| TaskError::NoLabel {
                file: file.to_owned(),
            })
        });
        Ok(Box::new(Seen {
            task: self,
            label: label.transpose()?,
            classes: self.classes(original)?,
        }))
    }
}

impl<M: Subject> Reference<M> for Seen<'_> {
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError> {
        let classes = self.task.classes(decoded)?;
        let pairs = || self.classes.iter().zip(&classes);
        let whole = self.classes.len().max(classes.len()) as f64;
        let mut outcome = Outcome::default();
        // Windows count for themselves, files with many of them for more.
        let mut put = |key: &str, found: usize| match self.task.network.config.each {
            true => drop(
                outcome
                    .counts
                    .insert(key.to_owned(), vec![[found as f64, whole]]),
            ),
            false => drop(outcome.values.insert(key.to_owned(), found as f64)),
        };
        put(AGREEMENT, pairs().filter(|(a, b)| a == b).count());
        if let Some(label) = self.label {
            put(
                TOP1,
                classes.iter().filter(|class| **class == label).count(),
            );
            let original = self.classes.iter().filter(|class| **class == label);
            put(ORIGINAL, original.count());
        }
        Ok(outcome)
    }
}
