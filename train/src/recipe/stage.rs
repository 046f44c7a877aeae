//! Stages of a run.

use serde::{Deserialize, Serialize};

/// Steps under one regime. Entries of `[optim]` may be overridden in `[stages.optim]`; the most usual three stand here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name in the log.
    pub name: String,
    /// Number of steps.
    pub steps: u64,
    /// Side of the square crops in pixels, or length of a piece of sound in samples.
    pub patch: usize,
    /// Crops in a batch.
    pub batch: usize,
    /// Learning rate at the start of the stage, after warm-up, instead of that of `[optim]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rate at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr_end: Option<f64>,
    /// Steps of linear warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<u64>,
    /// Parameters that keep their values: patterns with `*` and `?` over names such as `entropy.analysis.input.weight`. A
    /// pattern also covers everything below a name that it matches.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// How training stands in for quantization.
    #[serde(default)]
    pub rounding: StageRounding,
    /// Arithmetic of layers that code in integers.
    #[serde(default)]
    pub precision: StagePrecision,
    /// Other entries of `[optim]`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub optim: toml::Table,
}

/// How training stands in for quantization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageRounding {
    /// Uniform noise for the rate, straight-through rounding elsewhere.
    #[default]
    Noise,
    /// Straight-through rounding.
    StraightThrough,
    /// The encoder's rate-distortion optimized symbols, straight-through.
    Optimized,
    /// The same with the gradient of the rate under noise for the encoder.
    Mixed,
}

/// Arithmetic of layers that code in integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StagePrecision {
    /// Real numbers.
    #[default]
    Float,
    /// The rounding of the exported integers.
    Integer,
}
