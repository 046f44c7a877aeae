//! What an item of a data set is.

use crate::{Picture, Sound};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pictures: the formats of the `image` crate that the workspace enables.
    Image,
    /// Sound: WAV and FLAC.
    Audio,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Audio => "audio",
        })
    }
}

/// A decoded item.
#[derive(Debug, Clone)]
pub enum Media {
    /// A picture.
    Image(Arc<Picture>),
    /// A sound.
    Audio(Arc<Sound>),
}

impl Media {
    /// Size as the header of a file would tell it.
    pub fn info(&self) -> Info {
        match self {
            Self::Image(picture) => Info::Image {
                width: u32::try_from(picture.width()).unwrap_or(u32::MAX),
                height: u32::try_from(picture.height()).unwrap_or(u32::MAX),
            },
            Self::Audio(sound) => Info::Audio {
                frames: sound.frames() as u64,
                rate: sound.rate(),
                channels: u16::try_from(sound.channels().len()).unwrap_or(u16::MAX),
            },
        }
    }
}

/// Size of an item as its header tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Info {
    /// A picture.
    Image {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A sound.
    Audio {
        /// Samples per channel.
        frames: u64,
        /// Samples per second and channel, Hz.
        rate: u32,
        /// Channels.
        channels: u16,
    },
}

impl Info {
    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Image { .. } => Kind::Image,
            Self::Audio { .. } => Kind::Audio,
        }
    }

    /// Pixels, or samples per channel.
    pub fn extent(&self) -> u64 {
        match *self {
            Self::Image { width, height } => u64::from(width) * u64::from(height),
            Self::Audio { frames, .. } => frames,
        }
    }

    /// Seconds of a sound, 0 for a picture.
    pub fn seconds(&self) -> f64 {
        match *self {
            Self::Image { .. } => 0.0,
            Self::Audio { frames, rate, .. } => frames as f64 / f64::from(rate.max(1)),
        }
    }

    /// Bytes in memory once decoded: 8-bit RGB, or f32.
    pub fn decoded_bytes(&self) -> u64 {
        match *self {
            Self::Image { .. } => self.extent().saturating_mul(3),
            Self::Audio {
                frames, channels, ..
            } => frames.saturating_mul(u64::from(channels)).saturating_mul(4),
        }
    }
}

/// File formats as the first bytes tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Wav,
    Flac,
    Image,
}

/// Bytes that [`sniff`] wants to see.
pub(crate) const HEAD: usize = 64;

/// The format of a file that starts with `head`; `None` when it is no medium.
pub(crate) fn sniff(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WAVE") {
        Some(Format::Wav)
    } else if head.starts_with(b"fLaC") {
        Some(Format::Flac)
    } else if image::guess_format(head).is_ok() {
        Some(Format::Image)
    } else {
        None
    }
}

/// Whether a name claims to be a picture or a sound. Such a file is reported when its content is neither; others, such
/// as `.json` and `.txt` sidecars, are passed over.
pub(crate) fn claims_media(name: &str) -> bool {
    const SOUND: [&str; 10] = [
        "wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma",
    ];
    let Some((_, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let extension = extension.to_ascii_lowercase();
    SOUND.contains(&extension.as_str()) || image::ImageFormat::from_extension(extension).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(sniff(b"RIFF\x10\0\0\0WAVEfmt "), Some(Format::Wav));
        assert_eq!(sniff(b"RIFF\x10\0\0\0WEBPVP8L"), Some(Format::Image));
        assert_eq!(sniff(b"fLaC\0\0\0\x22"), Some(Format::Flac));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n"), Some(Format::Image));
        assert_eq!(sniff(b"{\"a\": 1}"), None);
        assert_eq!(sniff(b""), None);
    }

    #[test]
    fn names_claim_media_by_extension() {
        for name in ["a.PNG", "b/c.d.jpg", "x.flac", "y.mp3"] {
            assert!(claims_media(name), "{name}");
        }
        for name in ["a.json", "README", "x.cls", "png", "a.csv"] {
            assert!(!claims_media(name), "{name}");
        }
    }

    #[test]
    fn sizes_follow_from_headers() {
        let sound = Info::Audio {
            frames: 48_000,
            rate: 24_000,
            channels: 2,
        };
        assert_eq!(sound.seconds(), 2.0);
        assert_eq!(sound.decoded_bytes(), 48_000 * 8);
        let huge = Info::Audio {
            frames: u64::MAX,
            rate: 0,
            channels: 2,
        };
        assert_eq!(huge.decoded_bytes(), u64::MAX);
        assert!(huge.seconds() > 0.0);
    }
}
