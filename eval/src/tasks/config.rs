//! What a model expects: the file beside it.

use super::error::read_text;
use super::{Preprocess, SoundPreprocess, TaskError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How a model is fed and read. Every field has a default; `model.json` or `model.toml` beside `model.onnx` holds it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TaskConfig {
    /// Name of the input; needed only where there are several.
    pub input: Option<String>,
    /// Name of the output; the first one unless given.
    pub output: Option<String>,
    /// Names of the classes in the order of the output.
    pub classes: Option<Vec<String>>,
    /// Classification: whether every window of a sound and every patch of a picture counts for itself. Their scores are
    /// averaged otherwise.
    pub each: bool,
    /// How pictures are prepared.
    pub picture: Preprocess,
    /// How sounds are prepared.
    pub sound: SoundPreprocess,
    /// How boxes are read and compared.
    pub detection: Detection,
    /// How text is read from probabilities of symbols.
    pub ctc: Ctc,
    /// Language for `tesseract`, such as `eng`.
    pub language: Option<String>,
}

/// How boxes are read and compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Detection {
    /// Output with the boxes, `[n, 4]`: left, top, right, bottom. The first one with four columns unless given.
    pub boxes: Option<String>,
    /// Output with the scores, `[n]`.
    pub scores: Option<String>,
    /// Output with the classes, `[n]`. The one of whole numbers, or the last one, unless given.
    pub classes: Option<String>,
    /// Boxes of a lower score are left out.
    pub score: f32,
    /// Boxes match from this intersection over union on.
    pub iou: f32,
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            boxes: None,
            scores: None,
            classes: None,
            score: 0.5,
            iou: 0.5,
        }
    }
}

/// How text is read from probabilities of symbols (connectionist temporal classification).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ctc {
    /// Symbols: a text file with one in each line, or a JSON list or map to numbers. Relative to the configuration.
    pub vocabulary: Option<PathBuf>,
    /// Number of the symbol that stands for nothing.
    pub blank: usize,
}

impl TaskConfig {
    /// Reads a configuration: TOML where the name ends so, else JSON. Paths in it are taken from its folder.
    ///
    /// # Errors
    /// A file that cannot be read, unknown fields, values that cannot be.
    pub fn read(path: &Path) -> Result<Self, TaskError> {
        let text = read_text(path)?;
        let toml = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("toml"));
        let mut config: Self = if toml {
            toml::from_str(&text).map_err(|e| TaskError::malformed(path, e))?
        } else {
            serde_json::from_str(&text).map_err(|e| TaskError::malformed(path, e))?
        };
        if let (Some(vocabulary), Some(folder)) = (&mut config.ctc.vocabulary, path.parent()) {
            *vocabulary = folder.join(&*vocabulary);
        }
        config.check()?;
        Ok(config)
    }

    /// Reads the configuration given, or that beside the model, or takes the defaults.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn find(given: Option<&Path>, model: Option<&Path>) -> Result<Self, TaskError> {
        if let Some(path) = given {
            return Self::read(path);
        }
        let beside = |end| {
            let path = model?.with_extension(end);
            path.is_file().then_some(path)
        };
        match beside("json").or_else(|| beside("toml")) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    fn check(&self) -> Result<(), TaskError> {
        self.picture.check()?;
        self.sound.check()?;
        let shares = [
            ("detection.score", self.detection.score),
            ("detection.iou", self.detection.iou),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(TaskError::BadSetting {
                    name,
                    value: value.to_string(),
                    expected: "0..=1",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Resize;

    #[test]
    fn json_toml_and_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.onnx");
        assert_eq!(
            TaskConfig::find(None, Some(&model)).unwrap(),
            TaskConfig::default()
        );
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write(
            "m.toml",
            "classes = ['a', 'b']\n[picture]\nsize = [8, 9]\nresize = 'crop'\n[ctc]\nvocabulary = 'v.txt'",
        );
        let config = TaskConfig::find(None, Some(&model)).unwrap();
        assert_eq!(config.picture.size, Some([8, 9]));
        assert_eq!(config.picture.resize, Resize::Crop);
        assert_eq!(config.ctc.vocabulary, Some(dir.path().join("v.txt")));
        write("m.json", r#"{"sound": {"sample-rate": 8000}}"#);
        let config = TaskConfig::find(None, Some(&model)).unwrap();
        assert_eq!(config.sound.sample_rate, Some(8000));
        for text in [
            "{",
            r#"{"clases": []}"#,
            r#"{"picture": {"std": [0, 1, 1]}}"#,
            r#"{"picture": {"size": [0, 4]}}"#,
            r#"{"sound": {"samples": 0}}"#,
            r#"{"detection": {"iou": 2}}"#,
        ] {
            let path = write("bad.json", text);
            assert!(TaskConfig::find(Some(&path), None).is_err(), "{text}");
        }
        assert!(matches!(
            TaskConfig::read(&dir.path().join("none.json")),
            Err(TaskError::Access { .. })
        ));
    }
}
