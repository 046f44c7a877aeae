//! Discriminators in training: the game between them and the model.
//!
//! Both sides of a step see each other as they stood before it. The gradient of all losses of the output, the
//! discriminators' among them, is taken down to the output first and goes through the model once.

use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;

use crate::TrainError;
use crate::gradients::Exchange;
use crate::gradients::clip_by_global_norm;
use crate::losses::adversarial::{
    AdversarialTerm, Discriminator, Judgement, OutputGradient, adaptive_weight, feature_matching,
    inject, output_gradient,
};
use crate::losses::{Domain, LossError};
use crate::optim::AnyOptimizer;
use crate::parameters::Parameters;
use crate::recipe::Optim;
use crate::record;

/// Keeps the adaptive weight finite; squares of it are still normal numbers.
const EPSILON: f64 = 1e-15;

/// A discriminator with its optimizer.
pub(crate) struct Adversary<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    term: AdversarialTerm,
    /// The network that judges.
    pub network: Discriminator<B>,
    optim: Optim,
    optimizer: AnyOptimizer<Discriminator<B>, B>,
}

/// What the game gives in one pass, for the model and for each discriminator that plays.
pub(crate) struct Played<B: Backend> {
    /// Differentiates to what all losses of the output want of the model, `[1]`; its value means nothing.
    pub injected: Tensor<B, 1>,
    /// Values by name, `[1]` each.
    pub values: Vec<(String, Tensor<B, 1>)>,
    /// Shares of the loss, by name of the discriminator, `[1]` each.
    pub shares: Vec<(String, Tensor<B, 1>)>,
    /// Of the discriminators, in their order.
    pub gradients: Vec<GradientsParams>,
}

/// Where a game is played: output and target, and what is known of them.
pub(crate) struct Table<B: AutodiffBackend, const D: usize> {
    /// Of the model, with its graph.
    pub output: Tensor<B, D>,
    /// What it should be.
    pub target: Tensor<B, D>,
    /// Gradient of the other losses at the output, if there are any.
    pub others: Option<Tensor<B::InnerBackend, D>>,
    /// Weight of each sample's distortion in the loss.
    pub factors: Vec<f32>,
}

/// How a discriminator looks at signals of a dimension.
pub(crate) type Judge<B, const D: usize> =
    fn(&Discriminator<B>, Tensor<B, D>) -> Result<Vec<Judgement<B>>, LossError>;

/// Plays at a table. The first samples of all networks must be those of one batch.
///
/// # Errors
/// Those of the discriminators.
pub(crate) fn play<B, const D: usize>(
    adversaries: &[&Adversary<B>],
    table: Table<B, D>,
    judge: Judge<B, D>,
) -> Result<Played<B>, TrainError>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    let mut total = table.others.clone();
    let (mut values, mut shares) = (Vec::new(), Vec::new());
    let mut gradients = Vec::with_capacity(adversaries.len());
    for adversary in adversaries {
        let name = adversary.term.name();
        let push = adversary.push(&table, judge)?;
        total = Some(match total {
            Some(total) => total + push.gradient,
            None => push.gradient,
        });
        shares.push((name.to_owned(), Tensor::from_inner(push.value)));
        for (what, value) in push.parts {
            values.push((format!("{name}_{what}"), Tensor::from_inner(value)));
        }
        let real = judge(&adversary.network, table.target.clone().detach())?;
        let fake = judge(&adversary.network, table.output.clone().detach())?;
        let loss = adversary.term.objective.discriminator(&real, &fake);
        let loss = loss.ok_or_else(|| no_parts(name))?;
        values.push((format!("{name}_discriminator"), loss.clone().detach()));
        gradients.push(GradientsParams::from_grads(
            loss.backward(),
            &adversary.network,
        ));
    }
    let output = table.output;
    let total = total.unwrap_or_else(|| output.clone().inner().zeros_like());
    Ok(Played {
        injected: inject(output, total),
        values,
        shares,
        gradients,
    })
}

