//! What a caller allows a file to ask for. Checked before anything is allocated.

use crate::error::Error;

/// Upper bounds that every decoder respects before it allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width in pixels.
    pub max_width: u32,
    /// Largest height in pixels.
    pub max_height: u32,
    /// Largest width times height in pixels.
    pub max_pixels: u64,
    /// Most samples of a recording, all channels together.
    pub max_samples: u64,
    /// Most channels of a recording.
    pub max_channels: u16,
    /// Largest file in bytes.
    pub max_file_bytes: u64,
    /// Largest sum of ICC, EXIF, XMP and unknown optional data in bytes.
    pub max_metadata_bytes: u64,
}

impl Default for Limits {
    /// 2^20 pixels a side, 2^28 pixels, 2^30 samples (three hours of stereo at 48 kHz), 64 channels, 1 GiB of file, 16 MiB of
    /// metadata.
    fn default() -> Self {
        Self {
            max_width: 1 << 20,
            max_height: 1 << 20,
            max_pixels: 1 << 28,
            max_samples: 1 << 30,
            max_channels: 64,
            max_file_bytes: 1 << 30,
            max_metadata_bytes: 1 << 24,
        }
    }
}

impl Limits {
    /// Checks the size of a picture.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a side of 0, [`Error::LimitExceeded`] for one that is too large.
    pub fn check_picture(&self, width: u32, height: u32) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::malformed(format!(
                "picture of {width}x{height} pixels"
            )));
        }
        at_most("width in pixels", self.max_width.into(), width.into())?;
        at_most("height in pixels", self.max_height.into(), height.into())?;
        at_most(
            "number of pixels",
            self.max_pixels,
            u64::from(width) * u64::from(height),
        )
    }

    /// Checks the size of a recording; `samples` are those of one channel.
    ///
    /// # Errors
    /// [`Error::Malformed`] for no channel, [`Error::LimitExceeded`] for too many channels or samples.
    pub fn check_sound(&self, channels: u16, samples: u64) -> Result<(), Error> {
        if channels == 0 {
            return Err(Error::malformed("recording without channels"));
        }
        at_most(
            "number of channels",
            self.max_channels.into(),
            channels.into(),
        )?;
        at_most(
            "number of samples",
            self.max_samples,
            samples.saturating_mul(channels.into()),
        )
    }

    /// Checks the size of a whole file in bytes.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check_file(&self, bytes: u64) -> Result<(), Error> {
        at_most("file size in bytes", self.max_file_bytes, bytes)
    }

    /// Checks the size of all metadata in bytes.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check_metadata(&self, bytes: u64) -> Result<(), Error> {
        at_most("metadata size in bytes", self.max_metadata_bytes, bytes)
    }
}

/// Refuses more than the limit.
pub(crate) fn at_most(what: &'static str, limit: u64, actual: u64) -> Result<(), Error> {
    if actual > limit {
        return Err(Error::LimitExceeded {
            what,
            limit,
            actual,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn sizes_are_bounded_from_both_sides() {
        let limits = Limits {
            max_width: 10,
            max_height: 20,
            max_pixels: 100,
            ..Limits::default()
        };
        assert!(limits.check_picture(10, 10).is_ok());
        for (width, height, kind) in [
            (0, 1, ErrorKind::Malformed),
            (1, 0, ErrorKind::Malformed),
            (11, 1, ErrorKind::Limit),
            (1, 21, ErrorKind::Limit),
            (10, 11, ErrorKind::Limit),
            (u32::MAX, u32::MAX, ErrorKind::Limit),
        ] {
            assert_eq!(
                limits.check_picture(width, height).unwrap_err().kind(),
                kind
            );
        }
    }

    #[test]
    fn recordings_are_bounded() {
        let limits = Limits {
            max_samples: 100,
            max_channels: 4,
            ..Limits::default()
        };
        assert!(limits.check_sound(4, 25).is_ok() && limits.check_sound(1, 0).is_ok());
        for (channels, samples, kind) in [
            (0, 1, ErrorKind::Malformed),
            (5, 1, ErrorKind::Limit),
            (4, 26, ErrorKind::Limit),
            (2, u64::MAX, ErrorKind::Limit),
        ] {
            let error = limits.check_sound(channels, samples).unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn messages_carry_limit_and_value() {
        let limits = Limits {
            max_file_bytes: 5,
            max_metadata_bytes: 6,
            ..Limits::default()
        };
        assert_eq!(
            limits.check_file(7).unwrap_err().to_string(),
            "file size in bytes is 7, the limit is 5"
        );
        assert_eq!(
            limits.check_metadata(7).unwrap_err().to_string(),
            "metadata size in bytes is 7, the limit is 6"
        );
    }
}
