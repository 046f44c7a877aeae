//! The story of a run, read back from `metrics.jsonl`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::TrainError;
use crate::events::Metrics;

/// Name of the log in a run folder.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// A report about some steps.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryStep {
    /// Steps done.
    pub step: u64,
    /// Name of the stage.
    pub stage: String,
    /// Wall seconds since the run began, pauses left out.
    pub seconds: Option<f64>,
    /// All numbers of the report by name.
    pub figures: Metrics,
    /// Terms of the loss by name.
    pub terms: Metrics,
}

/// A validation.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryValidation {
    /// Steps done.
    pub step: u64,
    /// Mean over qualities of the logarithm of the cost.
    pub score: Option<f64>,
    /// Figures by name, with the quality they belong to, in order.
    pub points: Vec<(f64, Metrics)>,
}

/// Everything that `metrics.jsonl` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Reports.
    pub steps: Vec<HistoryStep>,
    /// Validations.
    pub validations: Vec<HistoryValidation>,
    /// Lines that are not JSON objects, such as one that a killed run has not finished.
    pub unreadable: usize,
}

impl History {
    /// Reads the log of a run folder.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn read(run: &Path) -> Result<Self, TrainError> {
        let path = run.join(METRICS);
        let file = File::open(&path).map_err(TrainError::io(&path))?;
        let mut history = Self::default();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(TrainError::io(&path))?;
            match serde_json::from_slice::<Value>(&line) {
                Ok(value) if value.is_object() => history.push(&value),
                _ => history.unreadable += 1,
            }
        }
        // A step that is there twice was done twice (by a run older than the cutting of logs); the later one counts.
        history.steps.reverse();
        history.steps.sort_by_key(|s| s.step);
        history.steps.dedup_by_key(|s| s.step);
        history.validations.reverse();
        history.validations.sort_by_key(|v| v.step);
        history.validations.dedup_by_key(|v| v.step);
        Ok(history)
    }

    fn push(&mut self, line: &Value) {
        let Some(step) = line.get("step").and_then(Value::as_u64) else {
            return;
        };
        match line.get("event").and_then(Value::as_str) {
            Some("step") => {
                let stage = line.get("stage").and_then(Value::as_str);
                self.steps.push(HistoryStep {
                    step,
                    stage: stage.unwrap_or_default().to_owned(),
                    seconds: line.get("seconds").and_then(Value::as_f64),
                    figures: numbers(line),
                    terms: line.get("terms").map(numbers).unwrap_or_default(),
                });
            }
            Some("validation") => {
                let points = line.get("points").and_then(Value::as_array);
                let points = points
                    .into_iter()
                    .flatten()
                    .filter_map(|point| Some((point.get("quality")?.as_f64()?, numbers(point))));
                // Before it was called a score, the log said `log_cost`.
                let score = line.get("score").or_else(|| line.get("log_cost"));
                self.validations.push(HistoryValidation {
                    step,
                    score: score.and_then(Value::as_f64),
                    points: points.collect(),
                });
            }
            _ => {}
        }
    }

    /// A figure of the reports over steps.
    pub fn series(&self, name: &str) -> Vec<(f64, f64)> {
        let value = |s: &HistoryStep| Some((s.step as f64, *s.figures.get(name)?));
        self.steps.iter().filter_map(value).collect()
    }

    /// First step of each stage but the first, with its name.
    pub fn stage_starts(&self) -> Vec<(u64, String)> {
        let pairs = self.steps.iter().zip(self.steps.iter().skip(1));
        pairs
            .filter(|(a, b)| a.stage != b.stage)
            .map(|(a, b)| (a.step, b.stage.clone()))
            .collect()
    }

    /// What `measure` of the reports is at a step, between two of them or past the last one on a straight line.
    pub fn at(&self, step: u64, measure: impl Fn(&HistoryStep) -> Option<f64>) -> Option<f64> {
        let known: Vec<(f64, f64)> = self
            .steps
            .iter()
            .filter_map(|s| Some((s.step as f64, measure(s)?)))
            .collect();
        let x = step as f64;
        let next = known.partition_point(|(at, _)| *at < x);
        let (low, high) = match next {
            0 => ((0.0, 0.0), *known.first()?),
            n if n < known.len() => (*known.get(n - 1)?, *known.get(n)?),
            n => (
                n.checked_sub(2)
                    .and_then(|i| known.get(i))
                    .copied()
                    .unwrap_or((0.0, 0.0)),
                *known.last()?,
            ),
        };
        if high.0 <= low.0 {
            return Some(high.1);
        }
        Some(low.1 + (high.1 - low.1) * (x - low.0) / (high.0 - low.0))
    }
}

fn numbers(value: &Value) -> Metrics {
    let object = value.as_object().into_iter().flatten();
    object
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"event":"start","step":0,"total":60,"files":9,"skipped":0,"parameters":7}
{"event":"step","step":20,"stage":"a","loss":2.0,"bpp":1.0,"terms":{"rate":1.0},"seconds":10.0}
{"event":"step","step":40,"stage":"b","loss":1.0,"bpp":0.5,"seconds":30.0}
{"event":"validation","step":40,"score":-0.5,"points":[{"quality":50.0,"bpp":0.6,"psnr":33.0}],"seconds":31.0}
{"event":"step","step":40,"stage":"b","loss":1.5,"bpp":0.75,"seconds":32.0}
{"event":"step","st"#;

    #[test]
    fn a_log_reads_back() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(METRICS), LOG).unwrap();
        let history = History::read(run.path()).unwrap();
        assert_eq!(history.unreadable, 1);
        assert_eq!(history.series("loss"), [(20.0, 2.0), (40.0, 1.5)]);
        assert_eq!(history.steps[0].terms["rate"], 1.0);
        assert_eq!(history.stage_starts(), [(20, "b".to_owned())]);
        let v = &history.validations[0];
        assert_eq!(
            (v.step, v.score, v.points[0].1["psnr"]),
            (40, Some(-0.5), 33.0)
        );
        let seconds = |step| history.at(step, |s| s.seconds);
        assert_eq!(seconds(10), Some(5.0));
        assert_eq!(seconds(30), Some(21.0));
        assert_eq!(seconds(60), Some(54.0));
        assert_eq!(history.at(10, |_| None), None);
    }
}
