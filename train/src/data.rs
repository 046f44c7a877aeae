//! Where batches come from.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_datasets::{
    Batch, Dataset, DatasetOptions, Kind, Media, Picture, Prefetcher, SampleConfig, Sampler, Sound,
    Split,
};

use crate::TrainError;
use crate::collective::Share;
use crate::losses::Domain;
use crate::recipe::{Data, Stage};
use crate::task::Signal;

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// A picture.
    Picture(Arc<Picture>),
    /// Sound.
    Sound(Arc<Sound>),
}

/// One file.
#[derive(Debug, Clone)]
pub struct Item {
    name: String,
    content: Content,
}

impl Item {
    /// Name of the file without folder and extension.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What it holds.
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// Training and validation files of a recipe.
pub(crate) struct Source {
    training: Arc<Dataset>,
    held_out: Arc<Dataset>,
    data: Data,
}

fn kind(domain: Domain) -> Kind {
    match domain {
        Domain::Pictures => Kind::Image,
        Domain::Sound => Kind::Audio,
    }
}

impl Source {
    pub(crate) fn open(data: &Data, domain: Domain) -> Result<Self, TrainError> {
        let options = |split| DatasetOptions {
            kind: Some(kind(domain)),
            cache: data.cache_mib << 20,
            split,
            validation_share: data.validation_share,
            ..DatasetOptions::default()
        };
        // A folder of its own needs no split; from one set for both, each side takes its share.
        let (train_split, validation_split, validation): (_, _, &[PathBuf]) =
            match data.validation.as_ref() {
                Some(paths) => (None, None, paths.as_slice()),
                None => (
                    Some(Split::Train),
                    Some(Split::Validation),
                    data.train.as_slice(),
                ),
            };
        let training = Dataset::open_all(data.train.as_slice(), &options(train_split))?;
        let held_out = Dataset::open_all(
            validation,
            &DatasetOptions {
                // A handful of them is used, again and again.
                preload: false,
                ..options(validation_split)
            },
        )?;
        Ok(Self {
            training: Arc::new(training),
            held_out: Arc::new(held_out),
            data: data.clone(),
        })
    }

    /// Training files that can be used.
    pub(crate) fn files(&self) -> usize {
        self.training.len()
    }

    /// Training files that cannot be used, as far as is known.
    pub(crate) fn skipped(&self) -> usize {
        self.training.skipped().len()
    }

    /// Up to `count` validation files, evenly spread; those that cannot be decoded are left out.
    pub(crate) fn held_out(&self, count: usize) -> Result<Vec<Item>, TrainError> {
        let stride = (self.held_out.len() / count.max(1)).max(1);
        let mut items = Vec::new();
        for index in (0..self.held_out.len()).step_by(stride).take(count) {
            let Some(media) = self.held_out.load(index)? else {
                continue;
            };
            let entry = self.held_out.entries().get(index);
            let name = entry
                .and_then(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
                .unwrap_or_else(|| index.to_string());
            let content = match media {
                Media::Image(picture) => Content::Picture(picture),
                Media::Audio(sound) => Content::Sound(sound),
            };
            items.push(Item { name, content });
        }
        Ok(items)
    }

    /// Batches of a stage from number `first` on; batch `k` is a function of seed and `k`.
    pub(crate) fn batches(
        &self,
        stage: &Stage,
        seed: u64,
        first: u64,
        ahead: usize,
    ) -> Result<Batches, TrainError> {
        let config = SampleConfig {
            size: stage.patch,
            batch: stage.batch,
            seed,
            rate: self.data.rate,
            channels: self.data.channels,
            augment: self.data.augment.clone(),
        };
        let sampler = Arc::new(Sampler::new(self.training.clone(), config)?);
        let rate = match self.training.kind() {
            Kind::Image => None,
            Kind::Audio => self.rate(),
        };
        Ok(Batches {
            prefetcher: Prefetcher::spawn(sampler, first, self.data.workers, ahead)?,
            rate,
        })
    }

    /// Samples per second of the training sounds.
    fn rate(&self) -> Option<u32> {
        self.data.rate.or_else(|| {
            self.training
                .entries()
                .iter()
                .find_map(|entry| match entry.info() {
                    codec_datasets::Info::Audio { rate, .. } => Some(rate),
                    _ => None,
                })
        })
    }
}

/// Batches, prepared ahead.
pub(crate) struct Batches {
    prefetcher: Prefetcher<Sampler>,
    rate: Option<u32>,
}

/// A batch in memory.
#[derive(Debug, Clone)]
pub(crate) struct HostBatch {
    /// Number in the run.
    pub index: u64,
    /// `[n, 3, h, w]` or `[n, c, t]`.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<f32>,
    /// Samples per second, of sound.
    pub rate: Option<u32>,
}

impl Batches {
    pub(crate) fn next(&mut self) -> Result<HostBatch, TrainError> {
        let Batch {
            index, shape, data, ..
        } = self.prefetcher.next().ok_or(TrainError::WorkersStopped)??;
        Ok(HostBatch {
            index,
            shape,
            data,
            rate: self.rate,
        })
    }

    /// Share of the time spent waiting.
    pub(crate) fn waited(&self) -> f64 {
        self.prefetcher.waited()
    }
}

impl HostBatch {
    pub(crate) fn count(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Crops, or seconds of sound.
    pub(crate) fn amount(&self) -> f64 {
        let length = self.shape.last().copied().unwrap_or(0) as f64;
        let each = self.rate.map_or(1.0, |rate| length / f64::from(rate));
        self.count() as f64 * each
    }

    /// A member's part of the samples.
    pub(crate) fn part(mut self, rank: usize, members: usize) -> Result<Self, TrainError> {
        if members <= 1 {
            return Ok(self);
        }
        let count = self.count();
        Share { rank, of: members }.range(count)?;
        let values = self.data.len() / members;
        self.data = self.data.split_off(rank * values);
        self.data.truncate(values);
        if let Some(first) = self.shape.first_mut() {
            *first = count / members;
        }
        Ok(self)
    }

    pub(crate) fn to_device<B: Backend>(&self, device: &B::Device) -> Signal<B> {
        let data = TensorData::new(self.data.clone(), self.shape.clone());
        match self.rate {
            None => Signal::Pictures(Tensor::from_data(data, device)),
            Some(rate) => Signal::Sound {
                samples: Tensor::from_data(data, device),
                rate,
            },
        }
    }
}
