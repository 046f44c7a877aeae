//! A finished tokenizer, of pictures or of sound, whose codes something else learns from.

use std::cell::OnceCell;
use std::path::Path;

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, BackendTypes};
use codec_audio::coder::AudioTokenizer;
use codec_audio::models::srvq::{Srvq, tokenizer};
use codec_core::backend::CodecBackend;
use codec_core::index_context::IndexGrid;
use codec_core::weights::{HostTensor, Tensors, WeightsFile};
use codec_core::{Digest, Error};
use codec_image::coder::RgbTile;
use codec_image::models::vqgan::{Coder, Vqgan};
use codec_image::models::{Family, Model};
use codec_image::tokens::ImageTokenizer;
use serde::Serialize;

use super::Signal;
use super::pictures::{bytes, check_patches};
use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::SampleData;
use crate::losses::Domain;
use crate::recipe::Recipe;

/// Codes of a picture or a recording, in the order codebook, row, column.
#[derive(Debug, Clone)]
pub(super) struct Indexes {
    pub codes: Vec<u32>,
    pub grid: IndexGrid,
}

/// A tokenizer, on the device of a run once that is known.
pub(super) struct Tokenizer<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    file: WeightsFile,
    kind: Kind<B>,
}

#[allow(clippy::large_enum_variant)] // there is one of it
enum Kind<B>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    Pictures(Model<Vqgan>, OnceCell<Coder<B::InnerBackend>>),
    Sound(Model<Srvq>, OnceCell<Box<dyn AudioTokenizer>>),
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
        let bad = |e: Error| TrainError::Recipe(format!("tokenizer {}: {e}", path.display()));
        let file = WeightsFile::from_bytes(&bytes).map_err(bad)?;
        let digest = Digest::of(&bytes);
        let kind = match file.family.as_str() {
            Vqgan::NAME => {
                let model = Model::new(file.clone(), digest).map_err(bad)?;
                Kind::Pictures(model, OnceCell::new())
            }
            Srvq::NAME => {
                let model = Model::new(file.clone(), digest).map_err(bad)?;
                Kind::Sound(model, OnceCell::new())
            }
            other => {
                let known = [Vqgan::NAME, Srvq::NAME].join(", ");
                return Err(bad(Error::unsupported(format!(
                    "family '{other}' (learned from are: {known})"
                ))));
            }
        };
        let tokenizer = Self { file, kind };
        check_patches(recipe, tokenizer.factor(), 1)?;
        Ok(tokenizer)
    }

    pub(super) fn domain(&self) -> Domain {
        match &self.kind {
            Kind::Pictures(..) => Domain::Pictures,
            Kind::Sound(..) => Domain::Sound,
        }
    }

    /// Pixels along a side, or samples, of a code.
    pub(super) fn factor(&self) -> usize {
        match &self.kind {
            Kind::Pictures(model, _) => model.config.ddconfig.factor(),
            Kind::Sound(model, _) => model.config.hop,
        }
    }

    /// Codes of each codebook.
    pub(super) fn codes(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Pictures(model, _) => vec![model.config.n_embed],
            Kind::Sound(model, _) => model.config.books(),
        }
    }

    /// Codebooks that a quality in 0..=1 stands for.
    pub(super) fn codebooks(&self, t: f32) -> usize {
        match &self.kind {
            Kind::Pictures(..) => 1,
            Kind::Sound(model, _) => model.config.codebooks_for(t),
        }
    }

    /// Rows of each codebook, `[codes, width]`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub(super) fn rows(&self) -> Result<Vec<HostTensor>, Error> {
        match &self.kind {
            Kind::Pictures(model, _) => {
                let rows = Vqgan::codebook(model)?;
                Ok(rows.into_iter().collect())
            }
            Kind::Sound(model, _) => {
                let network = model.network::<burn::backend::Flex>(&Default::default())?;
                let rows = network
                    .autoencoder()
                    .rows(&model.config, &Default::default());
                rows.into_iter().map(HostTensor::from_device).collect()
            }
        }
    }

    /// Codes of everything in a batch, by the first `codebooks` codebooks.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for the other kind of signal, those of the tokenizer.
    pub(super) fn batch(
        &self,
        signal: &Signal<B>,
        codebooks: usize,
    ) -> Result<Vec<Indexes>, TrainError> {
        let mut found = Vec::with_capacity(signal.count());
        match &self.kind {
            Kind::Pictures(model, cell) => {
                let pixels = signal.pictures()?.inner();
                let coder = once(cell, || Coder::new(model, &pixels.device()))?;
                for index in 0..pixels.dims()[0] {
                    let picture = bytes(pixels.clone().narrow(0, index, 1));
                    if let SampleData::Picture { width, height, rgb } = picture {
                        let samples = &rgb;
                        let tile = RgbTile {
                            samples,
                            width,
                            height,
                        };
                        found.push(of_picture(coder, tile)?);
                    }
                }
            }
            Kind::Sound(model, cell) => {
                let (samples, _) = signal.sound()?;
                let samples = samples.inner();
                let coder = once(cell, || sound::<B>(model, &samples.device()))?;
                let [count, channels, length] = samples.dims();
                let all = host::<B>(samples)?;
                for sound in all.chunks(channels * length).take(count) {
                    let first = sound.get(..length).unwrap_or_default();
                    found.push(of_sound(coder.as_ref(), first, codebooks)?);
                }
            }
        }
        Ok(found)
    }

    /// Codes of a file; `None` for one of the other kind.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub(super) fn item(
        &self,
        item: &Item,
        codebooks: usize,
        device: &<B as BackendTypes>::Device,
    ) -> Result<Option<Indexes>, Error> {
        match (&self.kind, item.content()) {
            (Kind::Pictures(model, cell), Content::Picture(picture)) => {
                let coder = once(cell, || Coder::new(model, device))?;
                let tile = RgbTile {
                    samples: picture.pixels(),
                    width: picture.width(),
                    height: picture.height(),
                };
                of_picture(coder, tile).map(Some)
            }
            (Kind::Sound(model, cell), Content::Sound(sounds)) => {
                let first = sounds.channels().first().map_or(&[][..], Vec::as_slice);
                if sounds.rate() != model.config.rate || first.is_empty() {
                    return Ok(None);
                }
                let coder = once(cell, || sound::<B>(model, device))?;
                of_sound(coder.as_ref(), first, codebooks).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The tokenizer's weights file with `tensors` and their configuration in it as `part`, instead of what it had there.
    ///
    /// # Errors
    /// [`TrainError::Recipe`], and those of writing weights.
    pub(super) fn with<C: Serialize>(
        &self,
        part: &str,
        config: &C,
        tensors: &Tensors,
        (name, recipe): (&str, &str),
    ) -> Result<Vec<u8>, TrainError> {
        let prefix = format!("{part}.");
        let mut file = self.file.clone();
        file.tensors.retain(|name| !name.starts_with(&prefix));
        for (name, tensor) in tensors.iter() {
            file.tensors
                .insert(format!("{prefix}{name}"), tensor.clone());
        }
        let config =
            serde_json::to_value(config).map_err(|e| TrainError::Recipe(format!("model: {e}")))?;
        if let Some(fields) = file.config.as_object_mut() {
            fields.insert(part.to_owned(), config);
        }
        name.clone_into(&mut file.name);
        recipe.clone_into(&mut file.source);
        Ok(file.to_bytes()?)
    }
}

fn sound<B>(
    model: &Model<Srvq>,
    device: &<B as BackendTypes>::Device,
) -> Result<Box<dyn AudioTokenizer>, Error>
where
    B: AutodiffBackend,
    B::InnerBackend: CodecBackend,
{
    Ok(Box::new(tokenizer::<B::InnerBackend>(model, device)?))
}

fn of_picture(tokenizer: &dyn ImageTokenizer, tile: RgbTile<'_>) -> Result<Indexes, Error> {
    let tokens = tokenizer.tokenize(tile)?;
    let side = |dimension: usize| tokens.shape().get(dimension).copied().unwrap_or(0);
    Ok(Indexes {
        codes: tokens.codes().to_vec(),
        grid: IndexGrid {
            codebooks: side(0),
            height: side(1),
            width: side(2),
        },
    })
}

fn of_sound(
    tokenizer: &dyn AudioTokenizer,
    samples: &[f32],
    codebooks: usize,
) -> Result<Indexes, Error> {
    let codes = tokenizer.tokenize(&[samples], codebooks)?;
    Ok(Indexes {
        grid: IndexGrid {
            codebooks,
            height: 1,
            width: codes.frames(),
        },
        codes: codes.values,
    })
}

fn host<B: AutodiffBackend>(samples: Tensor<B::InnerBackend, 3>) -> Result<Vec<f32>, Error> {
    let samples = HostTensor::from_device(samples)?;
    Ok(samples.as_floats().unwrap_or_default().to_vec())
}

/// What is made when it is first asked for.
pub(super) fn once<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<&T, Error> {
    if let Some(there) = cell.get() {
        return Ok(there);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// What to say where parameters of a part are asked for.
pub(super) fn no_import<T>() -> Result<T, TrainError> {
    Err(TrainError::Recipe(
        "this family goes on from a checkpoint, not from a weights file".into(),
    ))
}
