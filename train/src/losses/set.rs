//! The weighted sum of the terms of a recipe.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::backend::CodecBackend;

use super::lpips::Lpips;
use super::spectral::{LoudnessLoss, MelLoss, MultiScaleStft};
use super::{Domain, LossError, LossKind, LossTerm, charbonnier, l1, ms_ssim, mse};

/// Values that the model computes itself, by name: rate, commitment, ...
pub type ModelTerms<B> = [(&'static str, Tensor<B, 1>)];

/// The terms of a recipe, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct LossSet<B: Backend> {
    domain: Domain,
    terms: Vec<Term<B>>,
}

#[derive(Debug, Clone)]
struct Term<B: Backend> {
    name: String,
    weight: f64,
    evaluator: Evaluator<B>,
}

/// A kind with all that it has to keep between steps.
#[derive(Debug, Clone)]
enum Evaluator<B: Backend> {
    Mse,
    L1,
    Charbonnier(f64),
    MsSsim,
    Lpips(Lpips<B>),
    MultiScaleStft(MultiScaleStft<B>),
    Mel(MelLoss<B>),
    Loudness(LoudnessLoss<B>),
    Model(String),
}

/// What [`LossSet`] gives.
#[derive(Debug, Clone)]
pub struct LossValues<B: Backend> {
    /// Weighted sum of all terms, `[1]`.
    pub total: Tensor<B, 1>,
    /// Each term by name, before its weight, `[1]`, in the order of the recipe.
    pub terms: Vec<(String, Tensor<B, 1>)>,
}

impl<B: CodecBackend> LossSet<B> {
    /// Gets the terms ready: weights of networks among them are loaded here.
    ///
    /// # Errors
    /// [`LossError::WrongDomain`], [`LossError::DuplicateName`], [`LossError::Parameter`], and whatever is wrong with
    /// weights.
    pub fn new(terms: &[LossTerm], domain: Domain, device: &B::Device) -> Result<Self, LossError> {
        check(terms, domain)?;
        let mut set = Self {
            domain,
            terms: Vec::with_capacity(terms.len()),
        };
        for term in terms {
            let name = term.name().to_owned();
            let evaluator = match &term.kind {
                LossKind::Mse {} => Evaluator::Mse,
                LossKind::L1 {} => Evaluator::L1,
                LossKind::Charbonnier { epsilon } => {
                    // The square of the parameter must not vanish in f32: the square root has no slope at 0.
                    if !(1e-12..=1e6).contains(epsilon) {
                        return Err(LossError::Parameter {
                            term: name,
                            reason: format!("epsilon {epsilon} is not in 1e-12..=1e6"),
                        });
                    }
                    Evaluator::Charbonnier(*epsilon)
                }
                LossKind::MsSsim {} => Evaluator::MsSsim,
                LossKind::Lpips {
                    backbone,
                    weights,
                    heads,
                } => Evaluator::Lpips(Lpips::load(*backbone, weights, heads, device)?),
                LossKind::MultiScaleStft(config) => Evaluator::MultiScaleStft(config.init(device)?),
                LossKind::Mel(config) => Evaluator::Mel(config.init(device)?),
                LossKind::Loudness(config) => Evaluator::Loudness(config.init(device)?),
                LossKind::Model { term } => Evaluator::Model(term.clone()),
            };
            set.terms.push(Term {
                name,
                weight: term.weight,
                evaluator,
            });
        }
        Ok(set)
    }

    /// Names of the terms, in the order of the recipe.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| term.name.as_str())
    }

    /// All terms for pictures.
    ///
    /// # Shapes
    /// Both `[n, 3, h, w]`, values in 0..1.
    ///
    /// # Errors
    /// [`LossError::Shape`], [`LossError::TooSmall`], [`LossError::MissingModelTerm`]; [`LossError::WrongDomain`] if the
    /// set was made for sound.
    pub fn pictures(
        &self,
        output: Tensor<B, 4>,
        target: Tensor<B, 4>,
        model: &ModelTerms<B>,
    ) -> Result<LossValues<B>, LossError> {
        self.check(&output, &target, Domain::Pictures)?;
        self.evaluate(&output.device(), |term| {
            let (output, target) = (output.clone(), target.clone());
            Ok(match &term.evaluator {
                Evaluator::MsSsim => ms_ssim(output, target)?.mean().neg().add_scalar(1.0),
                Evaluator::Lpips(lpips) => lpips.forward(output, target)?.mean(),
                _ => return self.either(term, output, target, model),
            })
        })
    }

    /// All terms for sound.
    ///
    /// # Shapes
    /// Both `[n, c, t]`, values in -1..1.
    ///
    /// # Errors
    /// As [`LossSet::pictures`].
    pub fn sound(
        &self,
        output: Tensor<B, 3>,
        target: Tensor<B, 3>,
        model: &ModelTerms<B>,
    ) -> Result<LossValues<B>, LossError> {
        self.check(&output, &target, Domain::Sound)?;
        self.evaluate(&output.device(), |term| {
            let (output, target) = (output.clone(), target.clone());
            match &term.evaluator {
                Evaluator::MultiScaleStft(loss) => loss.forward(output, target),
                Evaluator::Mel(loss) => loss.forward(output, target),
                Evaluator::Loudness(loss) => loss.forward(output, target),
                _ => self.either(term, output, target, model),
            }
        })
    }

    /// The terms that work on anything.
    fn either<const D: usize>(
        &self,
        term: &Term<B>,
        output: Tensor<B, D>,
        target: Tensor<B, D>,
        model: &ModelTerms<B>,
    ) -> Result<Tensor<B, 1>, LossError> {
        match &term.evaluator {
            Evaluator::Mse => Ok(mse(output, target)),
            Evaluator::L1 => Ok(l1(output, target)),
            Evaluator::Charbonnier(epsilon) => Ok(charbonnier(output, target, *epsilon)),
            Evaluator::Model(name) => model
                .iter()
                .find(|(given, _)| given == name)
                .map(|(_, value)| value.clone().mean())
                .ok_or_else(|| LossError::MissingModelTerm {
                    term: term.name.clone(),
                    name: name.clone(),
                    given: model
                        .iter()
                        .map(|(name, _)| *name)
                        .collect::<Vec<_>>()
                        .join(", "),
                }),
            // `new` lets no term of another domain in.
            Evaluator::MsSsim | Evaluator::Lpips(_) => Err(LossError::WrongDomain {
                term: term.name.clone(),
                works_on: Domain::Pictures,
                domain: self.domain,
            }),
            Evaluator::MultiScaleStft(_) | Evaluator::Mel(_) | Evaluator::Loudness(_) => {
                Err(LossError::WrongDomain {
                    term: term.name.clone(),
                    works_on: Domain::Sound,
                    domain: self.domain,
                })
            }
        }
    }

    fn evaluate(
        &self,
        device: &B::Device,
        value: impl Fn(&Term<B>) -> Result<Tensor<B, 1>, LossError>,
    ) -> Result<LossValues<B>, LossError> {
        let mut total = Tensor::zeros([1], device);
        let mut terms = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let value = value(term)?;
            total = total + value.clone().mul_scalar(term.weight);
            terms.push((term.name.clone(), value));
        }
        Ok(LossValues { total, terms })
    }

    fn check<const D: usize>(
        &self,
        output: &Tensor<B, D>,
        target: &Tensor<B, D>,
        domain: Domain,
    ) -> Result<(), LossError> {
        if self.domain != domain {
            return Err(LossError::WrongDomain {
                term: self.names().collect::<Vec<_>>().join(", "),
                works_on: self.domain,
                domain,
            });
        }
        let dims = target.dims();
        let expected = match domain {
            Domain::Pictures => "two of [n, 3, h, w], none of them 0",
            Domain::Sound => "two of [n, c, t], none of them 0",
        };
        let right_channels = domain == Domain::Sound || dims.get(1) == Some(&3);
        if output.dims() != dims || dims.contains(&0) || !right_channels {
            return Err(LossError::Shape {
                term: self.names().collect::<Vec<_>>().join(", "),
                output: output.dims().to_vec(),
                target: dims.to_vec(),
                expected,
            });
        }
        Ok(())
    }
}

