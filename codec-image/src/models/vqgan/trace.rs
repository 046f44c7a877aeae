//! Intermediate tensors for parity with the authors' implementation.

use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::weights::Tensors;

use super::config::Kind;
use super::quantizers::{Traced, plane};
use super::{Model, Vqgan};

/// Everything that follows from the picture `x` in -1..1.
pub(super) fn trace<B: CodecBackend>(
    model: &Model<Vqgan>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let network = model.network::<B>(device)?;
    let x = plane::<B>(inputs, "x", 3, device)?;
    let ([_, _, h, w], factor) = (x.dims(), model.config.ddconfig.factor());
    if h % factor != 0 || w % factor != 0 {
        return Err(Error::malformed(format!(
            "a picture of {w}x{h} pixels (expected multiples of {factor})"
        )));
    }
    let network = &network.autoencoder;
    let encoded = network.encoder.forward(x.clone());
    let z = network
        .quant_conv
        .forward(encoded.clone(), Activation::None);
    let mut traced = Traced::new(&network.quantizer, z.clone())?;
    let rows = traced.plane(traced.quantized.rows.clone());
    let quantized = traced.plane(traced.quantized.output.clone());
    traced.put("enc_h", encoded)?;
    traced.put("z", z)?;
    // The loss of a Gumbel quantizer is a divergence of its noisy choice.
    if model.config.quantizer != Kind::Gumbel {
        traced.loss("codebook_loss", model.config.loss())?;
    }
    let post = network
        .post_quant_conv
        .forward(quantized.clone(), Activation::None);
    traced.put("post_quant", post)?;
    traced.put("x_rec", network.synthesize(quantized)?)?;
    traced.put("x_from_indices", network.synthesize(rows)?)?;

    let first = network.encoder.input.forward(x, Activation::None);
    traced.put("enc_conv_in", first.clone())?;
    if let Some(block) = network.encoder.first_block(first) {
        traced.put("enc_level0_block0", block.clone())?;
        if let Some(halved) = network.encoder.first_halving(block) {
            traced.put("downsample_of_level0_block0", halved)?;
        }
    }
    Ok(traced.tensors)
}