/// What one discriminator wants of the output.
struct Push<B: Backend, const D: usize> {
    gradient: Tensor<B, D>,
    /// Share of the loss, `[1]`.
    value: Tensor<B, 1>,
    /// Its parts, before their weights.
    parts: Vec<(&'static str, Tensor<B, 1>)>,
}

impl<B> Adversary<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    /// A new discriminator, for a model whose output is in `domain`.
    ///
    /// # Errors
    /// [`TrainError::Loss`].
    pub(crate) fn new(
        term: &AdversarialTerm,
        domain: Domain,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Self, TrainError> {
        let network = term.discriminator.init(domain, device)?;
        // Burn draws parameters when they are used first.
        let _ = Parameters::of(&network);
        let optim = term.optimizer();
        Ok(Self {
            term: term.clone(),
            network,
            optimizer: AnyOptimizer::new(&optim),
            optim,
        })
    }

    /// Whether it plays at a step.
    pub(crate) fn plays(&self, step: u64) -> bool {
        step >= self.term.start
    }

    /// Gradient of the generator's losses at the output. Samples count by the weight of their distortion.
    fn push<const D: usize>(
        &self,
        table: &Table<B, D>,
        judge: Judge<B, D>,
    ) -> Result<Push<B::InnerBackend, D>, TrainError> {
        let (term, name) = (&self.term, self.term.name());
        let network = self.network.clone().no_grad();
        let matching = term.feature_matching > 0.0;
        let real = if matching {
            judge(&network, table.target.clone().detach())?
        } else {
            Vec::new()
        };
        let game = |fake: &[Judgement<B>]| -> Result<Tensor<B, 1>, LossError> {
            term.objective.generator(fake).ok_or_else(|| no_parts(name))
        };
        let likeness = |fake: &[Judgement<B>]| -> Result<Tensor<B, 1>, LossError> {
            feature_matching(&real, fake, term.relative).ok_or_else(|| no_parts(name))
        };
        let mut parts = Vec::new();
        let mut push = if term.adaptive {
            let OutputGradient { value, gradient } = output_gradient(&table.output, |x| {
                game(&judge(&network, x)?).map(|loss| loss.mul_scalar(term.weight))
            })?;
            let gradient = by_sample(gradient, &table.factors);
            let others = table.others.clone();
            let balance = adaptive_weight(
                others.unwrap_or_else(|| gradient.zeros_like()),
                gradient.clone().div_scalar(term.weight),
                EPSILON,
            );
            parts.push(("generator", value.clone().div_scalar(term.weight)));
            parts.push(("weight", balance.clone()));
            Push {
                gradient: gradient * balance.clone().reshape([1; D]),
                value: value * balance,
                parts,
            }
        } else {
            let OutputGradient { value, gradient } = output_gradient(&table.output, |x| {
                let fake = judge(&network, x)?;
                let generator = game(&fake)?;
                parts.push(("generator", generator.clone().inner()));
                let mut loss = generator.mul_scalar(term.weight);
                if matching {
                    let distance = likeness(&fake)?;
                    parts.push(("matching", distance.clone().inner()));
                    loss = loss + distance.mul_scalar(term.feature_matching);
                }
                Ok(loss)
            })?;
            Push {
                gradient: by_sample(gradient, &table.factors),
                value,
                parts,
            }
        };
        if term.adaptive && matching {
            let found = output_gradient(&table.output, |x| likeness(&judge(&network, x)?))?;
            let gradient = by_sample(found.gradient, &table.factors);
            push.gradient = push.gradient + gradient.mul_scalar(term.feature_matching);
            push.value = push.value + found.value.clone().mul_scalar(term.feature_matching);
            push.parts.push(("matching", found.value));
        }
        let all: f64 = table.factors.iter().map(|&f| f64::from(f)).sum();
        push.value = push.value.mul_scalar(all);
        Ok(push)
    }

    /// Exchanges and clips a gradient; gives its norm before clipping.
    ///
    /// # Errors
    /// Those of the exchange.
    pub(crate) fn prepare<E: Exchange<B>>(
        &self,
        gradients: GradientsParams,
        exchange: &mut E,
    ) -> Result<(GradientsParams, f32), TrainError> {
        let mut gradients = exchange.exchange(&self.network, gradients)?;
        let norm = clip_by_global_norm(&self.network, &mut gradients, self.optim.clip_norm);
        Ok((gradients, norm))
    }

    /// One update.
    pub(crate) fn update(mut self, gradients: GradientsParams) -> Self {
        self.network = self.optimizer.step(self.optim.lr, self.network, gradients);
        self
    }

    /// Files of a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn files(&self) -> Result<Vec<(String, Vec<u8>)>, TrainError> {
        let (network, optimizer) = self.stems();
        Ok(vec![
            (format!("{network}.bin"), record::bytes(&self.network)?),
            (
                format!("{optimizer}.bin"),
                self.optimizer.to_bytes().map_err(record::unwritten)?,
            ),
        ])
    }

    /// Takes over a checkpoint; `None` if it is of a run without this discriminator.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub(crate) fn load(
        mut self,
        path: &Path,
        device: &<B as BackendTypes>::Device,
    ) -> Result<(Self, bool), TrainError> {
        let (network, optimizer) = self.stems();
        if !path.join(format!("{network}.bin")).exists() {
            return Ok((self, false));
        }
        self.network = record::load(self.network, path, &network, device)?;
        self.optimizer = self
            .optimizer
            .load(path.join(&optimizer), device)
            .map_err(|e| record::unread(path, &optimizer, &e))?;
        Ok((self, true))
    }

    /// Its name in the log and in recipes.
    pub(crate) fn name(&self) -> &str {
        self.term.name()
    }

    /// Names of its files without extension.
    fn stems(&self) -> (String, String) {
        let name = self.term.name();
        (
            format!("discriminator-{name}"),
            format!("discriminator-{name}-optimizer"),
        )
    }
}

fn no_parts(name: &str) -> LossError {
    LossError::Parameter {
        term: name.to_owned(),
        reason: "the discriminator has no parts".into(),
    }
}

