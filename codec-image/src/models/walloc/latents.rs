//! The integers of a picture: what files hold, and what models that never decode learn on.

use codec_core::Error;
use codec_entropy::{decode_planes, encode_planes};

/// Integers of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latents {
    /// `[latent_dim, h, w]`.
    pub shape: [usize; 3],
    /// Largest magnitude, `2^(latent_bits - 1) - 1`.
    pub limit: i32,
    /// Values in `-limit..=limit`, row-major.
    pub values: Vec<i32>,
}

/// Number of elements, if it can be counted.
pub(super) fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Latents {
    /// Checks that the values fit shape and limit.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let range = -self.limit..=self.limit;
        let outside = self.values.iter().find(|v| !range.contains(v));
        if let Some(value) = outside {
            return Err(Error::bad_parameter(format!(
                "a latent of {value} (expected at most {} in magnitude)",
                self.limit
            )));
        }
        if product(&self.shape) != Some(self.values.len()) {
            return Err(Error::bad_parameter(format!(
                "latents {:?} with {} values",
                self.shape,
                self.values.len()
            )));
        }
        Ok(())
    }

    /// Entropy-coded values ([`codec_entropy::encode_planes`]). Shape and limit are not part of it.
    ///
    /// # Errors
    /// [`Error::BadParameter`] as [`Latents::check`], and for limits beyond 16 bits.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let coded = encode_planes(&self.values, self.shape, self.limit);
        coded.map_err(|e| Error::bad_parameter(format!("latents: {e}")))
    }

    /// The values that [`Latents::to_bytes`] coded, the same on every machine.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are not latents of this shape and limit.
    pub fn from_bytes(bytes: &[u8], shape: [usize; 3], limit: i32) -> Result<Self, Error> {
        let values = decode_planes(bytes, shape, limit)
            .map_err(|e| Error::malformed(format!("latents: {e}")))?;
        Ok(Self {
            shape,
            limit,
            values,
        })
    }
}
