//! Opus by libopus.

use super::wav::{convert, from_wav, to_wav, words};
use crate::anchors::tool::Tool;
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use crate::{EvalError, Sound};

const OPUSENC: Tool = Tool {
    name: "opusenc",
    package: "opus-tools",
};
const OPUSDEC: Tool = Tool {
    name: "opusdec",
    package: "opus-tools",
};

/// Opus at a variable bitrate. The quality setting is the target for all channels together in kbit/s, 6..=510.
///
/// Sound at another rate than 48 kHz is resampled by the tools on both ways; they take out the delay and restore rate and
/// length. The rate of the whole file counts what Ogg adds.
#[derive(Debug, Clone)]
pub struct Opus {
    /// Effort, 0..=10 (`--comp`); the tool's default is 10.
    pub effort: u32,
    /// Length of a frame in milliseconds (`--framesize`), at most 60; the tool's default is 20.
    pub frame: u32,
}

impl Default for Opus {
    fn default() -> Self {
        Self {
            effort: 10,
            frame: 20,
        }
    }
}

impl Codec<Sound> for Opus {
    fn name(&self) -> &str {
        "Opus"
    }

    fn description(&self) -> String {
        format!(
            "libopus: opusenc --vbr --bitrate Q --comp {} --framesize {} --padding 0 --serial 1; opusdec --no-dither",
            self.effort, self.frame
        )
    }

    fn version(&self) -> Result<String, EvalError> {
        OPUSDEC.first_line("--version")?;
        OPUSENC.first_line("--version")
    }

    fn qualities(&self) -> Vec<f64> {
        [6, 8, 10, 12, 16, 20, 24, 32, 48, 64]
            .map(f64::from)
            .to_vec()
    }

    // A given serial number in place of a random one, so that equal sounds give equal files.
    fn encode(&self, sound: &Sound, quality: f64) -> Result<Vec<u8>, Cause> {
        let quality = whole("Opus", quality, 6, 510)?.to_string();
        let (effort, frame) = (self.effort.to_string(), self.frame.to_string());
        let file = convert(OPUSENC, &to_wav(sound)?, ("wav", "opus"), |from, to| {
            let mut args = words(&["--quiet", "--vbr", "--bitrate", &quality, "--comp", &effort]);
            args.extend(words(&["--framesize", &frame, "--padding", "0"]));
            args.extend(words(&["--serial", "1", from, to]));
            args
        })?;
        Ok(file)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sound, Cause> {
        let wav = convert(OPUSDEC, bytes, ("opus", "wav"), |from, to| {
            words(&["--quiet", "--no-dither", from, to])
        })?;
        Ok(from_wav(&wav)?)
    }
}
