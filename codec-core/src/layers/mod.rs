//! Layers that the model families share.

mod attention;
mod conv;
mod factorized;
mod gdn;
mod integer;
mod linear;
mod norm;
pub mod quantizer;
mod residual;

pub use attention::{AttentionKeys, SelfAttention};
pub use conv::{Conv, ConvConfig, ConvTranspose, ConvTransposeConfig};
pub use factorized::{FactorizedPrior, FactorizedPriorConfig};
pub use gdn::Gdn;
pub use integer::{
    FINE_WEIGHT_MAX, FRACTION_BITS, IntConv, IntConvParams, IntRange, Precision, QuantConv,
    QuantConvConfig, RelaxedConv, WEIGHT_MAX,
};
pub use linear::Linear;
pub use norm::{GroupNorm, LayerNorm};
pub use residual::{ResidualBlock, ResidualBlockConfig};
