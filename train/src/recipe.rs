//! Recipes: everything that decides a training run, in one TOML file.

use std::path::PathBuf;

use codec_core::layers::Precision;
use codec_image::models::wpmr::{PassMode, Rounding, WpmrConfig};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// A training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the trained model, `family/variant`.
    pub name: String,
    /// Model family; `wpmr` is the one there is.
    pub family: String,
    /// Seed of initialization, data order and noise.
    #[serde(default)]
    pub seed: u64,
    /// Hyperparameters of the model; what is left out takes the family's default.
    #[serde(default)]
    pub model: toml::Table,
    /// Training and validation data.
    pub data: Data,
    /// Optimizer.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Stages, run one after the other.
    pub stages: Vec<Stage>,
    /// Validation.
    #[serde(default)]
    pub validation: Validation,
}

/// Training data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folder of training pictures (searched recursively).
    pub train: PathBuf,
    /// Folder of validation pictures.
    pub validation: PathBuf,
    /// Random downscaling, smallest and largest factor.
    #[serde(default)]
    pub rescale: Option<(f32, f32)>,
    /// Worker threads that prepare batches.
    #[serde(default = "one")]
    pub workers: usize,
}

/// Adam and what surrounds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Optimizer {
    /// Decay of the mean gradient.
    pub beta_1: f32,
    /// Decay of the mean squared gradient.
    pub beta_2: f32,
    /// Largest norm of the whole gradient.
    pub clip_norm: f32,
    /// Decay per step of the averaged weights that are exported.
    pub ema: f32,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.99,
            clip_norm: 1.0,
            ema: 0.998,
        }
    }
}

/// Steps under one regime.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name in the log.
    pub name: String,
    /// Number of steps.
    pub steps: u64,
    /// Side of the square crops, a multiple of 32.
    pub patch: usize,
    /// Crops a step.
    pub batch: usize,
    /// Learning rate at the start of the stage, after warm-up.
    pub lr: f64,
    /// Learning rate at its end (cosine in between).
    pub lr_end: f64,
    /// Steps of linear warm-up.
    #[serde(default)]
    pub warmup: u64,
    /// Parameters whose names start with one of these keep their values, for instance `analysis`.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// `noise`, `straight-through` or `optimized`.
    pub rounding: StageRounding,
    /// `float` or `integer`.
    pub precision: StagePrecision,
}

/// Serialized form of [`Rounding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageRounding {
    /// Uniform noise for the rate.
    Noise,
    /// Straight-through rounding.
    StraightThrough,
    /// The encoder's rate-distortion optimized symbols, straight-through.
    Optimized,
}

/// Serialized form of [`Precision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StagePrecision {
    /// Real numbers.
    Float,
    /// The rounding of the exported integers.
    Integer,
}

impl Stage {
    /// How the model runs in this stage.
    pub fn mode(&self) -> PassMode {
        PassMode {
            rounding: match self.rounding {
                StageRounding::Noise => Rounding::Noise,
                StageRounding::StraightThrough => Rounding::StraightThrough,
                StageRounding::Optimized => Rounding::Optimized,
            },
            precision: match self.precision {
                StagePrecision::Float => Precision::Float,
                StagePrecision::Integer => Precision::Integer,
            },
        }
    }

    /// Learning rate at a step of this stage: linear warm-up, then half a cosine.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let progress = (step - self.warmup) as f64 / (self.steps - self.warmup).max(1) as f64;
        self.lr_end
            + (self.lr - self.lr_end)
                * 0.5
                * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
    }
}

/// How often and on what the model is validated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// Steps between validations.
    pub every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Pictures used.
    pub pictures: usize,
    /// Qualities in 0..=100.
    pub qualities: Vec<f32>,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            every: 500,
            checkpoint_every: 200,
            pictures: 8,
            qualities: vec![10.0, 30.0, 50.0, 70.0, 90.0],
        }
    }
}

