//! Discriminators as a recipe names them.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{
    GanObjective, Judgement, MultiPeriod, MultiPeriodConfig, MultiResolution,
    MultiResolutionConfig, MultiScale, MultiScaleConfig, Patch, PatchConfig,
};
use crate::losses::{Domain, LossError};
use crate::recipe::{Auxiliary, Optim, Schedule};

/// One `[[adversary]]` table of a recipe: a discriminator and how it is played against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialTerm {
    /// Name in the log and in checkpoints; by default the kind of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The network.
    pub discriminator: DiscriminatorConfig,
    /// The game.
    #[serde(default)]
    pub objective: GanObjective,
    /// Weight of the generator's loss.
    #[serde(default = "one")]
    pub weight: f64,
    /// Weight of feature matching; 0 leaves it out.
    #[serde(default)]
    pub feature_matching: f64,
    /// Whether feature matching is relative to the size of the target's activations.
    #[serde(default)]
    pub relative: bool,
    /// Whether the generator's loss is also weighted by [`adaptive_weight`](super::adaptive_weight).
    #[serde(default)]
    pub adaptive: bool,
    /// First step that counts: neither network sees the game before.
    #[serde(default)]
    pub start: u64,
    /// Optimizer of the discriminator; Adam with a rate of 1e-4 and betas 0.5 and 0.9 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optim: Option<Auxiliary>,
}

impl AdversarialTerm {
    /// Name in the log, in checkpoints and in errors.
    pub fn name(&self) -> &str {
        self.name
            .as_deref()
            .unwrap_or_else(|| self.discriminator.name())
    }

    /// Optimizer of the discriminator, all written out.
    pub fn optimizer(&self) -> Optim {
        let optim = Optim {
            lr: 1e-4,
            betas: (0.5, 0.9),
            schedule: Schedule::Constant,
            ..Optim::default()
        };
        match &self.optim {
            Some(own) => optim.with(own),
            None => optim,
        }
    }

    /// Checks everything but the network for a model whose output is in `domain`.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = self.name();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!(
                "adversary name \"{name}\": letters, digits, - and _, at most 64"
            ));
        }
        for (key, value) in [
            ("weight", self.weight),
            ("feature_matching", self.feature_matching),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!(
                    "adversary {name}: invalid {key} {value} (0 or more)"
                ));
            }
        }
        if self.weight == 0.0 && (self.adaptive || self.feature_matching == 0.0) {
            return Err(format!("adversary {name}: a weight of 0 has no effect"));
        }
        Ok(())
    }
}

fn one() -> f64 {
    1.0
}

/// The discriminators there are; `kind` in kebab case, for instance `{ kind = "patch", channels = 32 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DiscriminatorConfig {
    /// Patches of pictures.
    Patch(PatchConfig),
    /// Periods of sound.
    MultiPeriod(MultiPeriodConfig),
    /// Halvings of sound.
    MultiScale(MultiScaleConfig),
    /// Complex spectrograms of sound.
    MultiResolution(MultiResolutionConfig),
}

impl DiscriminatorConfig {
    /// What it judges.
    pub fn domain(&self) -> Domain {
        match self {
            Self::Patch(_) => Domain::Pictures,
            Self::MultiPeriod(_) | Self::MultiScale(_) | Self::MultiResolution(_) => Domain::Sound,
        }
    }

