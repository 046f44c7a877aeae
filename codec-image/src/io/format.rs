//! Picture formats: names, extensions, recognition from the first bytes.

use std::fmt;

use crate::error::Error;

/// A picture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP; written without loss.
    WebP,
    /// TIFF.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF; read only.
    Gif,
    /// PBM, PGM or PPM.
    Pnm,
    /// PAM, the PNM with alpha.
    Pam,
    /// Quite OK Image.
    Qoi,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 9] = [
        Self::Png,
        Self::Jpeg,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Gif,
        Self::Pnm,
        Self::Pam,
        Self::Qoi,
    ];

    /// Extensions without the dot; the first one is the usual one.
    #[must_use]
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::WebP => &["webp"],
            Self::Tiff => &["tiff", "tif"],
            Self::Bmp => &["bmp"],
            Self::Gif => &["gif"],
            Self::Pnm => &["pnm", "ppm", "pgm", "pbm"],
            Self::Pam => &["pam"],
            Self::Qoi => &["qoi"],
        }
    }

    /// Format of a file extension, in any case, without the dot.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        let matches = |name: &&str| name.eq_ignore_ascii_case(extension);
        Self::ALL
            .into_iter()
            .find(|format| format.extensions().iter().any(matches))
    }

    /// Name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::WebP => "webp",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Pnm => "pnm",
            Self::Pam => "pam",
            Self::Qoi => "qoi",
        }
    }

    /// Format of a file from its first bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for picture formats that are recognised but not read, and
    /// [`Error::UnknownFormat`] for everything else.
    pub fn guess(bytes: &[u8]) -> Result<Self, Error> {
        use image::ImageFormat;
        match image::guess_format(bytes).map_err(|_| Error::UnknownFormat)? {
            ImageFormat::Png => Ok(Self::Png),
            ImageFormat::Jpeg => Ok(Self::Jpeg),
            ImageFormat::WebP => Ok(Self::WebP),
            ImageFormat::Tiff => Ok(Self::Tiff),
            ImageFormat::Bmp => Ok(Self::Bmp),
            ImageFormat::Gif => Ok(Self::Gif),
            ImageFormat::Pnm if bytes.starts_with(b"P7") => Ok(Self::Pam),
            ImageFormat::Pnm => Ok(Self::Pnm),
            ImageFormat::Qoi => Ok(Self::Qoi),
            other => Err(Error::Unsupported {
                format: other.extensions_str().first().copied().unwrap_or("this"),
                what: "this format".into(),
                advice: "convert it to png first",
            }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_in_any_case() {
        assert_eq!(Format::from_extension("JPeG"), Some(Format::Jpeg));
        assert_eq!(Format::from_extension("tif"), Some(Format::Tiff));
        assert_eq!(Format::from_extension("ppm"), Some(Format::Pnm));
        assert_eq!(Format::from_extension("ncx"), None);
        assert_eq!(Format::from_extension(""), None);
    }

    #[test]
    fn recognition_needs_known_bytes() {
        assert_eq!(Format::guess(b"P7\nWIDTH").unwrap(), Format::Pam);
        assert!(matches!(Format::guess(b""), Err(Error::UnknownFormat)));
        assert!(matches!(Format::guess(b"hello"), Err(Error::UnknownFormat)));
        // Radiance HDR is recognised and refused.
        assert!(matches!(
            Format::guess(b"#?RADIANCE\n"),
            Err(Error::Unsupported { .. })
        ));
    }
}
