//! Image model families.

mod annealing;
mod any;
pub mod check;
pub mod family;
mod grid;
pub mod hyperprior;
pub mod mlicpp;
mod payload;
mod record;
#[cfg(test)]
pub(crate) mod testing;
pub mod vqgan;
pub mod walloc;
pub mod wpmr;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;

pub use any::{IMPORTED_FAMILIES, ImageModel};
pub use family::{Family, ImageFamily, Imported, Model};

/// A tensor's values on the host.
pub(crate) fn host<B: Backend>(tensor: Tensor<B, 4>) -> Result<Vec<f32>, Error> {
    tensor
        .into_data()
        .convert::<f32>()
        .into_vec()
        .map_err(|e| Error::Device {
            device: std::any::type_name::<B>().into(),
            reason: format!("no result: {e:?}"),
        })
}
