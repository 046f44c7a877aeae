//! What a family of image models adds to a family of published models.

use burn::backend::Autodiff;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::CodecBackend;

pub use codec_core::family::{Family, Imported, Model};

use crate::coder::ImageCoder;

/// A family of published image models.
pub trait ImageFamily: Family {
    /// The model as a codec of real files.
    ///
    /// # Errors
    /// [`Error::Malformed`] for incomplete weights.
    fn coder<B>(model: &Model<Self>, device: &B::Device) -> Result<Box<dyn ImageCoder>, Error>
    where
        B: CodecBackend,
        Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>;
}
