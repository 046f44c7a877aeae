//! The loss of a recipe: the family's own terms, or those of `[[loss]]`.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::losses::{self, Domain, LossKind, LossSet, LossTerm};
use crate::task::{Pass, Signal, Term, TermKind};

/// Losses of pictures are multiplied by this, so that a Lagrangian means the same for each of them as for the mean
/// squared error on the 0..255 scale.
const PICTURE_SCALE: f64 = 255.0 * 255.0;

/// What is minimized.
pub(crate) struct Objective<B: Backend> {
    /// Empty for the family's own loss.
    parts: Vec<Part<B>>,
    scale: f64,
}

struct Part<B: Backend> {
    term: LossTerm,
    /// `None` for a value that the model computes itself.
    set: Option<LossSet<B>>,
}

/// A term with its factor.
struct Weighted<B: Backend> {
    term: Term<B>,
    weight: f64,
}

/// A loss in two parts, each the sum over samples of `weight * (rate terms + lambda * distortion terms)`, `[1]`.
pub(crate) struct Cost<B: Backend> {
    /// Of the values that the model computes itself.
    pub model: Option<Tensor<B, 1>>,
    /// Of what is computed from its output.
    pub output: Option<Tensor<B, 1>>,
}

impl<B: Backend> Cost<B> {
    /// Both parts.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] if there is none.
    pub(crate) fn total(&self) -> Result<Tensor<B, 1>, TrainError> {
        match (self.model.clone(), self.output.clone()) {
            (Some(model), Some(output)) => Ok(model + output),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err(TrainError::Recipe("the loss has no terms".into())),
        }
    }
}

impl<B: CodecBackend> Objective<B> {
    /// Gets the terms of a recipe ready.
    ///
    /// # Errors
    /// Those of [`LossSet::new`].
    pub(crate) fn new(
        terms: &[LossTerm],
        domain: Domain,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        losses::check(terms, domain)?;
        let mut parts = Vec::with_capacity(terms.len());
        for term in terms {
            let set = match term.kind {
                LossKind::Model { .. } => None,
                _ => {
                    let plain = term.clone().weighted(1.0);
                    Some(LossSet::new(&[plain], domain, device)?)
                }
            };
            parts.push(Part {
                term: term.clone(),
                set,
            });
        }
        let scale = match domain {
            Domain::Pictures => PICTURE_SCALE,
            Domain::Sound => 1.0,
        };
        Ok(Self { parts, scale })
    }

    /// Whether a part of the loss is computed from the output.
    pub(crate) fn sees_output(&self) -> bool {
        self.parts.iter().any(|part| part.set.is_some())
    }

    /// Weight of each sample's distortion before the weight of a term: what a discriminator's opinion is multiplied by, too.
    pub(crate) fn factors(&self, pass: &Pass<B>) -> Vec<f32> {
        let samples = pass.lambdas.iter().zip(&pass.weights);
        samples.map(|(l, w)| l * w * self.scale as f32).collect()
    }

    /// The loss of a pass. The terms of the pass become those that entered, before `lambda` and the sample's weight.
    ///
    /// # Errors
    /// Those of the terms; [`TrainError::Recipe`] for a value that the model does not give.
    pub(crate) fn compose(
        &self,
        pass: &mut Pass<B>,
        input: &Signal<B>,
        device: &B::Device,
    ) -> Result<Cost<B>, TrainError> {
        // Which of the terms are computed from the output.
        let mut of_output = vec![false; pass.terms.len()];
        if !self.parts.is_empty() {
            of_output = self.parts.iter().map(|part| part.set.is_some()).collect();
            let mut terms = Vec::with_capacity(self.parts.len());
            for part in &self.parts {
                let Weighted { mut term, weight } = match &part.set {
                    None => self.model_term(part, pass)?,
                    Some(set) => self.signal_term(part, set, pass, input)?,
                };
                if weight != 1.0 {
                    term.value = term.value.mul_scalar(weight);
                }
                terms.push(term);
            }
            // What is no longer minimized stays readable, since figures are made of it.
            for old in std::mem::take(&mut pass.terms) {
                if terms.iter().all(|term| term.name != old.name) {
                    pass.readings.push((old.name, old.value));
                }
            }
            pass.terms = terms;
        } else {
            let (own, offered) = std::mem::take(&mut pass.terms)
                .into_iter()
                .partition(|term| term.kind != TermKind::Offered);
            pass.terms = own;
            let offered: Vec<Term<B>> = offered;
            let offered = offered.into_iter().map(|term| (term.name, term.value));
            pass.readings.extend(offered);
        }
        let weights = vector(&pass.weights, device);
        let sum = |kind: TermKind, from_output: bool| {
            let terms = pass.terms.iter().zip(&of_output);
            terms
                .filter(|(term, of)| term.kind == kind && **of == from_output)
                .map(|(term, _)| term.value.clone())
                .reduce(|a, b| a + b)
        };
        let total = |from_output: bool| {
            let distortion = sum(TermKind::Distortion, from_output);
            let distortion = distortion.map(|d| d * vector(&pass.lambdas, device));
            let cost = match (sum(TermKind::Rate, from_output), distortion) {
                (Some(rate), Some(distortion)) => rate + distortion,
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => return None,
            };
            Some((cost * weights.clone()).sum())
        };
        Ok(Cost {
            model: total(false),
            output: total(true),
        })
    }

