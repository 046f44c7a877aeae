//! JPEG XL by libjxl.

use crate::EvalError;
use crate::anchors::tool::{Tool, parse, read, tempdir, to_ppm, write};
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use image::{ImageFormat, RgbImage};

const CJXL: Tool = Tool {
    name: "cjxl",
    package: "libjxl-tools",
};
const DJXL: Tool = Tool {
    name: "djxl",
    package: "libjxl-tools",
};

/// Lossy JPEG XL (VarDCT).
#[derive(Debug, Clone)]
pub struct Jxl {
    /// Effort, 1..=9 (`-e`); the tool's default is 7.
    pub effort: u32,
}

impl Default for Jxl {
    fn default() -> Self {
        Self { effort: 7 }
    }
}

impl Codec<RgbImage> for Jxl {
    fn name(&self) -> &str {
        "JXL"
    }

    fn description(&self) -> String {
        format!("libjxl: cjxl -q Q -e {}; djxl", self.effort)
    }

    fn version(&self) -> Result<String, EvalError> {
        DJXL.first_line("--version")?;
        CJXL.first_line("--version")
    }

    fn qualities(&self) -> Vec<f64> {
        [5, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95]
            .map(f64::from)
            .to_vec()
    }

    // Old versions of the tools know no standard input.
    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let (quality, effort) = (
            whole("JXL", quality, 0, 99)?.to_string(),
            self.effort.to_string(),
        );
        let dir = tempdir()?;
        let (source, target) = (dir.path().join("in.ppm"), dir.path().join("out.jxl"));
        write(&source, &to_ppm(picture))?;
        let (from, to) = (source.to_string_lossy(), target.to_string_lossy());
        CJXL.run(
            &[
                &from,
                &to,
                "-q",
                &quality,
                "-e",
                &effort,
                "--num_threads",
                "0",
            ],
            &[],
        )?;
        Ok(read(&target)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        let dir = tempdir()?;
        let (source, target) = (dir.path().join("in.jxl"), dir.path().join("out.ppm"));
        write(&source, bytes)?;
        let (from, to) = (source.to_string_lossy(), target.to_string_lossy());
        DJXL.run(&[&from, &to, "--num_threads", "0"], &[])?;
        Ok(parse(&read(&target)?, ImageFormat::Pnm)?)
    }
}
