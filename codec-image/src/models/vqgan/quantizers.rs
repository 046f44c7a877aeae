//! The quantizers of VQGAN-LC and SimVQ on their own, as published beside other encoders and decoders.
//!
//! These are families without a codec: they import, and their quantizer is compared with the authors'. A checkpoint of
//! VQGAN-LC with encoder and decoder is of the family `vqgan`.

use burn::backend::Flex;
use burn::backend::flex::FlexDevice;
use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::quantizer::{
    LossWeights, Quantized, Quantizer, QuantizerConfig, from_rows, to_rows,
};
use codec_core::layers::{Conv, ConvConfig};
use codec_core::weights::{HostTensor, Loader, Tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::normalize;
use super::config::{CODES_MAX, WIDTH_MAX, agree, at_most, hidden, is_unit, projection};
use super::rows;
use crate::coder::ImageCoder;
use crate::models::family::{Family, ImageFamily, Model};

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

/// The quantizer of VQGAN-LC (arXiv 2406.11837) with the convolutions around it.
#[derive(Debug, Clone, Copy)]
pub struct VqganLc;

/// Hyperparameters of [`VqganLc`], under the names of the authors' arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VqganLcConfig {
    /// Codes.
    pub n_vision_words: usize,
    /// Width of the stored rows.
    pub codebook_dim: usize,
    /// Width of the rows that are searched.
    pub embed_dim: usize,
    /// Channels before and after.
    pub z_channels: usize,
    /// Maps from stored rows to searched ones: 0, 1 or 2.
    pub use_cblinear: usize,
    /// Units between two maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cb_hidden: Option<usize>,
    /// -1 for a codebook that started at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning_codebook: Option<i64>,
}

/// Networks of [`VqganLc`].
pub struct VqganLcNetwork<B: CodecBackend> {
    quant_conv: Conv<B>,
    quantizer: Quantizer<B>,
    post_quant_conv: Conv<B>,
}

impl Family for VqganLc {
    const NAME: &'static str = "vqgan_lc";
    type Config = VqganLcConfig;
    type Network<B: CodecBackend> = VqganLcNetwork<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains("tok_embeddings.weight")
            && tensors.contains("quant_conv.weight")
            && !tensors.contains("encoder.conv_in.weight")
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        normalize(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<VqganLcConfig, Error> {
        let [codes, stored] = matrix(tensors, "tok_embeddings.weight")?;
        let (maps, embed_dim) = projection(tensors, stored)?;
        let z_channels = match tensors.shape("quant_conv.weight") {
            Some(&[_, channels, 1, 1]) => channels,
            other => {
                return Err(Error::malformed(format!(
                    "quant_conv.weight has shape {other:?}"
                )));
            }
        };
        at_most("channels", z_channels, WIDTH_MAX)?;
        let field = |name: &str| given.and_then(|g| g.get(name));
        let size = |name: &str| field(name).and_then(Value::as_u64).map(|v| v as usize);
        let (use_cblinear, cb_hidden) = hidden(maps);
        agree("n_vision_words", size("n_vision_words"), codes)?;
        agree("codebook_dim", size("codebook_dim"), stored)?;
        agree("embed_dim", size("embed_dim"), embed_dim)?;
        agree("z_channels", size("z_channels"), z_channels)?;
        agree("use_cblinear", size("use_cblinear"), use_cblinear)?;
        Ok(VqganLcConfig {
            n_vision_words: codes,
            codebook_dim: stored,
            embed_dim,
            z_channels,
            use_cblinear,
            cb_hidden,
            tuning_codebook: field("tuning_codebook").and_then(Value::as_i64),
        })
    }

    fn build<B: CodecBackend>(
        config: &VqganLcConfig,
        loader: &Loader<'_, B>,
    ) -> Result<VqganLcNetwork<B>, Error> {
        let (width, channels) = (config.embed_dim, config.z_channels);
        let conv = |channels, name: &str| ConvConfig::new(channels, 1).load(&loader.at(name));
        let quantizer = QuantizerConfig::Projected {
            codes: config.n_vision_words,
            stored: config.codebook_dim,
            width,
            projection: super::config::maps(config.use_cblinear, config.cb_hidden),
            unit: is_unit(width, config.tuning_codebook),
        };
        Ok(VqganLcNetwork {
            quant_conv: conv([channels, width], "quant_conv"),
            quantizer: load(quantizer, loader),
            post_quant_conv: conv([width, channels], "post_quant_conv"),
        })
    }

    fn codebook(model: &Model<Self>) -> Result<Option<HostTensor>, Error> {
        let network = model.network::<Flex>(&FlexDevice)?;
        rows(&network.quantizer.codebook())
    }

    /// `h` is the input.
    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let network = model.network::<B>(device)?;
        let h = plane::<B>(inputs, "h", model.config.z_channels, device)?;
        let z = network.quant_conv.forward(h, Activation::None);
        let mut traced = Traced::new(&network.quantizer, z.clone())?;
        traced.put("z", z)?;
        traced.put("z_in", traced.plane(traced.quantized.latents.clone()))?;
        let quantized = traced.plane(traced.quantized.output.clone());
        let post = network.post_quant_conv.forward(quantized, Activation::None);
        traced.put("post_quant", post)?;
        traced.loss("loss", LossWeights::on_codebook(0.33))?;
        Ok(traced.tensors)
    }
}

