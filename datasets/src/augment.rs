//! What is changed at random in the drawn items.

use crate::{DatasetError, Kind};
use serde::{Deserialize, Serialize};

/// Random changes to pictures and sounds, for a recipe's `[data.augment]` table. What is left out keeps its default; the
/// defaults draw what the first version drew, bit for bit.
///
/// ```
/// let augment: codec_datasets::Augment = toml::from_str("rescale = [0.6, 1.0]\nsaturation = 0.2")?;
/// assert!(augment.flips && augment.rescale == Some((0.6, 1.0)));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Draw items in proportion to their pixels or seconds, so that all of these are about equally likely; otherwise all
    /// items are. Default true.
    pub weight_by_size: bool,
    /// Pictures: mirror left-right and top-bottom, each with chance 1/2. Default true.
    pub flips: bool,
    /// Pictures: swap rows and columns with chance 1/2. With `flips`, all eight orientations are equally likely. Default
    /// true.
    pub transpose: bool,
    /// Pictures: downscale by a factor drawn evenly from this range, `0 < low <= high <= 1`, with antialiasing. A picture
    /// that would become smaller than the crop is scaled as far as it allows. Default none.
    pub rescale: Option<(f32, f32)>,
    /// Pictures: multiply all values by a factor from `1 - x ..= 1 + x`; x in 0..=1, default 0.
    pub brightness: f32,
    /// Pictures: multiply the distance of all values from the crop's mean luma by a factor from `1 - x ..= 1 + x`; x in
    /// 0..=1, default 0.
    pub contrast: f32,
    /// Pictures: multiply the distance of all values from their pixel's luma by a factor from `1 - x ..= 1 + x`; x in
    /// 0..=1, default 0.
    pub saturation: f32,
    /// Pictures: turn the chroma plane (YIQ) by an angle from `-x ..= x` times 360 degrees; x in 0..=0.5, default 0.
    pub hue: f32,
    /// Pictures: chance to take all colour away, 0..=1, default 0.
    pub gray: f32,
    /// Sound: change the level by a number of dB drawn evenly from this range, within -120..=40. A segment is never
    /// lifted beyond full scale. Default none.
    pub gain_db: Option<(f32, f32)>,
    /// Sound: turn the sign of the whole segment with chance 1/2, which nobody hears. Default true.
    pub polarity: bool,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            weight_by_size: true,
            flips: true,
            transpose: true,
            rescale: None,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            gray: 0.0,
            gain_db: None,
            polarity: true,
        }
    }
}

impl Augment {
    /// The items as they are: no flips, no transposition, no polarity, no weights.
    pub fn none() -> Self {
        Self {
            weight_by_size: false,
            flips: false,
            transpose: false,
            polarity: false,
            ..Self::default()
        }
    }

    /// Checks all values, and that nothing is set which this kind of data has no use for.
    ///
    /// # Errors
    /// [`DatasetError::BadParameter`].
    pub fn check(&self, kind: Kind) -> Result<(), DatasetError> {
        let bad = |name, value: String, expected| {
            Err(DatasetError::BadParameter {
                name,
                value,
                expected,
            })
        };
        if let Some((low, high)) = self.rescale
            && !(low > 0.0 && low <= high && high <= 1.0)
        {
            return bad(
                "rescale range",
                format!("{low}..={high}"),
                "0 < low <= high <= 1",
            );
        }
        for (name, value, most, expected) in [
            ("brightness", self.brightness, 1.0, "0..=1"),
            ("contrast", self.contrast, 1.0, "0..=1"),
            ("saturation", self.saturation, 1.0, "0..=1"),
            ("hue", self.hue, 0.5, "0..=0.5"),
            ("gray", self.gray, 1.0, "0..=1"),
        ] {
            if !(0.0..=most).contains(&value) {
                return bad(name, value.to_string(), expected);
            }
        }
        if let Some((low, high)) = self.gain_db
            && !(-120.0 <= low && low <= high && high <= 40.0)
        {
            return bad(
                "gain range",
                format!("{low}..={high} dB"),
                "-120 <= low <= high <= 40",
            );
        }
        let default = Self::default();
        match kind {
            Kind::Image if self.gain_db.is_some() => bad(
                "gain_db",
                format!("{:?}", self.gain_db),
                "none for pictures",
            ),
            Kind::Audio if self.rescale.is_some() || self.color() != default.color() => bad(
                "augmentation",
                "rescale, brightness, contrast, saturation, hue or gray".to_owned(),
                "none of these for sound",
            ),
            _ => Ok(()),
        }
    }

    /// The changes of colour.
    pub(crate) fn color(&self) -> [f32; 5] {
        [
            self.brightness,
            self.contrast,
            self.saturation,
            self.hue,
            self.gray,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_kinds_are_checked() {
        let ok = Augment::default();
        assert!(ok.check(Kind::Image).is_ok() && ok.check(Kind::Audio).is_ok());
        let cases: [fn(&mut Augment); 8] = [
            |a| a.rescale = Some((0.0, 1.0)),
            |a| a.rescale = Some((0.8, 0.5)),
            |a| a.rescale = Some((f32::NAN, 1.0)),
            |a| a.brightness = 1.1,
            |a| a.hue = -0.1,
            |a| a.gray = f32::NAN,
            |a| a.gain_db = Some((3.0, -3.0)),
            |a| a.gain_db = Some((-6.0, f32::INFINITY)),
        ];
        for change in cases {
            let mut augment = Augment::default();
            change(&mut augment);
            assert!(augment.check(Kind::Image).is_err(), "{augment:?}");
            assert!(augment.check(Kind::Audio).is_err(), "{augment:?}");
        }
        let gain = Augment {
            gain_db: Some((-6.0, 6.0)),
            ..Augment::default()
        };
        assert!(gain.check(Kind::Audio).is_ok() && gain.check(Kind::Image).is_err());
        let gray = Augment {
            gray: 0.1,
            ..Augment::default()
        };
        assert!(gray.check(Kind::Image).is_ok() && gray.check(Kind::Audio).is_err());
    }

    #[test]
    fn recipes_name_fields_and_misspellings_are_errors() {
        let augment: Augment = toml::from_str("gain_db = [-12.0, 3.0]\nflips = false").unwrap();
        assert_eq!(augment.gain_db, Some((-12.0, 3.0)));
        assert!(!augment.flips && augment.transpose);
        assert!(toml::from_str::<Augment>("flip = true").is_err());
    }
}
