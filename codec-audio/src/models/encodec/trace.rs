//! Intermediate tensors for parity with the authors' implementation.

use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::weights::Tensors;

use super::network::volume;
use super::{Encodec, EncodecNetwork};
use crate::models::family::Model;
use crate::models::seanet::{Sequence, SequenceLayer};
use crate::models::trace::{Order, Traced, cases, number, signal};

/// Everything that follows from every `audio`, with the codebooks of `bandwidth_kbps`.
pub(super) fn trace<B: CodecBackend>(
    model: &Model<Encodec>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let (config, network) = (&model.config, model.network::<B>(device)?);
    let mut tensors = Tensors::new();
    for case in cases(inputs, "audio") {
        let mut traced = Traced::new(case, &mut tensors);
        let x = signal::<B>(
            inputs,
            &format!("{case}audio"),
            config.seanet.channels,
            device,
        )?;
        let bandwidth = number(inputs, &format!("{case}bandwidth_kbps"));
        let codebooks = bandwidth.map_or(config.n_q, |b| config.codebooks_for(b));
        let n = x.dims()[0];
        let scale = volume(x.clone());
        let x = if config.normalize {
            traced.put("scale", scale.clone().reshape([n, 1]))?;
            x / scale.clone()
        } else {
            x
        };
        let EncodecNetwork {
            encoder, decoder, ..
        } = &network;
        let features = layers("encoder", encoder, x, &mut traced)?;
        traced.put("encoder.out", features.clone())?;
        let codes = network.quantize(features, codebooks);
        traced.codes("codes", &codes, n, Order::ItemBookFrame)?;
        let quantized = network.features(&codes, n)?;
        traced.put("quantized", quantized.clone())?;
        let decoded = layers("decoder", decoder, quantized, &mut traced)?;
        let decoded = match config.normalize {
            true => decoded * scale,
            false => decoded,
        };
        traced.put("audio_out", decoded)?;
    }
    Ok(tensors)
}

/// Runs a sequence and keeps what its layers give, activations excepted.
pub(crate) fn layers<B: CodecBackend>(
    part: &str,
    sequence: &Sequence<B>,
    x: burn::tensor::Tensor<B, 3>,
    traced: &mut Traced<'_>,
) -> Result<burn::tensor::Tensor<B, 3>, Error> {
    let mut x = x;
    for (index, layer) in &sequence.layers {
        x = layer.forward(x);
        if !matches!(layer, SequenceLayer::Elu) {
            traced.put(&format!("{part}.model.{index}"), x.clone())?;
        }
    }
    Ok(x)
}
