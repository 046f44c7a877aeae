//! Peak signal-to-noise ratio of luma and chroma.

use super::check_sizes;
use crate::EvalError;
use image::RgbImage;

/// Y, Cb and Cr from R, G and B in one full range, as JFIF has it (ITU-R BT.601): offsets cancel in differences.
const YCBCR: [[f64; 3]; 3] = [
    [0.299, 0.587, 0.114],
    [-0.299 / 1.772, -0.587 / 1.772, 0.5],
    [0.5, -0.587 / 1.402, -0.114 / 1.402],
];
/// Weights of the three PSNRs.
const WEIGHTS: [f64; 3] = [6.0, 1.0, 1.0];

/// PSNR in dB of luma, peak 255: `Y = 0.299 R + 0.587 G + 0.114 B` (BT.601, full range), not rounded. Infinite where luma
/// is equal.
///
/// # Errors
/// [`EvalError::SizeMismatch`].
pub fn psnr_y(a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
    Ok(psnrs(a, b)?[0])
}

/// `(6 PSNR(Y) + PSNR(Cb) + PSNR(Cr)) / 8` in dB, the average that the video coding standards report for 4:2:0, here on
/// chroma of full resolution: BT.601 in full range as in JPEG files, not rounded, peak 255. Infinite where one of the three
/// planes is equal.
///
/// # Errors
/// [`EvalError::SizeMismatch`].
pub fn psnr_ycbcr(a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
    let psnrs = psnrs(a, b)?;
    let sum: f64 = psnrs.iter().zip(WEIGHTS).map(|(p, w)| p * w).sum();
    Ok(sum / WEIGHTS.iter().sum::<f64>())
}

/// PSNR of each plane. Sums of products of integer differences give all three: the transform is linear.
fn psnrs(a: &RgbImage, b: &RgbImage) -> Result<[f64; 3], EvalError> {
    check_sizes(a, b)?;
    let mut products = [[0i64; 3]; 3];
    for (a, b) in a.pixels().zip(b.pixels()) {
        let difference: [i64; 3] = std::array::from_fn(|c| i64::from(a.0[c]) - i64::from(b.0[c]));
        for (row, left) in products.iter_mut().zip(difference) {
            for (product, right) in row.iter_mut().zip(difference) {
                *product += left * right;
            }
        }
    }
    let pixels = f64::from(a.width()) * f64::from(a.height());
    Ok(YCBCR.map(|weights| {
        let mut sum = 0.0;
        for (row, left) in products.iter().zip(weights) {
            for (&product, right) in row.iter().zip(weights) {
                sum += left * right * product as f64;
            }
        }
        // Rounding leaves a little where a plane is equal.
        let mse = sum / pixels;
        if mse < 1e-9 {
            f64::INFINITY
        } else {
            10.0 * (255.0 * 255.0 / mse).log10()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::pair;

    /// Values by `data/reference_images.py` (numpy 2.4.6).
    #[test]
    fn equals_numpy() {
        for (width, height, amplitude, y, ycbcr) in [
            (192, 176, 10, 36.30605604701791, 36.424198074494214),
            (177, 191, 32, 26.317980228027906, 26.408782513659414),
            (256, 161, 100, 16.486715815431555, 16.57268757611738),
        ] {
            let (a, b) = pair(width, height, amplitude);
            assert!((psnr_y(&a, &b).unwrap() - y).abs() < 1e-9);
            assert!((psnr_ycbcr(&a, &b).unwrap() - ycbcr).abs() < 1e-9);
        }
    }

    #[test]
    fn known_values() {
        let black = RgbImage::new(4, 5);
        let white = RgbImage::from_pixel(4, 5, image::Rgb([255; 3]));
        assert!(psnr_y(&black, &white).unwrap().abs() < 1e-9);
        assert_eq!(psnr_ycbcr(&black, &white).unwrap(), f64::INFINITY);
        assert_eq!(psnr_y(&black, &black).unwrap(), f64::INFINITY);
        assert!(psnr_y(&black, &RgbImage::new(5, 4)).is_err());
    }
}
