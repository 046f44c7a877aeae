//! SSIMULACRA 2.1 (Sneyers, <https://github.com/cloudinary/ssimulacra2>), computed by the crate `fast-ssim2`.

use super::check_sizes;
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Error, Ssimulacra2Reference};
use image::RgbImage;

/// Smallest side that the authors' program takes.
pub const SSIMULACRA2_MIN_SIDE: u32 = 8;

/// SSIMULACRA 2.1 of a decoded picture against its original, both 8-bit sRGB: 100 for equal ones, about 90 where nobody
/// sees a difference, 70 for high quality, 30 for low; it can fall below 0.
///
/// # Errors
/// [`EvalError::SizeMismatch`]; [`EvalError::PictureTooSmall`] for sides below 8; [`EvalError::Unusable`] for more than
/// 2^28 pixels.
pub fn ssimulacra2(original: &RgbImage, decoded: &RgbImage) -> Result<f64, EvalError> {
    check_sizes(original, decoded)?;
    compare(&prepare(original)?, decoded)
}

fn prepare(original: &RgbImage) -> Result<Ssimulacra2Reference, EvalError> {
    let (width, height) = original.dimensions();
    if width.min(height) < SSIMULACRA2_MIN_SIDE {
        return Err(EvalError::PictureTooSmall {
            width,
            height,
            metric: "ssimulacra2",
            min_side: SSIMULACRA2_MIN_SIDE,
        });
    }
    Ssimulacra2Reference::new(&pixels(original)?).map_err(unusable)
}

fn compare(reference: &Ssimulacra2Reference, decoded: &RgbImage) -> Result<f64, EvalError> {
    reference.compare(&pixels(decoded)?).map_err(unusable)
}

fn pixels(picture: &RgbImage) -> Result<PixelSlice<'_>, EvalError> {
    let (width, height) = picture.dimensions();
    let row = width as usize * 3;
    PixelSlice::new(
        picture.as_raw(),
        width,
        height,
        row,
        PixelDescriptor::RGB8_SRGB,
    )
    .map_err(|error| EvalError::Unusable {
        what: "ssimulacra2".into(),
        reason: error.to_string(),
    })
}

fn unusable(error: Ssimulacra2Error) -> EvalError {
    EvalError::Unusable {
        what: "ssimulacra2".into(),
        reason: error.to_string(),
    }
}

/// [`ssimulacra2`] under the key `ssimulacra2`; pictures with a side below 8 have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ssimulacra2;

impl Measure<RgbImage> for Ssimulacra2 {
    fn metrics(&self) -> Vec<Metric> {
        vec![Metric::of_key("ssimulacra2")]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a RgbImage,
    ) -> Result<Box<dyn Reference<RgbImage> + 'a>, EvalError> {
        let prepared = match prepare(original) {
            Ok(prepared) => Some(prepared),
            Err(EvalError::PictureTooSmall { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Box::new(Prepared { original, prepared }))
    }
}

/// An original in the metric's colour space, at all its scales; `None` for one that is too small.
struct Prepared<'a> {
    original: &'a RgbImage,
    prepared: Option<Ssimulacra2Reference>,
}

impl Reference<RgbImage> for Prepared<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        check_sizes(self.original, decoded)?;
        let value = self.prepared.as_ref().map(|p| compare(p, decoded));
        Ok(Outcome::optional("ssimulacra2", value.transpose()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::pair;

    #[test]
    fn one_pass_equals_two() {
        let (a, b) = pair(70, 50, 20);
        let value = ssimulacra2(&a, &b).unwrap();
        assert!(value < 90.0, "{value}");
        let outcome = Ssimulacra2.reference("a", &a).unwrap().measure(&b).unwrap();
        assert_eq!(outcome, Outcome::value("ssimulacra2", value));
        assert!((ssimulacra2(&a, &a).unwrap() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn small_and_unequal_pictures() {
        let (a, b) = pair(7, 50, 20);
        assert!(matches!(
            ssimulacra2(&a, &b),
            Err(EvalError::PictureTooSmall { min_side: 8, .. })
        ));
        let reference = Ssimulacra2.reference("a", &a).unwrap();
        assert_eq!(reference.measure(&b).unwrap(), Outcome::default());
        assert!(reference.measure(&RgbImage::new(8, 8)).is_err());
        assert!(ssimulacra2(&a, &RgbImage::new(8, 8)).is_err());
    }
}
