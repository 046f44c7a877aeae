//! Butteraugli (Alakuijala et al., "Guetzli: perceptually guided JPEG encoder", 2017) as in libjxl, computed by the crate
//! `butteraugli`.

use super::check_sizes;
use crate::EvalError;
use crate::metrics::{Measure, Metric, Outcome, Reference};
use butteraugli::{ButteraugliError, ButteraugliParams, ButteraugliReference};
use image::RgbImage;

/// Smallest side that the metric takes.
pub const BUTTERAUGLI_MIN_SIDE: u32 = 8;
/// Key of the largest difference.
const MAX: &str = "butteraugli";
/// Key of the 3-norm of the differences.
const NORM: &str = "butteraugli-3norm";

/// Distances between a decoded picture and its original; 0 for equal ones, below 1 where nobody sees a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ButteraugliDistance {
    /// The largest distance anywhere in the picture.
    pub max: f64,
    /// The mean of the 3-norm, 6-norm and 12-norm over the picture, which libjxl calls its 3-norm.
    pub norm3: f64,
}

/// Butteraugli of two 8-bit sRGB pictures with libjxl's settings: a display of 80 cd/m^2, new and lost high frequencies weigh
/// the same. (`butteraugli_main` up to libjxl 0.7 gave new ones 0.8.)
///
/// # Errors
/// [`EvalError::SizeMismatch`]; [`EvalError::PictureTooSmall`] for sides below 8.
pub fn butteraugli(
    original: &RgbImage,
    decoded: &RgbImage,
) -> Result<ButteraugliDistance, EvalError> {
    check_sizes(original, decoded)?;
    compare(&prepare(original)?, decoded)
}

fn prepare(original: &RgbImage) -> Result<ButteraugliReference, EvalError> {
    let (width, height) = original.dimensions();
    if width.min(height) < BUTTERAUGLI_MIN_SIDE {
        return Err(EvalError::PictureTooSmall {
            width,
            height,
            metric: "butteraugli",
            min_side: BUTTERAUGLI_MIN_SIDE,
        });
    }
    let settings = ButteraugliParams::new()
        .with_intensity_target(80.0)
        .with_hf_asymmetry(1.0);
    ButteraugliReference::new(original.as_raw(), width as usize, height as usize, settings)
        .map_err(unusable)
}

fn compare(
    reference: &ButteraugliReference,
    decoded: &RgbImage,
) -> Result<ButteraugliDistance, EvalError> {
    let result = reference.compare(decoded.as_raw()).map_err(unusable)?;
    Ok(ButteraugliDistance {
        max: result.score,
        norm3: result.pnorm_3,
    })
}

fn unusable(error: ButteraugliError) -> EvalError {
    EvalError::Unusable {
        what: "butteraugli".into(),
        reason: error.to_string(),
    }
}

/// [`butteraugli()`] under the keys `butteraugli` (largest distance) and `butteraugli-3norm`, from one computation; pictures
/// with a side below 8 have none.
#[derive(Debug, Clone, Copy)]
pub struct Butteraugli {
    /// Whether the largest distance is given.
    pub max: bool,
    /// Whether the 3-norm is given.
    pub norm3: bool,
}

impl Default for Butteraugli {
    fn default() -> Self {
        Self {
            max: true,
            norm3: true,
        }
    }
}

impl Butteraugli {
    /// What these of its keys need; `None` where none of them is its.
    pub fn of_keys(keys: &[&str]) -> Option<Self> {
        let (max, norm3) = (keys.contains(&MAX), keys.contains(&NORM));
        (max || norm3).then_some(Self { max, norm3 })
    }
}

impl Measure<RgbImage> for Butteraugli {
    fn metrics(&self) -> Vec<Metric> {
        let mut keys = Vec::new();
        if self.max {
            keys.push(Metric::of_key(MAX));
        }
        if self.norm3 {
            keys.push(Metric::of_key(NORM));
        }
        keys
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
        Ok(Box::new(Prepared {
            wanted: *self,
            original,
            prepared,
        }))
    }
}

/// An original in frequency bands; `None` for one that is too small.
struct Prepared<'a> {
    wanted: Butteraugli,
    original: &'a RgbImage,
    prepared: Option<ButteraugliReference>,
}

impl Reference<RgbImage> for Prepared<'_> {
    fn measure(&self, decoded: &RgbImage) -> Result<Outcome, EvalError> {
        check_sizes(self.original, decoded)?;
        let mut outcome = Outcome::default();
        let Some(prepared) = &self.prepared else {
            return Ok(outcome);
        };
        let distance = compare(prepared, decoded)?;
        if self.wanted.max {
            outcome.merge(Outcome::value(MAX, distance.max));
        }
        if self.wanted.norm3 {
            outcome.merge(Outcome::value(NORM, distance.norm3));
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_images::pair;

    #[test]
    fn one_pass_gives_both() {
        let (a, b) = pair(70, 50, 20);
        let distance = butteraugli(&a, &b).unwrap();
        assert!(distance.max > distance.norm3 && distance.norm3 > 0.5);
        let measure = Butteraugli::default();
        let outcome = measure.reference("a", &a).unwrap().measure(&b).unwrap();
        assert_eq!(outcome.values[MAX], distance.max);
        assert_eq!(outcome.values[NORM], distance.norm3);
        assert_eq!(measure.metrics().len(), outcome.values.len());
        let equal = butteraugli(&a, &a).unwrap();
        assert_eq!((equal.max, equal.norm3), (0.0, 0.0));
    }

    #[test]
    fn only_what_is_wanted() {
        let (a, b) = pair(30, 20, 20);
        let measure = Butteraugli::of_keys(&["psnr-rgb", NORM]).unwrap();
        let outcome = measure.reference("a", &a).unwrap().measure(&b).unwrap();
        assert_eq!(outcome.values.keys().collect::<Vec<_>>(), [NORM]);
        assert!(Butteraugli::of_keys(&["psnr-rgb"]).is_none());
    }

    #[test]
    fn small_and_unequal_pictures() {
        let (a, b) = pair(7, 50, 20);
        assert!(matches!(
            butteraugli(&a, &b),
            Err(EvalError::PictureTooSmall { min_side: 8, .. })
        ));
        let measure = Butteraugli::default();
        let reference = measure.reference("a", &a).unwrap();
        assert_eq!(reference.measure(&b).unwrap(), Outcome::default());
        assert!(reference.measure(&RgbImage::new(8, 8)).is_err());
    }
}
