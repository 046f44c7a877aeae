//! Lossy WebP by libwebp.

use crate::EvalError;
use crate::anchors::tool::{Tool, parse, to_ppm};
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use image::{ImageFormat, RgbImage};

const CWEBP: Tool = Tool {
    name: "cwebp",
    package: "webp",
};
const DWEBP: Tool = Tool {
    name: "dwebp",
    package: "webp",
};

/// Lossy WebP; always 4:2:0.
#[derive(Debug, Clone)]
pub struct WebP {
    /// Effort, 0..=6 (`-m`); the tool's default is 4.
    pub method: u32,
    /// Further arguments for `cwebp`, such as `-sharp_yuv`.
    pub extra: Vec<String>,
}

impl Default for WebP {
    fn default() -> Self {
        Self {
            method: 6,
            extra: Vec::new(),
        }
    }
}

impl Codec<RgbImage> for WebP {
    fn name(&self) -> &str {
        "WebP"
    }

    fn description(&self) -> String {
        let extra: String = self.extra.iter().map(|arg| format!(" {arg}")).collect();
        format!("libwebp: cwebp -q Q -m {}{extra}; dwebp", self.method)
    }

    fn version(&self) -> Result<String, EvalError> {
        DWEBP.first_line("-version")?;
        Ok(format!("libwebp {}", CWEBP.first_line("-version")?))
    }

    fn qualities(&self) -> Vec<f64> {
        [0, 5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95]
            .map(f64::from)
            .to_vec()
    }

    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let (quality, method) = (
            whole("WebP", quality, 0, 100)?.to_string(),
            self.method.to_string(),
        );
        let mut args = vec!["-quiet", "-q", &quality, "-m", &method];
        args.extend(self.extra.iter().map(String::as_str));
        args.extend(["-o", "-", "--", "-"]);
        Ok(CWEBP.run(&args, &to_ppm(picture))?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        let pixels = DWEBP.run(&["-quiet", "-ppm", "-o", "-", "--", "-"], bytes)?;
        Ok(parse(&pixels, ImageFormat::Pnm)?)
    }
}
