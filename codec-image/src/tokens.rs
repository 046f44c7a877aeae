//! Pictures as arrays of codes and back, for models with a codebook.

use codec_core::Error;

use crate::coder::RgbTile;

pub use codec_core::tokens::{Format, Layout, Media, NAMES, Tokens};

/// A model with codebooks on a device. Object-safe, as [`ImageCoder`](crate::coder::ImageCoder) is.
pub trait ImageTokenizer {
    /// Codes of a picture, `[codebooks, height, width]` in blocks; what the last blocks lack is filled by repeating the
    /// border.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an empty picture or a buffer of the wrong length, device errors.
    fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error>;

    /// `3 * width * height` RGB samples of codes, row by row. Whose codes they are is the caller's to check.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tokens that are not a picture's or do not fit its size or this model's codebook, device
    /// errors.
    fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error>;
}

/// The size of the picture that tokens stand for.
///
/// # Errors
/// [`Error::Malformed`] for tokens of anything else.
pub fn picture_size(tokens: &Tokens) -> Result<[u32; 2], Error> {
    match tokens.media {
        Media::Image { width, height } if width > 0 && height > 0 => Ok([width, height]),
        _ => Err(Error::malformed("tokens of no picture")),
    }
}
