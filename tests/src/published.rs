//! A checkpoint of a published architecture with random weights, small enough to be made in a test.

use std::collections::BTreeMap;

use codec::internals::ImageModel;
use codec::internals::weights::{HostTensor, Tensors};

use crate::picture::Noise;

/// A mean-scale hyperprior of 8 and 12 channels under its authors' key names, as a safetensors file.
pub fn hyperprior() -> Vec<u8> {
    let mut noise = Noise::new(11);
    let mut tensors = Tensors::new();
    let mut add = |tensors: &mut Tensors, name: &str, shape: &[usize]| {
        let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f32;
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|_| 1.5 / fan_in.sqrt() * noise.signed());
        let values = HostTensor::floats(shape, values.collect());
        tensors.insert(name, values.expect("as many as the shape says"));
    };
    // What the family is recognized by; the account of an import says what else there is.
    for (name, shape) in [
        ("g_a.0.weight", &[8, 3, 5, 5][..]),
        ("g_a.1.beta", &[8]),
        ("g_a.6.weight", &[12, 8, 5, 5]),
        ("g_s.6.weight", &[8, 3, 5, 5]),
        ("h_s.4.weight", &[24, 18, 3, 3]),
    ] {
        add(&mut tensors, name, shape);
    }
    let import = |tensors: &Tensors| {
        ImageModel::import(None, tensors.clone(), None, "test/case", "test").expect("is recognized")
    };
    for (name, shape) in import(&tensors).report.missing {
        add(&mut tensors, &name, &shape);
    }
    assert!(import(&tensors).report.is_complete());
    tensors
        .to_safetensors(&BTreeMap::new())
        .expect("can be written")
}
