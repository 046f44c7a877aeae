//! Hyperparameters of the hyperprior family.

use codec_core::Error;
use codec_core::weights::Tensors;
use serde::{Deserialize, Serialize};

/// Widest layer that a checkpoint may ask for.
const MAX_WIDTH: usize = 4_096;

/// Which of the published models, by the name that CompressAI gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// No side information.
    #[serde(rename = "bmshj2018-factorized")]
    Factorized,
    /// Scales of zero-mean Gaussians as side information.
    #[serde(rename = "bmshj2018-hyperprior")]
    Scale,
    /// Means, too.
    #[serde(rename = "mbt2018-mean")]
    MeanScale,
    /// Means and scales from the latents before, too, one position after the other.
    #[serde(rename = "mbt2018")]
    Autoregressive,
}

/// Hyperparameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HyperpriorConfig {
    /// Width of the transforms, and channels of the hyperlatents.
    #[serde(rename = "N")]
    pub width: usize,
    /// Channels of the latents.
    #[serde(rename = "M")]
    pub latents: usize,
    /// Which model.
    pub architecture: Architecture,
}

impl HyperpriorConfig {
    /// The model of a checkpoint, by names and shapes alone.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is none of this family.
    pub fn of(tensors: &Tensors) -> Result<Self, Error> {
        let channels = |name: &str| match tensors.shape(name) {
            Some(&[output, _, 5, 5]) if (1..=MAX_WIDTH).contains(&output) => Ok(output),
            Some(shape) => Err(Error::malformed(format!(
                "weights: {name} has shape {shape:?}"
            ))),
            None => Err(Error::malformed(format!("weights: {name} is missing"))),
        };
        let (width, latents) = (channels("g_a.0.weight")?, channels("g_a.6.weight")?);
        let architecture = match tensors.shape("h_s.4.weight") {
            None => Architecture::Factorized,
            Some(&[output, ..]) if output == latents => Architecture::Scale,
            Some(&[output, ..]) if output != 2 * latents => {
                return Err(Error::malformed(format!(
                    "weights: h_s.4.weight has {output} outputs for {latents} latents"
                )));
            }
            Some(_) if tensors.contains("context_prediction.weight") => {
                Architecture::Autoregressive
            }
            Some(_) => Architecture::MeanScale,
        };
        Ok(Self {
            width,
            latents,
            architecture,
        })
    }

    /// Compares with the configuration that came with a checkpoint.
    ///
    /// # Errors
    /// [`Error::BadParameter`] where they differ.
    pub fn check(&self, given: &serde_json::Value) -> Result<(), Error> {
        for (key, value) in [("N", self.width), ("M", self.latents)] {
            match given.get(key).and_then(serde_json::Value::as_u64) {
                Some(given) if given != value as u64 => {
                    return Err(Error::bad_parameter(format!(
                        "configuration says {key} = {given}, the tensors {value}"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
