//! The buffers of the wavelet transform in checkpoints of WaLLoC.

use crate::Error;
use crate::backend::CodecBackend;
use crate::backend::wavelet::filters;
use crate::weights::{HostTensor, Loader};

/// Largest difference of a filter in a checkpoint from ours.
const TOLERANCE: f32 = 1e-5;

/// The buffers of the transform, where a checkpoint has them, must be those of our transform. `axes` are the ends of their
/// names, with the shapes.
///
/// # Errors
/// [`Error::Unsupported`] for other filters.
pub fn check_wavelet<B: CodecBackend>(
    loader: &Loader<'_, B>,
    axes: &[(&str, &[usize])],
) -> Result<(), Error> {
    let [mut h0, mut h1, g0, g1] = filters();
    // The reference correlates, so its analysis filters are reversed.
    h0.reverse();
    h1.reverse();
    for (part, name, taps) in [
        ("wt", "h0", h0),
        ("wt", "h1", h1),
        ("iwt", "g0", g0),
        ("iwt", "g1", g1),
    ] {
        for (axis, shape) in axes {
            let (loader, name) = (loader.at(part), format!("{name}{axis}"));
            if loader.shape(&name).is_none() {
                continue;
            }
            let Some(values) = loader.host(&name, shape).and_then(HostTensor::as_floats) else {
                continue;
            };
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE;
            if !values.iter().zip(&taps).all(close) {
                return Err(Error::unsupported(format!(
                    "{} is not the filter of bior4.4",
                    loader.name(&name)
                )));
            }
        }
    }
    Ok(())
}
