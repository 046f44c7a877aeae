//! What is coded and measured: pictures and sound.

use image::RgbImage;
use serde::{Deserialize, Serialize};

/// Pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures; rates are bits per pixel.
    #[default]
    Image,
    /// Sound; rates are kilobits (1000 bits) per second.
    Audio,
}

impl Kind {
    /// Name of the rate in reports.
    pub fn rate_key(self) -> &'static str {
        match self {
            Self::Image => "bpp",
            Self::Audio => "kbps",
        }
    }

    /// Name of the rate on an axis.
    pub fn rate_label(self) -> &'static str {
        match self {
            Self::Image => "rate (bits per pixel)",
            Self::Audio => "rate (kbit/s)",
        }
    }
}

/// How much there is to code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Of a picture.
    Picture {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Of sound.
    Sound {
        /// Samples a second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
        /// Samples of each channel.
        samples: u64,
    },
}

impl Extent {
    /// Pictures or sound.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Picture { .. } => Kind::Image,
            Self::Sound { .. } => Kind::Audio,
        }
    }

    /// Bits per pixel or kilobits per second of a file of so many bytes. Not finite for nothing.
    pub fn rate(&self, bytes: u64) -> f64 {
        let bits = bytes as f64 * 8.0;
        match *self {
            Self::Picture { width, height } => bits / (f64::from(width) * f64::from(height)),
            Self::Sound {
                sample_rate,
                samples,
                ..
            } => bits / 1000.0 / (samples as f64 / f64::from(sample_rate)),
        }
    }
}

/// Something that codecs code and measures compare.
pub trait Medium: Send + Sync + Sized {
    /// Its extent.
    fn extent(&self) -> Extent;
}

impl Medium for RgbImage {
    fn extent(&self) -> Extent {
        let (width, height) = self.dimensions();
        Extent::Picture { width, height }
    }
}

/// Sound in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sound {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples of every channel in -1..=1, all of one length.
    pub channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Samples of each channel.
    pub fn samples(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The mean of all channels.
    pub fn mono(&self) -> Vec<f32> {
        let scale = 1.0 / self.channels.len().max(1) as f32;
        let at = |i: usize| self.channels.iter().filter_map(|c| c.get(i)).sum::<f32>() * scale;
        (0..self.samples()).map(at).collect()
    }
}

impl Medium for Sound {
    fn extent(&self) -> Extent {
        Extent::Sound {
            sample_rate: self.sample_rate,
            channels: self.channels.len() as u32,
            samples: self.samples() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let picture = RgbImage::new(10, 20);
        assert_eq!(picture.extent().rate(25), 1.0);
        let sound = Sound {
            sample_rate: 100,
            channels: vec![vec![0.5; 50], vec![-0.25; 50]],
        };
        assert_eq!(sound.extent().rate(125), 2.0);
        assert_eq!(sound.mono(), [0.125; 50]);
        assert_eq!(Sound::default().samples(), 0);
    }
}
