//! Intermediate tensors for parity with the authors' implementation.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::{Border, CodecBackend};
use codec_core::layers::quantizer::{codebook, commitment};
use codec_core::weights::Tensors;

use super::{Dac, DacNetwork, Ends};
use crate::models::family::Model;
use crate::models::features::from_rows;
use crate::models::ragged::Mask;
use crate::models::trace::{Order, Traced, cases, number, signal};

/// Everything that follows from every `audio`, with the codebooks that `n_codebooks` counts. Where `z` is an input as well, no
/// layer sees anything beyond the ends of its signal.
pub(super) fn trace<B: CodecBackend>(
    model: &Model<Dac>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let network = model.network::<B>(device)?;
    let mut tensors = Tensors::new();
    for case in cases(inputs, "audio") {
        let x = signal::<B>(inputs, &format!("{case}audio"), 1, device)?;
        let mut traced = Traced::new(case, &mut tensors);
        let z = format!("{case}z");
        if inputs.contains(&z) {
            let z = signal::<B>(inputs, &z, model.config.latent_dim, device)?;
            unpadded(model, &network, x, z, &mut traced)?;
        } else {
            let count = number(inputs, &format!("{case}n_codebooks"));
            let count = count.map_or(model.config.n_codebooks, |count| count as usize);
            padded(model, &network, x, count, &mut traced)?;
        }
    }
    Ok(tensors)
}

fn padded<B: CodecBackend>(
    model: &Model<Dac>,
    network: &DacNetwork<B>,
    x: Tensor<B, 3>,
    codebooks: usize,
    traced: &mut Traced<'_>,
) -> Result<(), Error> {
    let [n, _, time] = x.dims();
    let missing = time.next_multiple_of(model.config.hop()) - time;
    let x = B::extend(x, [0, missing], Border::Zeros);
    traced.put("audio_padded", x.clone())?;
    let mask = Mask::default();
    let features = network
        .encoder
        .forward(x, Ends::Zeros, &mask, |number, part| {
            traced.put(&format!("encoder.block.{number}"), part.clone())
        })?;
    traced.put("encoder.out", features.clone())?;
    let found = network.quantize(features, codebooks);
    traced.codes("codes", &found.codes, n, Order::ItemBookFrame)?;
    let latents = found.latents.iter().map(|rows| from_rows(rows.clone(), n));
    traced.put("latents", Tensor::cat(latents.collect(), 1))?;
    let z = from_rows(found.output.clone(), n);
    traced.put("z", z.clone())?;
    for (name, loss) in [
        ("commitment_loss", commitment as fn(_, _) -> Tensor<B, 1>),
        ("codebook_loss", codebook),
    ] {
        let stages = found.latents.iter().zip(&found.rows);
        let losses = stages.map(|(latents, rows)| loss(latents.clone(), rows.clone()));
        traced.put(name, Tensor::cat(losses.collect(), 0).sum())?;
    }
    traced.put("z_from_codes", network.features(&found.codes, n)?)?;
    let decoded = network.decoder.forward(z, Ends::Zeros, |number, part| {
        traced.put(&format!("decoder.model.{number}"), part.clone())
    })?;
    traced.put("audio_out", decoded)
}

fn unpadded<B: CodecBackend>(
    model: &Model<Dac>,
    network: &DacNetwork<B>,
    x: Tensor<B, 3>,
    z: Tensor<B, 3>,
    traced: &mut Traced<'_>,
) -> Result<(), Error> {
    let samples = x.dims()[2];
    traced.put("encoder.out", network.encode(x, Ends::Lost)?)?;
    traced.put("audio_out", network.decode(z, Ends::Lost)?)?;
    traced.integers("delay", &[1], vec![model.config.delay()])?;
    let length = model.config.unpadded_length(samples);
    traced.integers("output_length", &[1], vec![length])
}
