//! The authors' checkpoints, and the tensors of their reference.

use burn::tensor::Tensor;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::container::Profile;
use codec_core::layers::check_wavelet;
use codec_core::weights::{HostTensor, Loader, Tensors};
use serde_json::Value;

use super::codec::Coder;
use super::config::WallocConfig;
use super::latents::Latents;
use super::model::{Network, analysis, crop, pad, synthesis};
use super::packing::pack;
use crate::coder::ImageCoder;
use crate::models::family::{Family, ImageFamily, Model};

/// The family.
#[derive(Debug, Clone, Copy)]
pub struct Walloc;

impl Family for Walloc {
    const NAME: &'static str = "walloc";
    const PROFILE: Profile = Profile::Portable;
    type Config = WallocConfig;
    type Network<B: CodecBackend> = Network<B>;

    fn recognize(tensors: &Tensors) -> bool {
        let decoder = tensors.shape("decoder.1.conv_in.weight");
        let encoder = ["encoder.0.weight", "encoder.0.conv_in.weight"];
        decoder.is_some_and(|shape| shape.len() == 4)
            && encoder
                .iter()
                .any(|name| tensors.shape(name).is_some_and(|shape| shape.len() == 4))
    }

    fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
        Ok(tensors)
    }

    fn configure(tensors: &Tensors, given: Option<&Value>) -> Result<WallocConfig, Error> {
        WallocConfig::of(tensors, given)
    }

    fn build<B: CodecBackend>(
        config: &WallocConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Network<B>, Error> {
        check_wavelet(
            loader,
            &[("_col", &[1, 1, 10, 1]), ("_row", &[1, 1, 1, 10])],
        )?;
        Ok(config.load(loader))
    }

    fn trace<B: CodecBackend>(
        model: &Model<Self>,
        inputs: &Tensors,
        device: &B::Device,
    ) -> Result<Tensors, Error> {
        let network = model.network::<B>(device)?;
        let mut outputs = Tensors::new();
        if inputs.contains("x_orig") || inputs.contains("x") {
            trace_picture(model, &network, inputs, device, &mut outputs)?;
        }
        for (name, tensor) in inputs.iter() {
            let stem = name.strip_suffix("_x").filter(|n| n.starts_with("quirk_"));
            if let Some(stem) = stem {
                let x = even(tensor.to_device::<B, 4>(device)?);
                let bands = analysis(x, 1)?;
                let image = synthesis(bands.clone(), 1)?;
                outputs.insert(format!("{stem}_X"), HostTensor::from_device(bands)?);
                outputs.insert(format!("{stem}_y"), HostTensor::from_device(image)?);
            }
        }
        Ok(outputs)
    }
}

impl ImageFamily for Walloc {
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn ImageCoder>, Error> {
        Ok(Box::new(Coder::<B>::new(model, device)?))
    }
}

/// Repeats the last row and column where their number is odd, as the reference does.
fn even<B: CodecBackend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    [2, 3].into_iter().fold(x, |x, axis| match x.dims()[axis] {
        n if n % 2 == 1 => Tensor::cat(vec![x.clone(), x.narrow(axis, n - 1, 1)], axis),
        _ => x,
    })
}

fn trace_picture<B: CodecBackend>(
    model: &Model<Walloc>,
    network: &Network<B>,
    inputs: &Tensors,
    device: &B::Device,
    outputs: &mut Tensors,
) -> Result<(), Error> {
    let input = |name: &str| -> Result<Option<Tensor<B, 4>>, Error> {
        inputs.get(name).map(|x| x.to_device(device)).transpose()
    };
    let original = input("x_orig")?;
    let align = |side: usize| side.next_multiple_of(model.config.alignment());
    let padded = original.clone().map(|x| {
        let [_, _, height, width] = x.dims();
        pad(x, [align(height), align(width)])
    });
    let x = match padded {
        Some(x) => x,
        None => input("x")?.ok_or_else(|| Error::malformed("walloc: no input x"))?,
    };
    let mut keep = |name: &str, tensor: Tensor<B, 4>| -> Result<(), Error> {
        outputs.insert(name, HostTensor::from_device(tensor)?);
        Ok(())
    };
    let quantizer = network.quantizer()?;
    let packets = network.analysis(x.clone())?;
    let e = network.encode(packets.clone());
    let z = quantizer.compress(e.clone());
    let rounded = quantizer.round(z.clone());
    let normal = quantizer.expand(rounded.clone());
    let decoded = network.decode(normal.clone());
    let reconstruction = network.synthesis(decoded.clone())?;
    let clamped = reconstruction.clone().clamp(-0.5, 0.5);
    keep("x", x.clone())?;
    keep("X", packets.clone())?;
    keep("e", e)?;
    keep("z", z)?;
    keep("z_hat", rounded.clone())?;
    keep("dec_in", normal)?;
    keep("X_hat", decoded.clone())?;
    keep("x_rec", reconstruction.clone())?;
    keep("x_hat", clamped.clone())?;
    keep("x_wpt_inverse", network.synthesis(packets.clone())?)?;
    if let Some(original) = original {
        let [_, _, height, width] = original.dims();
        keep("x_hat_cropped", crop(clamped, [height, width]))?;
    }
    for (name, difference) in [("mse", x - reconstruction), ("tf_loss", packets - decoded)] {
        let mean = (difference.clone() * difference).mean();
        outputs.insert(name, HostTensor::from_device(mean)?);
    }
    let [n, latent_dim, h, w] = rounded.dims();
    let values = HostTensor::from_device(rounded)?;
    let values: Vec<i32> = values
        .as_floats()
        .unwrap_or_default()
        .iter()
        .map(|&v| v as i32)
        .collect();
    let mut samples = Vec::new();
    let mut shape = None;
    for values in values.chunks((latent_dim * h * w).max(1)) {
        let latents = Latents {
            shape: [latent_dim, h, w],
            limit: quantizer.limit(),
            values: values.to_vec(),
        };
        // The fixture has no packed picture where there is no such layout.
        if let Ok(packed) = pack(&latents) {
            shape = Some([n, packed.height, packed.width, packed.colors]);
            samples.extend(packed.samples.into_iter().map(i64::from));
        }
    }
    if let Some(shape) = shape {
        outputs.insert("packed", HostTensor::integers(&shape, samples)?);
    }
    Ok(())
}
