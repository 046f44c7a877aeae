//! What the tasks of picture families share.

use std::collections::BTreeSet;

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Digest;
use codec_core::weights::{Tensors, WeightsFile};
use codec_image::models::{Family, Model};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Evaluation, Macs};
use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::{Metrics, Sample, SampleData};
use crate::recipe::Recipe;
use crate::recipe::suggest::{invalid, unknown};

/// The defaults of a family with the values of a recipe over them.
///
/// # Errors
/// [`TrainError::Recipe`] for names that the family does not have and values that do not fit.
pub(super) fn hyperparameters<C: Serialize + DeserializeOwned>(
    defaults: &C,
    model: &toml::Table,
) -> Result<C, TrainError> {
    let bad = |e: &dyn std::fmt::Display| TrainError::Recipe(format!("model: {e}"));
    let json = |config: &C| serde_json::to_value(config).map_err(|e| bad(&e));
    let mut values = json(defaults)?;
    if let Some(object) = values.as_object_mut() {
        for (key, value) in model {
            let value = serde_json::to_value(value).map_err(|e| bad(&e))?;
            object.insert(key.clone(), value);
        }
    }
    let config: C = serde_json::from_value(values).map_err(|e| bad(&e))?;
    // Hyperparameters that may be absent are not among the defaults, only where the recipe names them.
    let known = [json(defaults)?, json(&config)?];
    let names = || {
        known
            .iter()
            .flat_map(|k| k.as_object().into_iter().flatten())
    };
    match model
        .keys()
        .find(|key| names().all(|(name, _)| name != *key))
    {
        Some(key) => {
            let names: BTreeSet<&str> = names().map(|(name, _)| name.as_str()).collect();
            Err(bad(&unknown("hyperparameter", key, names.into_iter())))
        }
        None => Ok(config),
    }
}

/// Checks that the crops of every stage have sides that are multiples of `alignment` and at least `least`.
///
/// # Errors
/// [`TrainError::Recipe`].
pub(super) fn check_patches(
    recipe: &Recipe,
    alignment: usize,
    least: usize,
) -> Result<(), TrainError> {
    for stage in &recipe.stages {
        if stage.patch < least.max(1) || !stage.patch.is_multiple_of(alignment) {
            let key = format!("stage {}: patch", stage.name);
            let mut expected = format!("a multiple of {alignment}");
            if least > alignment {
                expected += &format!(", at least {least}");
            }
            return Err(invalid(&key, &stage.patch, &expected));
        }
    }
    Ok(())
}

/// The weights file of trained networks.
///
/// # Errors
/// [`TrainError::Recipe`] for hyperparameters that cannot be written, those of [`WeightsFile::to_bytes`].
pub(super) fn weights_file<F: Family>(
    config: &F::Config,
    tensors: Tensors,
    name: &str,
    recipe: &str,
) -> Result<Vec<u8>, TrainError> {
    let bad = |e: serde_json::Error| TrainError::Recipe(format!("model: {e}"));
    let file = WeightsFile {
        family: F::NAME.to_owned(),
        name: name.to_owned(),
        config: serde_json::to_value(config).map_err(bad)?,
        source: recipe.to_owned(),
        tensors,
    };
    Ok(file.to_bytes()?)
}

/// The networks of a weights file.
///
/// # Errors
/// Those of [`Model::new`] and [`Model::network`].
pub(super) fn network<F: Family>(bytes: &[u8]) -> Result<F::Network<Flex>, TrainError> {
    let model = Model::<F>::new(WeightsFile::from_bytes(bytes)?, Digest::of(bytes))?;
    Ok(model.network::<Flex>(&Default::default())?)
}

/// Multiply-accumulates of encoder and decoder.
pub(super) fn macs_per_pixel([encode, decode]: [f64; 2]) -> Macs {
    Macs {
        encode,
        decode,
        unit: "pixel",
    }
}

/// Values by name.
pub(super) fn named<const N: usize>(values: [(&str, f64); N]) -> Metrics {
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What is reported of a picture, with the picture itself and its reconstruction if `sample` asks for them.
pub(super) fn evaluation<B: Backend, const N: usize>(
    metrics: [(&str, f64); N],
    sample: bool,
    item: &Item,
    t: f32,
    [original, reconstruction]: [Tensor<B, 4>; 2],
) -> Evaluation {
    let sample = sample.then(|| Sample {
        name: item.name(),
        quality: 100.0 * t,
        original: bytes(original),
        reconstruction: bytes(reconstruction),
    });
    Evaluation {
        metrics: named(metrics),
        sample,
    }
}

/// Mean squared error on the 0..255 scale, of pictures in 0..1.
pub(super) fn mse<B: Backend>(a: Tensor<B, 4>, b: Tensor<B, 4>) -> f64 {
    255.0 * 255.0 * scalar((a - b).square().mean())
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

#[cfg(test)]
mod tests {
    use codec_image::models::vqgan::VqganConfig;

    use super::*;

    #[test]
    fn a_recipe_may_name_hyperparameters_that_the_defaults_leave_out() {
        let read = |text: &str| {
            let model: toml::Table = toml::from_str(text).unwrap();
            hyperparameters(&VqganConfig::default(), &model)
        };
        let config = read("quantizer = \"finite\"\nlevels = [8, 5, 5, 5]\nembed_dim = 4").unwrap();
        assert_eq!(config.levels, [8, 5, 5, 5]);
        assert_eq!(config.n_embed, VqganConfig::default().n_embed);
        let error = read("level = [8]").unwrap_err().to_string();
        assert!(error.contains("unknown hyperparameter 'level'"), "{error}");
        assert!(read("levels = 8").is_err());
    }
}
