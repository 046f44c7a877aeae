//! What the tasks of picture families share.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::SampleData;
use crate::recipe::suggest::unknown;

/// The defaults of a family with the values of a recipe over them.
///
/// # Errors
/// [`TrainError::Recipe`] for names that the family does not have and values that do not fit.
pub(super) fn hyperparameters<C: Serialize + DeserializeOwned>(
    defaults: &C,
    model: &toml::Table,
) -> Result<C, TrainError> {
    let bad = |e: &dyn std::fmt::Display| TrainError::Recipe(format!("model: {e}"));
    let mut config = serde_json::to_value(defaults).map_err(|e| bad(&e))?;
    for (key, value) in model {
        let Some(slot) = config.get_mut(key) else {
            let names = config.as_object().into_iter().flatten();
            let message = unknown("hyperparameter", key, names.map(|(name, _)| name.as_str()));
            return Err(bad(&message));
        };
        *slot = serde_json::to_value(value).map_err(|e| bad(&e))?;
    }
    serde_json::from_value(config).map_err(|e| bad(&e))
}

/// Peak signal-to-noise ratio of a mean squared error on the 0..255 scale, in dB.
pub(super) fn psnr(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse.max(1e-9)).log10()
}

/// Top left part of a picture in 0..1, `[1, 3, h, w]`, with sides that are multiples of `alignment`; `None` for sound and for
/// pictures that are smaller.
pub(super) fn crop<B: Backend>(
    item: &Item,
    alignment: usize,
    device: &B::Device,
) -> Option<Tensor<B, 4>> {
    let Content::Picture(picture) = item.content() else {
        return None;
    };
    let (width, height) = (
        picture.width() / alignment * alignment,
        picture.height() / alignment * alignment,
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
    let data = TensorData::new(planes, [1, 3, height, width]);
    Some(Tensor::from_data(data, device))
}

/// The first picture of a batch in 8 bits.
pub(super) fn bytes<B: Backend>(pixels: Tensor<B, 4>) -> SampleData {
    let [_, _, height, width] = pixels.dims();
    let planes: Vec<f32> = pixels
        .into_data()
        .convert::<f32>()
        .into_vec()
        .unwrap_or_default();
    let area = height * width;
    let rgb = (0..area)
        .flat_map(|i| [i, area + i, 2 * area + i])
        .map(|i| planes.get(i).map_or(0, |v| (v * 255.0 + 0.5) as u8))
        .collect();
    SampleData::Picture { width, height, rgb }
}

/// The value of a tensor of one element.
pub(super) fn scalar<B: Backend>(x: Tensor<B, 1>) -> f64 {
    x.into_data()
        .convert::<f64>()
        .into_vec::<f64>()
        .ok()
        .and_then(|v| v.first().copied())
        .unwrap_or(f64::NAN)
}
