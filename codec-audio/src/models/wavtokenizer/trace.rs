//! Intermediate tensors for parity with the authors' implementation.

use burn::backend::Autodiff;
use burn::tensor::{Int, Tensor};
use burn_flex::{Flex, FlexDevice};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::quantizer::{EmaCodebook, commitment};
use codec_core::weights::{HostTensor, Loader, Tensors};

use super::{CODEBOOK, Wavtokenizer};
use crate::models::family::Model;
use crate::models::features::{from_rows, to_rows};
use crate::models::seanet::SequenceLayer;
use crate::models::trace::{Order, Traced, cases, number, signal};

/// Share of the past that the codebook keeps in a step of the authors' training.
const DECAY: f64 = 0.99;
/// Weight of the commitment loss in the authors' training.
const COMMITMENT: f64 = 1000.0;

/// Everything that follows from every `audio` under the condition `bandwidth_id`, and a step of the codebook's training on its
/// features.
pub(super) fn trace<B: CodecBackend>(
    model: &Model<Wavtokenizer>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let (config, network) = (&model.config, model.network::<B>(device)?);
    let mut tensors = Tensors::new();
    for case in cases(inputs, "audio") {
        let mut traced = Traced::new(case, &mut tensors);
        let name = format!("{case}audio");
        let mut x = signal::<B>(inputs, &name, config.encoder.channels, device)?;
        let condition = number(inputs, &format!("{case}bandwidth_id")).unwrap_or(0.0) as usize;
        let n = x.dims()[0];
        for (index, layer) in &network.encoder.layers {
            x = layer.forward(x);
            if !matches!(layer, SequenceLayer::Elu) {
                traced.put(&format!("encoder.model.{index}"), x.clone())?;
            }
        }
        let rows = to_rows(x.clone());
        traced.put("encoder.out", x.clone())?;
        let codes = network.quantizer.codes(rows.clone(), &network.codebook);
        let one = std::slice::from_ref(&codes);
        traced.codes("codes", one, n, Order::BookItemFrame)?;
        distances(rows.clone(), network.codebook.all(), &mut traced)?;
        let quantized = network.quantizer.decode(codes.clone(), &network.codebook);
        let quantized = from_rows(quantized, n);
        traced.put("quantized", quantized.clone())?;
        let decoded = network
            .backbone
            .forward(quantized, condition, |part, value| {
                traced.put(&format!("backbone.{part}"), value.clone())
            })?;
        let spectrum = network.head.spectrum(decoded);
        let [count, values] = spectrum.out.dims();
        let whole = spectrum.out.clone().reshape([n, count / n, values]);
        traced.put("head.out", whole)?;
        let names = ["magnitude", "phase", "real", "imag"];
        for (name, part) in names.into_iter().zip(spectrum.parts()) {
            traced.put(&format!("head.{name}"), from_rows(part, n))?;
        }
        let signal = network.head.synthesize(spectrum)?;
        let time = signal.dims()[2];
        traced.put("audio_out", signal.reshape([n, time]))?;
        let prefix = format!("{case}ema.");
        let mut traced = Traced::new(&prefix, &mut tensors);
        training_step::<B>(model, x, codes, &mut traced)?;
    }
    Ok(tensors)
}

/// Squared distances of every row to the nearest of the codebook's, and to the next one.
fn distances<B: CodecBackend>(
    rows: Tensor<B, 2>,
    codebook: Tensor<B, 2>,
    traced: &mut Traced<'_>,
) -> Result<(), Error> {
    let [count, width] = rows.dims();
    let (rows, codebook) = (
        HostTensor::from_device(rows)?,
        HostTensor::from_device(codebook)?,
    );
    let codebook = codebook.as_floats().unwrap_or_default();
    let rows = rows.as_floats().unwrap_or_default();
    let (mut best, mut second) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for row in rows.chunks(width.max(1)) {
        let mut least = [f64::INFINITY; 2];
        for candidate in codebook.chunks(width.max(1)) {
            let pairs = row.iter().zip(candidate);
            let distance: f64 = pairs
                .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                .sum();
            if distance < least[0] {
                least = [distance, least[0]];
            } else if distance < least[1] {
                least[1] = distance;
            }
        }
        best.push(least[0] as f32);
        second.push(least[1] as f32);
    }
    for (name, values) in [("best_sqdist", best), ("second_sqdist", second)] {
        let values = HostTensor::floats(&[values.len()], values)?;
        let values = values.to_device::<Flex, 1>(&FlexDevice)?;
        traced.put(&format!("quantizer.{name}"), values)?;
    }
    Ok(())
}

/// One step of moving averages; and the authors' loss of the quantizer, whose gradient is one of the straight-through form.
fn training_step<B: CodecBackend>(
    model: &Model<Wavtokenizer>,
    features: Tensor<B, 3>,
    codes: Tensor<B, 1, Int>,
    traced: &mut Traced<'_>,
) -> Result<(), Error> {
    let device = features.device();
    let [n, width, _] = features.dims();
    let loader = Loader::<B>::new(&model.tensors, &device);
    let averages = loader.at(CODEBOOK);
    if averages.shape("embed_avg").is_none() || averages.shape("cluster_size").is_none() {
        return Ok(());
    }
    let count = model.config.bins;
    let codebook = EmaCodebook::load(count, width, DECAY, &averages);
    let mut hit: Vec<i64> = codes.clone().into_data().iter::<i64>().collect();
    hit.sort_unstable();
    hit.dedup();
    let moved = codebook.update(to_rows(features.clone()), codes);
    let rows = burn::tensor::TensorData::new(
        hit.iter().map(|&row| row as i32).collect::<Vec<_>>(),
        [hit.len()],
    );
    let rows = Tensor::<B, 1, Int>::from_data(rows, &device);
    traced.put("embed_rows", moved.embed.val().select(0, rows.clone()))?;
    traced.put("embed_avg_rows", moved.embed_avg.val().select(0, rows))?;
    traced.put("cluster_size", moved.cluster_size.val())?;
    let sums = moved.embed.val().sum_dim(1).reshape([count]);
    traced.put("embed_row_sums", sums)?;
    traced.integers("rows", &[hit.len()], hit)?;

    type Ad = Autodiff<Flex>;
    let network = model.network::<Ad>(&FlexDevice)?;
    let x = HostTensor::from_device(features)?.to_device::<Ad, 3>(&FlexDevice)?;
    let x = x.require_grad();
    let found = network
        .quantizer
        .quantize(to_rows(x.clone()), &network.codebook);
    let loss = commitment(found.latents, found.rows);
    let quantized = from_rows(found.output, n);
    let shape = quantized.dims();
    let total: usize = shape.iter().product();
    let line = (0..total).map(|i| -1.0 + 2.0 * i as f32 / (total - 1).max(1) as f32);
    let line = HostTensor::floats(&shape, line.collect())?.to_device::<Ad, 3>(&FlexDevice)?;
    let sum = loss.clone().mul_scalar(COMMITMENT) + (quantized.clone() * line).sum();
    let gradients = sum.backward();
    traced.put("quantized", quantized.inner())?;
    traced.put("commit_loss", loss.inner())?;
    let gradient = x.grad(&gradients);
    let gradient = gradient.ok_or_else(|| Error::malformed("a loss without a gradient"))?;
    traced.put("grad_x", gradient)
}