fn one() -> usize {
    1
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, TrainError> {
        let recipe: Self = toml::from_str(text).map_err(|e| TrainError::Recipe(e.to_string()))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Applies `key.path=value`, the value in TOML syntax (a bare word is taken as a string).
    ///
    /// # Errors
    /// [`TrainError::Recipe`] when the key does not exist or the value does not fit.
    pub fn set(&self, assignment: &str) -> Result<Self, TrainError> {
        let bad = |reason: String| TrainError::Recipe(format!("--set {assignment}: {reason}"));
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| bad("expected key=value".into()))?;
        let mut root = toml::Value::try_from(self).map_err(|e| bad(e.to_string()))?;
        let mut slot = &mut root;
        for part in key.trim().split('.') {
            slot = match slot {
                toml::Value::Table(table) => table
                    .entry(part.to_owned())
                    .or_insert_with(|| toml::Value::Table(toml::Table::new())),
                toml::Value::Array(items) => part
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| items.get_mut(i))
                    .ok_or_else(|| bad(format!("no item {part}")))?,
                _ => return Err(bad(format!("{part} is not below a table"))),
            };
        }
        let value = value.trim();
        *slot = toml::from_str::<toml::Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        let recipe: Self = root
            .try_into()
            .map_err(|e: toml::de::Error| bad(e.to_string()))?;
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), TrainError> {
        let bad = |reason: String| Err(TrainError::Recipe(reason));
        if self.family != "wpmr" {
            return bad(format!("unknown family '{}' (expected wpmr)", self.family));
        }
        self.model_config()?;
        if self.stages.is_empty() {
            return bad("no stages".into());
        }
        for stage in &self.stages {
            if stage.patch == 0 || stage.patch % 32 != 0 {
                return bad(format!(
                    "stage {}: invalid patch {} (expected a multiple of 32)",
                    stage.name, stage.patch
                ));
            }
            if stage.batch == 0 || stage.steps == 0 || stage.warmup > stage.steps {
                return bad(format!(
                    "stage {}: batch and steps must be positive, warmup at most steps",
                    stage.name
                ));
            }
            if !(stage.lr > 0.0 && stage.lr_end >= 0.0) {
                return bad(format!(
                    "stage {}: learning rates must be positive",
                    stage.name
                ));
            }
        }
        if self.validation.every == 0 || self.validation.checkpoint_every == 0 {
            return bad("validation intervals must be positive".into());
        }
        if self
            .validation
            .qualities
            .iter()
            .any(|q| !(0.0..=100.0).contains(q))
        {
            return bad("validation qualities must lie in 0..=100".into());
        }
        Ok(())
    }

    /// Hyperparameters of the model: the family's defaults with the recipe's values over them.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for an unknown or misfitting entry.
    pub fn model_config(&self) -> Result<WpmrConfig, TrainError> {
        let bad = |e: &dyn std::fmt::Display| TrainError::Recipe(format!("model: {e}"));
        let mut config = serde_json::to_value(WpmrConfig::new()).map_err(|e| bad(&e))?;
        for (key, value) in &self.model {
            let slot = config.get_mut(key).ok_or_else(|| {
                TrainError::Recipe(format!("model: unknown hyperparameter '{key}'"))
            })?;
            *slot = serde_json::to_value(value).map_err(|e| bad(&e))?;
        }
        serde_json::from_value(config).map_err(|e| bad(&e))
    }

    /// Steps of all stages.
    pub fn total_steps(&self) -> u64 {
        self.stages.iter().map(|s| s.steps).sum()
    }

    /// Stage of a step and the step's number within it; `None` past the end.
    pub fn stage_at(&self, step: u64) -> Option<(usize, u64)> {
        let mut start = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            if step < start + stage.steps {
                return Some((index, step - start));
            }
            start += stage.steps;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        name = "wpmr/test"
        family = "wpmr"
        [model]
        synthesis_width = 32
        [data]
        train = "a"
        validation = "b"
        [[stages]]
        name = "float"
        steps = 10
        patch = 64
        batch = 2
        lr = 1e-3
        lr_end = 1e-4
        rounding = "noise"
        precision = "float"
    "#;

    #[test]
    fn overrides_reach_into_tables_and_lists() {
        let recipe = Recipe::parse(TEXT).expect("parse");
        let changed = recipe
            .set("stages.0.lr=0.5")
            .and_then(|r| r.set("model.synthesis_blocks=3"))
            .expect("set");
        assert_eq!(changed.stages[0].lr, 0.5);
        assert_eq!(changed.model_config().expect("config").synthesis_blocks, 3);
        assert!(recipe.set("stages.7.lr=0.5").is_err());
        assert!(recipe.set("model.nonsense=3").is_err());
    }

    #[test]
    fn stages_follow_each_other() {
        let recipe = Recipe::parse(TEXT).expect("parse");
        assert_eq!(recipe.stage_at(9), Some((0, 9)));
        assert_eq!(recipe.stage_at(10), None);
        assert!(recipe.stages[0].learning_rate(0) > recipe.stages[0].learning_rate(9));
    }
}
