//! From exported weights back to parameters that can be trained.

use codec_core::Error;

use super::entropy::SCALE_GAIN_LOG2;
use super::network::{float_layers, integer_layers};
use super::quality::knots_of;
use super::weights::Weights;

/// A parameter by its path in `Wpmr`: name, shape, values.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Parameters of exported weights, rounded as they were for export. Those of the hyperlatents' prior are missing: the file
/// only has its tables.
///
/// # Errors
/// [`Error::Malformed`] for weights that lack a layer.
pub fn import(weights: &Weights) -> Result<Tensors, Error> {
    let config = weights.config();
    let mut tensors = Tensors::new();
    for layer in float_layers(config) {
        let params = weights.float(&layer.name)?;
        let [output, input, kernel] = params.shape;
        let shape = vec![output, input, kernel, kernel];
        let path = path(&layer.name);
        if layer.name.ends_with(".linear") {
            // A map is its start and a learned difference; here all of it is start.
            tensors.push((
                format!("{path}.delta"),
                shape.clone(),
                vec![0.0; params.weight.len()],
            ));
            tensors.push((format!("{path}.start"), shape, params.weight.clone()));
        } else {
            tensors.push((format!("{path}.weight"), shape, params.weight.clone()));
        }
        tensors.push((format!("{path}.bias"), vec![output], params.bias.clone()));
    }
    for layer in integer_layers(config) {
        let params = weights.integer(&layer.name)?;
        let gain = if layer.name.ends_with(".scale") {
            2f32.powi(-SCALE_GAIN_LOG2)
        } else {
            1.0
        };
        let [output, input, kernel] = params.shape;
        let path = path(&layer.name);
        let scaled = |values: Vec<f32>| values.into_iter().map(|v| v * gain).collect();
        tensors.push((
            format!("{path}.weight"),
            vec![output, input, kernel, kernel],
            scaled(params.real_weight()),
        ));
        tensors.push((
            format!("{path}.bias"),
            vec![output],
            scaled(params.real_bias()),
        ));
    }
    let (shape, knots) = knots_of(config, weights.steps());
    tensors.push(("steps.knots".into(), shape, knots));
    Ok(tensors)
}

/// Where a layer of the weights file stands in the model.
fn path(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("hyper_analysis.") {
        return format!("entropy.analysis.{rest}");
    }
    if let Some(rest) = name.strip_prefix("hyper_synthesis.") {
        return format!("entropy.synthesis.{rest}");
    }
    match name.split('.').collect::<Vec<_>>().as_slice() {
        ["passes", pass, part @ ("signed" | "magnitude")] => {
            format!("entropy.passes.{pass}.neighbours.{part}")
        }
        ["passes", ..] => format!("entropy.{name}"),
        _ => name.to_owned(),
    }
}
