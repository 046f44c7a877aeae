//! A finished tokenizer whose codes something else learns from.

use std::cell::OnceCell;
use std::path::Path;

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_core::backend::CodecBackend;
use codec_core::weights::{HostTensor, Tensors, WeightsFile};
use codec_core::{Digest, Error};
use codec_image::coder::RgbTile;
use codec_image::models::vqgan::{Coder, Vqgan, VqganConfig};
use codec_image::models::{Family, Model};
use codec_image::tokens::{ImageTokenizer, Tokens};

use super::pictures::{bytes, weights_file};
use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::SampleData;
use crate::recipe::Recipe;
use crate::recipe::suggest::invalid;

/// A tokenizer, on the device of a run once that is known.
pub(super) struct Tokenizer<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    model: Model<Vqgan>,
    coder: OnceCell<Coder<B::InnerBackend>>,
}

impl<B> Tokenizer<B>
where
    B: AutodiffBackend + CodecBackend,
    B::InnerBackend: CodecBackend,
{
    /// The tokenizer of a weights file, for a recipe whose crops must fit its codes.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Recipe`].
    pub(super) fn open(path: &Path, recipe: &Recipe) -> Result<Self, TrainError> {
        let bytes = std::fs::read(path).map_err(|reason| TrainError::Io {
            path: path.to_owned(),
            reason,
        })?;
        let model: Model<Vqgan> = WeightsFile::from_bytes(&bytes)
            .and_then(|file| Model::new(file, Digest::of(&bytes)))
            .map_err(|e| TrainError::Recipe(format!("tokenizer {}: {e}", path.display())))?;
        let factor = model.config.ddconfig.factor();
        for stage in &recipe.stages {
            if stage.patch == 0 || !stage.patch.is_multiple_of(factor) {
                let key = format!("stage {}: patch", stage.name);
                let expected = format!("a multiple of {factor}");
                return Err(invalid(&key, &stage.patch, &expected));
            }
        }
        Ok(Self {
            model,
            coder: OnceCell::new(),
        })
    }

    pub(super) fn config(&self) -> &VqganConfig {
        &self.model.config
    }

    /// Rows of the codebook, `[codes, width]`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub(super) fn codebook(&self) -> Result<HostTensor, Error> {
        Vqgan::codebook(&self.model)?
            .ok_or_else(|| Error::malformed("a tokenizer without codebook"))
    }

    /// Codes of a batch of pictures in 0..1, `[n, 3, h, w]`.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub(super) fn batch(&self, pixels: Tensor<B::InnerBackend, 4>) -> Result<Vec<Tokens>, Error> {
        let coder = self.coder(&pixels.device())?;
        (0..pixels.dims()[0])
            .map(|index| {
                let picture = bytes(pixels.clone().narrow(0, index, 1));
                let SampleData::Picture { width, height, rgb } = picture else {
                    return Err(Error::bad_parameter("a batch without pictures"));
                };
                coder.tokenize(RgbTile {
                    samples: &rgb,
                    width,
                    height,
                })
            })
            .collect()
    }

    /// Codes of a file; `None` for sound.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub(super) fn item(
        &self,
        item: &Item,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Tokens>, Error> {
        let Content::Picture(picture) = item.content() else {
            return Ok(None);
        };
        let tile = RgbTile {
            samples: picture.pixels(),
            width: picture.width(),
            height: picture.height(),
        };
        self.coder(device)?.tokenize(tile).map(Some)
    }

    fn coder(
        &self,
        device: &<B::InnerBackend as BackendTypes>::Device,
    ) -> Result<&Coder<B::InnerBackend>, Error> {
        if let Some(there) = self.coder.get() {
            return Ok(there);
        }
        let made = Coder::new(&self.model, device)?;
        Ok(self.coder.get_or_init(|| made))
    }

    /// The tokenizer's weights file with `tensors` in it as `part`, instead of what it had there.
    ///
    /// # Errors
    /// [`TrainError::Recipe`], and those of writing weights.
    pub(super) fn with(
        &self,
        (part, tensors): (&str, &Tensors),
        config: &VqganConfig,
        name: &str,
        recipe: &str,
    ) -> Result<Vec<u8>, TrainError> {
        let prefix = format!("{part}.");
        let mut all = self.model.tensors.as_ref().clone();
        all.retain(|name| !name.starts_with(&prefix));
        for (name, tensor) in tensors.iter() {
            all.insert(format!("{prefix}{name}"), tensor.clone());
        }
        weights_file::<Vqgan>(config, all, name, recipe)
    }
}

/// What to say where parameters of a part are asked for.
pub(super) fn no_import<T>() -> Result<T, TrainError> {
    Err(TrainError::Recipe(
        "this family goes on from a checkpoint, not from a weights file".into(),
    ))
}
