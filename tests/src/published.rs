//! Checkpoints of published architectures with random weights, small enough to be made in a test.

use std::collections::BTreeMap;

use codec::internals::ImageModel;
use codec::internals::weights::{HostTensor, Tensors};

use crate::picture::Noise;

/// A mean-scale hyperprior of 8 and 12 channels under its authors' key names, as a safetensors file.
pub fn hyperprior() -> Vec<u8> {
    // What the family is recognized by; the account of an import says what else there is.
    checkpoint(
        &[
            ("g_a.0.weight", &[8, 3, 5, 5]),
            ("g_a.1.beta", &[8]),
            ("g_a.6.weight", &[12, 8, 5, 5]),
            ("g_s.6.weight", &[8, 3, 5, 5]),
            ("h_s.4.weight", &[24, 18, 3, 3]),
        ],
        None,
    )
}

/// WaLLoC with two levels, a width of 32 and 12 channels of latents of 6 bits, as a safetensors file, and its configuration.
pub fn walloc() -> (Vec<u8>, String) {
    let config = serde_json::json!({
        "channels": 3, "J": 2, "Ne": null, "Nd": 32,
        "latent_dim": 12, "latent_bits": 6, "lightweight_encode": true,
    });
    let known: &[(&str, &[usize])] = &[
        ("encoder.0.weight", &[12, 48, 1, 1]),
        ("decoder.1.conv_in.weight", &[32, 12, 3, 3]),
        ("decoder.1.conv_out.weight", &[48, 32, 3, 3]),
    ];
    (checkpoint(known, Some(&config)), config.to_string())
}

/// Random values for the tensors of these shapes and for what else the model has.
fn checkpoint(known: &[(&str, &[usize])], config: Option<&serde_json::Value>) -> Vec<u8> {
    let mut noise = Noise::new(11);
    let mut tensors = Tensors::new();
    let mut add = |tensors: &mut Tensors, name: &str, shape: &[usize]| {
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|_| 1.5 / fan_in.sqrt() * noise.signed());
        let values = HostTensor::floats(shape, values.collect());
        tensors.insert(name, values.expect("as many as the shape says"));
    };
    for (name, shape) in known {
        add(&mut tensors, name, shape);
    }
    let import = |tensors: &Tensors| {
        ImageModel::import(None, tensors.clone(), config, "test/case", "test")
            .expect("is recognized")
    };
    for (name, shape) in import(&tensors).report.missing {
        add(&mut tensors, &name, &shape);
    }
    assert!(import(&tensors).report.is_complete());
    tensors
        .to_safetensors(&BTreeMap::new())
        .expect("can be written")
}
