//! JPEG by libjpeg-turbo.

use crate::EvalError;
use crate::anchors::tool::{Tool, parse, to_ppm};
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
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

impl Codec<RgbImage> for Jpeg {
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

    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let quality = whole("JPEG", quality, 1, 100)?.to_string();
        let args = ["-quality", &quality, "-optimize", "-sample", "2x2"];
        Ok(CJPEG.run(&args, &to_ppm(picture))?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        Ok(parse(&DJPEG.run(&["-pnm"], bytes)?, ImageFormat::Pnm)?)
    }
}
