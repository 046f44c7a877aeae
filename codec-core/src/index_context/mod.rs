//! A learned context model for the indexes of vector quantizers, in the portable profile.
//!
//! Every index is predicted from indexes that are decoded before it: those above and to the left in a picture, those of
//! the frames before and of the coarser codebooks in a recording. A small network of integer layers, the same arithmetic
//! as that of [`IntConv`](crate::layers::IntConv), turns them into the weights of the next symbol, so that encoder and decoder
//! agree on any machine. All of it runs on the host: an index depends on the one before it, and there is nothing to do in
//! parallel.
//!
//! Codebooks may have thousands of codes, so an index is coded as digits of base 16 of its rank in an order in which
//! neighbours have similar rows ([`similar`]); every digit has the coarser ones as context.
//!
//! | part | what |
//! | --- | --- |
//! | [`ContextConfig`] | sizes, and which neighbours are looked at |
//! | [`ContextNetwork`] | the network in training |
//! | [`IndexContext`] | the integers that code |

mod config;
mod model;
mod order;
mod training;

pub use config::{ContextConfig, Neighbour};
pub use model::{IndexContext, IndexGrid};
pub use order::similar;
pub use training::{ContextNetwork, Sampled};

/// Base of the digits.
const BASE: usize = 16;
/// Logits are in units of 1/16 bit.
const LOGIT_FRACTION: i32 = 4;
/// Largest magnitude of the integer that stands for a logit.
const LOGIT_MAX: i32 = 1023;
/// Largest magnitude of an entry of a table that is added to logits.
const BIAS_MAX: i32 = 4095;
/// Largest magnitude of an embedded value, in units of 1/16.
const EMBEDDING_MAX: i32 = 255;

#[cfg(test)]
mod tests;
