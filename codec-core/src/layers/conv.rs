//! Plain float convolution over the fast kernels of [`crate::backend`].

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

use crate::backend::{Activation, CodecBackend};

/// Configuration of [`Conv`].
#[derive(Config, Debug)]
pub struct ConvConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Side of the square kernel (odd).
    pub kernel: usize,
    /// Factor on the He-normal initialization; 0 makes a layer that starts as zero.
    #[config(default = "1.0")]
    pub gain: f64,
}

impl ConvConfig {
    /// A layer with He-normal weights and zero bias.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Conv<B> {
        let [input, output] = self.channels;
        Conv {
            weight: Param::from_tensor(he_normal(
                [output, input, self.kernel, self.kernel],
                self.gain,
                device,
            )),
            bias: Param::from_tensor(Tensor::zeros([output], device)),
        }
    }

    /// Multiply-accumulates per output position.
    pub fn macs(&self) -> usize {
        self.channels[0] * self.channels[1] * self.kernel * self.kernel
    }
}

/// Stride-1 convolution with zero padding that keeps the size.
#[derive(Module, Debug)]
pub struct Conv<B: Backend> {
    /// Kernel, `[out, in, k, k]`.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: CodecBackend> Conv<B> {
    /// Convolution followed by `activation`.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        B::conv2d_same(x, self.weight.val(), self.bias.val(), activation)
    }
}

/// Normal weights of variance `2 / fan_in`, times `gain`.
pub(super) fn he_normal<B: Backend>(
    shape: [usize; 4],
    gain: f64,
    device: &B::Device,
) -> Tensor<B, 4> {
    let fan_in = (shape[1] * shape[2] * shape[3]) as f64;
    let std = gain * (2.0 / fan_in).sqrt();
    if std == 0.0 {
        return Tensor::zeros(shape, device);
    }
    Tensor::random(shape, Distribution::Normal(0.0, std), device)
}
