//! Where batches come from.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_datasets::{CropConfig, CropSampler, ImageFolder, Picture, Prefetcher};

use crate::TrainError;
use crate::recipe::{Data, Stage};
use crate::task::Signal;

/// One file.
#[derive(Debug, Clone)]
pub enum Item {
    /// A picture.
    Picture(Picture),
}

impl Item {
    /// Name of the file without folder and extension.
    pub fn name(&self) -> String {
        let Self::Picture(picture) = self;
        picture
            .path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// Training and validation files of a recipe.
pub(crate) struct Source {
    training: Arc<ImageFolder>,
    held_out: Arc<ImageFolder>,
    rescale: Option<(f32, f32)>,
    workers: usize,
}

impl Source {
    pub(crate) fn open(data: &Data) -> Result<Self, TrainError> {
        Ok(Self {
            training: Arc::new(ImageFolder::open(&data.train)?),
            held_out: Arc::new(ImageFolder::open(&data.validation)?),
            rescale: data.rescale,
            workers: data.workers,
        })
    }

    /// Training files that can be used.
    pub(crate) fn files(&self) -> usize {
        self.training.len()
    }

    /// Training files that cannot be used.
    pub(crate) fn skipped(&self) -> usize {
        self.training.skipped().len()
    }

    /// `count` validation files, evenly spread.
    pub(crate) fn held_out(&self, count: usize) -> impl Iterator<Item = Item> + '_ {
        let stride = (self.held_out.len() / count.max(1)).max(1);
        let pictures = self.held_out.pictures().iter();
        pictures
            .step_by(stride)
            .take(count)
            .cloned()
            .map(Item::Picture)
    }

    /// Batches of a stage from number `first` on; batch `k` is a function of seed and `k`.
    pub(crate) fn batches(
        &self,
        stage: &Stage,
        seed: u64,
        first: u64,
        ahead: usize,
    ) -> Result<Batches, TrainError> {
        let crops = CropConfig {
            size: stage.patch,
            batch: stage.batch,
            seed,
            flips: true,
            transpose: true,
            rescale: self.rescale,
            weight_by_area: true,
        };
        let sampler = Arc::new(CropSampler::new(self.training.clone(), crops)?);
        Ok(Batches(Prefetcher::spawn(
            sampler,
            first,
            self.workers,
            ahead,
        )?))
    }
}

/// Batches, prepared ahead.
pub(crate) struct Batches(Prefetcher);

/// A batch in memory.
#[derive(Debug, Clone)]
pub(crate) struct HostBatch {
    /// Number in the run.
    pub index: u64,
    /// `[n, 3, h, w]` or `[n, c, t]`.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<f32>,
}

impl Batches {
    pub(crate) fn next(&mut self) -> Result<HostBatch, TrainError> {
        let batch = self.0.next().ok_or(TrainError::WorkersStopped)?;
        Ok(HostBatch {
            index: batch.index,
            shape: vec![batch.batch, 3, batch.size, batch.size],
            data: batch.data,
        })
    }

    /// Share of the time spent waiting.
    pub(crate) fn waited(&self) -> f64 {
        self.0.waited()
    }
}

impl HostBatch {
    pub(crate) fn count(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Crops, or seconds of sound.
    pub(crate) fn amount(&self) -> f64 {
        self.count() as f64
    }

    /// A member's part of the samples.
    pub(crate) fn part(mut self, rank: usize, members: usize) -> Result<Self, TrainError> {
        if members <= 1 {
            return Ok(self);
        }
        let count = self.count();
        if !count.is_multiple_of(members) {
            return Err(TrainError::Recipe(format!(
                "invalid batch {count} (expected a multiple of the {members} devices)"
            )));
        }
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
        Signal::Pictures(Tensor::from_data(data, device))
    }
}