impl ImageFamily for VqganLc {
    fn coder<B: CodecBackend>(
        _: &Model<Self>,
        _: &B::Device,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        Err(no_codec(Self::NAME))
    }
}

/// The quantizer of SimVQ (arXiv 2411.02038).
#[derive(Debug, Clone, Copy)]
pub struct SimVq;

/// Hyperparameters of [`SimVq`], under the authors' names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimVqConfig {
    /// Codes.
    pub n_e: usize,
    /// Width of latents and rows.
    pub e_dim: usize,
    /// Weight of one term of the loss.
    pub beta: f64,
    /// Whether that is the codebook's term.
    pub legacy: bool,
    /// Whether latents are `[n, c, time]`.
    pub one_d: bool,
}

impl SimVqConfig {
    /// Weights of the loss.
    pub fn loss(&self) -> LossWeights {
        if self.legacy {
            LossWeights::on_codebook(self.beta)
        } else {
            LossWeights::on_commitment(self.beta)
        }
    }
}

impl Family for SimVq {
    const NAME: &'static str = "simvq";
    type Config = SimVqConfig;
    type Network<B: CodecBackend> = Quantizer<B>;

    fn recognize(tensors: &Tensors) -> bool {
        tensors.contains("quantize.embedding_proj.weight")
            && !tensors.contains("encoder.conv_in.weight")
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        let tensors = normalize(tensors)?;
        if tensors.contains("embedding.weight") {
            return tensors.rename(|name| format!("quantize.{name}"));
        }
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<SimVqConfig, Error> {
        let [n_e, e_dim] = matrix(tensors, "quantize.embedding.weight")?;
        let field = |name: &str| given.and_then(|g| g.get(name));
        let size = |name: &str| field(name).and_then(Value::as_u64).map(|v| v as usize);
        agree("n_e", size("n_e"), n_e)?;
        agree("e_dim", size("e_dim"), e_dim)?;
        let flag = |name: &str| field(name).and_then(Value::as_bool).unwrap_or(false);
        Ok(SimVqConfig {
            n_e,
            e_dim,
            beta: field("beta").and_then(Value::as_f64).unwrap_or(0.25),
            legacy: flag("legacy"),
            one_d: flag("one_d"),
        })
    }

    fn build<B: CodecBackend>(
        config: &SimVqConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Quantizer<B>, Error> {
        let (codes, width) = (config.n_e, config.e_dim);
        Ok(load(QuantizerConfig::Sim { codes, width }, loader))
    }

    fn codebook(model: &Model<Self>) -> Result<Option<HostTensor>, Error> {
        rows(&model.network::<Flex>(&FlexDevice)?.codebook())
    }

    /// `z` is the input, `[n, c, h, w]` or `[n, c, time]`.
    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let quantizer = model.network::<B>(device)?;
        let mut traced = Traced::new(&quantizer, plane(inputs, "z", model.config.e_dim, device)?)?;
        traced.loss("commit_loss", model.config.loss())?;
        traced.loss("mse", LossWeights::on_commitment(0.0))?;
        if let Some(&[n, c, time]) = inputs.shape("z") {
            traced.reshape("quantized", &[n, c, time])?;
            traced.reshape("indices", &[n, time])?;
        }
        Ok(traced.tensors)
    }
}

impl ImageFamily for SimVq {
    fn coder<B: CodecBackend>(
        _: &Model<Self>,
        _: &B::Device,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        Err(no_codec(Self::NAME))
    }
}

fn no_codec(family: &str) -> Error {
    Error::unsupported(format!(
        "coding with family '{family}': it is a quantizer without encoder and decoder"
    ))
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

/// An input `[n, channels, h, w]`, or `[n, channels, time]` as one row.
pub(super) fn plane<B: CodecBackend>(
    inputs: &Tensors,
    name: &str,
    channels: usize,
    device: &B::Device,
) -> Result<Tensor<B, 4>, Error> {
    let tensor = inputs
        .get(name)
        .ok_or_else(|| Error::malformed(format!("no input '{name}'")))?;
    if tensor.shape().contains(&0) || tensor.shape().get(1) != Some(&channels) {
        return Err(Error::malformed(format!(
            "input '{name}' has shape {:?} (expected {channels} channels)",
            tensor.shape()
        )));
    }
    match tensor.shape() {
        &[n, c, t] => Ok(tensor.to_device::<B, 3>(device)?.reshape([n, c, 1, t])),
        _ => tensor.to_device(device),
    }
}

fn matrix(tensors: &Tensors, name: &str) -> Result<[usize; 2], Error> {
    let &[rows, columns] = tensors.shape(name).unwrap_or_default() else {
        return Err(Error::malformed(format!("{name} is no matrix")));
    };
    at_most("codes", rows, CODES_MAX)?;
    at_most("code width", columns, WIDTH_MAX)?;
    if rows == 0 || columns == 0 {
        return Err(Error::malformed(format!("{name} is empty")));
    }
    Ok([rows, columns])
}
