//! The default operations, in plain Burn operators. They are the reference that the fast ones are tested against.

use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::backend::Backend;
use burn::tensor::module::{conv_transpose2d as transposed, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, PadMode};
use burn::tensor::{Shape, Tensor};

use super::{Activation, NetworkOps};

/// Bytes of attention weights that exist at a time.
const ATTENTION_BYTES: usize = 64 << 20;

/// Applies an activation.
pub fn activate<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    activation: Activation,
) -> Tensor<B, D> {
    match activation {
        Activation::None => x,
        Activation::Relu => relu(x),
        Activation::LeakyRelu(slope) => leaky_relu(x, f64::from(slope)),
        Activation::ClampedRelu(limit) => x.clamp(0.0, limit),
        Activation::Elu => relu(x.clone()) + x.clamp_max(0.0).exp().sub_scalar(1.0),
    }
}

/// See [`super::ConvOps::conv2d_same`].
pub fn conv2d_same<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    activation: Activation,
) -> Tensor<B, 4> {
    let options = same(&weight, 1);
    activate(conv2d(x, weight, Some(bias), options), activation)
}

/// See [`super::ConvOps::depthwise_conv2d_same`].
pub fn depthwise_conv2d_same<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    activation: Activation,
) -> Tensor<B, 4> {
    let options = same(&weight, weight.dims()[0]);
    activate(conv2d(x, weight, Some(bias), options), activation)
}

/// See [`super::ConvOps::conv2d_strided`].
pub fn conv2d_strided<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    before: usize,
    activation: Activation,
) -> Tensor<B, 4> {
    let ([_, _, height, width], [_, _, kernel, _]) = (x.dims(), weight.dims());
    // Zeros that the last output still sees; a kernel narrower than the stride may see less than there is.
    let after = |side: usize| {
        let seen = (side.div_ceil(stride) - 1) * stride + kernel;
        seen.saturating_sub(side + before)
    };
    let x = x.pad(
        (before, after(width), before, after(height)),
        PadMode::Constant(0.0),
    );
    let options = ConvOptions::new([stride, stride], [0, 0], [1, 1], 1);
    activate(conv2d(x, weight, Some(bias), options), activation)
}

/// See [`super::ConvOps::conv2d_transposed`].
pub fn conv2d_transposed<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    activation: Activation,
) -> Tensor<B, 4> {
    let before = weight.dims()[2] / 2;
    let out = stride - 1;
    let options =
        ConvTransposeOptions::new([stride, stride], [before, before], [out, out], [1, 1], 1);
    activate(transposed(x, weight, Some(bias), options), activation)
}

/// See [`super::RequantOps::conv2d_requant`].
pub fn conv2d_requant<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    multiplier: Tensor<B, 1>,
    lo: f32,
    hi: f32,
) -> Tensor<B, 4> {
    let options = same(&weight, 1);
    let channels = Shape::new([1, weight.dims()[0], 1, 1]);
    let sums = conv2d(x, weight, Some(bias), options);
    (sums * multiplier.reshape(channels))
        .add_scalar(0.5)
        .floor()
        .clamp(lo, hi)
}

/// See [`super::NetworkOps::group_normalize`].
pub fn group_normalize<B: Backend>(
    x: Tensor<B, 4>,
    scale: Tensor<B, 1>,
    offset: Tensor<B, 1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let grouped = x.reshape([n, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    let normed = centred / variance.add_scalar(epsilon).sqrt();
    normed.reshape([n, c, h, w]) * scale.reshape([1, c, 1, 1]) + offset.reshape([1, c, 1, 1])
}

/// See [`super::NetworkOps::layer_normalize`].
pub fn layer_normalize<B: Backend>(
    x: Tensor<B, 3>,
    scale: Tensor<B, 1>,
    offset: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 3> {
    let c = x.dims()[2];
    let centred = x.clone() - x.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    let normed = centred / variance.add_scalar(epsilon).sqrt();
    normed * scale.reshape([1, 1, c]) + offset.reshape([1, 1, c])
}

/// See [`super::NetworkOps::gdn`].
pub fn gdn<B: Backend>(
    x: Tensor<B, 4>,
    beta: Tensor<B, 1>,
    gamma: Tensor<B, 2>,
    inverse: bool,
) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let flat = x.clone().reshape([n, c, h * w]);
    let energy = gamma.unsqueeze_dim::<3>(0).matmul(flat.clone() * flat);
    let root = (energy + beta.reshape([1, c, 1]))
        .sqrt()
        .reshape([n, c, h, w]);
    if inverse { x * root } else { x / root }
}

/// See [`super::NetworkOps::attend`].
pub fn attend<B: NetworkOps>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    scale: f64,
) -> Tensor<B, 3> {
    let [n, queries, _] = q.dims();
    let keys = k.dims()[1];
    let block = (ATTENTION_BYTES / (4 * n * keys).max(1)).clamp(1, queries.max(1));
    let k = k.swap_dims(1, 2);
    let parts = (0..queries).step_by(block).map(|start| {
        let q = q.clone().narrow(1, start, block.min(queries - start));
        let weights = B::softmax_last(q.matmul(k.clone()).mul_scalar(scale));
        weights.matmul(v.clone())
    });
    Tensor::cat(parts.collect(), 1)
}

/// Stride 1 and as much padding as keeps the size.
fn same<B: Backend>(weight: &Tensor<B, 4>, groups: usize) -> ConvOptions<2> {
    let [_, _, height, width] = weight.dims();
    ConvOptions::new([1, 1], [height / 2, width / 2], [1, 1], groups)
}

/// See [`super::NetworkOps::polar`].
pub(crate) fn polar<B: Backend>(x: Tensor<B, 2>, most: f64) -> Tensor<B, 2> {
    let bins = x.dims()[1] / 2;
    let magnitude = x.clone().narrow(1, 0, bins).exp().clamp_max(most);
    let phase = x.narrow(1, bins, bins);
    let (real, imaginary) = (phase.clone().cos(), phase.sin());
    Tensor::cat(vec![magnitude.clone() * real, magnitude * imaginary], 1)
}
