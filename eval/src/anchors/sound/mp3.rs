//! MP3 by LAME.

use super::wav::{convert, from_wav, to_wav, words};
use crate::anchors::tool::Tool;
use crate::anchors::whole;
use crate::codec::{Cause, Codec};
use crate::{EvalError, Sound};

const LAME: Tool = Tool {
    name: "lame",
    package: "lame",
};
/// Rates of MPEG-1, MPEG-2 and MPEG-2.5, layer III.
const RATES: [u32; 9] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];

/// MP3 at an average bitrate. The quality setting is the target for all channels together in kbit/s, 8..=320.
///
/// The sound keeps its rate, which keeps the file above 32 kbit/s at 32 kHz and more and below 160 kbit/s at less (64 at
/// 12 kHz and less): settings beyond these limits give what the limit gives. The decoder takes out the delay and restores
/// the length by what the encoder's tag says.
#[derive(Debug, Clone, Default)]
pub struct Mp3 {}

impl Codec<Sound> for Mp3 {
    fn name(&self) -> &str {
        "MP3"
    }

    fn description(&self) -> String {
        "lame --abr Q --resample (rate of the sound); lame --decode".to_string()
    }

    fn version(&self) -> Result<String, EvalError> {
        LAME.first_line("--version")
    }

    fn qualities(&self) -> Vec<f64> {
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160]
            .map(f64::from)
            .to_vec()
    }

    fn encode(&self, sound: &Sound, quality: f64) -> Result<Vec<u8>, Cause> {
        let quality = whole("MP3", quality, 8, 320)?.to_string();
        if !RATES.contains(&sound.sample_rate) {
            return Err(Box::new(EvalError::SampleRate {
                metric: "MP3",
                rate: sound.sample_rate,
            }));
        }
        let rate = (f64::from(sound.sample_rate) / 1000.0).to_string();
        // Without a rate the tool lowers it where it finds that better.
        let file = convert(LAME, &to_wav(sound)?, ("wav", "mp3"), |from, to| {
            words(&["--quiet", "--abr", &quality, "--resample", &rate, from, to])
        })?;
        Ok(file)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Sound, Cause> {
        let wav = convert(LAME, bytes, ("mp3", "wav"), |from, to| {
            words(&["--quiet", "--decode", from, to])
        })?;
        Ok(from_wav(&wav)?)
    }
}