/// Whether terms may stand together in a recipe for a model whose output is in `domain`.
///
/// # Errors
/// [`LossError::WrongDomain`], [`LossError::DuplicateName`].
pub(crate) fn check(terms: &[LossTerm], domain: Domain) -> Result<(), LossError> {
    for (i, term) in terms.iter().enumerate() {
        let name = term.name();
        if let Some(works_on) = term.kind.domain()
            && works_on != domain
        {
            return Err(LossError::WrongDomain {
                term: name.to_owned(),
                works_on,
                domain,
            });
        }
        if terms.iter().take(i).any(|earlier| earlier.name() == name) {
            return Err(LossError::DuplicateName {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, noise, scalar, tensor};

    fn terms(text: &str) -> Vec<LossTerm> {
        #[derive(serde::Deserialize)]
        struct Recipe {
            loss: Vec<LossTerm>,
        }
        toml::from_str::<Recipe>(text).unwrap().loss
    }

    fn pictures(text: &str) -> Result<LossSet<Back>, LossError> {
        LossSet::new(&terms(text), Domain::Pictures, &Default::default())
    }

    #[test]
    fn weighted_sum() {
        let set = pictures(
            "[[loss]]\nkind = 'mse'\nweight = 3.0\n[[loss]]\nkind = 'ms-ssim'\nweight = 0.5\n\
             [[loss]]\nkind = 'model'\nterm = 'rate'\nweight = 2.0",
        )
        .unwrap();
        let a = tensor([1, 3, 16, 16], &noise(768, 1, 0.0, 1.0));
        let b = tensor([1, 3, 16, 16], &noise(768, 2, 0.0, 1.0));
        let rate = tensor([1], &[0.25]);
        let values = set.pictures(a, b, &[("rate", rate)]).unwrap();
        let names: Vec<&str> = values.terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["mse", "ms-ssim", "rate"]);
        let numbers: Vec<f64> = values
            .terms
            .iter()
            .map(|(_, value)| scalar(value.clone()))
            .collect();
        let expected = 3.0 * numbers[0] + 0.5 * numbers[1] + 2.0 * 0.25;
        close(scalar(values.total), expected, 1e-6);
        assert!(numbers[0] > 0.1 && numbers[1] > 0.5, "{numbers:?}");
    }

    #[test]
    fn wrong_domain() {
        let error = LossSet::<Back>::new(
            &terms("[[loss]]\nkind = 'ms-ssim'"),
            Domain::Sound,
            &Default::default(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "loss `ms-ssim` is for pictures, but the model's output is sound"
        );
        let set = pictures("[[loss]]\nkind = 'l1'").unwrap();
        let x = tensor([1, 1, 4], &[0.0; 4]);
        assert!(matches!(
            set.sound(x.clone(), x, &[]),
            Err(LossError::WrongDomain { .. })
        ));
    }

    #[test]
    fn typed_errors() {
        let twice = pictures("[[loss]]\nkind = 'l1'\n[[loss]]\nkind = 'l1'").unwrap_err();
        assert_eq!(
            twice.to_string(),
            "two losses are named `l1`: give one another `name`"
        );
        let zero = pictures("[[loss]]\nkind = 'charbonnier'\nepsilon = 0.0").unwrap_err();
        assert_eq!(
            zero.to_string(),
            "loss `charbonnier`: epsilon 0 is not in 1e-12..=1e6"
        );
        let set = pictures("[[loss]]\nkind = 'model'\nterm = 'rate'").unwrap();
        let x = tensor([1, 3, 1, 1], &[0.0; 3]);
        let missing = set.pictures(x.clone(), x.clone(), &[]).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "loss `rate`: the model gives no `rate` (it gives: )"
        );
        let shape = set
            .pictures(x, tensor([1, 3, 1, 2], &[0.0; 6]), &[])
            .unwrap_err();
        assert!(matches!(shape, LossError::Shape { .. }), "{shape}");
    }

    #[test]
    fn sound() {
        let set = LossSet::<Back>::new(
            &terms(
                "[[loss]]\nkind = 'l1'\n[[loss]]\nkind = 'multi-scale-stft'\nwindows = [2]\nweight = 0.0\n\
                 [[loss]]\nkind = 'mel'\nsample_rate = 8000\nwindows = [2]\nbands = [1]\nweight = 0.0",
            ),
            Domain::Sound,
            &Default::default(),
        )
        .unwrap();
        let values = set
            .sound(
                tensor([1, 1, 2], &[0.0, 0.5]),
                tensor([1, 1, 2], &[0.25, 0.0]),
                &[],
            )
            .unwrap();
        close(scalar(values.total), 0.375, 1e-6);
        assert_eq!(
            set.names().collect::<Vec<_>>(),
            ["l1", "multi-scale-stft", "mel"]
        );
        assert!(scalar(values.terms[1].1.clone()) > 0.0);
    }
}
