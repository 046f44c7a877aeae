//! Convolutions over signals `[n, c, t]`.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::conv::he_normal;
use crate::backend::{Activation, Border, CodecBackend, Walk, transposed_outputs};
use crate::weights::Loader;

/// Configuration of [`Conv1d`].
#[derive(Config, Debug)]
pub struct Conv1dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Taps.
    pub kernel: usize,
    /// Samples from one output to the next.
    #[config(default = 1)]
    pub stride: usize,
    /// Samples from one tap to the next.
    #[config(default = 1)]
    pub dilation: usize,
    /// Factor on the He-normal initialization.
    #[config(default = "1.0")]
    pub gain: f64,
}

impl Conv1dConfig {
    /// A layer with He-normal weights and zero bias.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Conv1d<B> {
        let [input, output] = self.channels;
        let weight = he_normal([output, input, 1, self.kernel], self.gain, device);
        Conv1d {
            weight: Param::from_tensor(weight.reshape([output, input, self.kernel])),
            bias: Param::from_tensor(Tensor::zeros([output], device)),
            stride: self.stride,
            dilation: self.dilation,
        }
    }

    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load<B: Backend>(&self, loader: &Loader<'_, B>) -> Conv1d<B> {
        let [input, output] = self.channels;
        Conv1d {
            weight: loader.param("weight", [output, input, self.kernel]),
            bias: loader.param("bias", [output]),
            stride: self.stride,
            dilation: self.dilation,
        }
    }
}

/// Convolution over a signal.
#[derive(Module, Debug)]
pub struct Conv1d<B: Backend> {
    /// Kernel, `[out, in, k]`.
    pub weight: Param<Tensor<B, 3>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    /// Samples from one output to the next.
    pub stride: usize,
    /// Samples from one tap to the next.
    pub dilation: usize,
}

impl<B: Backend> Conv1d<B> {
    /// Samples that an output sees, from the first tap to the last.
    pub fn span(&self) -> usize {
        let [_, _, kernel] = self.weight.dims();
        kernel.saturating_sub(1) * self.dilation + 1
    }

    /// Outputs of `time` samples with so many around them; none if they are too few.
    pub fn outputs(&self, time: usize, [before, after]: [usize; 2]) -> Option<usize> {
        let [_, _, kernel] = self.weight.dims();
        self.walk([before, after]).outputs(time, kernel)
    }

    /// How it walks over a signal with so many samples of a border.
    pub fn walk(&self, [before, after]: [usize; 2]) -> Walk {
        Walk {
            stride: self.stride,
            dilation: self.dilation,
            before,
            after,
        }
    }
}

impl<B: CodecBackend> Conv1d<B> {
    /// Convolution followed by `activation`, with `sides` samples of a border before and after the signal.
    ///
    /// # Shapes
    /// `[n, in, t]` to `[n, out, t']`, as [`Conv1d::outputs`] says
    ///
    /// # Panics
    /// If the signal is too short.
    pub fn forward(
        &self,
        x: Tensor<B, 3>,
        sides: [usize; 2],
        border: Border,
        activation: Activation,
    ) -> Tensor<B, 3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        B::signal_conv(x, weight, bias, self.walk(sides), border, activation)
    }
}

/// Configuration of [`ConvTranspose1d`].
#[derive(Config, Debug)]
pub struct ConvTranspose1dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Taps.
    pub kernel: usize,
    /// Output samples for one input.
    pub stride: usize,
}

impl ConvTranspose1dConfig {
    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load<B: Backend>(&self, loader: &Loader<'_, B>) -> ConvTranspose1d<B> {
        let [input, output] = self.channels;
        ConvTranspose1d {
            weight: loader.param("weight", [input, output, self.kernel]),
            bias: loader.param("bias", [output]),
            stride: self.stride,
        }
    }
}

/// Transposed convolution over a signal.
#[derive(Module, Debug)]
pub struct ConvTranspose1d<B: Backend> {
    /// Kernel, `[in, out, k]`.
    pub weight: Param<Tensor<B, 3>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    /// Output samples for one input.
    pub stride: usize,
}

impl<B: Backend> ConvTranspose1d<B> {
    /// Samples that a long signal has more than `stride` for each input.
    pub fn overlap(&self) -> usize {
        self.weight.dims()[2].saturating_sub(self.stride)
    }

    /// Outputs of `time` samples without those that are cut off; none if nothing is left.
    pub fn outputs(&self, time: usize, cut: [usize; 2]) -> Option<usize> {
        transposed_outputs(time, self.weight.dims()[2], self.stride, cut)
    }
}

impl<B: CodecBackend> ConvTranspose1d<B> {
    /// Transposed convolution followed by `activation`, without the first and last outputs that `cut` says.
    ///
    /// # Shapes
    /// `[n, in, t]` to `[n, out, t']`, as [`ConvTranspose1d::outputs`] says
    ///
    /// # Panics
    /// If nothing is left.
    pub fn forward(
        &self,
        x: Tensor<B, 3>,
        cut: [usize; 2],
        activation: Activation,
    ) -> Tensor<B, 3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        B::conv1d_transposed(x, weight, bias, self.stride, cut, activation)
    }
}

/// Convolution with one odd kernel a channel that keeps the length, zeros outside.
#[derive(Module, Debug)]
pub struct DepthwiseConv1d<B: Backend> {
    /// Kernels, `[c, 1, k]`.
    pub weight: Param<Tensor<B, 3>>,
    /// Bias, `[c]`.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: CodecBackend> DepthwiseConv1d<B> {
    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load(channels: usize, kernel: usize, loader: &Loader<'_, B>) -> Self {
        Self {
            weight: loader.param("weight", [channels, 1, kernel]),
            bias: loader.param("bias", [channels]),
        }
    }

    /// `[n, c, t]` to the same.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        B::depthwise_conv1d_same(x, self.weight.val(), self.bias.val())
    }
}
