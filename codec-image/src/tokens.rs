//! Pictures as arrays of codes or latents and back, for models with a codebook and for those whose latents stand for the
//! picture by themselves.

use codec_core::container::Color;
use codec_core::{Error, Limits};

use crate::coder::RgbTile;
use crate::file::MAX_TILE_PIXELS;
use crate::file::pixels::gray_to_rgb;
use crate::picture::Picture;

pub use codec_core::tokens::{Alphabet, Format, Layout, Media, NAMES, Tokens};

/// A model on a device whose codes or latents others may work with. Object-safe, as [`ImageCoder`](crate::coder::ImageCoder) is.
pub trait ImageTokenizer {
    /// Codes of a picture, `[codebooks, height, width]` in blocks, or latents, `[channels, height, width]`; what the last
    /// blocks lack is filled as for a file of one tile.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for an empty picture or a buffer of the wrong length, device errors.
    fn tokenize(&self, picture: RgbTile<'_>) -> Result<Tokens, Error>;

    /// `3 * width * height` RGB samples of tokens, row by row: those of a file of one tile. Whose tokens they are is the
    /// caller's to check.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tokens that are not a picture's or do not fit its size or this model's codebook or range,
    /// device errors.
    fn detokenize(&self, tokens: &Tokens) -> Result<Vec<u8>, Error>;

    /// The tokens with what is lost filled in by a model of what is likely there.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model that has learned nothing of the kind, and those of [`ImageTokenizer::detokenize`].
    fn restore(&self, tokens: &Tokens) -> Result<Tokens, Error> {
        Err(no_restorer(tokens))
    }
}

/// What to say of lost codes that nothing can restore.
pub(crate) fn no_restorer(tokens: &Tokens) -> Error {
    let lost = tokens.lost().iter().filter(|lost| **lost).count();
    Error::unsupported(format!(
        "{lost} of {} codes are lost, and model '{}' has no transformer that restores them",
        tokens.lost().len(),
        tokens.model
    ))
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

/// Tokens of a whole picture; gray is taken as colour, alpha and metadata are left out.
///
/// # Errors
/// [`Error::LimitExceeded`] beyond [`MAX_TILE_PIXELS`], and those of [`ImageTokenizer::tokenize`].
pub fn tokenize(tokenizer: &dyn ImageTokenizer, picture: &Picture) -> Result<Tokens, Error> {
    picture.validate()?;
    check_pixels(picture.width, picture.height)?;
    let gray;
    let samples = match picture.color {
        Color::Rgb => &picture.pixels,
        Color::Gray => {
            gray = gray_to_rgb(&picture.pixels);
            &gray
        }
    };
    tokenizer.tokenize(RgbTile {
        width: picture.width as usize,
        height: picture.height as usize,
        samples,
    })
}

/// The picture of tokens; lost codes are restored first.
///
/// # Errors
/// [`Error::LimitExceeded`] for pictures beyond `limits` or [`MAX_TILE_PIXELS`], and those of
/// [`ImageTokenizer::detokenize`].
pub fn detokenize(
    tokenizer: &dyn ImageTokenizer,
    tokens: &Tokens,
    limits: &Limits,
) -> Result<Picture, Error> {
    let [width, height] = picture_size(tokens)?;
    limits.check_picture(width, height)?;
    check_pixels(width, height)?;
    let samples = if tokens.lost().is_empty() {
        tokenizer.detokenize(tokens)?
    } else {
        tokenizer.detokenize(&tokenizer.restore(tokens)?)?
    };
    Picture::new(width, height, Color::Rgb, samples)
}

/// A picture is one tile here: blocks of neighbouring tiles would not line up, and latents at their borders would differ.
fn check_pixels(width: u32, height: u32) -> Result<(), Error> {
    let actual = u64::from(width) * u64::from(height);
    if actual > MAX_TILE_PIXELS {
        return Err(Error::LimitExceeded {
            what: "number of pixels to tokenize",
            limit: MAX_TILE_PIXELS,
            actual,
        });
    }
    Ok(())
}
