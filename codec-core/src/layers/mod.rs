//! Layers that the model families share.

mod attention;
mod companding;
mod conv;
mod conv1d;
mod depthwise;
mod entropy_bottleneck;
mod factorized;
mod gaussian_conditional;
mod gdn;
mod integer;
mod linear;
mod lstm;
mod norm;
mod planes;
pub mod quantizer;
mod residual;
mod snake;
mod tables;
mod wavelet;

pub use attention::{AttentionKeys, SelfAttention};
pub use companding::{Companding, Rounding};
pub use conv::{Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, PYTORCH_GAIN};
pub use conv1d::{Conv1d, Conv1dConfig, ConvTranspose1d, ConvTranspose1dConfig, DepthwiseConv1d};
pub use depthwise::DepthwiseConv;
pub use entropy_bottleneck::{EntropyBottleneck, Likelihood};
pub use factorized::{FactorizedPrior, FactorizedPriorConfig};
pub use gaussian_conditional::{GaussianConditional, bits};
pub use gdn::Gdn;
pub use integer::{
    FINE_WEIGHT_MAX, FRACTION_BITS, IntConv, IntConvParams, IntRange, Precision, QuantConv,
    QuantConvConfig, RelaxedConv, WEIGHT_MAX,
};
pub use linear::Linear;
pub use lstm::Lstm;
pub use norm::{GroupNorm, LayerNorm};
pub use planes::plane_bits;
pub use residual::{ResidualBlock, ResidualBlockConfig};
pub use snake::{Snake, SnakeBeta};
pub use wavelet::check_wavelet;
