//! What the tasks of sound families share.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::pictures::named;
use super::{Evaluation, Readings, Signal};
use crate::TrainError;
use crate::data::{Content, Item};
use crate::events::{Metrics, Sample, SampleData};
use crate::recipe::Recipe;
use crate::recipe::suggest::invalid;

/// Most seconds of a held-out file that are looked at.
const SECONDS: usize = 6;

/// What a model takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub channels: usize,
    /// Samples of a frame.
    pub hop: usize,
}

impl Shape {
    /// Checks that the data of a recipe are what the model takes, as far as the recipe tells.
    ///
    /// # Errors
    /// [`TrainError::Recipe`].
    pub fn check(&self, recipe: &Recipe) -> Result<(), TrainError> {
        if let Some(rate) = recipe.data.rate.filter(|rate| *rate != self.rate) {
            return Err(invalid("data.rate", &rate, &self.rate.to_string()));
        }
        let channels = recipe.data.channels.map(usize::from);
        if let Some(channels) = channels.filter(|channels| *channels != self.channels) {
            let expected = self.channels.to_string();
            return Err(invalid("data.channels", &channels, &expected));
        }
        Ok(())
    }

    /// The samples of a batch, `[n, c, t]`.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for pictures, another rate or another number of channels.
    pub fn samples<B: Backend>(&self, input: &Signal<B>) -> Result<Tensor<B, 3>, TrainError> {
        let (samples, rate) = input.sound()?;
        let [_, channels, _] = samples.dims();
        if rate != self.rate || channels != self.channels {
            return Err(TrainError::Recipe(format!(
                "sound with {channels} channels at {rate} Hz (expected {} at {} Hz)",
                self.channels, self.rate
            )));
        }
        Ok(samples)
    }

    /// The beginning of a held-out file in whole frames, one slice a channel; `None` for pictures, other rates, fewer channels
    /// and files without a frame.
    pub fn excerpt<'a>(&self, item: &'a Item) -> Option<Vec<&'a [f32]>> {
        let Content::Sound(sound) = item.content() else {
            return None;
        };
        let channels = sound.channels().get(..self.channels)?;
        if sound.rate() != self.rate {
            return None;
        }
        let there = channels.iter().map(Vec::len).min()?;
        let length = there.min(SECONDS * self.rate as usize) / self.hop * self.hop;
        (length > 0).then(|| channels.iter().filter_map(|c| c.get(..length)).collect())
    }

    /// What is reported of a file, with the sound itself and its reconstruction if `sample` asks for them.
    pub fn evaluation<const N: usize>(
        &self,
        metrics: [(&str, f64); N],
        sample: bool,
        item: &Item,
        t: f32,
        [original, reconstruction]: [&[&[f32]]; 2],
    ) -> Evaluation {
        let wave = |channels: &[&[f32]]| SampleData::Sound {
            rate: self.rate,
            channels: channels.iter().map(|channel| channel.to_vec()).collect(),
        };
        Evaluation {
            metrics: named(metrics),
            sample: sample.then(|| Sample {
                name: item.name(),
                quality: 100.0 * t,
                original: wave(original),
                reconstruction: wave(reconstruction),
            }),
        }
    }
}

/// Channels of one length as `[1, c, t]`.
pub(super) fn tensor<B: Backend>(channels: &[&[f32]], device: &B::Device) -> Tensor<B, 3> {
    let length = channels.first().map_or(0, |channel| channel.len());
    let values = channels.concat();
    Tensor::<B, 1>::from_floats(values.as_slice(), device).reshape([1, channels.len(), length])
}

/// Readings from which [`snr`] is made: powers of error and signal, `[n]` each.
pub(super) fn powers<B: Backend>(
    output: &Tensor<B, 3>,
    input: &Tensor<B, 3>,
) -> Vec<(String, Tensor<B, 1>)> {
    let power = |x: Tensor<B, 3>| -> Tensor<B, 1> {
        let square: Tensor<B, 2> = x.square().flatten(1, 2);
        square.mean_dim(1).squeeze_dim(1)
    };
    vec![
        ("error".to_owned(), power(output.clone() - input.clone())),
        ("power".to_owned(), power(input.clone())),
    ]
}

/// Signal-to-noise ratio of a batch, dB.
pub(super) fn snr(readings: &Readings) -> Metrics {
    let mean = |name: &str| readings.mean(name, |value| value);
    named([("snr", decibels(mean("power"), mean("error")))])
}

/// Ratio of a signal's power to that of an error, dB.
pub(super) fn decibels(power: f64, error: f64) -> f64 {
    10.0 * (power.max(1e-12) / error.max(1e-12)).log10()
}
