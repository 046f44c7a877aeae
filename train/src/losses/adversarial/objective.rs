//! What discriminator and generator minimize.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softplus};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::Judgement;

/// The game that is played. All values are means over places and then over the parts of a discriminator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GanObjective {
    /// Discriminator `max(0, 1 - D(x)) + max(0, 1 + D(x'))`, generator `-D(x')` (VQGAN; it halves the former).
    #[default]
    Hinge,
    /// As hinge, but generator `max(0, 1 - D(x'))` (EnCodec, WavTokenizer).
    ClippedHinge,
    /// Discriminator `(1 - D(x))^2 + D(x')^2`, generator `(1 - D(x'))^2` (HiFi-GAN, DAC; they sum over parts).
    LeastSquares,
    /// Discriminator `softplus(-D(x)) + softplus(D(x'))`, generator `softplus(-D(x'))` (Goodfellow et al. 2014).
    NonSaturating,
}

impl GanObjective {
    /// Loss of the discriminator, `[1]`; 0 without parts is no loss at all, so nothing then.
    ///
    /// `fake` must be the judgement of outputs that were detached, or the generator gets gradients, too.
    pub fn discriminator<B: Backend>(
        self,
        real: &[Judgement<B>],
        fake: &[Judgement<B>],
    ) -> Option<Tensor<B, 1>> {
        mean(real.iter().zip(fake).map(|(real, fake)| {
            let (real, fake) = (real.logits.clone(), fake.logits.clone());
            match self {
                Self::Hinge | Self::ClippedHinge => {
                    relu(real.neg().add_scalar(1.0)).mean() + relu(fake.add_scalar(1.0)).mean()
                }
                Self::LeastSquares => real.sub_scalar(1.0).square().mean() + fake.square().mean(),
                Self::NonSaturating => {
                    softplus(real.neg(), 1.0).mean() + softplus(fake, 1.0).mean()
                }
            }
        }))
    }

    /// Loss of the generator, `[1]`; nothing without parts.
    pub fn generator<B: Backend>(self, fake: &[Judgement<B>]) -> Option<Tensor<B, 1>> {
        mean(fake.iter().map(|fake| {
            let fake = fake.logits.clone();
            match self {
                Self::Hinge => fake.mean().neg(),
                Self::ClippedHinge => relu(fake.neg().add_scalar(1.0)).mean(),
                Self::LeastSquares => fake.sub_scalar(1.0).square().mean(),
                Self::NonSaturating => softplus(fake.neg(), 1.0).mean(),
            }
        }))
    }
}

/// Mean of scalars; nothing of none.
pub(super) fn mean<B: Backend>(values: impl Iterator<Item = Tensor<B, 1>>) -> Option<Tensor<B, 1>> {
    let (count, sum) = values.fold((0usize, None), |(count, sum), value| {
        let sum = match sum {
            Some(sum) => sum + value,
            None => value,
        };
        (count + 1, Some(sum))
    });
    sum.map(|sum: Tensor<B, 1>| sum.div_scalar(count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, scalar, tensor};

    fn judgements(values: &[[f32; 2]]) -> Vec<Judgement<Back>> {
        values
            .iter()
            .map(|v| Judgement {
                logits: tensor([1, 1, 1, 2], v),
                features: vec![],
            })
            .collect()
    }

    #[test]
    fn values() {
        let real = judgements(&[[2.0, 0.5], [-1.0, 0.0]]);
        let fake = judgements(&[[-2.0, 0.5], [1.0, 0.0]]);
        let softplus = |x: f64| x.exp().ln_1p();
        let expected = [
            // part 1: (0 + 0.5) / 2 + (0 + 1.5) / 2 = 1; part 2: (2 + 1) / 2 + (2 + 1) / 2 = 3
            (GanObjective::Hinge, 2.0, (0.75 - 0.5) / 2.0),
            (GanObjective::ClippedHinge, 2.0, (1.75 + 0.5) / 2.0),
            (
                GanObjective::LeastSquares,
                (0.625 + 2.125 + 2.5 + 0.5) / 2.0,
                (4.625 + 0.5) / 2.0,
            ),
            (
                GanObjective::NonSaturating,
                [-2.0, -0.5, -2.0, 0.5, 1.0, 0.0, 1.0, 0.0]
                    .map(softplus)
                    .iter()
                    .sum::<f64>()
                    / 4.0,
                [2.0, -0.5, -1.0, 0.0].map(softplus).iter().sum::<f64>() / 4.0,
            ),
        ];
        for (objective, discriminator, generator) in expected {
            close(
                scalar(objective.discriminator(&real, &fake).unwrap()),
                discriminator,
                1e-6,
            );
            close(scalar(objective.generator(&fake).unwrap()), generator, 1e-6);
        }
        assert!(GanObjective::Hinge.generator::<Back>(&[]).is_none());
    }

    #[test]
    fn gradients() {
        for objective in [
            GanObjective::Hinge,
            GanObjective::ClippedHinge,
            GanObjective::LeastSquares,
            GanObjective::NonSaturating,
        ] {
            let both = |x: Tensor<Back, 4>| {
                let judgement = [Judgement {
                    logits: x,
                    features: vec![],
                }];
                objective.generator(&judgement).unwrap().mul_scalar(2.0)
                    + objective.discriminator(&judgement, &judgement).unwrap()
            };
            let error = gradient_error([1, 1, 1, 4], &[-1.7, -0.3, 0.4, 2.1], both);
            assert!(error < 1e-2, "{objective:?}: {error}");
        }
    }
}
