//! A loss term as a recipe writes it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LossError;
use super::lpips::Backbone;
use super::spectral::{LoudnessLossConfig, MelLossConfig, MultiScaleStftConfig};

/// What a model's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// Pictures `[n, 3, h, w]`, values in 0..1.
    Pictures,
    /// Sound `[n, c, t]`, values in -1..1.
    Sound,
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pictures => "pictures",
            Self::Sound => "sound",
        })
    }
}

/// One `[[loss]]` table of a recipe: a kind, a weight and the parameters of the kind.
///
/// ```
/// use codec_train::losses::{LossKind, LossTerm};
/// let term: LossTerm = toml::from_str("kind = 'charbonnier'\nweight = 2.0\nepsilon = 0.01")?;
/// assert_eq!(term.kind, LossKind::Charbonnier { epsilon: 0.01 });
/// assert!(toml::from_str::<LossTerm>("kind = 'mse'\nepsilon = 0.01").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct LossTerm {
    /// What is computed.
    pub kind: LossKind,
    /// Factor in the sum (default 1).
    pub weight: f64,
    /// Name in the log, if it is not to be that of the kind.
    pub name: Option<String>,
}

impl LossTerm {
    /// A term of weight 1.
    pub fn new(kind: LossKind) -> Self {
        Self {
            kind,
            weight: 1.0,
            name: None,
        }
    }

    /// The same with another weight.
    #[must_use]
    pub fn weighted(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Name in the log.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind.name())
    }
}

/// The losses there are, with their parameters.
///
/// In a recipe the kind is written in kebab case (`ms-ssim`). Parameters with a default can be left out; others that
/// the kind does not have are an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LossKind {
    /// [`mse`](super::mse).
    Mse {},
    /// [`l1`](super::l1).
    L1 {},
    /// [`charbonnier`](super::charbonnier).
    Charbonnier {
        /// Where the square root turns into a parabola.
        #[serde(default = "default_epsilon")]
        epsilon: f64,
    },
    /// One minus [`ms_ssim`](super::ms_ssim()), mean over pictures.
    MsSsim {},
    /// [`Lpips`](super::lpips::Lpips), mean over pictures.
    Lpips {
        /// Which network.
        backbone: Backbone,
        /// Its weights with torchvision's keys, `.pth` or `.safetensors`.
        weights: PathBuf,
        /// Weights of its layers with the keys of the package `lpips`.
        heads: PathBuf,
    },
    /// [`MultiScaleStft`](super::spectral::MultiScaleStft).
    MultiScaleStft(MultiScaleStftConfig),
    /// [`MelLoss`](super::spectral::MelLoss).
    Mel(MelLossConfig),
    /// [`LoudnessLoss`](super::spectral::LoudnessLoss).
    Loudness(LoudnessLossConfig),
    /// A value that the model computes itself, for instance its `rate` or a quantizer's `commitment`.
    Model {
        /// Name of the value, see [`ModelTerms`](super::ModelTerms).
        term: String,
    },
}

fn default_epsilon() -> f64 {
    1e-3
}

impl LossKind {
    /// Names of all kinds, as recipes write them.
    pub const NAMES: &[&str] = &[
        "mse",
        "l1",
        "charbonnier",
        "ms-ssim",
        "lpips",
        "multi-scale-stft",
        "mel",
        "loudness",
        "model",
    ];

    /// Name of this kind, as recipes write it; for [`LossKind::Model`] that of its value.
    pub fn name(&self) -> &str {
        match self {
            Self::Mse {} => "mse",
            Self::L1 {} => "l1",
            Self::Charbonnier { .. } => "charbonnier",
            Self::MsSsim {} => "ms-ssim",
            Self::Lpips { .. } => "lpips",
            Self::MultiScaleStft(_) => "multi-scale-stft",
            Self::Mel(_) => "mel",
            Self::Loudness(_) => "loudness",
            Self::Model { term } => term,
        }
    }

    /// What this kind works on; nothing if on both.
    pub fn domain(&self) -> Option<Domain> {
        match self {
            Self::Mse {} | Self::L1 {} | Self::Charbonnier { .. } | Self::Model { .. } => None,
            Self::MsSsim {} | Self::Lpips { .. } => Some(Domain::Pictures),
            Self::MultiScaleStft(_) | Self::Mel(_) | Self::Loudness(_) => Some(Domain::Sound),
        }
    }
}

