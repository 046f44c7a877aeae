//! A picture in memory: 8-bit samples, an optional alpha plane, metadata.

use codec_core::Error;
pub use codec_core::container::Color;

/// Data that travel with a picture and are not looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// ICC profile.
    pub icc: Option<Vec<u8>>,
    /// EXIF data from their TIFF header on; the orientation tag, if any, is 1 (upright).
    pub exif: Option<Vec<u8>>,
    /// XMP packet.
    pub xmp: Option<Vec<u8>>,
}

impl Metadata {
    /// Sum of all sizes in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let parts = [&self.icc, &self.exif, &self.xmp];
        parts
            .into_iter()
            .flatten()
            .map(|part| part.len() as u64)
            .sum()
    }
}

/// An upright picture with 8 bits a sample.
///
/// The fields are public for reading and for moving out; whoever builds one by hand calls
/// [`Picture::validate`], as every function that takes a picture does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Colour channels.
    pub color: Color,
    /// `height * width * channels` samples, channels interleaved, rows from the top.
    pub pixels: Vec<u8>,
    /// `height * width` values, 0 = transparent; not premultiplied.
    pub alpha: Option<Vec<u8>>,
    /// What travels along.
    pub metadata: Metadata,
}

impl Picture {
    /// An opaque picture without metadata.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if a side is 0 or `pixels` has another length than the size asks for.
    pub fn new(width: u32, height: u32, color: Color, pixels: Vec<u8>) -> Result<Self, Error> {
        let picture = Self {
            width,
            height,
            color,
            pixels,
            alpha: None,
            metadata: Metadata::default(),
        };
        picture.validate()?;
        Ok(picture)
    }

    /// A picture from samples that have alpha interleaved as the last channel.
    ///
    /// # Errors
    /// As [`Picture::new`].
    pub fn from_interleaved_alpha(
        width: u32,
        height: u32,
        color: Color,
        samples: &[u8],
    ) -> Result<Self, Error> {
        let channels = color.channels();
        let count = sample_count(width, height, channels + 1)?;
        check_length("samples with alpha", samples.len(), count)?;
        let mut pixels = Vec::with_capacity(count / (channels + 1) * channels);
        let mut alpha = Vec::with_capacity(count / (channels + 1));
        for pixel in samples.chunks_exact(channels + 1) {
            if let Some((value, rest)) = pixel.split_last() {
                pixels.extend_from_slice(rest);
                alpha.push(*value);
            }
        }
        Self::new(width, height, color, pixels)?.with_alpha(alpha)
    }

    /// The same picture with this alpha plane.
    ///
    /// # Errors
    /// [`Error::BadParameter`] if `alpha` does not have one value per pixel.
    pub fn with_alpha(mut self, alpha: Vec<u8>) -> Result<Self, Error> {
        self.alpha = Some(alpha);
        self.validate()?;
        Ok(self)
    }

    /// The same picture with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Checks sizes against buffers.
    ///
    /// # Errors
    /// [`Error::BadParameter`] with the expected and the actual length.
    pub fn validate(&self) -> Result<(), Error> {
        let count = sample_count(self.width, self.height, self.color.channels())?;
        check_length("samples", self.pixels.len(), count)?;
        match &self.alpha {
            Some(alpha) => check_length("alpha values", alpha.len(), count / self.color.channels()),
            None => Ok(()),
        }
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Samples with alpha, if any, interleaved as the last channel.
    #[must_use]
    pub fn interleaved(&self) -> std::borrow::Cow<'_, [u8]> {
        let Some(alpha) = &self.alpha else {
            return self.pixels.as_slice().into();
        };
        let mut samples = Vec::with_capacity(self.pixels.len() + alpha.len());
        for (pixel, value) in self.pixels.chunks_exact(self.color.channels()).zip(alpha) {
            samples.extend_from_slice(pixel);
            samples.push(*value);
        }
        samples.into()
    }
}

fn sample_count(width: u32, height: u32, channels: usize) -> Result<usize, Error> {
    let count = u64::from(width) * u64::from(height);
    let count = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(channels));
    match count {
        Some(count) if count > 0 => Ok(count),
        _ => Err(Error::bad_parameter(format!(
            "invalid picture size {width}x{height}"
        ))),
    }
}

fn check_length(what: &str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual != expected {
        return Err(Error::bad_parameter(format!(
            "{actual} {what} (expected {expected})"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_fit() {
        assert!(Picture::new(2, 2, Color::Rgb, vec![0; 12]).is_ok());
        for (width, height, length) in [(2, 2, 11), (2, 2, 13), (0, 2, 0), (u32::MAX, u32::MAX, 1)]
        {
            let error = Picture::new(width, height, Color::Rgb, vec![0; length]).unwrap_err();
            assert!(matches!(error, Error::BadParameter(_)), "{error}");
        }
        let gray = Picture::new(2, 1, Color::Gray, vec![1, 2]).unwrap();
        assert!(gray.with_alpha(vec![0]).is_err());
    }

    #[test]
    fn alpha_interleaves_and_back() {
        for (color, samples) in [(Color::Gray, 4), (Color::Rgb, 8)] {
            let samples: Vec<u8> = (0..samples).collect();
            let picture = Picture::from_interleaved_alpha(2, 1, color, &samples).unwrap();
            assert_eq!(picture.interleaved(), samples);
            assert_eq!(picture.alpha.unwrap().len(), 2);
        }
    }
}
