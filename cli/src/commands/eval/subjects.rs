//! Our models as codecs under evaluation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use codec::sound::{Depth, Rate};
use codec::{AudioCodec, Color, EncodeOptions, Limits, Picture, Quality, RateGoal, Rates, sound};
use codec_eval::{Cause, Codec, EvalError, RgbImage, Sound};

/// Qualities that cover a model with all of them.
const QUALITIES: [f64; 11] = [
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0,
];

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A model of pictures.
pub struct Pictures {
    codec: Mutex<codec::Codec>,
    rates: Rates,
    name: String,
    digest: String,
    device: String,
    options: EncodeOptions,
}

impl Pictures {
    /// A model on a device.
    pub fn new(codec: codec::Codec, device: &str, effort: u8) -> Self {
        Self {
            rates: codec.rates(),
            name: codec.id().name.clone(),
            digest: codec.id().digest.to_string(),
            device: device.to_owned(),
            options: EncodeOptions {
                effort,
                ..EncodeOptions::default()
            },
            codec: Mutex::new(codec),
        }
    }
}

impl Codec<RgbImage> for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        let Self { digest, device, .. } = self;
        format!(
            "{} {digest}, effort {}, {device}",
            self.name, self.options.effort
        )
    }

    fn version(&self) -> Result<String, EvalError> {
        Ok(format!(
            "codec {}, weights {}",
            env!("CARGO_PKG_VERSION"),
            self.digest
        ))
    }

    fn qualities(&self) -> Vec<f64> {
        match self.rates {
            Rates::Fixed => vec![0.0],
            Rates::Variable => QUALITIES.to_vec(),
        }
    }

    fn uses_all_threads(&self) -> bool {
        true
    }

    fn encode(&self, original: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let (width, height) = original.dimensions();
        let picture = Picture::new(width, height, Color::Rgb, original.as_raw().clone())?;
        let goal = match self.rates {
            Rates::Fixed => RateGoal::Usual,
            Rates::Variable => RateGoal::Quality(Quality::new(quality as f32)?),
        };
        let codec = open(&self.codec);
        Ok(codec
            .encode(&picture, goal, &self.options, &mut |_, _| ())?
            .bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        let codec = open(&self.codec);
        let decoded = codec
            .decode(bytes, &Limits::default(), &mut |_, _| ())?
            .picture;
        RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels)
            .ok_or_else(|| "the picture came back in grayscale".into())
    }
}

/// A model of sound.
pub struct Sounds {
    codec: Mutex<AudioCodec>,
    /// Kilobits a second of its own channels before entropy coding, of every rate step; one 0 for models without codebooks.
    steps: Vec<f64>,
    name: String,
    digest: String,
    device: String,
}

impl Sounds {
    /// A model on a device.
    pub fn new(codec: AudioCodec, device: &str) -> Self {
        let channels = usize::from(codec.format().channels);
        let steps = (0..codec.format().steps.len()).map(|step| codec.kilobits(step, channels));
        // As people write them.
        let rounded = |kilobits: f64| (kilobits * 1000.0).round() / 1000.0;
        let steps: Option<Vec<f64>> = steps.map(|step| step.map(rounded)).collect();
        Self {
            steps: steps
                .filter(|steps| !steps.is_empty())
                .unwrap_or_else(|| vec![0.0]),
            name: codec.id().name.clone(),
            digest: codec.id().digest.to_string(),
            device: device.to_owned(),
            codec: Mutex::new(codec),
        }
    }

    /// The model's settings nearest to those asked for, each once.
    pub fn nearest(&self, wanted: &[f64]) -> Vec<f64> {
        let mut found: Vec<f64> = Vec::new();
        for rate in wanted {
            let near = self
                .steps
                .iter()
                .min_by(|a, b| (*a - rate).abs().total_cmp(&(*b - rate).abs()));
            found.extend(near.filter(|near| !found.contains(near)));
        }
        found
    }
}

impl Codec<Sound> for Sounds {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        let Self { digest, device, .. } = self;
        format!(
            "{} {digest}, {device}; settings are kbit/s of codes",
            self.name
        )
    }

    fn version(&self) -> Result<String, EvalError> {
        Ok(format!(
            "codec {}, weights {}",
            env!("CARGO_PKG_VERSION"),
            self.digest
        ))
    }

    fn qualities(&self) -> Vec<f64> {
        self.steps.clone()
    }

    fn uses_all_threads(&self) -> bool {
        true
    }

    fn encode(&self, original: &Sound, quality: f64) -> Result<Vec<u8>, Cause> {
        let Some(step) = self.steps.iter().position(|step| *step == quality) else {
            return Err(format!("no setting {quality} (expected one of {:?})", self.steps).into());
        };
        let codec = open(&self.codec);
        let rate = match codec.kilobits(step, original.channels.len()) {
            Some(kilobits) => Rate::Kilobits(kilobits),
            None => Rate::Highest,
        };
        let options = sound::EncodeOptions {
            rate,
            ..sound::EncodeOptions::default()
        };
        let sound = sound::Sound::new(
            original.sample_rate,
            original.channels.clone(),
            Depth::Int16,
        )?;
        Ok(codec.encode(&sound, &options, &mut |_, _| ())?.bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sound, Cause> {
        let codec = open(&self.codec);
        let decoded = codec.decode(bytes, &Limits::default(), &mut |_, _| ())?;
        Ok(Sound {
            sample_rate: decoded.rate,
            channels: decoded.channels,
        })
    }
}
