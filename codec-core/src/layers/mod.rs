//! Layers that the model families share.

mod conv;
mod factorized;
mod integer;

pub use conv::{Conv, ConvConfig};
pub use factorized::{FactorizedPrior, FactorizedPriorConfig};
pub use integer::{
    FINE_WEIGHT_MAX, FRACTION_BITS, IntConv, IntConvParams, IntRange, Precision, QuantConv,
    QuantConvConfig, RelaxedConv, WEIGHT_MAX,
};
