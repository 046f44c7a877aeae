//! Peak signal-to-noise ratio.

use crate::EvalError;
use image::RgbImage;

/// Fails unless both pictures have the same size.
pub(crate) fn check_sizes(a: &RgbImage, b: &RgbImage) -> Result<(), EvalError> {
    if a.dimensions() == b.dimensions() {
        Ok(())
    } else {
        Err(EvalError::SizeMismatch {
            first: a.dimensions(),
            second: b.dimensions(),
        })
    }
}

/// PSNR in dB of two 8-bit RGB pictures: one mean squared error over all pixels and the three channels, peak 255.
/// Infinite for equal pictures.
///
/// # Errors
/// [`EvalError::SizeMismatch`].
pub fn psnr_rgb(a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
    check_sizes(a, b)?;
    let squares = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)) * u64::from(a.abs_diff(*b));
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(squares).sum();
    if sum == 0 {
        return Ok(f64::INFINITY);
    }
    let mse = sum as f64 / a.as_raw().len() as f64;
    Ok(10.0 * (255.0 * 255.0 / mse).log10())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::{REFERENCE, pair};

    #[test]
    fn equals_numpy() {
        for (width, height, amplitude, psnr, _) in REFERENCE {
            let (a, b) = pair(width, height, amplitude);
            assert!((psnr_rgb(&a, &b).unwrap() - psnr).abs() < 1e-9);
        }
    }

    #[test]
    fn known_values() {
        let black = RgbImage::new(4, 5);
        let white = RgbImage::from_pixel(4, 5, image::Rgb([255; 3]));
        assert_eq!(psnr_rgb(&black, &black).unwrap(), f64::INFINITY);
        assert_eq!(psnr_rgb(&black, &white).unwrap(), 0.0);
        let error = psnr_rgb(&black, &RgbImage::new(5, 4)).unwrap_err();
        assert_eq!(error.to_string(), "pictures differ in size: 4x5 and 5x4");
    }
}
