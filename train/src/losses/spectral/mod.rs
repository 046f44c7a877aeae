//! Losses on spectrograms, for sound.

mod mel;
mod mel_loss;
mod multi_scale_stft;
mod stft;

pub use mel::{MelBank, MelConfig, MelNorm, MelScale};
pub use mel_loss::{MelLoss, MelLossConfig};
pub use multi_scale_stft::{MultiScaleStft, MultiScaleStftConfig};
pub use stft::{Stft, StftConfig, Window};
