//! Discriminators against PyTorch, with weights from a formula, and their gradients.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::*;
use crate::losses::gradient_check::{Back, close, gradient_error, noise, tensor};
use crate::losses::reference::reference_values;
use crate::losses::{Domain, LossError};

/// Fills all parameters, in the order of the fields, with noise of seeds 100, 101, ...; one-dimensional ones and gains
/// within 0.5..1.0, others within -0.5..0.5.
fn fill<M: Module<Back>>(module: M) -> M {
    struct Filler(u32);
    impl ModuleMapper<Back> for Filler {
        fn map_float<const D: usize>(
            &mut self,
            param: Param<Tensor<Back, D>>,
        ) -> Param<Tensor<Back, D>> {
            let seed = self.0;
            self.0 += 1;
            param.map(|t| {
                let dims = t.dims();
                let positive = dims.iter().skip(1).all(|&d| d == 1);
                let (low, high) = if positive { (0.5, 1.0) } else { (-0.5, 0.5) };
                let values = noise(dims.iter().product(), seed, low, high);
                Tensor::from_data(TensorData::new(values, dims), &t.device()).require_grad()
            })
        }
    }
    module.map(&mut Filler(100))
}

/// Of each part: mean of the logits, mean of their squares, mean over features of the mean absolute activation.
fn summary<B: Backend>(judgements: &[Judgement<B>]) -> Vec<f64> {
    let mean = |x: Tensor<B, 4>| {
        let values: Vec<f32> = x.into_data().into_vec().unwrap();
        values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64
    };
    judgements
        .iter()
        .flat_map(|j| {
            let features: f64 = j.features.iter().map(|f| mean(f.clone().abs())).sum();
            [
                mean(j.logits.clone()),
                mean(j.logits.clone().square()),
                features / j.features.len() as f64,
            ]
        })
        .collect()
}

#[track_caller]
fn compare(name: &str, judgements: &[Judgement<Back>]) {
    let expected = reference_values(&["discriminator", name]);
    let found = summary(judgements);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        close(*found, expected, 2e-4);
    }
}

fn small(config: DiscriminatorConfig) -> Discriminator<Back> {
    let domain = config.domain();
    fill(config.init(domain, &Default::default()).unwrap())
}

fn patch(norm: PatchNorm) -> Discriminator<Back> {
    let config = PatchConfig {
        channels: 4,
        layers: 2,
        norm,
        ..PatchConfig::default()
    };
    small(DiscriminatorConfig::Patch(config))
}

fn period() -> Discriminator<Back> {
    let config = MultiPeriodConfig {
        periods: vec![2, 5],
        channels: 2,
        most: 16,
    };
    small(DiscriminatorConfig::MultiPeriod(config))
}

fn scale() -> Discriminator<Back> {
    let config = MultiScaleConfig {
        scales: 2,
        channels: 16,
    };
    small(DiscriminatorConfig::MultiScale(config))
}

fn dac() -> Discriminator<Back> {
    let config = MultiResolutionConfig {
        windows: vec![64, 32],
        channels: 3,
        ..MultiResolutionConfig::dac()
    };
    small(DiscriminatorConfig::MultiResolution(config))
}

fn encodec() -> Discriminator<Back> {
    let config = MultiResolutionConfig {
        windows: vec![64, 32],
        channels: 3,
        ..MultiResolutionConfig::encodec()
    };
    small(DiscriminatorConfig::MultiResolution(config))
}

fn signal() -> Tensor<Back, 3> {
    tensor([2, 1, 203], &noise(406, 41, -1.0, 1.0))
}

#[test]
fn patch_equals_torch() {
    let x = || tensor([2, 3, 24, 32], &noise(2 * 3 * 24 * 32, 42, 0.0, 1.0));
    compare(
        "patch_batch",
        &patch(PatchNorm::Batch).pictures(x()).unwrap(),
    );
    compare(
        "patch_instance",
        &patch(PatchNorm::Instance).pictures(x()).unwrap(),
    );
    compare("patch_none", &patch(PatchNorm::None).pictures(x()).unwrap());
}

#[test]
fn sound_discriminators_equal_torch() {
    compare("multi_period", &period().sound(signal()).unwrap());
    compare("multi_scale", &scale().sound(signal()).unwrap());
    compare("multi_resolution_dac", &dac().sound(signal()).unwrap());
    compare(
        "multi_resolution_encodec",
        &encodec().sound(signal()).unwrap(),
    );
}

/// Gradients with respect to the input of a generator's loss and feature matching together.
#[test]
fn gradients_of_sound() {
    for network in [period(), scale(), dac(), encodec()] {
        let real = network
            .sound(tensor([1, 1, 80], &noise(80, 43, -1.0, 1.0)))
            .unwrap();
        let error = gradient_error([1, 1, 80], &noise(80, 44, -1.0, 1.0), |x| {
            let fake = network.sound(x).unwrap();
            GanObjective::LeastSquares.generator(&fake).unwrap()
                + feature_matching(&real, &fake, true).unwrap()
        });
        assert!(error < 5e-2, "{error}");
    }
}

