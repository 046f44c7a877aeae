//! Adversarial training: discriminators, their objectives, feature matching, and the weight against other losses.
//!
//! A step of the discriminator minimizes [`GanObjective::discriminator`] of its judgements of targets and of *detached*
//! outputs; a step of the generator adds [`GanObjective::generator`] and [`feature_matching`] to the other losses and
//! hands the optimizer the gradients of the generator alone.

mod adaptive;
mod config;
mod feature_matching;
mod multi_period;
mod multi_resolution;
mod multi_scale;
mod normed_conv;
mod objective;
mod patch;
#[cfg(test)]
mod tests;

pub use adaptive::{OutputGradient, adaptive_weight, inject, output_gradient, weight_gradient};
pub use config::{AdversarialTerm, Discriminator, DiscriminatorConfig};
pub use feature_matching::feature_matching;
pub use multi_period::{MultiPeriod, MultiPeriodConfig};
pub use multi_resolution::{MultiResolution, MultiResolutionConfig};
pub use multi_scale::{MultiScale, MultiScaleConfig};
pub use normed_conv::{NormedConv, NormedConvConfig};
pub use objective::GanObjective;
pub use patch::{Patch, PatchConfig, PatchNorm};

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// What one (part of a) discriminator says.
#[derive(Debug, Clone)]
pub struct Judgement<B: Backend> {
    /// One number for each place it looks at, high for real, `[n, 1, h, w]`.
    pub logits: Tensor<B, 4>,
    /// Activations of its layers, first to last, `[n, c, h, w]` each.
    pub features: Vec<Tensor<B, 4>>,
}

impl<B: Backend> Judgement<B> {
    /// The same without gradient.
    #[must_use]
    pub fn detach(self) -> Self {
        Self {
            logits: self.logits.detach(),
            features: self.features.into_iter().map(Tensor::detach).collect(),
        }
    }
}
