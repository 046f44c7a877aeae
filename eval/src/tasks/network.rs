//! A model with what is done to pictures or sounds before it.

use super::onnx::{Onnx, Tensor};
use super::sound::to_wav;
use super::{TaskConfig, TaskError, TaskOptions};
use crate::{Medium, Sound};
use image::RgbImage;
use std::path::Path;

/// What tasks look at: pictures and sounds.
pub trait Subject: Medium {
    /// `pictures` or `sounds`.
    const NAME: &'static str;
    /// How files for commands end.
    const ENDING: &'static str;

    /// Inputs of a model, one for each window.
    ///
    /// # Errors
    /// A model that does not take it.
    fn tensors(&self, config: &TaskConfig, model: &Onnx) -> Result<Vec<Tensor>, TaskError>;

    /// Writes it for a command.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write(&self, path: &Path) -> Result<(), TaskError>;
}

impl Subject for RgbImage {
    const NAME: &'static str = "pictures";
    const ENDING: &'static str = "png";

    fn tensors(&self, config: &TaskConfig, model: &Onnx) -> Result<Vec<Tensor>, TaskError> {
        config.picture.tensors(self, model)
    }

    fn write(&self, path: &Path) -> Result<(), TaskError> {
        self.save(path).map_err(|error| {
            let source = match error {
                image::ImageError::IoError(source) => source,
                other => std::io::Error::other(other),
            };
            TaskError::access(path)(source)
        })
    }
}

impl Subject for Sound {
    const NAME: &'static str = "sounds";
    const ENDING: &'static str = "wav";

    fn tensors(&self, config: &TaskConfig, model: &Onnx) -> Result<Vec<Tensor>, TaskError> {
        config.sound.tensors(self, model)
    }

    fn write(&self, path: &Path) -> Result<(), TaskError> {
        std::fs::write(path, to_wav(self)?).map_err(TaskError::access(path))
    }
}

/// A model and its configuration.
#[derive(Debug)]
pub(super) struct Network {
    model: Onnx,
    pub(super) config: TaskConfig,
    /// Number of the output that most tasks read.
    output: usize,
}

impl Network {
    /// Loads the model and the configuration that the options name.
    pub(super) fn open(task: &'static str, options: &TaskOptions) -> Result<Self, TaskError> {
        let path = options.model.clone().ok_or(TaskError::Missing {
            task,
            what: "a model",
        })?;
        let config = TaskConfig::find(options.config.as_deref(), Some(&path))?;
        let model = Onnx::load(&path, config.input.as_deref())?;
        let output = config
            .output
            .as_deref()
            .map_or(Ok(0), |name| model.output(name))?;
        Ok(Self {
            model,
            config,
            output,
        })
    }

    /// All outputs, for each window.
    pub(super) fn all<M: Subject>(&self, subject: &M) -> Result<Vec<Vec<Tensor>>, TaskError> {
        let inputs = subject.tensors(&self.config, &self.model)?;
        inputs
            .into_iter()
            .map(|input| self.model.run(input))
            .collect()
    }

    /// The output that the task reads, for each window; all numbers are finite.
    pub(super) fn one<M: Subject>(&self, subject: &M) -> Result<Vec<Tensor>, TaskError> {
        let all = self.all(subject)?;
        let pick = |outputs: Vec<Tensor>| outputs.into_iter().nth(self.output)?.into();
        all.into_iter()
            .filter_map(pick)
            .map(Tensor::finite)
            .collect()
    }

    /// The output that the task reads as a list of numbers, averaged over windows.
    pub(super) fn mean<M: Subject>(&self, subject: &M) -> Result<Tensor, TaskError> {
        let windows = self.one(subject)?;
        let count = windows.len() as f32;
        let mut windows = windows.into_iter();
        let mut mean = windows.next().unwrap_or_default();
        for window in windows {
            if window.data.len() != mean.data.len() {
                return Err(window.unexpected(format!("{:?}, as before", mean.shape)));
            }
            for (sum, value) in mean.data.iter_mut().zip(window.data) {
                *sum += value;
            }
        }
        if mean.squeezed().len() > 1 || mean.data.is_empty() {
            return Err(mean.unexpected("[1, n]"));
        }
        mean.data.iter_mut().for_each(|sum| *sum /= count);
        Ok(mean)
    }

    /// Number of the output with a name.
    pub(super) fn output(&self, name: &str) -> Result<usize, TaskError> {
        self.model.output(name)
    }
}

/// Where the greatest value stands.
pub(super) fn greatest(values: impl IntoIterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}
