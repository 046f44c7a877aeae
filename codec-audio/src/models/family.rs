//! What a family of audio models adds to a family of published models.

use codec_core::Error;
use codec_core::backend::CodecBackend;

pub use codec_core::family::{Family, Imported, Model};

use crate::coder::AudioCoder;

/// A family of published audio models.
pub trait AudioFamily: Family {
    /// The model as a codec of real files.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights, [`Error::Unsupported`] for a quantizer alone.
    fn coder<B: CodecBackend>(
        model: &Model<Self>,
        device: &B::Device,
    ) -> Result<Box<dyn AudioCoder>, Error>;
}
