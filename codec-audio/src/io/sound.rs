//! A recording in memory.

use codec_core::{Depth, Error};

use super::resample::check_rate;

/// Names and values, such as `title` and `Air`, in the order of the file.
pub type Tags = Vec<(String, String)>;

/// A recording in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples a second of a channel, Hz.
    pub rate: u32,
    /// Samples of every channel, all of one length, full scale at -1 and 1.
    pub channels: Vec<Vec<f32>>,
    /// How the samples were stored.
    pub depth: Depth,
    /// What the file says of itself.
    pub tags: Tags,
}

impl Sound {
    /// A recording without tags.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for a rate out of range, no channel, or channels of different lengths.
    pub fn new(rate: u32, channels: Vec<Vec<f32>>, depth: Depth) -> Result<Self, Error> {
        let sound = Self {
            rate,
            channels,
            depth,
            tags: Tags::new(),
        };
        sound.validate()?;
        Ok(sound)
    }

    /// Checks what [`Sound::new`] checks.
    ///
    /// # Errors
    /// As [`Sound::new`].
    pub fn validate(&self) -> Result<(), Error> {
        check_rate(self.rate)?;
        let samples = self.samples();
        if self.channels.is_empty() || self.channels.len() > usize::from(u16::MAX) {
            let count = self.channels.len();
            return Err(Error::bad_parameter(format!(
                "sound of {count} channels (expected 1..={})",
                u16::MAX
            )));
        }
        if self.channels.iter().any(|c| c.len() != samples) {
            return Err(Error::bad_parameter("channels of different lengths"));
        }
        Ok(())
    }

    /// Samples of a channel.
    pub fn samples(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples() as f64 / f64::from(self.rate)
    }

    /// The channels as slices.
    pub fn slices(&self) -> Vec<&[f32]> {
        self.channels.iter().map(Vec::as_slice).collect()
    }
}