/// The table before its kind is known: serde can tell unknown parameters only from a table without strangers.
#[derive(Clone, Serialize, Deserialize)]
struct Table {
    kind: String,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    parameters: toml::Table,
}

fn one() -> f64 {
    1.0
}

impl TryFrom<Table> for LossTerm {
    type Error = LossError;

    fn try_from(table: Table) -> Result<Self, LossError> {
        if !LossKind::NAMES.contains(&table.kind.as_str()) {
            return Err(LossError::UnknownKind {
                kind: table.kind,
                known: LossKind::NAMES.join(", "),
            });
        }
        let mut parameters = table.parameters;
        parameters.insert("kind".into(), table.kind.clone().into());
        let kind: LossKind =
            parameters
                .try_into()
                .map_err(|error: toml::de::Error| LossError::Parameter {
                    term: table.kind.clone(),
                    reason: error.message().to_owned(),
                })?;
        if !table.weight.is_finite() {
            return Err(LossError::Parameter {
                term: table.kind,
                reason: format!("weight {} is not a finite number", table.weight),
            });
        }
        Ok(Self {
            kind,
            weight: table.weight,
            name: table.name,
        })
    }
}

impl From<LossTerm> for Table {
    fn from(term: LossTerm) -> Self {
        let LossTerm { kind, weight, name } = term;
        // A kind holds nothing that TOML cannot express.
        let mut parameters = toml::Table::try_from(&kind).unwrap_or_default();
        let kind = match parameters.remove("kind") {
            Some(toml::Value::String(kind)) => kind,
            _ => kind.name().to_owned(),
        };
        Self {
            kind,
            weight,
            name,
            parameters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        toml::from_str::<LossTerm>(text)
            .unwrap_err()
            .message()
            .to_owned()
    }

    #[test]
    fn errors_name_the_culprit() {
        assert_eq!(
            error("kind = 'msee'"),
            format!(
                "unknown loss `msee` (known: {})",
                LossKind::NAMES.join(", ")
            )
        );
        let unknown = error("kind = 'mse'\nepsilon = 1.0");
        assert!(
            unknown.starts_with("loss `mse`: unknown field `epsilon`"),
            "{unknown}"
        );
        let wrong = error("kind = 'charbonnier'\nepsilon = 'small'");
        assert!(
            wrong.starts_with("loss `charbonnier`: invalid type"),
            "{wrong}"
        );
        assert!(error("kind = 'mse'\nweight = inf").contains("not a finite number"));
        assert!(error("weight = 1.0").contains("missing field `kind`"));
    }

    #[test]
    fn written_and_read_again() {
        let text = "kind = 'model'\nterm = 'rate'\nweight = 0.5\nname = 'bits'";
        let term: LossTerm = toml::from_str(text).unwrap();
        assert_eq!(term.name(), "bits");
        let again: LossTerm = toml::from_str(&toml::to_string(&term).unwrap()).unwrap();
        assert_eq!(again, term);
        let json: LossTerm = serde_json::from_str(&serde_json::to_string(&term).unwrap()).unwrap();
        assert_eq!(json, term);
    }

    #[test]
    fn parameters_of_sound() {
        let text = "kind = 'mel'\nweight = 15\nsample_rate = 16000\nscale = 'htk'";
        let term: LossTerm = toml::from_str(text).unwrap();
        let LossKind::Mel(config) = &term.kind else {
            panic!("{term:?}");
        };
        assert_eq!((config.sample_rate, config.windows.len()), (16_000, 7));
        let again: LossTerm = toml::from_str(&toml::to_string(&term).unwrap()).unwrap();
        assert_eq!(again, term);
        assert_eq!(
            error("kind = 'mel'"),
            "loss `mel`: missing field `sample_rate`"
        );
        let unknown = error("kind = 'multi-scale-stft'\nwindow = [512]");
        assert!(unknown.contains("unknown field `window`"), "{unknown}");
    }

    #[test]
    fn weight_is_one_by_default() {
        let term: LossTerm = toml::from_str("kind = 'l1'").unwrap();
        assert_eq!(term, LossTerm::new(LossKind::L1 {}));
    }
}