    fn model_term(&self, part: &Part<B>, pass: &Pass<B>) -> Result<Weighted<B>, TrainError> {
        let LossKind::Model { term: name } = &part.term.kind else {
            return Err(TrainError::Recipe(format!(
                "loss {} has no value",
                part.term.name()
            )));
        };
        let Some(given) = pass.terms.iter().find(|term| term.name == *name) else {
            let names = pass.terms.iter().map(|term| term.name.as_str());
            let message = crate::recipe::suggest::unknown("value of the model", name, names);
            return Err(TrainError::Recipe(message));
        };
        let mut term = given.clone();
        term.name = part.term.name().to_owned();
        if term.kind == TermKind::Offered {
            term.kind = TermKind::Rate;
        }
        Ok(Weighted {
            term,
            weight: part.term.weight,
        })
    }

    /// A term over output and input, for each sample by itself where samples do not count alike.
    fn signal_term(
        &self,
        part: &Part<B>,
        set: &LossSet<B>,
        pass: &Pass<B>,
        input: &Signal<B>,
    ) -> Result<Weighted<B>, TrainError> {
        let n = input.count();
        let factors: Vec<f32> = pass
            .lambdas
            .iter()
            .zip(&pass.weights)
            .map(|(l, w)| l * w)
            .collect();
        let alike = factors
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a == b));
        let evaluate = |range: std::ops::Range<usize>| -> Result<Tensor<B, 1>, TrainError> {
            let values = match (&pass.output, input) {
                (Signal::Pictures(output), Signal::Pictures(input)) => set.pictures(
                    output.clone().slice([range.clone()]),
                    input.clone().slice([range]),
                    &[],
                )?,
                (
                    Signal::Sound {
                        samples: output, ..
                    },
                    Signal::Sound { samples: input, .. },
                ) => set.sound(
                    output.clone().slice([range.clone()]),
                    input.clone().slice([range]),
                    &[],
                )?,
                _ => {
                    return Err(TrainError::Recipe(
                        "output and input are of two kinds".into(),
                    ));
                }
            };
            Ok(values.total)
        };
        let value = if alike {
            evaluate(0..n)?.repeat_dim(0, n)
        } else {
            let each: Result<Vec<_>, _> = (0..n).map(|i| evaluate(i..i + 1)).collect();
            Tensor::cat(each?, 0)
        };
        Ok(Weighted {
            term: Term {
                name: part.term.name().to_owned(),
                kind: TermKind::Distortion,
                value,
            },
            weight: part.term.weight * self.scale,
        })
    }
}

