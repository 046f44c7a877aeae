//! Is what is said or written still understood?

use super::command::Reader;
use super::ctc::Spelling;
use super::labels::Labels;
use super::network::{Network, Subject};
use super::{TaskError, TaskOptions, lower};
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};

/// Most pairs of words or characters that are compared.
const LIMIT: usize = 1 << 29;

/// What errors are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Words of letters and digits, in lower case.
    Words,
    /// Characters; white space is one space.
    Characters,
}

impl Unit {
    fn key(self) -> &'static str {
        match self {
            Self::Words => "task.wer",
            Self::Characters => "task.cer",
        }
    }

    fn original(self) -> &'static str {
        match self {
            Self::Words => "task.wer.original",
            Self::Characters => "task.cer.original",
        }
    }

    fn split(self, text: &str) -> Vec<String> {
        match self {
            Self::Words => {
                let letter = |c: char| c.is_alphanumeric() || c == '\'';
                let words = text
                    .split(|c| !letter(c))
                    .map(|word| word.trim_matches('\''));
                words
                    .filter(|word| !word.is_empty())
                    .map(str::to_lowercase)
                    .collect()
            }
            Self::Characters => {
                let words: Vec<&str> = text.split_whitespace().collect();
                words.join(" ").chars().map(String::from).collect()
            }
        }
    }
}

/// Who reads.
enum Source {
    Command(Reader),
    Network(Box<Network>, Spelling),
}

/// Error rate of text, against that of the original or against transcripts.
pub(super) struct Text {
    source: Source,
    labels: Option<Labels>,
    unit: Unit,
}

impl Text {
    /// Reads by a command, else by a model.
    pub(super) fn open(
        task: &'static str,
        unit: Unit,
        options: &TaskOptions,
    ) -> Result<Self, EvalError> {
        let source = match (&options.command, &options.model) {
            (Some(command), _) => Source::Command(Reader::parse(command)?),
            (None, None) if unit == Unit::Characters => {
                let config = super::TaskConfig::find(options.config.as_deref(), None)?;
                Source::Command(Reader::tesseract(config.language.as_deref())?)
            }
            (None, None) => {
                let what = "a command or a model";
                return Err(TaskError::Missing { task, what }.into());
            }
            (None, Some(_)) => {
                let network = Network::open(task, options)?;
                let spelling = Spelling::open(task, &network.config.ctc)?;
                Source::Network(Box::new(network), spelling)
            }
        };
        let labels = options.labels.as_deref().map(Labels::read).transpose()?;
        Ok(Self {
            source,
            labels,
            unit,
        })
    }

    fn read<M: Subject>(&self, subject: &M) -> Result<Vec<String>, TaskError> {
        let text = match &self.source {
            Source::Command(reader) => reader.text(subject)?,
            Source::Network(network, spelling) => {
                let windows = network.one(subject)?;
                let texts: Result<Vec<String>, _> =
                    windows.iter().map(|output| spelling.text(output)).collect();
                texts?.join(" ")
            }
        };
        Ok(self.unit.split(&text))
    }
}

/// Least number of parts to replace, put in or take out.
fn distance(a: &[String], b: &[String]) -> Result<usize, TaskError> {
    let pairs = a.len().saturating_mul(b.len());
    if pairs > LIMIT {
        return Err(TaskError::TooLarge {
            what: "comparison of texts",
            actual: pairs,
            limit: LIMIT,
        });
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, one) in a.iter().enumerate() {
        let (mut corner, mut before) = (i, i + 1);
        for (other, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = corner + usize::from(one != other);
            corner = *cell;
            before = replaced.min(before + 1).min(corner + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    Ok(row.last().copied().unwrap_or(0))
}

struct Seen<'a> {
    task: &'a Text,
    own: Vec<String>,
    label: Option<Vec<String>>,
}

impl<M: Subject> Measure<M> for Text {
    fn metrics(&self) -> Vec<Metric> {
        let name = match self.unit {
            Unit::Words => "word error rate",
            Unit::Characters => "character error rate",
        };
        let mut metrics = vec![lower(self.unit.key(), name)];
        if self.labels.is_some() {
            let name = format!("{name} of originals");
            metrics.push(lower(self.unit.original(), &name));
        }
        metrics
    }

    fn reference<'a>(
        &'a self,
        file: &str,
        original: &'a M,
    ) -> Result<Box<dyn Reference<M> + 'a>, EvalError> {
        let label = self.labels.as_ref().map(|labels| labels.get(file));
        let label = label.transpose()?.map(|text| self.unit.split(text));
        Ok(Box::new(Seen {
            task: self,
            label,
            own: self.read(original)?,
        }))
    }
}

impl<M: Subject> Reference<M> for Seen<'_> {
    fn measure(&self, decoded: &M) -> Result<Outcome, EvalError> {
        let found = self.task.read(decoded)?;
        let wanted = self.label.as_ref().unwrap_or(&self.own);
        let count = |found: &[String]| -> Result<Vec<[f64; 2]>, TaskError> {
            Ok(vec![[distance(found, wanted)? as f64, wanted.len() as f64]])
        };
        let mut outcome = Outcome::default();
        let unit = self.task.unit;
        outcome.counts.insert(unit.key().into(), count(&found)?);
        if self.label.is_some() {
            let original = count(&self.own)?;
            outcome.counts.insert(unit.original().into(), original);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted() {
        let count =
            |unit: Unit, a: &str, b: &str| distance(&unit.split(a), &unit.split(b)).unwrap();
        assert_eq!(count(Unit::Words, "The cat's  mat.", "the cat's mat"), 0);
        assert_eq!(count(Unit::Words, "the cat sat", "a cat sat down"), 2);
        assert_eq!(count(Unit::Words, "", "a b c"), 3);
        assert_eq!(count(Unit::Words, "a b c", ""), 3);
        assert_eq!(count(Unit::Characters, "kitten", "sitting"), 3);
        assert_eq!(count(Unit::Characters, " a\n b ", "a b"), 0);
        let long = vec![String::new(); 1 << 15];
        assert!(distance(&long, &long).is_err());
    }
}
