//! Multi-scale structural similarity (Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality
//! assessment", Asilomar 2003), with the conventions of the learned-compression literature.

use super::check_sizes;
use crate::EvalError;
use image::RgbImage;

/// Side of the Gaussian window.
const WINDOW: usize = 11;
/// Standard deviation of the Gaussian window.
const SIGMA: f64 = 1.5;
/// Exponents of the five scales, finest first (section 3.2 of the paper).
const EXPONENTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// `(K1 L)^2` and `(K2 L)^2` with K1 = 0.01, K2 = 0.03, L = 255.
const C1: f32 = 2.55 * 2.55;
const C2: f32 = 7.65 * 7.65;
/// Values are shifted by this before squares are filtered: variances do not change, and rounding errors of f32 shrink.
const SHIFT: f32 = 128.0;

/// Smallest side that still fills the window at the coarsest scale: more than (11 - 1) * 2^4.
pub const MS_SSIM_MIN_SIDE: u32 = ((WINDOW as u32 - 1) << (EXPONENTS.len() as u32 - 1)) + 1;

/// MS-SSIM of two 8-bit RGB pictures, 1 for equal ones: each channel on its own in 0..255, then the mean of the three.
///
/// Window 11x11, sigma 1.5, only positions where it fits; negative means of a scale count as 0. Scales are halved by
/// averaging 2x2; a side of odd length gets a row of zeros on both ends first, as PyTorch's pooling with padding does,
/// so that figures compare with published ones.
///
/// # Errors
/// [`EvalError::SizeMismatch`]; [`EvalError::PictureTooSmall`] for sides up to 160.
pub fn ms_ssim(a: &RgbImage, b: &RgbImage) -> Result<f64, EvalError> {
    check_sizes(a, b)?;
    let (width, height) = a.dimensions();
    if width.min(height) < MS_SSIM_MIN_SIDE {
        return Err(EvalError::PictureTooSmall {
            width,
            height,
            metric: "ms-ssim",
            min_side: MS_SSIM_MIN_SIDE,
        });
    }
    let kernel = kernel();
    let mut sum = 0.0;
    for channel in 0..3 {
        let mut a = Plane::channel(a, channel);
        let mut b = Plane::channel(b, channel);
        let mut product = 1.0;
        for (scale, exponent) in EXPONENTS.into_iter().enumerate() {
            let (structure, full) = similarity(&a, &b, &kernel);
            if scale + 1 == EXPONENTS.len() {
                product *= full.max(0.0).powf(exponent);
            } else {
                product *= structure.max(0.0).powf(exponent);
                (a, b) = (a.halved(), b.halved());
            }
        }
        sum += product;
    }
    Ok(sum / 3.0)
}

fn kernel() -> [f32; WINDOW] {
    let raw: [f64; WINDOW] = std::array::from_fn(|i| {
        let x = i as f64 - (WINDOW / 2) as f64;
        (-x * x / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|value| (value / sum) as f32)
}

/// One channel at one scale.
struct Plane {
    width: usize,
    values: Vec<f32>,
}

impl Plane {
    fn channel(picture: &RgbImage, channel: usize) -> Self {
        let values = picture
            .as_raw()
            .iter()
            .skip(channel)
            .step_by(3)
            .map(|&v| f32::from(v) - SHIFT)
            .collect();
        Self {
            width: picture.width() as usize,
            values,
        }
    }

    fn height(&self) -> usize {
        self.values.len() / self.width
    }

    /// Means of 2x2 blocks, odd sides padded with black on both ends.
    fn halved(&self) -> Self {
        let (width, height) = (self.width, self.height());
        let (pad_x, pad_y) = (width % 2, height % 2);
        let at = |x: usize, y: usize| match (x.checked_sub(pad_x), y.checked_sub(pad_y)) {
            (Some(x), Some(y)) if x < width && y < height => self.values[y * width + x],
            _ => -SHIFT,
        };
        let (out_width, out_height) = (width.div_ceil(2), height.div_ceil(2));
        let mut values = Vec::with_capacity(out_width * out_height);
        for y in 0..out_height {
            for x in 0..out_width {
                let (x, y) = (2 * x, 2 * y);
                values.push((at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0);
            }
        }
        Self {
            width: out_width,
            values,
        }
    }
}

/// Mean contrast-structure term and mean full SSIM over all window positions.
///
/// Four moments are filtered row by row: both means, the sum of squares (only the sum of the two variances is needed)
/// and the product.
fn similarity(a: &Plane, b: &Plane, kernel: &[f32; WINDOW]) -> (f64, f64) {
    let (width, height) = (a.width, a.height());
    let (out_width, out_height) = (width + 1 - WINDOW, height + 1 - WINDOW);
    let (mut structure_sum, mut full_sum) = (0.0f64, 0.0f64);
    let mut columns = vec![[0.0f32; 4]; width];
    for y in 0..out_height {
        columns.fill([0.0; 4]);
        for (tap, &weight) in kernel.iter().enumerate() {
            let start = (y + tap) * width;
            let rows = a.values[start..start + width]
                .iter()
                .zip(&b.values[start..start + width]);
            for (column, (&a, &b)) in columns.iter_mut().zip(rows) {
                let moments = [a, b, a * a + b * b, a * b];
                for (sum, moment) in column.iter_mut().zip(moments) {
                    *sum += weight * moment;
                }
            }
        }
        let (mut structure_row, mut full_row) = (0.0f64, 0.0f64);
        for window in columns.windows(WINDOW).take(out_width) {
            let mut sums = [0.0f32; 4];
            for (column, &weight) in window.iter().zip(kernel) {
                for (sum, value) in sums.iter_mut().zip(column) {
                    *sum += weight * value;
                }
            }
            let [mean_a, mean_b, squares, product] = sums;
            let variances = squares - mean_a * mean_a - mean_b * mean_b;
            let covariance = product - mean_a * mean_b;
            let structure = (2.0 * covariance + C2) / (variances + C2);
            let (mean_a, mean_b) = (mean_a + SHIFT, mean_b + SHIFT);
            let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
            structure_row += f64::from(structure);
            full_row += f64::from(structure * luminance);
        }
        structure_sum += structure_row;
        full_sum += full_row;
    }
    let count = (out_width * out_height) as f64;
    (structure_sum / count, full_sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::{REFERENCE, pair};

    /// The reference computes in f64, we filter in f32: 2e-6 is 20 times what was seen.
    #[test]
    fn equals_scipy() {
        for (width, height, amplitude, _, expected) in REFERENCE {
            let (a, b) = pair(width, height, amplitude);
            let value = ms_ssim(&a, &b).unwrap();
            assert!(
                (value - expected).abs() < 2e-6,
                "{value} against {expected}"
            );
        }
    }

    #[test]
    fn equal_pictures_give_one() {
        let (a, _) = pair(200, 161, 1);
        assert!((ms_ssim(&a, &a).unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn small_pictures_are_a_typed_error() {
        let (a, b) = pair(160, 300, 5);
        let error = ms_ssim(&a, &b).unwrap_err();
        assert_eq!(
            error.to_string(),
            "picture 160x300 is too small for ms-ssim (smallest side 161)"
        );
    }
}
