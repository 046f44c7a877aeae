//! Validation on whole pictures, by estimated rate.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::CodecBackend;
use codec_core::layers::Precision;
use codec_datasets::ImageFolder;
use codec_image::models::wpmr::{PassMode, Rounding, Wpmr, WpmrConfig, config::ALIGNMENT, quality};
use serde::Serialize;

use crate::TrainError;

/// Averages over the validation pictures at one quality.
#[derive(Debug, Clone, Serialize)]
pub struct ValidationPoint {
    /// Quality in 0..=100.
    pub quality: f32,
    /// Estimated bits per pixel.
    pub bpp: f64,
    /// PSNR in dB, of the clamped reconstruction before rounding to 8 bits.
    pub psnr: f64,
    /// `bpp + lambda * mse`.
    pub cost: f64,
}

/// Rate and distortion of the model with symbols chosen as in the encoder, at each quality.
pub(crate) fn validate<B: CodecBackend>(
    model: &Wpmr<B>,
    config: &WpmrConfig,
    folder: &Arc<ImageFolder>,
    pictures: usize,
    qualities: &[f32],
    precision: Precision,
    device: &B::Device,
) -> Result<Vec<ValidationPoint>, TrainError> {
    let mode = PassMode {
        rounding: Rounding::Optimized,
        precision,
    };
    let stride = (folder.len() / pictures.max(1)).max(1);
    let mut points = Vec::with_capacity(qualities.len());
    for &quality in qualities {
        let t = quality / 100.0;
        let lambda = quality::lambda(config, t);
        let (mut bpp, mut psnr, mut cost, mut count) = (0.0, 0.0, 0.0, 0usize);
        for picture in folder.pictures().iter().step_by(stride).take(pictures) {
            let Some(pixels) = crop::<B>(picture, device) else {
                continue;
            };
            let [_, _, height, width] = pixels.dims();
            let losses = model.forward(config, pixels.clone(), &[t], mode)?;
            let bits = losses.latent_bits.into_scalar_f64() + losses.hyper_bits.into_scalar_f64();
            let error = (losses.reconstruction.clamp(0.0, 1.0) - pixels)
                .mul_scalar(255.0)
                .powi_scalar(2);
            let mse = error.mean().into_scalar_f64();
            let rate = bits / (height * width) as f64;
            bpp += rate;
            psnr += 10.0 * (255.0 * 255.0 / mse.max(1e-9)).log10();
            cost += rate + lambda * mse;
            count += 1;
        }
        let n = count.max(1) as f64;
        points.push(ValidationPoint {
            quality,
            bpp: bpp / n,
            psnr: psnr / n,
            cost: cost / n,
        });
    }
    Ok(points)
}

/// Top left part of a picture whose sides are multiples of the model's alignment.
fn crop<B: Backend>(picture: &codec_datasets::Picture, device: &B::Device) -> Option<Tensor<B, 4>> {
    let (width, height) = (
        picture.width() / ALIGNMENT * ALIGNMENT,
        picture.height() / ALIGNMENT * ALIGNMENT,
    );
    if width == 0 || height == 0 {
        return None;
    }
    let mut planes = vec![0f32; 3 * width * height];
    for (c, plane) in planes.chunks_mut(width * height).enumerate() {
        for (row, out) in picture
            .pixels()
            .chunks(3 * picture.width())
            .zip(plane.chunks_mut(width))
        {
            for (value, pixel) in out.iter_mut().zip(row.chunks(3)) {
                *value = pixel.get(c).map_or(0.0, |&v| f32::from(v) / 255.0);
            }
        }
    }
    Some(Tensor::from_data(
        TensorData::new(planes, [1, 3, height, width]),
        device,
    ))
}

/// Reading a one-element tensor.
trait ScalarF64 {
    fn into_scalar_f64(self) -> f64;
}

impl<B: Backend, const D: usize> ScalarF64 for Tensor<B, D> {
    fn into_scalar_f64(self) -> f64 {
        self.into_data()
            .convert::<f64>()
            .into_vec::<f64>()
            .ok()
            .and_then(|v| v.first().copied())
            .unwrap_or(f64::NAN)
    }
}
