//! Convolution with normalized weights.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// Configuration of [`NormedConv`].
#[derive(Config, Debug)]
pub struct NormedConvConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride down and across.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Spacing of the kernel's taps.
    #[config(default = "[1, 1]")]
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    #[config(default = "1")]
    pub groups: usize,
}

impl NormedConvConfig {
    /// A layer with PyTorch's default initialization: uniform within `1 / sqrt(fan in)`, the gain such that weights are
    /// as drawn.
    pub fn init<B: Backend>(&self, device: &B::Device) -> NormedConv<B> {
        let [input, output] = self.channels;
        let [height, width] = self.kernel;
        let per_group = input / self.groups.max(1);
        let bound = ((per_group * height * width) as f64).sqrt().recip();
        let uniform = Initializer::Uniform {
            min: -bound,
            max: bound,
        };
        let direction: Param<Tensor<B, 4>> =
            uniform.init([output, per_group, height, width], device);
        NormedConv {
            // A parameter must be a leaf.
            gain: Param::from_tensor(norm(direction.val()).detach()),
            direction,
            bias: uniform.init([output], device),
            stride: self.stride,
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

/// Convolution whose weights are `gain * direction / |direction|`, one gain for each output channel (Salimans and
/// Kingma, "Weight normalization", 2016). Zero padding of half the (dilated) kernel on all sides.
///
/// PyTorch's `weight_v` (or `parametrizations.weight.original1`) is the direction, `weight_g` (`original0`) the gain.
#[derive(Module, Debug)]
pub struct NormedConv<B: Backend> {
    /// `[out, in / groups, h, w]`.
    pub direction: Param<Tensor<B, 4>>,
    /// `[out, 1, 1, 1]`.
    pub gain: Param<Tensor<B, 4>>,
    /// `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    stride: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl<B: Backend> NormedConv<B> {
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, (h - 1) / stride + 1, (w - 1) / stride + 1]` for odd kernels.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let direction = self.direction.val();
        let [_, _, height, width] = direction.dims();
        let weight = direction.clone() * (self.gain.val() / norm(direction));
        let padding = [
            self.dilation[0] * (height - 1) / 2,
            self.dilation[1] * (width - 1) / 2,
        ];
        let options = ConvOptions::new(self.stride, padding, self.dilation, self.groups);
        conv2d(x, weight, Some(self.bias.val()), options)
    }
}

/// Euclidean norm of each output channel, `[out, 1, 1, 1]`.
fn norm<B: Backend>(weight: Tensor<B, 4>) -> Tensor<B, 4> {
    let [output, ..] = weight.dims();
    weight
        .square()
        .reshape([output as i32, -1])
        .sum_dim(1)
        .sqrt()
        .reshape([output, 1, 1, 1])
}
