use super::*;
use crate::models::family::Model;
use crate::models::testing::{Random, random_model, round_trips};

const ALL: [Architecture; 4] = [
    Architecture::Factorized,
    Architecture::Scale,
    Architecture::MeanScale,
    Architecture::Autoregressive,
];

/// A small model whose latents spread over a few symbols. `spread` scales the hyperprior's output.
fn model(architecture: Architecture, spread: f32) -> Model<Hyperprior> {
    let config = HyperpriorConfig {
        width: 8,
        latents: 12,
        architecture,
    };
    random_model(config, |name, random: &mut Random| {
        let value = random.next();
        if name.ends_with("beta") || name.ends_with("gamma") {
            return Some(0.3 + 0.2 * value);
        }
        if name.ends_with("quantiles") {
            return Some(0.0);
        }
        if name.starts_with("g_a.6.weight") || name.starts_with("h_a.4.weight") {
            return Some(value);
        }
        let wide = ["h_s.4.weight", "entropy_parameters.4.weight"].contains(&name);
        wide.then_some(spread * value)
    })
}

#[test]
fn files_come_back_whatever_the_architecture() {
    for architecture in ALL {
        let (ours, mut other) = (model(architecture, 0.5), model(architecture, 0.8));
        if architecture == Architecture::Factorized {
            let name = "entropy_bottleneck._bias0";
            let shape = ours.tensors.shape(name).unwrap().to_vec();
            let bias = vec![0.9; shape.iter().product()];
            let bias = codec_core::weights::HostTensor::floats(&shape, bias).unwrap();
            std::sync::Arc::make_mut(&mut other.tensors).insert(name, bias);
        }
        round_trips(&ours, &other, &[(65, 40), (1, 1), (64, 128)]);
    }
}

#[test]
fn a_checkpoint_tells_its_architecture() {
    for architecture in ALL {
        let model = model(architecture, 0.5);
        assert_eq!(HyperpriorConfig::of(&model.tensors).unwrap(), model.config);
        let imported =
            Model::<Hyperprior>::import(model.tensors.as_ref().clone(), None, "a/b", "test");
        let imported = imported.unwrap();
        assert!(imported.report.is_complete() && imported.report.unused.is_empty());
        let mut short = model.tensors.as_ref().clone();
        short.remove("g_s.2.bias");
        let report = Model::<Hyperprior>::import(short, None, "a/b", "test")
            .unwrap()
            .report;
        assert_eq!(report.missing.keys().collect::<Vec<_>>(), ["g_s.2.bias"]);
        let given = serde_json::json!({"N": 9});
        assert!(model.config.check(&given).is_err());
    }
}
