//! Audio model families, one folder each.
//!
//! | family | what | coding |
//! | --- | --- | --- |
//! | [`encodec`] | EnCodec (Defossez et al. 2022, arXiv 2210.13438), 24 kHz and 48 kHz | yes |
//! | [`dac`] | Descript Audio Codec (Kumar et al. 2023, arXiv 2306.06546) | yes |
//! | [`srvq`] | our own: spectra, causal blocks, residual quantizers | yes |
//! | [`wavtokenizer`] | WavTokenizer (Ji et al. 2024, arXiv 2408.16532) | yes |
//! | [`walloc1d`] | WaLLoC for sound (Jacobellis and Yadwadkar 2025, arXiv 2412.09405) | yes |
//! | [`quantizers`] | the quantizers of HiFi-Codec and of Language-Codec | no networks around them |

mod any;
pub mod dac;
pub mod encodec;
mod family;
mod features;
mod fourier;
mod given;
pub mod quantizers;
mod ragged;
pub mod seanet;
pub mod srvq;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tokenizer;
mod trace;
pub mod walloc1d;
pub mod wavtokenizer;

pub use any::{AudioModel, IMPORTED_FAMILIES};
pub use family::{AudioFamily, Family, Imported, Model};
