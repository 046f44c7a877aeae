//! Batches whose content depends on nothing but the data, the configuration and the step.

use crate::color::jitter;
use crate::crops::{Crop, MAX_BATCH_VALUES};
use crate::{
    Augment, BatchSource, Dataset, DatasetError, Info, Kind, Media, SkipReason, Sound, SplitMix64,
};
use std::ops::Range;
use std::sync::Arc;

/// Draws for one place in a batch before the data is given up as unreadable.
const MAX_ATTEMPTS: u64 = 64;
/// Separates the draws of colour, level and polarity from those of position.
const CHANGES: u64 = 0x00C4_A6E5;

/// What a batch is.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleConfig {
    /// Side of the square crops in pixels, or length of the segments in samples per channel.
    pub size: usize,
    /// Crops or segments in a batch.
    pub batch: usize,
    /// Seed of the whole sequence.
    pub seed: u64,
    /// Sound: samples per second. Sounds at other rates are left out (nothing is resampled); without it, all must have
    /// the same.
    pub rate: Option<u32>,
    /// Sound: channels of a segment. One channel is the mean of all; one is repeated where more are wanted; other sounds
    /// are left out. Without it, all must have the same.
    pub channels: Option<u16>,
    /// Random changes.
    pub augment: Augment,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            size: 256,
            batch: 8,
            seed: 0,
            rate: None,
            channels: None,
            augment: Augment::default(),
        }
    }
}

/// A batch of crops or segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of this batch in the sequence.
    pub index: u64,
    /// Shape of `data`: `[N, 3, S, S]` for pictures, `[N, C, S]` for sound.
    pub shape: Vec<usize>,
    /// Items that the crops or segments are from, as indices into [`Dataset::entries`].
    pub items: Vec<usize>,
    /// RGB in 0..1, or samples in -1..1.
    pub data: Vec<f32>,
}

/// Draws batches from a data set.
///
/// Crop or segment `i` of batch `k` is a pure function of (data, configuration, `k`, `i`), whatever the threads, the cache,
/// or what was drawn before. When the drawn item turns out to be damaged, another one is drawn from a stream of its own
/// for that place, so that nothing else moves; the item stays in the lottery, or else the content of a batch would depend
/// on what earlier batches have found out.
#[derive(Debug, Clone)]
pub struct Sampler {
    dataset: Arc<Dataset>,
    config: SampleConfig,
    channels: usize,
    /// Usable items with the running sum of weights up to and including each.
    cumulative: Vec<(usize, u64)>,
    total: u64,
}

