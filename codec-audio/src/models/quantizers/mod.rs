//! Quantizers whose checkpoints come without networks that we run: import, and parity with the authors.

mod hificodec;
mod languagecodec;

pub use hificodec::{HificodecConfig, HificodecQuantizer};
pub use languagecodec::{LanguagecodecConfig, LanguagecodecQuantizer};

use codec_core::Error;

fn no_codec(family: &str) -> Error {
    Error::unsupported(format!(
        "coding with family '{family}': it is a quantizer without encoder and decoder"
    ))
}
