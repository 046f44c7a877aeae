//! The codecs of today, run through their own command-line tools, as anchors for curves.
//!
//! Tools keep this crate free of C libraries, and their versions are recorded with the figures. A tool that is not
//! installed is [`EvalError::MissingTool`], which names the package.

mod avif;
mod jpeg;
mod tool;
mod webp;

pub use avif::{Avif, Chroma};
pub use jpeg::Jpeg;
pub use webp::WebP;

use crate::EvalError;
use image::RgbImage;

/// A codec with a quality setting.
pub trait Anchor: Send + Sync {
    /// Short name for tables.
    fn name(&self) -> &str;

    /// Tool and settings in full.
    fn description(&self) -> String;

    /// Version of the installed tool.
    ///
    /// # Errors
    /// [`EvalError::MissingTool`].
    fn version(&self) -> Result<String, EvalError>;

    /// Settings that cover about 0.1 to 2 bits per pixel on photographs, in rising order.
    fn qualities(&self) -> Vec<f64>;

    /// Encodes to a whole file.
    ///
    /// # Errors
    /// A quality that the codec does not have, a missing tool or one that fails.
    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, EvalError>;

    /// Decodes a whole file.
    ///
    /// # Errors
    /// A missing tool or one that fails, which damaged input causes.
    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, EvalError>;
}

/// All anchors with default settings, JPEG first.
pub fn all() -> Vec<Box<dyn Anchor>> {
    vec![
        Box::new(Jpeg::default()),
        Box::new(WebP::default()),
        Box::new(Avif::default()),
    ]
}

/// Which anchors can run here.
pub struct Availability {
    /// Anchors whose tools are installed.
    pub found: Vec<Box<dyn Anchor>>,
    /// Names of the others, each with the error that says what is missing.
    pub missing: Vec<(String, EvalError)>,
}

/// Looks for the tools of all anchors.
pub fn available() -> Availability {
    let mut availability = Availability {
        found: Vec::new(),
        missing: Vec::new(),
    };
    for anchor in all() {
        match anchor.version() {
            Ok(_) => availability.found.push(anchor),
            Err(error) => availability
                .missing
                .push((anchor.name().to_string(), error)),
        }
    }
    availability
}

/// `quality` as a whole number in `min..=max`.
fn whole(codec: &'static str, quality: f64, min: u32, max: u32) -> Result<u32, EvalError> {
    if quality.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&quality) {
        Ok(quality as u32)
    } else {
        Err(EvalError::BadQuality {
            codec,
            quality,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psnr_rgb;
    use crate::test_images::pair;

    /// Runs for each installed tool; a machine without any still passes, and says so by the error's text.
    #[test]
    fn round_trips_where_installed() {
        let (picture, _) = pair(171, 163, 1);
        let Availability { found, missing } = available();
        assert_eq!(found.len() + missing.len(), 3);
        for (_, error) in missing {
            assert!(error.is_missing_tool(), "{error}");
        }
        for anchor in found {
            let qualities = anchor.qualities();
            assert!(qualities.len() >= 7 && qualities.is_sorted());
            let mut before: Option<(usize, f64)> = None;
            for quality in [qualities[0], qualities[qualities.len() - 1]] {
                let bytes = anchor.encode(&picture, quality).unwrap();
                let decoded = anchor.decode(&bytes).unwrap();
                let psnr = psnr_rgb(&picture, &decoded).unwrap();
                assert!(
                    before.is_none_or(|(size, db)| bytes.len() > size && psnr > db),
                    "{}",
                    anchor.name()
                );
                before = Some((bytes.len(), psnr));
            }
            assert!(matches!(
                anchor.encode(&picture, 50.5),
                Err(EvalError::BadQuality { .. })
            ));
            assert!(matches!(
                anchor.encode(&picture, 1000.0),
                Err(EvalError::BadQuality { .. })
            ));
            assert!(matches!(
                anchor.encode(&picture, f64::NAN),
                Err(EvalError::BadQuality { .. })
            ));
            assert!(anchor.decode(b"not a picture").is_err());
        }
    }
}
