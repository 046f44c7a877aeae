//! Recipes: everything that decides a training run, in one TOML file.

mod assign;
mod data;
mod optim;
mod quality;
mod stage;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use data::{Data, Paths};
pub use optim::{Auxiliary, Ema, Optim, OptimKind, Schedule};
pub use quality::{QualitySampling, Sampling};
pub use stage::{Stage, StagePrecision, StageRounding};

use crate::TrainError;
use crate::family;
use crate::losses::LossTerm;
use crate::losses::adversarial::AdversarialTerm;
use suggest::{improve, invalid};

/// A training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the trained model, `family/variant`.
    pub name: String,
    /// Model family, one of [`family::NAMES`].
    pub family: String,
    /// Seed of initialization, data order and noise.
    #[serde(default)]
    pub seed: u64,
    /// Number format of float arithmetic.
    #[serde(default)]
    pub compute: Compute,
    /// Hyperparameters of the model; what is left out takes the family's default.
    #[serde(default)]
    pub model: toml::Table,
    /// Training and validation data.
    pub data: Data,
    /// Terms of the loss; without any, the family's own. A distortion is multiplied by the Lagrangian of the sample's
    /// quality and, for pictures, by 255^2, so that `mse` of weight 1 is what the Lagrangian is made for. `kind = "model"`
    /// names a value of the model: `rate` and `mse` of `wpmr`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss: Vec<LossTerm>,
    /// Discriminators that the model plays against. What they want is weighed as a distortion is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adversary: Vec<AdversarialTerm>,
    /// Qualities that are trained.
    #[serde(default)]
    pub quality: QualitySampling,
    /// Optimizer.
    #[serde(default)]
    pub optim: Optim,
    /// Averaging of weights.
    #[serde(default)]
    pub ema: Ema,
    /// Validation.
    #[serde(default)]
    pub validation: Validation,
    /// Checkpoints.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// Stages, run one after the other.
    pub stages: Vec<Stage>,
}

/// Number format of float arithmetic; integer layers stay exact with each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compute {
    /// What the device does by itself: 32 bits, but products in TF32 on CUDA.
    #[default]
    Auto,
    /// 32-bit floats throughout.
    F32,
    /// 32-bit floats whose products use TF32.
    Tf32,
    /// Float layers in bfloat16, parameters in 32 bits.
    Bf16,
}

/// How often and on what the model is validated.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Validation {
    /// Steps between validations.
    pub every: u64,
    /// Files used.
    pub pictures: usize,
    /// Qualities in 0..=100.
    pub qualities: Vec<f32>,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            every: 500,
            pictures: 8,
            qualities: vec![10.0, 30.0, 50.0, 70.0, 90.0],
        }
    }
}

/// What is kept of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// Steps between checkpoints.
    pub every: u64,
    /// Newest checkpoints kept.
    pub keep: usize,
    /// Keep the one with the best validation, too.
    pub keep_best: bool,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            every: 200,
            keep: 2,
            keep_best: true,
        }
    }
}

