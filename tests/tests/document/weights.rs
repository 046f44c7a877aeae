//! "Weights of wpmr" of the document.

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::Value;

use crate::entropy::{Table, tables};

/// A convolution: `out * in * k * k` weights.
pub struct Layer<T> {
    pub shape: [usize; 3],
    pub weight: Vec<T>,
    pub bias: Vec<T>,
    /// Of integer layers.
    pub fraction: Vec<i64>,
}

pub struct Weights {
    file: Vec<u8>,
    config: Value,
    pub latent: Vec<Table>,
    pub hyper: Vec<Table>,
}

fn f16(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

impl Weights {
    pub fn parse(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).expect("safetensors");
        let metadata = header.metadata().clone().expect("metadata");
        assert_eq!(metadata["format"], "codec-weights/1");
        assert_eq!(metadata["family"], "wpmr");
        let config = serde_json::from_str(&metadata["config"]).expect("JSON");
        let file = SafeTensors::deserialize(bytes).expect("safetensors");
        let set = |name| tables(file.tensor(name).expect("tables").data());
        Self {
            latent: set("tables.latent"),
            hyper: set("tables.hyper"),
            config,
            file: bytes.to_vec(),
        }
    }

    /// Counts that came later are 0 in older files.
    pub fn integer_config(&self, name: &str) -> usize {
        match self.config.get(name) {
            None if name.ends_with("_refine_blocks") => 0,
            value => value.and_then(Value::as_u64).expect("a number") as usize,
        }
    }

    /// Binary digits of means.
    pub fn digits(&self) -> u32 {
        match self.config.get("fine_means") {
            Some(Value::Bool(true)) => 8,
            _ => 4,
        }
    }

    pub fn real_config(&self, name: &str) -> f64 {
        self.config[name].as_f64().expect("a number")
    }

    fn tensor(&self, name: &str) -> (Dtype, Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.file).expect("safetensors");
        let tensor = file.tensor(name).expect("a tensor");
        (
            tensor.dtype(),
            tensor.shape().to_vec(),
            tensor.data().to_vec(),
        )
    }

    pub fn reals(&self, name: &str) -> Vec<f64> {
        let (dtype, _, data) = self.tensor(name);
        match dtype {
            Dtype::F16 => data
                .chunks_exact(2)
                .map(|b| f16(u16::from_le_bytes([b[0], b[1]])))
                .collect(),
            Dtype::F32 => {
                let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("4 bytes"));
                data.chunks_exact(4).map(|b| f64::from(number(b))).collect()
            }
            other => panic!("{name} is {other:?}"),
        }
    }

    fn shape(&self, name: &str) -> [usize; 3] {
        let (_, shape, _) = self.tensor(&format!("{name}.weight"));
        assert_eq!(shape[2], shape[3]);
        [shape[0], shape[1], shape[2]]
    }

    pub fn float_layer(&self, name: &str) -> Layer<f64> {
        Layer {
            shape: self.shape(name),
            weight: self.reals(&format!("{name}.weight")),
            bias: self.reals(&format!("{name}.bias")),
            fraction: Vec::new(),
        }
    }

    pub fn integer_layer(&self, name: &str) -> Layer<i64> {
        let (dtype, _, weight) = self.tensor(&format!("{name}.weight"));
        let weight: Vec<i64> = match dtype {
            Dtype::I8 => weight.iter().map(|&b| i64::from(b as i8)).collect(),
            Dtype::I16 => weight
                .chunks_exact(2)
                .map(|b| i16::from_le_bytes(b.try_into().expect("2 bytes")).into())
                .collect(),
            other => panic!("{name}: {other:?}"),
        };
        let (dtype, _, bias) = self.tensor(&format!("{name}.bias"));
        assert_eq!(dtype, Dtype::I32);
        let (dtype, _, fraction) = self.tensor(&format!("{name}.fraction"));
        assert_eq!(dtype, Dtype::U8);
        let number = |b: &[u8]| i32::from_le_bytes(b.try_into().expect("4 bytes"));
        Layer {
            shape: self.shape(name),
            weight,
            bias: bias.chunks_exact(4).map(|b| number(b).into()).collect(),
            fraction: fraction.iter().map(|&b| b.into()).collect(),
        }
    }
}
