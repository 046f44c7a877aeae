//! JPEG by libjpeg-turbo.

use super::tool::{Tool, parse, to_ppm};
use super::{Anchor, whole};
use crate::EvalError;
use image::{ImageFormat, RgbImage};

const CJPEG: Tool = Tool {
    name: "cjpeg",
    package: "libjpeg-turbo-progs",
};
const DJPEG: Tool = Tool {
    name: "djpeg",
    package: "libjpeg-turbo-progs",
};

/// Baseline JPEG, 4:2:0, Huffman tables optimized for the picture: the anchor of all our figures.
#[derive(Debug, Clone, Default)]
pub struct Jpeg {}

impl Anchor for Jpeg {
    fn name(&self) -> &str {
        "JPEG"
    }

    fn description(&self) -> String {
        "libjpeg-turbo: cjpeg -quality Q -optimize -sample 2x2; djpeg".to_string()
    }

    fn version(&self) -> Result<String, EvalError> {
        DJPEG.first_line("-version")?;
        CJPEG.first_line("-version")
    }

    fn qualities(&self) -> Vec<f64> {
        (1..=19).map(|step| f64::from(step * 5)).collect()
    }

    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, EvalError> {
        let quality = whole("JPEG", quality, 1, 100)?.to_string();
        CJPEG.run(
            &["-quality", &quality, "-optimize", "-sample", "2x2"],
            &to_ppm(picture),
        )
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, EvalError> {
        parse(&DJPEG.run(&["-pnm"], bytes)?, ImageFormat::Pnm)
    }
}