/// From the gradient of a mean over samples to that of a sum with a factor for each.
fn by_sample<B: Backend, const D: usize>(gradient: Tensor<B, D>, factors: &[f32]) -> Tensor<B, D> {
    let n = factors.len();
    let mut shape = [1; D];
    if let Some(first) = shape.first_mut() {
        *first = n;
    }
    let scaled: Vec<f32> = factors.iter().map(|f| f * n as f32).collect();
    let factors = Tensor::<B, 1>::from_data(TensorData::new(scaled, [n]), &gradient.device());
    gradient * factors.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, noise, tensor};
    use burn::backend::Flex;

    const TERM: &str = "discriminator = { kind = 'patch', channels = 2, layers = 1, norm = 'none' }\n\
        objective = 'non-saturating'\nweight = 0.7\nfeature_matching = 0.3";

    fn adversary(text: &str) -> Adversary<Back> {
        Back::seed(&Default::default(), 9);
        let term: AdversarialTerm = toml::from_str(text).expect("a term");
        Adversary::new(&term, Domain::Pictures, &Default::default()).expect("a discriminator")
    }

    fn table(output: &[f32], others: Option<Tensor<Flex, 4>>) -> Table<Back, 4> {
        let shape = [2, 3, 12, 12];
        Table {
            output: tensor(shape, output),
            target: tensor(shape, &noise(864, 2, 0.0, 1.0)),
            others,
            factors: vec![0.5, 2.0],
        }
    }

    fn values<const D: usize>(x: Tensor<Flex, D>) -> Vec<f32> {
        x.into_data().into_vec().expect("floats")
    }

    /// The sum over samples of factor times loss, each sample judged alone.
    fn loss(adversary: &Adversary<Back>, output: &[f32]) -> f64 {
        let table = table(output, None);
        let mut sum = 0.0;
        for (i, &factor) in table.factors.iter().enumerate() {
            let one = |x: &Tensor<Back, 4>| x.clone().narrow(0, i, 1);
            let judge = |x| adversary.network.pictures(x).expect("a judgement");
            let (real, fake) = (judge(one(&table.target)), judge(one(&table.output)));
            let term = &adversary.term;
            let game = term.objective.generator(&fake).expect("parts");
            let likeness = feature_matching(&real, &fake, false).expect("parts");
            let value = game.mul_scalar(term.weight) + likeness.mul_scalar(term.feature_matching);
            sum += f64::from(factor) * f64::from(value.into_scalar());
        }
        sum
    }

    #[test]
    fn what_reaches_the_output_is_the_slope_of_the_weighted_sum() {
        let adversary = adversary(TERM);
        let output = noise(864, 1, 0.0, 1.0);
        let push = adversary
            .push(&table(&output, None), Discriminator::pictures)
            .expect("a push");
        let gradient = values(push.gradient);
        let step = 1e-2;
        for i in [0, 100, 431, 432, 700, 863] {
            let at = |d: f32| {
                let mut moved = output.clone();
                moved[i] += d;
                loss(&adversary, &moved)
            };
            let slope = (at(step) - at(-step)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[i]);
            assert!(
                (slope - found).abs() < 1e-4 + 0.05 * slope.abs(),
                "{i}: {slope} {found}"
            );
        }
        // Its share of the loss takes the mean loss of the batch for every sample.
        let share = f64::from(push.value.into_scalar());
        assert!((share / loss(&adversary, &output) - 1.0).abs() < 0.2);
    }

    #[test]
    fn adaptive_weight_makes_gradients_alike() {
        let text = TERM.replace("feature_matching = 0.3", "adaptive = true");
        let adversary = adversary(&text);
        let others = tensor([2, 3, 12, 12], &noise(864, 3, -0.01, 0.01)).inner();
        let table = table(&noise(864, 1, 0.0, 1.0), Some(others.clone()));
        let push = adversary
            .push(&table, Discriminator::pictures)
            .expect("a push");
        let norm = |x: Tensor<Flex, 4>| f64::from(x.square().sum().sqrt().into_scalar());
        let ratio = norm(push.gradient) / norm(others);
        assert!((ratio - 0.7).abs() < 1e-3, "{ratio}");
    }

    #[test]
    fn a_discriminator_learns_to_tell_and_gives_nothing_to_the_model_then() {
        let mut adversary = adversary(&TERM.replace("0.3", "0.0"));
        let output: Vec<f32> = vec![0.9; 864];
        let mut first = None;
        let mut last = 0.0;
        for _ in 0..30 {
            let played = play(&[&adversary], table(&output, None), Discriminator::pictures);
            let mut played = played.expect("a game");
            let loss = played
                .values
                .iter()
                .find(|(n, _)| n == "patch_discriminator");
            last = f64::from(loss.expect("its loss").1.clone().into_scalar());
            first.get_or_insert(last);
            let gradients = played.gradients.pop().expect("its gradient");
            let (gradients, norm) = adversary
                .prepare(gradients, &mut crate::Alone)
                .expect("alone");
            assert!(norm > 0.0);
            adversary.optim.lr = 1e-2;
            adversary = adversary.update(gradients);
        }
        assert!(last < 0.5 * first.unwrap_or_default(), "{first:?} {last}");
    }
}
