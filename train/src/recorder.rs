//! What a run writes for people to look at: TensorBoard files and samples.

use std::path::Path;

use crate::TrainError;
use crate::events::{Event, Sample, SampleData, StepMetrics, ValidationPoint};
use crate::samples::Samples;
use crate::tensorboard::{EventFile, Summary};

/// Folder of TensorBoard event files in a run folder.
const TENSORBOARD: &str = "tensorboard";

/// Writes the events of a run to TensorBoard files and its samples to files of their own.
#[derive(Debug)]
pub struct Recorder {
    board: EventFile,
    samples: Samples,
}

impl Recorder {
    /// Opens the records of a run that goes on after `step`; what they say about later steps is cut or revoked.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn open(run: &Path, step: u64) -> Result<Self, TrainError> {
        Ok(Self {
            board: EventFile::create(&run.join(TENSORBOARD), step)?,
            samples: Samples::open(run, step)?,
        })
    }

    /// Records an event.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Sample`].
    pub fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        match event {
            Event::Step(metrics) => self.scalars(metrics.step, &step_scalars(metrics)),
            Event::Validation {
                step,
                score,
                points,
                samples,
                ..
            } => {
                self.scalars(*step, &validation_scalars(*score, points))?;
                for sample in samples {
                    self.sample(*step, sample)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<(), TrainError> {
        let entries: Vec<(&str, Summary<'_>)> = scalars
            .iter()
            .map(|(tag, value)| (tag.as_str(), Summary::Scalar(*value)))
            .collect();
        self.board.write(step, &entries)
    }

    fn sample(&mut self, step: u64, sample: &Sample) -> Result<(), TrainError> {
        let bytes = self.samples.write(step, sample)?;
        let summary = match &sample.reconstruction {
            SampleData::Picture { width, height, .. } => Summary::Png {
                width: *width,
                height: *height,
                bytes: &bytes,
            },
            SampleData::Sound { rate, channels } => Summary::Wav {
                rate: *rate,
                channels: channels.len(),
                length: channels.first().map_or(0, Vec::len),
                bytes: &bytes,
            },
        };
        let tag = format!("samples/{}/q{:02.0}", sample.name, sample.quality);
        self.board.write(step, &[(&tag, summary)])
    }
}

/// Tags and values of a report.
fn step_scalars(m: &StepMetrics) -> Vec<(String, f64)> {
    let mut scalars = vec![
        ("loss/total".to_owned(), m.loss),
        ("optimizer/gradient_norm".to_owned(), m.gradient_norm),
        ("optimizer/lr".to_owned(), m.lr),
        ("speed/crops_per_second".to_owned(), m.crops_per_second),
        ("speed/waiting".to_owned(), m.waiting),
    ];
    scalars.extend(m.terms.iter().map(|(k, v)| (format!("loss/{k}"), *v)));
    scalars.extend(m.metrics.iter().map(|(k, v)| (format!("train/{k}"), *v)));
    scalars
}

/// Tags and values of a validation.
fn validation_scalars(score: f64, points: &[ValidationPoint]) -> Vec<(String, f64)> {
    let mut scalars = vec![("validation/score".to_owned(), score)];
    for point in points {
        let tag = |name: &str| format!("validation/{name}/q{:02.0}", point.quality);
        scalars.extend(point.metrics.iter().map(|(k, v)| (tag(k), *v)));
    }
    scalars
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_validation_leaves_samples_and_an_event_file() {
        let run = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::open(run.path(), 0).unwrap();
        let data = SampleData::Picture {
            width: 1,
            height: 1,
            rgb: vec![1, 2, 3],
        };
        let event = Event::Validation {
            step: 9,
            score: -0.5,
            best: true,
            points: vec![ValidationPoint {
                quality: 5.0,
                metrics: [("bpp".to_owned(), 0.5)].into(),
            }],
            samples: vec![Sample {
                name: "p".into(),
                quality: 5.0,
                original: data.clone(),
                reconstruction: data,
            }],
        };
        recorder.event(&event).unwrap();
        assert!(run.path().join("samples/step-00000009/p-q05.png").exists());
        let bytes = fs::read(recorder.board.path()).unwrap();
        for tag in ["validation/score", "validation/bpp/q05", "samples/p/q05"] {
            let found = bytes.windows(tag.len()).any(|w| w == tag.as_bytes());
            assert!(found, "{tag}");
        }
    }
}