#[test]
fn gradients_of_pictures() {
    for norm in [PatchNorm::Batch, PatchNorm::Instance, PatchNorm::None] {
        let network = patch(norm);
        let values = noise(3 * 144, 45, 0.0, 1.0);
        let error = gradient_error([1, 3, 12, 12], &values, |x| {
            let fake = network.pictures(x).unwrap();
            GanObjective::NonSaturating.generator(&fake).unwrap()
        });
        assert!(error < 5e-2, "{norm:?}: {error}");
    }
}

/// The loss of a discriminator reaches all its parameters.
#[test]
fn all_parameters_learn() {
    let pictures = tensor([2, 3, 24, 24], &noise(2 * 3 * 576, 46, 0.0, 1.0));
    for norm in [PatchNorm::Batch, PatchNorm::Instance, PatchNorm::None] {
        let network = patch(norm);
        let judgement = network.pictures(pictures.clone()).unwrap();
        learns(&network, &judgement);
    }
    for network in [period(), scale(), dac(), encodec()] {
        let judgement = network.sound(signal()).unwrap();
        learns(&network, &judgement);
    }
}

fn learns(network: &Discriminator<Back>, judgement: &[Judgement<Back>]) {
    let loss = GanObjective::NonSaturating
        .discriminator(judgement, judgement)
        .unwrap();
    // Real and fake are the same here: the square keeps their gradients from cancelling.
    let squares = judgement
        .iter()
        .map(|j| j.logits.clone().square().mean())
        .fold(loss, |sum, square| sum + square);
    let gradients = squares.backward();
    let found = burn::optim::GradientsParams::from_grads(gradients, network);
    let ids = burn::module::list_param_ids(network);
    // Running statistics are parameters without gradient: two for each batch norm.
    let constants = match network {
        Discriminator::Patch(_) => found.len().abs_diff(ids.len()),
        _ => 0,
    };
    assert_eq!(found.len() + constants, ids.len());
    assert!(constants <= 4);
}

#[test]
fn typed_errors() {
    let small_picture = tensor([1, 3, 11, 20], &[0.5; 660]);
    let error = patch(PatchNorm::None).pictures(small_picture).unwrap_err();
    assert_eq!(
        error.to_string(),
        "loss `patch discriminator`: shorter side is 11, but at least 12 is needed"
    );
    let short = tensor([1, 1, 4], &[0.0; 4]);
    assert!(matches!(
        period().sound(short),
        Err(LossError::TooSmall { smallest: 5, .. })
    ));
    assert!(matches!(
        period().pictures(tensor([1, 3, 1, 1], &[0.0; 3])),
        Err(LossError::WrongDomain { .. })
    ));
    let wrong = [
        "kind = 'multi-scale'\nchannels = 24",
        "kind = 'multi-resolution'\nborders = [0.0, 0.5]",
        "kind = 'multi-resolution'\nborders = [0.0, 0.001, 0.002, 1.0]",
        "kind = 'multi-resolution'\nwindows = [100000]",
        "kind = 'multi-period'\nperiods = [0]",
    ];
    for text in wrong {
        let config: DiscriminatorConfig = toml::from_str(text).unwrap();
        let error = config
            .init::<Back>(Domain::Sound, &Default::default())
            .unwrap_err();
        assert!(
            matches!(error, LossError::Parameter { .. }),
            "{text}: {error}"
        );
    }
    let patch: DiscriminatorConfig = toml::from_str("kind = 'patch'").unwrap();
    assert!(matches!(
        patch.init::<Back>(Domain::Sound, &Default::default()),
        Err(LossError::WrongDomain { .. })
    ));
}

#[test]
fn recipe_table() {
    let text = "objective = 'least-squares'\nfeature_matching = 2.0\n\
                [discriminator]\nkind = 'multi-period'\nperiods = [2, 3]";
    let term: AdversarialTerm = toml::from_str(text).unwrap();
    assert_eq!(term.objective, GanObjective::LeastSquares);
    let DiscriminatorConfig::MultiPeriod(config) = &term.discriminator else {
        panic!("{term:?}");
    };
    assert_eq!(
        (config.periods.as_slice(), config.most),
        (&[2, 3][..], 1024)
    );
    let again: AdversarialTerm = toml::from_str(&toml::to_string(&term).unwrap()).unwrap();
    assert_eq!(again, term);
    let unknown = "[discriminator]\nkind = 'multi-period'\nperiod = [2]";
    assert!(toml::from_str::<AdversarialTerm>(unknown).is_err());
}
