//! Names in published checkpoints.

use std::collections::BTreeMap;

use codec_core::Error;
use codec_core::weights::Tensors;

use super::config::kind;

/// What only training needs, and the table of used codes that only the authors' transformers look at.
const DROPPED: [&str; 5] = [
    "loss.",
    "discriminator.",
    "perceptual_loss.",
    "model_ema.",
    "quantize.used",
];
/// Moving averages of parameters: this and the parameter's name without its dots.
const AVERAGED: &str = "model_ema.";
/// What a model in a data-parallel wrapper has before every name.
const WRAPPED: &str = "module.";

/// Whether these are encoder, codebook and decoder of a VQGAN.
pub(super) fn recognize(tensors: &Tensors) -> bool {
    let needed = [
        "encoder.conv_in.weight",
        "encoder.down.0.block.0.norm1.weight",
        "encoder.mid.attn_1.q.weight",
        "quant_conv.weight",
        "post_quant_conv.weight",
        "decoder.up.0.block.0.norm1.weight",
    ];
    needed.iter().all(|name| tensors.contains(name)) && kind(tensors).is_ok()
}

/// Inference names: averages take the place of what they average, and what only training needs is dropped.
pub(super) fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
    let wrapped = !tensors.is_empty() && tensors.iter().all(|(name, _)| name.starts_with(WRAPPED));
    let mut tensors = if wrapped {
        tensors.rename(|name| name.replacen(WRAPPED, "", 1))?
    } else {
        tensors
    };
    let averaged: BTreeMap<String, String> = tensors
        .iter()
        .filter(|(name, _)| !DROPPED.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, _)| {
            (
                format!("{AVERAGED}{}", name.replace('.', "")),
                name.to_owned(),
            )
        })
        .collect();
    for (average, name) in averaged {
        if tensors.shape(&average) == tensors.shape(&name)
            && let Some(tensor) = tensors.remove(&average)
        {
            tensors.insert(name, tensor);
        }
    }
    tensors.retain(|name| !DROPPED.iter().any(|prefix| name.starts_with(prefix)));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use codec_core::weights::HostTensor;

    use super::*;

    #[test]
    fn averages_replace_and_training_goes() {
        let mut tensors = Tensors::new();
        for (index, name) in [
            "quantize.embedding_proj.weight",
            "quantize.embedding.weight",
            "model_ema.quantizeembedding_projweight",
            "model_ema.decay",
            "loss.discriminator.main.0.weight",
            "discriminator.main.0.weight",
            "perceptual_loss.lin0.model.1.weight",
        ]
        .into_iter()
        .enumerate()
        {
            let tensor = HostTensor::floats(&[1], vec![index as f32]).unwrap();
            tensors.insert(format!("module.{name}"), tensor);
        }
        let normal = normalize(tensors).unwrap();
        let kept: Vec<_> = normal
            .iter()
            .map(|(name, tensor)| (name, tensor.as_floats().unwrap()[0]))
            .collect();
        assert_eq!(
            kept,
            [
                ("quantize.embedding.weight", 1.0),
                ("quantize.embedding_proj.weight", 2.0)
            ]
        );
    }
}
