//! Every intermediate of one pass, for parity with the reference implementation.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::bits;
use codec_core::weights::{HostTensor, Tensors};
use codec_entropy::encode_compressai;

use super::latents::HostParameters;
use super::model::Network;
use crate::models::host;
use crate::models::record::{bytes, integers, tables};

/// Runs `x` through the model; names and meaning are those of the fixtures.
pub(super) fn trace<B: CodecBackend>(
    network: &Network<B>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let input = |name: &str| {
        inputs
            .get(name)
            .ok_or_else(|| Error::malformed(format!("no input '{name}'")))
    };
    let mut out = Tensors::new();
    let x: Tensor<B, 4> = input("x")?.to_device(device)?;
    let y = network.analysis(x);
    out.insert("y", HostTensor::from_device(y.clone())?);
    let bottleneck = &network.bottleneck;
    let shape = y.dims();
    let [pictures, m, h, w] = shape;
    let (mut y_hat, mut y_likelihoods) = (Vec::new(), Vec::new());
    let (mut y_symbols, mut y_indexes) = (Vec::new(), Vec::new());
    let parts = |x: Tensor<B, 4>| -> Result<Vec<f32>, Error> { host(x) };
    let coded = |e: codec_entropy::Error| Error::malformed(e.to_string());
    if let Some(hyper) = &network.hyper {
        let z = hyper.analysis(y.clone());
        out.insert("z", HostTensor::from_device(z.clone())?);
        let z_shape = z.dims();
        let [_, n, zh, zw] = z_shape;
        let mut z_symbols = Vec::new();
        let (mut z_hat, mut z_likelihoods) = (Vec::new(), Vec::new());
        for (picture, z) in parts(z)?.chunks((n * zh * zw).max(1)).enumerate() {
            let symbols = bottleneck.quantize(z, zh * zw);
            let values = bottleneck.dequantize(&symbols, zh * zw);
            z_likelihoods.extend(bottleneck.likelihoods(&values, zh * zw));
            let indexes = bottleneck.indexes(zh * zw);
            let string =
                encode_compressai(&symbols, &indexes, bottleneck.tables()).map_err(coded)?;
            out.insert(format!("z_string_{picture}"), bytes(string)?);
            z_hat.extend(values);
            z_symbols.extend(symbols);
        }
        let z_hat = HostTensor::floats(&z_shape, z_hat)?;
        let parameters = hyper.synthesis(z_hat.to_device(device)?);
        out.insert(
            "scales",
            HostTensor::from_device(parameters.scales.clone())?,
        );
        let scales = parts(parameters.scales)?;
        let means = match parameters.means {
            Some(means) => {
                out.insert("means", HostTensor::from_device(means.clone())?);
                parts(means)?
            }
            None => vec![0.0; scales.len()],
        };
        out.insert("z_hat", z_hat);
        out.insert(
            "bits_z",
            HostTensor::floats(&[1], vec![bits(&z_likelihoods) as f32])?,
        );
        out.insert(
            "z_likelihoods",
            HostTensor::floats(&z_shape, z_likelihoods)?,
        );
        out.insert("z_symbols", integers(&z_shape, &z_symbols)?);
        let each = (m * h * w).max(1);
        let pictures = parts(y)?;
        let pictures = pictures
            .chunks(each)
            .zip(scales.chunks(each))
            .zip(means.chunks(each));
        for (picture, ((y, scales), means)) in pictures.enumerate() {
            let parameters = HostParameters {
                scales: scales.to_vec(),
                means: means.to_vec(),
            };
            let latents = hyper.quantize(y, &parameters, [h, w])?;
            let scales = latents.scales.iter();
            let indexes: Vec<u8> = scales.map(|&s| hyper.gaussian.index(s)).collect();
            let tables = hyper.gaussian.tables();
            let string = encode_compressai(&latents.symbols, &indexes, tables).map_err(coded)?;
            out.insert(format!("y_string_{picture}"), bytes(string)?);
            y_hat.extend(latents.values);
            y_likelihoods.extend(latents.likelihoods);
            y_symbols.extend(latents.symbols);
            y_indexes.extend(indexes.into_iter().map(i32::from));
        }
    } else {
        for (picture, y) in parts(y)?.chunks((m * h * w).max(1)).enumerate() {
            let symbols = bottleneck.quantize(y, h * w);
            let values = bottleneck.dequantize(&symbols, h * w);
            y_likelihoods.extend(bottleneck.likelihoods(&values, h * w));
            let indexes = bottleneck.indexes(h * w);
            let string =
                encode_compressai(&symbols, &indexes, bottleneck.tables()).map_err(coded)?;
            out.insert(format!("y_string_{picture}"), bytes(string)?);
            y_hat.extend(values);
            y_symbols.extend(symbols);
            y_indexes.extend(indexes.into_iter().map(i32::from));
        }
    }
    let y_hat = HostTensor::floats(&shape, y_hat)?;
    let x_hat = network.synthesis(y_hat.to_device(device)?);
    let cropped = match input("x_orig")?.shape() {
        &[_, _, rows, columns] => x_hat
            .clone()
            .slice([0..pictures, 0..3, 0..rows, 0..columns]),
        _ => return Err(Error::malformed("x_orig is not a picture")),
    };
    out.insert("y_hat", y_hat);
    out.insert(
        "bits_y",
        HostTensor::floats(&[1], vec![bits(&y_likelihoods) as f32])?,
    );
    out.insert("y_likelihoods", HostTensor::floats(&shape, y_likelihoods)?);
    out.insert("y_symbols", integers(&shape, &y_symbols)?);
    out.insert("y_indexes", integers(&shape, &y_indexes)?);
    out.insert(
        "x_hat_decoded",
        HostTensor::from_device(x_hat.clone().clamp(0.0, 1.0))?,
    );
    out.insert("x_hat", HostTensor::from_device(x_hat)?);
    out.insert("x_hat_cropped", HostTensor::from_device(cropped)?);
    let auxiliary = bottleneck.auxiliary_loss() as f32;
    out.insert("aux_loss", HostTensor::floats(&[1], vec![auxiliary])?);
    tables(
        &mut out,
        "entropy_bottleneck",
        &bottleneck.rebuilt_tables()?,
    )?;
    if let Some(hyper) = &network.hyper {
        tables(
            &mut out,
            "gaussian_conditional",
            &hyper.gaussian.rebuilt_tables()?,
        )?;
    }
    Ok(out)
}
