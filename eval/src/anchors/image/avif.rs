//! AVIF by libavif.

use crate::EvalError;
use crate::anchors::tool::{Tool, parse, read, tempdir};
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use image::{ImageFormat, RgbImage};
use std::ffi::{OsStr, OsString};

const AVIFENC: Tool = Tool {
    name: "avifenc",
    package: "libavif-bin",
};
const AVIFDEC: Tool = Tool {
    name: "avifdec",
    package: "libavif-bin",
};
/// Coarsest quantizer level of AV1's constant-quality mode.
const LEVELS: u32 = 63;

/// Chroma subsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chroma {
    /// Half resolution in both directions (4:2:0).
    #[default]
    Half,
    /// Full resolution (4:4:4).
    Full,
}

impl Chroma {
    fn argument(self) -> &'static str {
        match self {
            Self::Half => "420",
            Self::Full => "444",
        }
    }
}

/// AVIF with AV1 at constant quality. The quality setting is 63 minus `cq-level`, so that more is better.
#[derive(Debug, Clone)]
pub struct Avif {
    /// Encoder speed, 0..=10, slowest first; the tool's default is 6.
    pub speed: u32,
    /// Chroma subsampling.
    pub chroma: Chroma,
    /// Further `key=value` settings for the AV1 encoder (`-a`), such as `tune=psnr`.
    pub advanced: Vec<String>,
}

impl Default for Avif {
    fn default() -> Self {
        Self {
            speed: 6,
            chroma: Chroma::Half,
            advanced: Vec::new(),
        }
    }
}

impl Codec<RgbImage> for Avif {
    fn name(&self) -> &str {
        "AVIF"
    }

    fn description(&self) -> String {
        let advanced: String = self
            .advanced
            .iter()
            .map(|pair| format!(" -a {pair}"))
            .collect();
        format!(
            "libavif: avifenc -s {} -y {} --min 0 --max 63 -a end-usage=q -a cq-level=(63 - Q){advanced}; avifdec",
            self.speed,
            self.chroma.argument()
        )
    }

    fn version(&self) -> Result<String, EvalError> {
        AVIFDEC.first_line("--version")?;
        let line = AVIFENC.first_line("--version")?;
        Ok(format!("libavif {}", line.trim_start_matches("Version: ")))
    }

    fn qualities(&self) -> Vec<f64> {
        [3, 8, 13, 18, 23, 28, 33, 38, 43, 48, 53]
            .map(f64::from)
            .to_vec()
    }

    // `avifenc` reads and writes PNG through files only.
    fn encode(&self, picture: &RgbImage, quality: f64) -> Result<Vec<u8>, Cause> {
        let quality = whole("AVIF", quality, 0, LEVELS)?;
        let dir = tempdir()?;
        let (source, target) = (dir.path().join("in.png"), dir.path().join("out.avif"));
        picture
            .save_with_format(&source, ImageFormat::Png)
            .map_err(|error| EvalError::Picture {
                path: source.clone(),
                source: error,
            })?;
        let (speed, level) = (
            self.speed.to_string(),
            format!("cq-level={}", LEVELS - quality),
        );
        let mut args: Vec<OsString> = [
            "-s",
            &speed,
            "-j",
            "1",
            "-y",
            self.chroma.argument(),
            "--min",
            "0",
            "--max",
        ]
        .into_iter()
        .chain(["63", "-a", "end-usage=q", "-a", &level])
        .map(OsString::from)
        .collect();
        for pair in &self.advanced {
            args.extend([OsString::from("-a"), OsString::from(pair)]);
        }
        args.extend([source.into_os_string(), target.clone().into_os_string()]);
        AVIFENC.run(&args, &[])?;
        Ok(read(&target)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<RgbImage, Cause> {
        let dir = tempdir()?;
        let (source, target) = (dir.path().join("in.avif"), dir.path().join("out.png"));
        std::fs::write(&source, bytes).map_err(|error| EvalError::Io {
            path: source.clone(),
            source: error,
        })?;
        let args = [
            OsStr::new("-j"),
            OsStr::new("1"),
            source.as_os_str(),
            target.as_os_str(),
        ];
        AVIFDEC.run(&args, &[])?;
        Ok(parse(&read(&target)?, ImageFormat::Png)?)
    }
}