impl Sampler {
    /// Sampler over all items that are large enough and, for sound, have the right rate and channels. The others are
    /// reported with the data set's skipped files; [`Sampler::usable`] says how many remain.
    ///
    /// # Errors
    /// A parameter out of range, sounds that differ in rate or channels without a choice, nothing large enough.
    pub fn new(dataset: Arc<Dataset>, config: SampleConfig) -> Result<Self, DatasetError> {
        config.augment.check(dataset.kind())?;
        let channels = match dataset.kind() {
            Kind::Image => 3,
            Kind::Audio => usize::from(sound_layout(&dataset, &config)?),
        };
        let area = match dataset.kind() {
            Kind::Image => config.size.checked_mul(config.size),
            Kind::Audio => Some(config.size),
        };
        let values = area
            .and_then(|n| n.checked_mul(channels))
            .and_then(|n| n.checked_mul(config.batch));
        if !values.is_some_and(|n| (1..=MAX_BATCH_VALUES).contains(&n)) {
            return Err(DatasetError::BadParameter {
                name: "batch",
                value: format!("{} of size {}", config.batch, config.size),
                expected: "1..=2^30 values in all",
            });
        }
        let mut cumulative = Vec::new();
        let mut total = 0u64;
        for (index, entry) in dataset.entries().iter().enumerate() {
            match unfit(entry.info(), &config) {
                Some(reason) => dataset.skip(index, reason, false),
                None => {
                    let weight = if config.augment.weight_by_size {
                        entry.info().extent()
                    } else {
                        1
                    };
                    total = total.saturating_add(weight);
                    cumulative.push((index, total));
                }
            }
        }
        if cumulative.is_empty() {
            return Err(nothing_fits(&dataset, &config));
        }
        Ok(Self {
            dataset,
            config,
            channels,
            cumulative,
            total,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &SampleConfig {
        &self.config
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Number of items that are large enough.
    pub fn usable(&self) -> usize {
        self.cumulative.len()
    }

    /// Shape of a batch of `n`: `[n, 3, S, S]` or `[n, C, S]`.
    pub fn shape(&self, n: usize) -> Vec<usize> {
        match self.dataset.kind() {
            Kind::Image => vec![n, 3, self.config.size, self.config.size],
            Kind::Audio => vec![n, self.channels, self.config.size],
        }
    }

    /// The `k`-th batch.
    ///
    /// # Errors
    /// A file that can no longer be read; damaged files wherever one draws.
    pub fn batch(&self, k: u64) -> Result<Batch, DatasetError> {
        self.part(k, 0..self.config.batch)
    }

    /// A part of the `k`-th batch: what one of several devices works on. The parts of a batch, joined, are the batch.
    ///
    /// # Errors
    /// As [`Sampler::batch`], and a range that does not lie inside.
    pub fn part(&self, k: u64, range: Range<usize>) -> Result<Batch, DatasetError> {
        if range.start > range.end || range.end > self.config.batch {
            return Err(DatasetError::BadParameter {
                name: "part of a batch",
                value: format!("{}..{}", range.start, range.end),
                expected: "a range inside the batch",
            });
        }
        let shape = self.shape(range.len());
        let mut data = Vec::with_capacity(shape.iter().product());
        let items = range
            .map(|place| self.sample(k, place as u64, &mut data))
            .collect::<Result<_, _>>()?;
        Ok(Batch {
            index: k,
            shape,
            items,
            data,
        })
    }

    /// Appends one crop or segment, and says which item it is from.
    fn sample(&self, k: u64, place: u64, data: &mut Vec<f32>) -> Result<usize, DatasetError> {
        for attempt in 0..MAX_ATTEMPTS {
            // The first draw is the one that there has always been.
            let mut rng = match attempt {
                0 => SplitMix64::keyed(&[self.config.seed, k, place]),
                _ => SplitMix64::keyed(&[self.config.seed, k, place, attempt]),
            };
            let draw = rng.below(self.total);
            let slot = self.cumulative.partition_point(|&(_, sum)| sum <= draw);
            let Some(&(index, _)) = self.cumulative.get(slot) else {
                continue;
            };
            let Some(media) = self.dataset.load(index)? else {
                continue;
            };
            let mut changes = SplitMix64::keyed(&[self.config.seed, k, place, CHANGES]);
            match media {
                Media::Image(picture) => {
                    let crop = Crop {
                        size: self.config.size,
                        flips: self.config.augment.flips,
                        transpose: self.config.augment.transpose,
                        rescale: self.config.augment.rescale,
                    };
                    let mut planes = crop.draw(&picture, &mut rng);
                    jitter(&mut planes, &self.config.augment, &mut changes);
                    data.extend_from_slice(&planes);
                }
                Media::Audio(sound) => self.segment(&sound, &mut rng, &mut changes, data),
            }
            return Ok(index);
        }
        Err(DatasetError::Unreadable {
            batch: k,
            attempts: MAX_ATTEMPTS,
            skipped: self.dataset.unreadable(),
        })
    }

    /// Appends `[C, S]` of a sound that is long enough.
    fn segment(
        &self,
        sound: &Sound,
        rng: &mut SplitMix64,
        changes: &mut SplitMix64,
        data: &mut Vec<f32>,
    ) {
        let size = self.config.size;
        let room = sound.frames().saturating_sub(size);
        let start = rng.below(room as u64 + 1) as usize;
        let from = data.len();
        let sources: Vec<&[f32]> = sound
            .channels()
            .iter()
            .filter_map(|channel| channel.get(start..start + size))
            .collect();
        match sources.as_slice() {
            [single] => (0..self.channels).for_each(|_| data.extend_from_slice(single)),
            many if many.len() == self.channels => {
                many.iter()
                    .for_each(|channel| data.extend_from_slice(channel));
            }
            many => {
                let share = 1.0 / many.len().max(1) as f32;
                data.extend((0..size).map(|i| {
                    let sum: f32 = many.iter().filter_map(|channel| channel.get(i)).sum();
                    sum * share
                }));
            }
        }
        let (unit, negative) = (changes.unit(), changes.coin());
        let Some(segment) = data.get_mut(from..) else {
            return;
        };
        let mut gain = 1.0;
        if let Some((low, high)) = self.config.augment.gain_db {
            gain = 10f32.powf((low + (high - low) * unit) / 20.0);
            let peak = segment.iter().fold(0.0f32, |peak, v| peak.max(v.abs()));
            if gain > 1.0 {
                gain = gain.min((1.0 / peak).max(1.0));
            }
        }
        if negative && self.config.augment.polarity {
            gain = -gain;
        }
        if gain != 1.0 {
            segment.iter_mut().for_each(|v| *v *= gain);
        }
    }
}

impl BatchSource for Sampler {
    type Batch = Result<Batch, DatasetError>;

    fn make(&self, k: u64) -> Self::Batch {
        self.batch(k)
    }
}

/// Whether a sound with `from` channels can fill `to`.
fn mixes(from: u16, to: u16) -> bool {
    from == to || from == 1 || to == 1
}

/// Why an item cannot be drawn from, if it cannot.
fn unfit(info: Info, config: &SampleConfig) -> Option<SkipReason> {
    match info {
        Info::Image { width, height } => {
            let side = u64::from(width.min(height));
            (side < config.size as u64).then(|| SkipReason::TooSmall {
                width,
                height,
                min_side: u32::try_from(config.size).unwrap_or(u32::MAX),
            })
        }
        Info::Audio {
            frames,
            rate,
            channels,
        } => {
            let other_rate = config.rate.is_some_and(|wanted| wanted != rate);
            let other_channels = config
                .channels
                .is_some_and(|wanted| !mixes(channels, wanted));
            if other_rate || other_channels {
                Some(SkipReason::OtherLayout { rate, channels })
            } else {
                (frames < config.size as u64).then_some(SkipReason::TooShort {
                    frames,
                    min_frames: config.size as u64,
                })
            }
        }
    }
}

/// Channels of a segment; checks that the sounds agree in what the configuration leaves open.
fn sound_layout(dataset: &Dataset, config: &SampleConfig) -> Result<u16, DatasetError> {
    let path = |index: usize| {
        let entry = dataset.entries().get(index);
        entry.map_or_else(String::new, |e| e.path().display().to_string())
    };
    let mut first: Option<(usize, u32, u16)> = None;
    for (index, entry) in dataset.entries().iter().enumerate() {
        let Info::Audio { rate, channels, .. } = entry.info() else {
            continue;
        };
        if config.rate.is_some_and(|wanted| wanted != rate) {
            continue;
        }
        let &mut (at, first_rate, first_channels) = first.get_or_insert((index, rate, channels));
        if rate != first_rate {
            return Err(DatasetError::MixedRates {
                first: path(at),
                first_rate,
                second: path(index),
                second_rate: rate,
            });
        }
        if config.channels.is_none() && channels != first_channels {
            return Err(DatasetError::MixedChannels {
                first: path(at),
                first_channels,
                second: path(index),
                second_channels: channels,
            });
        }
    }
    Ok(config
        .channels
        .or(first.map(|(_, _, channels)| channels))
        .unwrap_or(1))
}

fn nothing_fits(dataset: &Dataset, config: &SampleConfig) -> DatasetError {
    let (mut largest, mut longest, mut other) = (0, 0, 0);
    for entry in dataset.entries() {
        match (entry.info(), unfit(entry.info(), config)) {
            (Info::Image { width, height }, _) => largest = largest.max(width.min(height) as usize),
            (_, Some(SkipReason::OtherLayout { .. })) => other += 1,
            (Info::Audio { frames, .. }, _) => longest = longest.max(frames),
        }
    }
    match dataset.kind() {
        Kind::Image => DatasetError::PicturesTooSmall {
            size: config.size,
            largest,
        },
        Kind::Audio => DatasetError::SoundsTooShort {
            size: config.size,
            rate: config
                .rate
                .map_or_else(|| "any rate".to_owned(), |rate| format!("{rate} Hz")),
            longest,
            other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crops::tests::{GOLDEN, checksum, golden_pictures};

    /// Checksums of what the first version drew. They hold for ever: a run resumes only if its data does.
    #[test]
    fn pictures_are_sampled_as_ever() {
        let rescale = Augment {
            rescale: Some((0.5, 1.0)),
            ..Augment::default()
        };
        for (augment, expected) in [Augment::default(), rescale, Augment::none()]
            .into_iter()
            .zip(GOLDEN)
        {
            let config = SampleConfig {
                size: 24,
                batch: 5,
                seed: 7,
                augment,
                ..SampleConfig::default()
            };
            let dataset = Arc::new(Dataset::from_pictures(golden_pictures()));
            let sampler = Sampler::new(dataset, config).unwrap();
            let data: Vec<f32> = (0..20)
                .flat_map(|k| sampler.batch(k).unwrap().data)
                .collect();
            assert_eq!(checksum(&data), expected);
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let dataset = Arc::new(Dataset::from_pictures(golden_pictures()));
        for (size, batch) in [(0, 1), (8, 0), (8, usize::MAX), (usize::MAX, 1)] {
            let config = SampleConfig {
                size,
                batch,
                ..SampleConfig::default()
            };
            assert!(matches!(
                Sampler::new(dataset.clone(), config),
                Err(DatasetError::BadParameter { .. })
            ));
        }
    }
}
