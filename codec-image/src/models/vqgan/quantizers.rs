//! The family's quantizers without encoder and decoder, for parity with published ones.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::ConvConfig;
use codec_core::layers::quantizer::{
    LossWeights, Quantized, Quantizer, QuantizerConfig, from_rows, to_rows,
};
use codec_core::weights::{HostTensor, Loader, Tensors};
use serde_json::Value;

use super::checkpoint::normalize;
use super::config::{is_unit, projection};

/// The quantizer of a checkpoint with normalized names: at the root in VQGAN-LC, below `quantize` elsewhere.
pub(super) fn load<B: CodecBackend>(
    config: QuantizerConfig,
    loader: &Loader<'_, B>,
) -> Quantizer<B> {
    match config {
        QuantizerConfig::Projected { .. } => Quantizer::load(config, loader),
        _ => Quantizer::load(config, &loader.at("quantize")),
    }
}

/// Tensors of a fixture `vqgan_lc`: `h` is the input, the rest is computed. `config` has the names of the authors'
/// arguments; sizes come from the shapes.
///
/// # Errors
/// [`Error::Malformed`] for tensors that are no such quantizer or inputs that do not fit.
pub fn trace_vqgan_lc<B: CodecBackend>(
    weights: Tensors,
    config: Option<&Value>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let weights = normalize(weights)?;
    let [codes, stored] = matrix(&weights, "tok_embeddings.weight")?;
    let (projection, width) = projection(&weights, stored)?;
    let tuning = config.and_then(|c| c.get("tuning_codebook")?.as_i64());
    let loader = Loader::<B>::new(&weights, device);
    let quantizer = load(
        QuantizerConfig::Projected {
            codes,
            stored,
            width,
            projection,
            unit: is_unit(width, tuning),
        },
        &loader,
    );
    let h = plane::<B>(inputs, "h", device)?;
    let channels = h.dims()[1];
    let conv = |channels, name: &str| ConvConfig::new(channels, 1).load(&loader.at(name));
    let (quant, post) = (
        conv([channels, width], "quant_conv"),
        conv([width, channels], "post_quant_conv"),
    );
    loader.finish()?;
    let z = quant.forward(h, Activation::None);
    let mut traced = Traced::new(&quantizer, z.clone())?;
    traced.put("z", z)?;
    traced.put("z_in", traced.plane(traced.quantized.latents.clone()))?;
    let quantized = traced.plane(traced.quantized.output.clone());
    traced.put("post_quant", post.forward(quantized, Activation::None))?;
    traced.loss("loss", LossWeights::on_codebook(0.33))?;
    Ok(traced.tensors)
}

/// Tensors of a fixture `simvq`: `z` is the input. `config` gives `beta` (0.25 by default) and `legacy` (false).
///
/// # Errors
/// As [`trace_vqgan_lc`].
pub fn trace_simvq<B: CodecBackend>(
    weights: Tensors,
    config: Option<&Value>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let mut weights = normalize(weights)?;
    if weights.contains("embedding.weight") {
        weights = weights.rename(|name| format!("quantize.{name}"))?;
    }
    let [codes, width] = matrix(&weights, "quantize.embedding.weight")?;
    let loader = Loader::<B>::new(&weights, device);
    let quantizer = load(QuantizerConfig::Sim { codes, width }, &loader);
    loader.finish()?;
    let given = |name: &str| config.and_then(|c| c.get(name).cloned());
    let beta = given("beta").and_then(|v| v.as_f64()).unwrap_or(0.25);
    let legacy = given("legacy").and_then(|v| v.as_bool()).unwrap_or(false);
    let loss = if legacy {
        LossWeights::on_codebook(beta)
    } else {
        LossWeights::on_commitment(beta)
    };
    let mut traced = Traced::new(&quantizer, plane(inputs, "z", device)?)?;
    traced.loss("commit_loss", loss)?;
    traced.loss("mse", LossWeights::on_commitment(0.0))?;
    // SimVQ1D quantizes [n, c, time].
    if let Some([n, c, t]) = inputs.shape("z").and_then(|s| <[usize; 3]>::try_from(s).ok()) {
        traced.reshape("quantized", &[n, c, t])?;
        traced.reshape("indices", &[n, t])?;
    }
    Ok(traced.tensors)
}

/// A quantizer at work, and the tensors that every fixture has.
pub(super) struct Traced<B: CodecBackend> {
    pub(super) tensors: Tensors,
    pub(super) quantized: Quantized<B>,
    shape: [usize; 3],
}

impl<B: CodecBackend> Traced<B> {
    /// Quantizes `[n, c, h, w]`: `codebook`, `indices` `[n, h, w]`, `quantized` in straight-through form.
    pub(super) fn new(quantizer: &Quantizer<B>, z: Tensor<B, 4>) -> Result<Self, Error> {
        let [n, _, h, w] = z.dims();
        let codebook = quantizer.codebook();
        let mut traced = Self {
            quantized: quantizer.quantize(to_rows(z), &codebook),
            tensors: Tensors::new(),
            shape: [n, h, w],
        };
        let codes = traced.quantized.codes.clone().into_data();
        let codes = HostTensor::integers(&traced.shape, codes.iter::<i64>().collect())?;
        traced.tensors.insert("indices", codes);
        let rows = HostTensor::from_device(codebook.all())?;
        traced.tensors.insert("codebook", rows);
        traced.put("quantized", traced.plane(traced.quantized.output.clone()))?;
        Ok(traced)
    }

    /// Rows as planes.
    pub(super) fn plane(&self, rows: Tensor<B, 2>) -> Tensor<B, 4> {
        from_rows(rows, self.shape)
    }

    pub(super) fn put(&mut self, name: &str, tensor: Tensor<B, 4>) -> Result<(), Error> {
        self.tensors.insert(name, HostTensor::from_device(tensor)?);
        Ok(())
    }

    /// The quantizer's loss.
    pub(super) fn loss(&mut self, name: &str, weights: LossWeights) -> Result<(), Error> {
        let Quantized { latents, rows, .. } = self.quantized.clone();
        let loss = HostTensor::from_device(weights.of(latents, rows))?;
        self.tensors.insert(name, loss);
        Ok(())
    }

    fn reshape(&mut self, name: &str, shape: &[usize]) -> Result<(), Error> {
        if let Some(tensor) = self.tensors.remove(name) {
            let tensor = HostTensor::new(shape.to_vec(), tensor.values().clone())?;
            self.tensors.insert(name, tensor);
        }
        Ok(())
    }
}

/// An input `[n, c, h, w]`, or `[n, c, t]` as one row.
pub(super) fn plane<B: CodecBackend>(
    inputs: &Tensors,
    name: &str,
    device: &B::Device,
) -> Result<Tensor<B, 4>, Error> {
    let tensor = inputs
        .get(name)
        .ok_or_else(|| Error::malformed(format!("no input '{name}'")))?;
    if tensor.shape().contains(&0) {
        return Err(Error::malformed(format!("input '{name}' is empty")));
    }
    match tensor.shape() {
        &[n, c, t] => Ok(tensor.to_device::<B, 3>(device)?.reshape([n, c, 1, t])),
        _ => tensor.to_device(device),
    }
}

fn matrix(tensors: &Tensors, name: &str) -> Result<[usize; 2], Error> {
    match tensors.shape(name) {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok([rows, columns]),
        other => Err(Error::malformed(format!(
            "{name} has shape {other:?} (expected two dimensions)"
        ))),
    }
}