    /// Name in the log and in errors, as recipes write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Patch(_) => "patch",
            Self::MultiPeriod(_) => "multi-period",
            Self::MultiScale(_) => "multi-scale",
            Self::MultiResolution(_) => "multi-resolution",
        }
    }

    /// The network with random weights, for a model whose output is in `domain`.
    ///
    /// # Errors
    /// [`LossError::WrongDomain`]; [`LossError::Parameter`] for sizes out of range.
    pub fn init<B: Backend>(
        &self,
        domain: Domain,
        device: &B::Device,
    ) -> Result<Discriminator<B>, LossError> {
        if self.domain() != domain {
            return Err(LossError::WrongDomain {
                term: self.name().into(),
                works_on: self.domain(),
                domain,
            });
        }
        self.check()?;
        Ok(match self {
            Self::Patch(config) => Discriminator::Patch(config.init(device)),
            Self::MultiPeriod(config) => Discriminator::MultiPeriod(config.init(device)),
            Self::MultiScale(config) => Discriminator::MultiScale(config.init(device)),
            Self::MultiResolution(config) => Discriminator::MultiResolution(config.init(device)?),
        })
    }

    /// Bounds on everything that a size is made of.
    fn check(&self) -> Result<(), LossError> {
        let within = |what: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(LossError::Parameter {
                term: self.name().into(),
                reason: format!("{what} {value} is not in 1..={most}"),
            })
        };
        match self {
            Self::Patch(c) => {
                within("inputs", c.inputs, 3)?;
                within("channels", c.channels, 1024)?;
                within("layers", c.layers, 8)
            }
            Self::MultiPeriod(c) => {
                within("number of periods", c.periods.len(), 64)?;
                within("channels", c.channels, 4096)?;
                within("most", c.most, 4096)?;
                c.periods
                    .iter()
                    .try_for_each(|&period| within("period", period, 65_536))
            }
            Self::MultiScale(c) => {
                within("scales", c.scales, 16)?;
                within("channels", c.channels, 512)?;
                if !c.channels.is_multiple_of(16) {
                    return Err(LossError::Parameter {
                        term: self.name().into(),
                        reason: format!("channels {} is not a multiple of 16", c.channels),
                    });
                }
                Ok(())
            }
            Self::MultiResolution(c) => {
                within("number of windows", c.windows.len(), 16)?;
                within("channels", c.channels, 1024)?;
                within("number of bands", c.borders.len().saturating_sub(1), 64)?;
                within("number of dilations", c.dilations.len(), 16)?;
                c.dilations
                    .iter()
                    .try_for_each(|&dilation| within("dilation", dilation, 1024))
            }
        }
    }
}

/// Any of the discriminators.
#[derive(Module, Debug)]
// There are a handful in a run, and a box would not be a module.
#[allow(clippy::large_enum_variant)]
pub enum Discriminator<B: Backend> {
    /// Patches of pictures.
    Patch(Patch<B>),
    /// Periods of sound.
    MultiPeriod(MultiPeriod<B>),
    /// Halvings of sound.
    MultiScale(MultiScale<B>),
    /// Complex spectrograms of sound.
    MultiResolution(MultiResolution<B>),
}

impl<B: Backend> Discriminator<B> {
    /// Judges pictures, `[n, 3, h, w]` in 0..1.
    ///
    /// # Errors
    /// [`LossError::TooSmall`]; [`LossError::WrongDomain`] of a discriminator for sound.
    pub fn pictures(&self, x: Tensor<B, 4>) -> Result<Vec<Judgement<B>>, LossError> {
        match self {
            Self::Patch(network) => Ok(vec![network.forward(x)?]),
            Self::MultiPeriod(_) | Self::MultiScale(_) | Self::MultiResolution(_) => {
                Err(LossError::WrongDomain {
                    term: "adversary".into(),
                    works_on: Domain::Sound,
                    domain: Domain::Pictures,
                })
            }
        }
    }

    /// Judges sound, `[n, c, t]` in -1..1.
    ///
    /// # Errors
    /// [`LossError::TooSmall`]; [`LossError::WrongDomain`] of a discriminator for pictures.
    pub fn sound(&self, x: Tensor<B, 3>) -> Result<Vec<Judgement<B>>, LossError> {
        match self {
            Self::MultiPeriod(network) => network.forward(x),
            Self::MultiScale(network) => Ok(network.forward(x)),
            Self::MultiResolution(network) => network.forward(x),
            Self::Patch(_) => Err(LossError::WrongDomain {
                term: "adversary".into(),
                works_on: Domain::Pictures,
                domain: Domain::Sound,
            }),
        }
    }
}
