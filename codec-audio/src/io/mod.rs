//! Sound files: reading through symphonia, writing of WAV and FLAC, and sample rates.
//!
//! `codec-datasets` reads WAV and FLAC by itself: it cuts segments out of shards, knows the length of a sound before it
//! decodes it, and stands below this crate, so that training on pictures compiles no demuxer.

mod format;
mod read;
mod resample;
#[cfg(test)]
mod samples;
mod sound;
#[cfg(test)]
mod tests;
mod write;

pub use codec_core::Depth;
pub use format::{FileFormat, is_sound};
pub use read::{SoundInfo, SoundReader, read};
pub use resample::{RATES, Resampler, check_rate, resample};
pub use sound::{Sound, Tags};
pub use write::{WavHeader, sample_bytes, write};
