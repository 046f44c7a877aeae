//! Anchors for pictures.

mod avif;
mod jpeg;
mod jxl;
mod webp;

pub use avif::{Avif, Chroma};
pub use jpeg::Jpeg;
pub use jxl::Jxl;
pub use webp::WebP;

use crate::codec::Codec;
use image::RgbImage;

/// All anchors with default settings, JPEG first.
pub fn all() -> Vec<Box<dyn Codec<RgbImage>>> {
    vec![
        Box::new(Jpeg::default()),
        Box::new(WebP::default()),
        Box::new(Avif::default()),
        Box::new(Jxl::default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors::{Availability, available};
    use crate::metrics::image::psnr_rgb;
    use crate::test_images::pair;

    /// Runs for each installed tool; a machine without any still passes, and says so by the error's text.
    #[test]
    fn round_trips_where_installed() {
        let (picture, _) = pair(171, 163, 1);
        let Availability { found, missing } = available(all());
        assert_eq!(found.len() + missing.len(), 4);
        for (name, error) in missing {
            println!("skipped: {name}: {error}");
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
            for quality in [50.5, 1000.0, f64::NAN] {
                let error = anchor.encode(&picture, quality).unwrap_err();
                assert!(error.to_string().starts_with("invalid quality"), "{error}");
            }
            assert!(anchor.decode(b"not a picture").is_err());
        }
    }
}
