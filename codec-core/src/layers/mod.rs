//! Layers that the model families share.

mod attention;
mod companding;
mod conv;
mod factorized;
mod gdn;
mod integer;
mod norm;
mod residual;

pub use attention::{AttentionKeys, SelfAttention};
pub use companding::Companding;
pub use conv::{Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, PYTORCH_GAIN};
pub use factorized::{FactorizedPrior, FactorizedPriorConfig};
pub use gdn::Gdn;
pub use integer::{
    FINE_WEIGHT_MAX, FRACTION_BITS, IntConv, IntConvParams, IntRange, Precision, QuantConv,
    QuantConvConfig, RelaxedConv, WEIGHT_MAX,
};
pub use norm::{GroupNorm, LayerNorm};
pub use residual::{ResidualBlock, ResidualBlockConfig};
