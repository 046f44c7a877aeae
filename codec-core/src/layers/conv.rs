//! Plain float convolution over the fast kernels of [`crate::backend`].

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

use crate::backend::{Activation, CodecBackend};
use crate::weights::Loader;

/// [`ConvConfig::gain`] for the variance `1 / (3 fan_in)` of PyTorch's own initialization, `sqrt(1 / 6)`.
pub const PYTORCH_GAIN: f64 = 0.408_248_290_463_863;

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
    /// One output for so many inputs of an axis.
    #[config(default = 1)]
    pub stride: usize,
    /// Zeros above and to the left; half the kernel if `None`.
    pub before: Option<usize>,
    /// Whether a checkpoint has a bias.
    #[config(default = true)]
    pub bias: bool,
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
            stride: self.stride,
            before: self.before(),
        }
    }

    /// The layer of a checkpoint: tensors `weight` and, where it has one, `bias`.
    pub fn load<B: Backend>(&self, loader: &Loader<'_, B>) -> Conv<B> {
        let [input, output] = self.channels;
        Conv {
            weight: loader.param("weight", [output, input, self.kernel, self.kernel]),
            bias: if self.bias {
                loader.param("bias", [output])
            } else {
                Param::from_tensor(Tensor::zeros([output], loader.device()))
            },
            stride: self.stride,
            before: self.before(),
        }
    }

    fn before(&self) -> usize {
        self.before.unwrap_or(self.kernel / 2)
    }

    /// Multiply-accumulates per output position.
    pub fn macs(&self) -> usize {
        self.channels[0] * self.channels[1] * self.kernel * self.kernel
    }
}

/// Convolution with zero padding that keeps the size, or divides it by the stride and rounds up.
#[derive(Module, Debug)]
pub struct Conv<B: Backend> {
    /// Kernel, `[out, in, k, k]`.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    /// One output for so many inputs of an axis.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
}

impl<B: Backend> Conv<B> {
    /// A layer that keeps the size: kernel `[out, in, k, k]` with odd k, bias `[out]`.
    pub fn same(weight: Tensor<B, 4>, bias: Tensor<B, 1>) -> Self {
        let before = weight.dims()[2] / 2;
        Self {
            weight: Param::from_tensor(weight),
            bias: Param::from_tensor(bias),
            stride: 1,
            before,
        }
    }
}

impl<B: CodecBackend> Conv<B> {
    /// Convolution followed by `activation`.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, ceil(h / stride), ceil(w / stride)]`.
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let kernel = weight.dims()[2];
        if self.stride == 1 && kernel % 2 == 1 && self.before == kernel / 2 {
            return B::conv2d_same(x, weight, bias, activation);
        }
        B::conv2d_strided(x, weight, bias, self.stride, self.before, activation)
    }
}

/// Configuration of [`ConvTranspose`].
#[derive(Config, Debug)]
pub struct ConvTransposeConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Side of the square kernel (odd).
    pub kernel: usize,
    /// Factor on the size.
    pub stride: usize,
}

impl ConvTransposeConfig {
    /// The layer of a checkpoint: tensors `weight` and `bias`.
    pub fn load<B: Backend>(&self, loader: &Loader<'_, B>) -> ConvTranspose<B> {
        let [input, output] = self.channels;
        ConvTranspose {
            weight: loader.param("weight", [input, output, self.kernel, self.kernel]),
            bias: loader.param("bias", [output]),
            stride: self.stride,
        }
    }
}

/// Transposed convolution that multiplies the size by its stride.
#[derive(Module, Debug)]
pub struct ConvTranspose<B: Backend> {
    /// Kernel, `[in, out, k, k]`.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    /// Factor on the size.
    pub stride: usize,
}

impl<B: CodecBackend> ConvTranspose<B> {
    /// Transposed convolution followed by `activation`.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, stride * h, stride * w]`.
    pub fn forward(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        B::conv2d_transposed(
            x,
            self.weight.val(),
            self.bias.val(),
            self.stride,
            activation,
        )
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
