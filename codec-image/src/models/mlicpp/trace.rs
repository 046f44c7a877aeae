//! Every intermediate of one pass, for parity with the reference implementation.

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::bits;
use codec_core::weights::{HostTensor, Tensors};
use codec_entropy::{CompressAiDecoder, encode_compressai};

use super::model::Network;
use crate::models::grid::ALIGNMENT;
use crate::models::host;
use crate::models::record::{bytes, integers, tables};

/// What the fixtures' loss weighs distortion with.
const LAMBDA: f64 = 0.013;

/// Runs `x_orig`, or `x` of full size, through the model; names and meaning are those of the fixtures.
pub(super) fn trace<B: CodecBackend>(
    network: &Network<B>,
    inputs: &Tensors,
    device: &B::Device,
) -> Result<Tensors, Error> {
    let original = inputs.get("x_orig").or_else(|| inputs.get("x"));
    let original = original.ok_or_else(|| Error::malformed("no input 'x_orig' or 'x'"))?;
    let original: Tensor<B, 4> = original.to_device(device)?;
    let [pictures, colors, rows, columns] = original.dims();
    if colors != 3 || pictures * rows * columns == 0 {
        return Err(Error::malformed("the input is no picture"));
    }
    let after = |side: usize| side.next_multiple_of(ALIGNMENT) - side;
    let x = original.pad((0, after(columns), 0, after(rows)), PadMode::Constant(0.0));
    let coded = |e: codec_entropy::Error| Error::malformed(e.to_string());
    let number = |v: f64| HostTensor::floats(&[1], vec![v as f32]);
    let mut out = Tensors::new();
    out.insert("x", HostTensor::from_device(x.clone())?);

    let y = network.analysis.forward(x.clone());
    let z = network.hyper_analysis.forward(y.clone());
    out.insert("y", HostTensor::from_device(y.clone())?);
    out.insert("z", HostTensor::from_device(z.clone())?);
    let bottleneck = &network.bottleneck;
    let z_shape = z.dims();
    let [_, n, zh, zw] = z_shape;
    let (mut z_symbols, mut z_hat) = (Vec::new(), Vec::new());
    let (mut z_likelihoods, mut z_string) = (Vec::new(), Vec::new());
    for (picture, z) in host(z)?.chunks(n * zh * zw).enumerate() {
        let symbols = bottleneck.quantize(z, zh * zw);
        let values = bottleneck.dequantize(&symbols, zh * zw);
        z_likelihoods.extend(bottleneck.likelihoods(&values, zh * zw));
        z_hat.extend(values);
        let indexes = bottleneck.indexes(zh * zw);
        let string = encode_compressai(&symbols, &indexes, bottleneck.tables()).map_err(coded)?;
        z_symbols.extend(symbols);
        if picture == 0 {
            z_string = string;
        }
    }
    let z_hat = HostTensor::floats(&z_shape, z_hat)?;
    let features = network.hyper_synthesis.forward(z_hat.to_device(device)?)?;
    out.insert("hyper_params", HostTensor::from_device(features.clone())?);
    out.insert("z_hat", z_hat);
    out.insert("z_symbols", integers(&z_shape, &z_symbols)?);
    let bits_z = bits(&z_likelihoods);
    out.insert(
        "z_likelihoods",
        HostTensor::floats(&z_shape, z_likelihoods)?,
    );

    let mut failed = None;
    let mut observe = |name: String, x: Tensor<B, 4>| match HostTensor::from_device(x) {
        Ok(x) => out.insert(name, x),
        Err(error) => failed = Some(error),
    };
    let latents = network.encode(&y, features.clone(), Some(&mut observe))?;
    if let Some(error) = failed {
        return Err(error);
    }
    let y_hat = latents.decoded;
    let x_hat = network.synthesis.forward(y_hat.clone())?;
    let scaled = network.gaussian.tables();
    let chosen =
        |scales: &[f32]| -> Vec<u8> { scales.iter().map(|&s| network.gaussian.index(s)).collect() };
    let indexes = chosen(&latents.scales);
    let string = encode_compressai(&latents.symbols, &indexes, scaled).map_err(coded)?;
    // The same string read back, as the reference's decompress() does it.
    let mut decoder = CompressAiDecoder::new(&string).map_err(coded)?;
    let y_decoded = network.decode(features, |scales, symbols| {
        decoder
            .decode(&chosen(scales), scaled, symbols)
            .map_err(coded)
    })?;
    decoder.finish().map_err(coded)?;
    let x_decoded = network.synthesis.forward(y_decoded)?;

    let groups = 2 * network.slices();
    let group = latents.symbols.len() / groups;
    let counts = vec![group as i32; groups];
    out.insert("symbols_per_group", integers(&[groups], &counts)?);
    let count = [latents.symbols.len()];
    out.insert("y_symbols", integers(&count, &latents.symbols)?);
    let indexes: Vec<i32> = indexes.into_iter().map(i32::from).collect();
    out.insert("y_indexes", integers(&count, &indexes)?);
    let bits_y = bits(&latents.likelihoods);
    let likelihoods = planes::<B>(&latents.likelihoods, y.dims(), network.slices(), device)?;
    out.insert("y_likelihoods", HostTensor::from_device(likelihoods)?);
    out.insert("y_hat", HostTensor::from_device(y_hat)?);

    let pixels = x.dims();
    let pixels = (pixels[0] * pixels[2] * pixels[3]) as f64;
    let bpp = (bits_y + bits_z) / pixels;
    let error = host(x_hat.clone() - x)?;
    let squares: f64 = error.iter().map(|&e| f64::from(e) * f64::from(e)).sum();
    let mse = squares / error.len() as f64;
    out.insert("bits_y", number(bits_y)?);
    out.insert("bits_z", number(bits_z)?);
    out.insert("bpp_loss", number(bpp)?);
    out.insert("mse_loss", number(mse)?);
    out.insert("rd_loss", number(LAMBDA * 255.0 * 255.0 * mse + bpp)?);
    out.insert("aux_loss", number(bottleneck.auxiliary_loss())?);
    let cropped = x_hat
        .clone()
        .slice([0..pictures, 0..3, 0..rows, 0..columns]);
    out.insert("x_hat_cropped", HostTensor::from_device(cropped)?);
    out.insert("x_hat", HostTensor::from_device(x_hat)?);
    out.insert("x_hat_decoded", HostTensor::from_device(x_decoded)?);
    let file = file([rows, columns], [zh, zw], [&string, &z_string]);
    out.insert("file_bytes", bytes(file)?);
    out.insert("y_string", bytes(string)?);
    out.insert("z_string", bytes(z_string)?);
    let rebuilt = bottleneck.rebuilt_tables()?;
    tables(&mut out, "entropy_bottleneck", &rebuilt)?;
    let rebuilt = network.gaussian.rebuilt_tables()?;
    tables(&mut out, "gaussian_conditional", &rebuilt)?;
    Ok(out)
}

/// Values in coding order as planes `[n, M, h, w]`.
fn planes<B: CodecBackend>(
    values: &[f32],
    [n, m, h, w]: [usize; 4],
    slices: usize,
    device: &B::Device,
) -> Result<Tensor<B, 4>, Error> {
    let shape = [2 * slices * n, m / slices, h, w / 2];
    let groups = HostTensor::floats(&shape, values.to_vec())?;
    let groups: Tensor<B, 4> = groups.to_device(device)?;
    let half = |group: usize| groups.clone().narrow(0, group * n, n);
    let slices = (0..slices).map(|i| Ok(B::join_cells(half(2 * i), half(2 * i + 1))?));
    Ok(Tensor::cat(slices.collect::<Result<_, Error>>()?, 1))
}

/// A file of the reference's test script: sizes and lengths as words of 32 bits, high byte first.
fn file(size: [usize; 2], hyper: [usize; 2], strings: [&[u8]; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    let word = |file: &mut Vec<u8>, value: usize| file.extend((value as u32).to_be_bytes());
    for value in size.into_iter().chain(hyper).chain([strings.len()]) {
        word(&mut file, value);
    }
    for string in strings {
        word(&mut file, string.len());
        file.extend_from_slice(string);
    }
    file
}