/// Most crops in a batch and most steps in a stage, so that sums cannot overflow.
const MAX_BATCH: usize = 1 << 16;
const MAX_STEPS: u64 = 1 << 40;

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, TrainError> {
        Self::parse_with(text, |_| (), &[])
    }

    /// Reads a recipe, changes it, applies assignments as [`Recipe::set`], and checks what comes out: files that the text
    /// names need not be there if the assignments name others.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] with what is wrong.
    pub fn parse_with(
        text: &str,
        change: impl FnOnce(&mut Self),
        assignments: &[String],
    ) -> Result<Self, TrainError> {
        let mut recipe: Self =
            toml::from_str(text).map_err(|e| TrainError::Recipe(improve(&e.to_string())))?;
        change(&mut recipe);
        let mut paths = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let path;
            (recipe, path) = recipe.assigned(assignment)?;
            paths.push((assignment, path));
        }
        recipe.check()?;
        for (assignment, path) in paths {
            recipe.has_effect(assignment, &path)?;
        }
        Ok(recipe)
    }

    /// Applies `key.path=value`, the value in TOML syntax (a bare word is taken as a string).
    ///
    /// # Errors
    /// [`TrainError::Recipe`] when the key does not exist, has no effect, or the value does not fit.
    pub fn set(&self, assignment: &str) -> Result<Self, TrainError> {
        let (recipe, path) = self.assigned(assignment)?;
        recipe.check()?;
        recipe.has_effect(assignment, &path)?;
        Ok(recipe)
    }

    /// The recipe with another value, not checked, and the value's place.
    fn assigned(&self, assignment: &str) -> Result<(Self, Vec<String>), TrainError> {
        let bad = |reason: String| bad_assignment(assignment, &reason);
        let mut root = toml::Value::try_from(self).map_err(|e| bad(e.to_string()))?;
        let path = assign::assign(&mut root, assignment).map_err(bad)?;
        let recipe = root
            .try_into()
            .map_err(|e: toml::de::Error| bad(improve(&e.to_string())))?;
        Ok((recipe, path))
    }

    fn has_effect(&self, assignment: &str, path: &[String]) -> Result<(), TrainError> {
        if let [table, key] = path
            && table == "optim"
            && self.stages.iter().all(|stage| overrides(stage, key))
        {
            let reason = format!("every stage has its own {key}; set stages.0.{key}");
            return Err(bad_assignment(assignment, &reason));
        }
        Ok(())
    }

    /// Freezes more in every stage: patterns, or `encoder` or `decoder` for all that only that side learns.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn freeze(mut self, patterns: &[String]) -> Result<Self, TrainError> {
        let parts = family::parts(&self)?;
        for pattern in patterns {
            let expanded: Vec<String> = match pattern.as_str() {
                "encoder" => parts.encoder.iter().map(|p| (*p).to_owned()).collect(),
                "decoder" => parts.decoder.iter().map(|p| (*p).to_owned()).collect(),
                other => vec![other.to_owned()],
            };
            for stage in &mut self.stages {
                for pattern in &expanded {
                    if !stage.freeze.contains(pattern) {
                        stage.freeze.push(pattern.clone());
                    }
                }
            }
        }
        Ok(self)
    }

    /// The recipe as TOML, with every default written out.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self).map_err(|e| TrainError::Recipe(e.to_string()))
    }

    fn check(&self) -> Result<(), TrainError> {
        if self.stages.is_empty() {
            return Err(TrainError::Recipe("no stages".into()));
        }
        for stage in &self.stages {
            let place = |key: &str| format!("stage {}: {key}", stage.name);
            if !(1..=MAX_BATCH).contains(&stage.batch) {
                return Err(invalid(&place("batch"), &stage.batch, "1..=65536"));
            }
            if !(1..=MAX_STEPS).contains(&stage.steps) {
                return Err(invalid(&place("steps"), &stage.steps, "1..=2^40"));
            }
            self.optim_in(stage)?.check(&place(""), stage.steps)?;
        }
        if !(0.0..1.0).contains(&self.ema.decay) {
            return Err(invalid("ema.decay", &self.ema.decay, "0 <= x < 1"));
        }
        for (key, value) in [
            ("validation.every", self.validation.every),
            ("validation.pictures", self.validation.pictures as u64),
            ("checkpoints.every", self.checkpoints.every),
            ("checkpoints.keep", self.checkpoints.keep as u64),
        ] {
            if value == 0 {
                return Err(invalid(key, &value, "at least 1"));
            }
        }
        if let Some(bad) = self
            .validation
            .qualities
            .iter()
            .find(|q| !(0.0..=100.0).contains(*q))
        {
            return Err(invalid("validation.qualities", bad, "0..=100"));
        }
        if self.validation.qualities.is_empty() {
            return Err(invalid("validation.qualities", &"[]", "at least one"));
        }
        for (i, term) in self.adversary.iter().enumerate() {
            term.check().map_err(TrainError::Recipe)?;
            let name = term.name();
            let earlier = self.adversary.iter().take(i);
            if earlier.into_iter().any(|other| other.name() == name) {
                return Err(TrainError::Recipe(format!(
                    "two adversaries are named \"{name}\": give one another name"
                )));
            }
            let optim = term.optimizer();
            optim.check(&format!("adversary {name}: optim."), self.total_steps())?;
        }
        self.data.check()?;
        self.quality.check()?;
        family::check(self)
    }

    /// Optimizer of a stage: `[optim]` with the stage's entries over it.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for an unknown entry.
    pub fn optim_in(&self, stage: &Stage) -> Result<Optim, TrainError> {
        let bad = |reason: String| TrainError::Recipe(format!("stage {}: {reason}", stage.name));
        let mut table = toml::Table::try_from(&self.optim).map_err(|e| bad(e.to_string()))?;
        for (key, value) in &stage.optim {
            table.insert(key.clone(), value.clone());
        }
        let mut optim: Optim = toml::Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| bad(improve(&e.to_string())))?;
        optim.lr = stage.lr.unwrap_or(optim.lr);
        optim.lr_end = stage.lr_end.unwrap_or(optim.lr_end);
        optim.warmup = stage.warmup.unwrap_or(optim.warmup);
        Ok(optim)
    }

    /// Steps of all stages.
    pub fn total_steps(&self) -> u64 {
        self.stages.iter().map(|s| s.steps).sum()
    }

    /// Pixels or samples learned from in the first `step` steps.
    pub fn pixels_seen(&self, step: u64) -> u64 {
        let (mut left, mut pixels) = (step, 0u64);
        for stage in &self.stages {
            let steps = left.min(stage.steps);
            let batches = self.optim_in(stage).map_or(1, |optim| optim.accumulate);
            let crops = (stage.batch as u64).saturating_mul(batches);
            // A recipe for sound says at what rate.
            let dimensions = if self.data.rate.is_some() { 1 } else { 2 };
            let per_step = crops.saturating_mul((stage.patch as u64).saturating_pow(dimensions));
            pixels = pixels.saturating_add(steps.saturating_mul(per_step));
            left -= steps;
        }
        pixels
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

/// Whether a stage has its own value of an entry of `[optim]`.
fn bad_assignment(assignment: &str, reason: &str) -> TrainError {
    TrainError::Recipe(format!("--set {assignment}: {reason}"))
}

fn overrides(stage: &Stage, key: &str) -> bool {
    let own = match key {
        "lr" => stage.lr.is_some(),
        "lr_end" => stage.lr_end.is_some(),
        "warmup" => stage.warmup.is_some(),
        _ => false,
    };
    own || stage.optim.contains_key(key)
}
