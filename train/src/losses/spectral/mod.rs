//! Losses on spectrograms, for sound.

mod loudness_loss;
mod mel_loss;
mod multi_scale_stft;
mod stft;

pub use codec_audio::mel::{MelBank, MelConfig, MelNorm, MelScale};
pub use loudness_loss::{LoudnessLoss, LoudnessLossConfig};
pub use mel_loss::{MelLoss, MelLossConfig};
pub use multi_scale_stft::{MultiScaleStft, MultiScaleStftConfig};
pub use stft::{Stft, StftConfig, Window};
