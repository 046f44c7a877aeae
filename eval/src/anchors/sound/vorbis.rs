//! Vorbis by libvorbis.

use super::wav::{convert, from_wav, to_wav, words};
use crate::anchors::tool::Tool;
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use crate::{EvalError, Sound};

const OGGENC: Tool = Tool {
    name: "oggenc",
    package: "vorbis-tools",
};
const OGGDEC: Tool = Tool {
    name: "oggdec",
    package: "vorbis-tools",
};

/// Vorbis in Ogg. The quality setting is the tool's plus 1, so 0..=11 for -1..=10.
///
/// About 4000 bytes of every file are tables, which weighs on short sounds.
#[derive(Debug, Clone, Default)]
pub struct Vorbis {}

impl Codec<Sound> for Vorbis {
    fn name(&self) -> &str {
        "Vorbis"
    }

    fn description(&self) -> String {
        "libvorbis: oggenc -q (Q - 1) -s 1; oggdec".to_string()
    }

    fn version(&self) -> Result<String, EvalError> {
        OGGDEC.first_line("--version")?;
        OGGENC.first_line("--version")
    }

    fn qualities(&self) -> Vec<f64> {
        (0..=11).map(f64::from).collect()
    }

    // A given serial number in place of a random one, so that equal sounds give equal files.
    fn encode(&self, sound: &Sound, quality: f64) -> Result<Vec<u8>, Cause> {
        let level = (i64::from(whole("Vorbis", quality, 0, 11)?) - 1).to_string();
        let file = convert(OGGENC, &to_wav(sound)?, ("wav", "ogg"), |from, to| {
            words(&["-Q", "-s", "1", "-q", &level, "-o", to, from])
        })?;
        Ok(file)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sound, Cause> {
        let wav = convert(OGGDEC, bytes, ("ogg", "wav"), |from, to| {
            words(&["-Q", "-o", to, from])
        })?;
        Ok(from_wav(&wav)?)
    }
}