fn vector<B: Backend>(values: &[f32], device: &B::Device) -> Tensor<B, 1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};

    type Back = Autodiff<Flex>;

    fn terms(text: &str) -> Vec<LossTerm> {
        #[derive(serde::Deserialize)]
        struct Recipe {
            loss: Vec<LossTerm>,
        }
        toml::from_str::<Recipe>(text).unwrap().loss
    }

    /// Two pictures, the second twice as wrong, with rates 1 and 2.
    fn pass(lambdas: [f32; 2]) -> (Pass<Back>, Signal<Back>) {
        let device = Default::default();
        let input = Tensor::<Back, 4>::zeros([2, 3, 4, 4], &device);
        let error = Tensor::<Back, 4>::from_data([[[[0.1]]], [[[0.2]]]], &device);
        let output = error.expand([2, 3, 4, 4]);
        let mse = [0.01 * 65025.0, 0.04 * 65025.0];
        let term = |name: &str, kind, value: [f32; 2]| Term {
            name: name.into(),
            kind,
            value: Tensor::from_data(value, &device),
        };
        let pass = Pass {
            terms: vec![
                term("rate", TermKind::Rate, [1.0, 2.0]),
                term("mse", TermKind::Distortion, mse),
            ],
            lambdas: lambdas.to_vec(),
            weights: vec![0.25, 0.75],
            readings: Vec::new(),
            output: Signal::Pictures(output),
        };
        (pass, Signal::Pictures(input))
    }

    fn loss(text: &str, lambdas: [f32; 2]) -> (f32, Vec<String>) {
        let device = Default::default();
        let (mut pass, input) = pass(lambdas);
        let objective = Objective::<Back>::new(&terms(text), Domain::Pictures, &device).unwrap();
        let cost = objective.compose(&mut pass, &input, &device).unwrap();
        let value = cost.total().unwrap();
        let names = pass.terms.iter().map(|t| t.name.clone()).collect();
        (value.into_scalar(), names)
    }

    /// The family's own loss, and the same written out, in two ways.
    #[test]
    fn written_out_losses_equal_the_default() {
        for lambdas in [[0.001, 0.02], [0.01, 0.01]] {
            let (own, names) = loss("loss = []", lambdas);
            assert_eq!(names, ["rate", "mse"]);
            let expected = 0.25 * (1.0 + lambdas[0] * 650.25) + 0.75 * (2.0 + lambdas[1] * 2601.0);
            assert!((own - expected).abs() < 1e-3, "{own} {expected}");
            for distortion in ["kind = 'mse'", "kind = 'model'\nterm = 'mse'"] {
                let text =
                    format!("[[loss]]\nkind = 'model'\nterm = 'rate'\n[[loss]]\n{distortion}");
                let (written, _) = loss(&text, lambdas);
                assert!((own - written).abs() < 1e-3, "{own} {written}");
            }
        }
    }

    #[test]
    fn offered_values_count_where_they_are_named() {
        let device = Default::default();
        let value = |text: &str| {
            let (mut pass, input) = pass([0.01, 0.02]);
            pass.terms.push(Term {
                name: "size".into(),
                kind: TermKind::Offered,
                value: Tensor::from_data([4.0, 8.0], &device),
            });
            let objective = Objective::<Back>::new(&terms(text), Domain::Pictures, &device);
            let cost = objective.unwrap().compose(&mut pass, &input, &device);
            let names = pass.terms.iter().map(|t| t.name.clone());
            let names: Vec<String> = names.collect();
            let readable = pass.readings.iter().any(|(name, _)| name == "size");
            (
                cost.unwrap().total().unwrap().into_scalar(),
                names,
                readable,
            )
        };
        let (own, names, readable) = value("loss = []");
        assert_eq!(
            (own, names.len(), readable),
            (loss("loss = []", [0.01, 0.02]).0, 2, true)
        );
        let named = "[[loss]]\nkind = 'model'\nterm = 'size'\nweight = 0.5";
        let (size, names, _) = value(named);
        assert!(
            (size - 0.5 * (0.25 * 4.0 + 0.75 * 8.0)).abs() < 1e-6,
            "{size}"
        );
        assert_eq!(names, ["size"]);
    }

    #[test]
    fn weights_count_and_unknown_values_are_told() {
        let (half, _) = loss("[[loss]]\nkind = 'mse'\nweight = 0.5", [0.01, 0.02]);
        let (whole, names) = loss("[[loss]]\nkind = 'mse'", [0.01, 0.02]);
        assert!((2.0 * half - whole).abs() < 1e-3);
        assert_eq!(names, ["mse"]);
        let device = Default::default();
        let (mut pass, input) = pass([0.01, 0.02]);
        let list = terms("[[loss]]\nkind = 'model'\nterm = 'rat'");
        let objective = Objective::<Back>::new(&list, Domain::Pictures, &device).unwrap();
        let error = objective.compose(&mut pass, &input, &device).err().unwrap();
        assert!(
            error.to_string().contains("did you mean 'rate'?"),
            "{error}"
        );
    }
}
