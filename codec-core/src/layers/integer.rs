//! Integer-exact convolution: the layers whose outputs select probability tables.
//!
//! Weights are integers in `-127..=127` (in `-2047..=2047` where they must be finer), activations integers in a small range,
//! both held in `f32`, and for every output
//! channel `sum |w| * max |x| + |bias| + 2^(s-1) < 2^24`. Each partial sum is then exact in any order, so every backend,
//! thread count and tiling gives the same integers (`docs/portability.md`). Requantization is by powers of two:
//! `clamp(floor(acc * 2^-s + 0.5), lo, hi)`.
//!
//! [`QuantConv`] is the layer in training, with float weights and, on request, the exact rounding of the integer layer in
//! its forward pass; [`IntConvParams`] is what it exports to; [`IntConv`] runs that.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::conv::he_normal;
use crate::Error;
use crate::backend::{Activation, CodecBackend};

/// Binary digits after the point of activations and symbols: an integer `v` stands for `v / 16`.
pub const FRACTION_BITS: i32 = 4;
/// Largest magnitude of an integer weight of eight bits.
pub const WEIGHT_MAX: i32 = 127;
/// Largest magnitude of an integer weight of twelve bits: exact in TF32, as are all integers up to 2048.
pub const FINE_WEIGHT_MAX: i32 = 2_047;
/// Sums at or above this magnitude are no longer exact in `f32`.
const EXACT_LIMIT: f64 = 16_777_216.0;
/// Bounds on the binary digits after the point of a channel's weights.
const WEIGHT_FRACTION: std::ops::RangeInclusive<i32> = 0..=18;

/// Arithmetic of a training pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Real weights and activations.
    Float,
    /// Weights and activations rounded as the exported integer layer does, straight-through gradients.
    Integer,
}

/// Range and resolution of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntRange {
    /// Smallest integer.
    pub lo: i32,
    /// Largest integer.
    pub hi: i32,
    /// Binary digits after the point.
    pub fraction: i32,
}

impl IntRange {
    /// Hidden activation: a ReLU that saturates at 255/16.
    pub const HIDDEN: Self = Self {
        lo: 0,
        hi: 255,
        fraction: FRACTION_BITS,
    };

    fn is_hidden(&self) -> bool {
        *self == Self::HIDDEN
    }

    fn unit(&self) -> f32 {
        2f32.powi(-self.fraction)
    }
}

/// Configuration of [`QuantConv`].
#[derive(Config, Debug)]
pub struct QuantConvConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Side of the square kernel (odd).
    pub kernel: usize,
    /// Smallest output integer.
    #[config(default = 0)]
    pub lo: i32,
    /// Largest output integer.
    #[config(default = 255)]
    pub hi: i32,
    /// Binary digits after the point of the output.
    #[config(default = 4)]
    pub fraction: i32,
    /// Power of two on the stored parameters: a layer whose outputs span a wide range learns faster with a larger one.
    #[config(default = 0)]
    pub gain_log2: i32,
    /// Each channel by itself: input and output channels are the same.
    #[config(default = false)]
    pub depthwise: bool,
    /// Largest magnitude of an integer weight, at most [`FINE_WEIGHT_MAX`].
    #[config(default = 127)]
    pub weight_max: i32,
    /// Factor on the He-normal initialization.
    #[config(default = "1.0")]
    pub init_gain: f64,
    /// Initial bias, in real units.
    #[config(default = "0.0")]
    pub init_bias: f32,
}

impl QuantConvConfig {
    /// A layer with He-normal weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> QuantConv<B> {
        let [input, output] = self.channels;
        let input = if self.depthwise { 1 } else { input };
        let gain = 2f64.powi(self.gain_log2);
        QuantConv {
            weight: Param::from_tensor(he_normal(
                [output, input, self.kernel, self.kernel],
                self.init_gain / gain,
                device,
            )),
            bias: Param::from_tensor(Tensor::full([output], self.init_bias / gain as f32, device)),
            lo: self.lo,
            hi: self.hi,
            fraction: self.fraction,
            gain_log2: self.gain_log2,
            depthwise: self.depthwise,
            weight_max: self.weight_max.min(FINE_WEIGHT_MAX),
        }
    }
}

/// Convolution that is trained in floats and exported in integers. Inputs stand for integers `-255..=255` over 16.
#[derive(Module, Debug)]
pub struct QuantConv<B: Backend> {
    /// Kernel over `2^gain_log2`, `[out, in, k, k]`.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias over `2^gain_log2`, `[out]`.
    pub bias: Param<Tensor<B, 1>>,
    lo: i32,
    hi: i32,
    fraction: i32,
    gain_log2: i32,
    depthwise: bool,
    weight_max: i32,
}

impl<B: Backend> QuantConv<B> {
    fn range(&self) -> IntRange {
        IntRange {
            lo: self.lo,
            hi: self.hi,
            fraction: self.fraction,
        }
    }

    /// The integer layer that this one stands for.
    ///
    /// # Errors
    /// [`Error::BadParameter`] when a channel's weights are not finite or cannot meet the exactness bound.
    pub fn export(&self) -> Result<IntConvParams, Error> {
        let gain = 2f32.powi(self.gain_log2);
        let read = |data: TensorData| -> Result<Vec<f32>, Error> {
            let values: Vec<f32> = data
                .convert::<f32>()
                .into_vec()
                .map_err(|e| Error::BadParameter(format!("unreadable layer parameters: {e:?}")))?;
            Ok(values.into_iter().map(|v| v * gain).collect())
        };
        let [output, input, kernel, _] = self.weight.dims();
        quantize(
            &read(self.weight.val().into_data())?,
            &read(self.bias.val().into_data())?,
            [output, input, kernel],
            self.range(),
            self.depthwise,
            self.weight_max as f32,
        )
    }
}

impl<B: CodecBackend> QuantConv<B> {
    /// Convolution, rounding and clamping in real units.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    ///
    /// # Errors
    /// As [`QuantConv::export`], in integer precision.
    pub fn forward(&self, x: Tensor<B, 4>, precision: Precision) -> Result<Tensor<B, 4>, Error> {
        let range = self.range();
        let (mut weight, mut bias) = (self.weight.val(), self.bias.val());
        if self.gain_log2 != 0 {
            let gain = 2f32.powi(self.gain_log2);
            weight = weight.mul_scalar(gain);
            bias = bias.mul_scalar(gain);
        }
        match precision {
            Precision::Float if range.is_hidden() => {
                let activation = Activation::ClampedRelu(range.hi as f32 * range.unit());
                Ok(convolve(x, weight, bias, activation, self.depthwise))
            }
            Precision::Float => {
                let y = convolve(x, weight, bias, Activation::None, self.depthwise);
                Ok(y.clamp(
                    range.lo as f32 * range.unit(),
                    range.hi as f32 * range.unit(),
                ))
            }
            Precision::Integer => {
                let exported = self.export()?;
                let device = x.device();
                let weight = straight_through(weight, exported.real_weight(), &device);
                let bias = straight_through(bias, exported.real_bias(), &device);
                let y = convolve(x, weight, bias, Activation::None, self.depthwise);
                Ok(B::fake_quant(
                    y,
                    2f32.powi(range.fraction),
                    range.lo as f32,
                    range.hi as f32,
                ))
            }
        }
    }
}

fn convolve<B: CodecBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    activation: Activation,
    depthwise: bool,
) -> Tensor<B, 4> {
    if depthwise {
        B::depthwise_conv2d_same(x, weight, bias, activation)
    } else {
        B::conv2d_same(x, weight, bias, activation)
    }
}

/// `rounded` in the forward pass, the gradient of `x` in the backward pass.
fn straight_through<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    rounded: Vec<f32>,
    device: &B::Device,
) -> Tensor<B, D> {
    let rounded = Tensor::from_data(TensorData::new(rounded, x.shape()), device);
    // `x - x` is an exact zero, so the sum is exactly `rounded`.
    let gradient_only = x.clone() - x.detach();
    gradient_only + rounded
}

/// An integer layer in real units: the same rounding going forward, straight-through going back, and nothing to learn. For
/// encoders that search for better symbols.
#[derive(Debug, Clone)]
pub struct RelaxedConv<B: Backend> {
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    range: IntRange,
    depthwise: bool,
}

impl<B: CodecBackend> RelaxedConv<B> {
    /// Convolution, rounding and clamping in real units.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        let y = convolve(x, weight, bias, Activation::None, self.depthwise);
        let IntRange { lo, hi, fraction } = self.range;
        B::fake_quant(y, 2f32.powi(fraction), lo as f32, hi as f32)
    }
}

/// An integer convolution, free of any backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntConvParams {
    /// Output channels, input channels (1 if depthwise), kernel side.
    pub shape: [usize; 3],
    /// Each channel by itself.
    pub depthwise: bool,
    /// Integer kernel, `[out, in, k, k]`.
    pub weight: Vec<i16>,
    /// Integer bias in units of the accumulator, `[out]`.
    pub bias: Vec<i32>,
    /// Binary digits after the point of each output channel's weights, `[out]`.
    pub weight_fraction: Vec<u8>,
    /// Range and resolution of the output.
    pub range: IntRange,
}

impl IntConvParams {
    /// The layer on a device, in real units.
    pub fn relaxed<B: Backend>(&self, device: &B::Device) -> RelaxedConv<B> {
        let [output, input, kernel] = self.shape;
        let shape = [output, input, kernel, kernel];
        RelaxedConv {
            weight: Tensor::from_data(TensorData::new(self.real_weight(), shape), device),
            bias: Tensor::from_data(TensorData::new(self.real_bias(), [output]), device),
            range: self.range,
            depthwise: self.depthwise,
        }
    }

    /// The kernel in real units, `[out, in, k, k]`.
    pub fn real_weight(&self) -> Vec<f32> {
        let fan = self.weight.len() / self.weight_fraction.len().max(1);
        self.weight
            .chunks(fan.max(1))
            .zip(&self.weight_fraction)
            .flat_map(|(row, &k)| {
                let unit = 2f32.powi(-i32::from(k));
                row.iter().map(move |&w| f32::from(w) * unit)
            })
            .collect()
    }

    /// The bias in real units, `[out]`.
    pub fn real_bias(&self) -> Vec<f32> {
        self.bias
            .iter()
            .zip(&self.weight_fraction)
            .map(|(&b, &k)| b as f32 * 2f32.powi(-i32::from(k) - FRACTION_BITS))
            .collect()
    }

    fn shift(&self, fraction: u8) -> i32 {
        i32::from(fraction) + FRACTION_BITS - self.range.fraction
    }

    /// Checks sizes and the exactness bound, for parameters that come from a file.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a sum could leave the exact range of `f32`.
    pub fn validate(&self, input_max: i32) -> Result<(), Error> {
        let [output, input, kernel] = self.shape;
        let fan = input * kernel * kernel;
        if self.bias.len() != output
            || self.weight_fraction.len() != output
            || self.weight.len() != fan * output
            || kernel % 2 == 0
            || self.range.lo > self.range.hi
            || self
                .weight
                .iter()
                .any(|w| i32::from(*w).abs() > FINE_WEIGHT_MAX)
        {
            return Err(Error::Malformed(format!(
                "integer layer {:?} has inconsistent sizes",
                self.shape
            )));
        }
        let rows = self
            .weight
            .chunks(fan.max(1))
            .zip(&self.bias)
            .zip(&self.weight_fraction);
        for (channel, ((row, &bias), &fraction)) in rows.enumerate() {
            let sum: f64 = row.iter().map(|&w| f64::from(w).abs()).sum();
            let shift = self.shift(fraction);
            if !WEIGHT_FRACTION.contains(&i32::from(fraction))
                || shift < 0
                || !is_exact(sum, f64::from(bias), shift, input_max)
            {
                return Err(Error::Malformed(format!(
                    "integer layer {:?} breaks the exactness bound in output channel {channel}",
                    self.shape
                )));
            }
        }
        Ok(())
    }

    /// The layer on the host at a single position, for kernels of one tap: `in` integers to `out` integers.
    pub fn apply(&self, x: &[i32], out: &mut Vec<i32>) {
        out.clear();
        let rows = self.weight.chunks(x.len().max(1));
        let channels = rows.zip(&self.bias).zip(&self.weight_fraction);
        out.extend(channels.map(|((row, &bias), &fraction)| {
            let products = row.iter().zip(x).map(|(&w, &x)| i32::from(w) * x);
            let sum = products.sum::<i32>() + bias;
            let shift = self.shift(fraction);
            let half = (1 << shift) >> 1;
            ((sum + half) >> shift).clamp(self.range.lo, self.range.hi)
        }));
    }

    /// The layer on a device.
    pub fn init<B: Backend>(&self, device: &B::Device) -> IntConv<B> {
        let [output, input, kernel] = self.shape;
        let weight: Vec<f32> = self.weight.iter().map(|&w| f32::from(w)).collect();
        let bias: Vec<f32> = self.bias.iter().map(|&b| b as f32).collect();
        let multiplier: Vec<f32> = self
            .weight_fraction
            .iter()
            .map(|&k| 2f32.powi(-self.shift(k)))
            .collect();
        IntConv {
            weight: Tensor::from_data(
                TensorData::new(weight, [output, input, kernel, kernel]),
                device,
            ),
            bias: Tensor::from_data(TensorData::new(bias, [output]), device),
            multiplier: Tensor::from_data(TensorData::new(multiplier, [output]), device),
            depthwise: self.depthwise,
            lo: self.range.lo as f32,
            hi: self.range.hi as f32,
        }
    }
}

/// An integer convolution on a device.
#[derive(Debug, Clone)]
pub struct IntConv<B: Backend> {
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    multiplier: Tensor<B, 1>,
    depthwise: bool,
    lo: f32,
    hi: f32,
}

impl<B: CodecBackend> IntConv<B> {
    /// Integers to integers, both held in `f32`.
    ///
    /// # Shapes
    /// `[n, in, h, w]` to `[n, out, h, w]`.
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.depthwise {
            let y = B::depthwise_conv2d_same(
                x,
                self.weight.clone(),
                self.bias.clone(),
                Activation::None,
            );
            let multiplier = self.multiplier.clone().reshape([1, -1, 1, 1]);
            return B::fake_quant(B::scale_channels(y, multiplier), 1.0, self.lo, self.hi);
        }
        B::conv2d_requant(
            x,
            self.weight.clone(),
            self.bias.clone(),
            self.multiplier.clone(),
            self.lo,
            self.hi,
        )
    }
}

fn is_exact(weight_sum: f64, bias: f64, shift: i32, input_max: i32) -> bool {
    let half = if shift > 0 { 2f64.powi(shift - 1) } else { 0.0 };
    let scaled = 2f64.powi((-shift).max(0));
    (weight_sum * f64::from(input_max) + bias.abs() + half) * scaled < EXACT_LIMIT
}

/// Rounds weights to 8 bits with a power-of-two scale per output channel: the finest one that keeps the weights in range
/// and the sums exact.
fn quantize(
    weight: &[f32],
    bias: &[f32],
    shape: [usize; 3],
    range: IntRange,
    depthwise: bool,
    weight_max: f32,
) -> Result<IntConvParams, Error> {
    let [output, input, kernel] = shape;
    let fan = input * kernel * kernel;
    let mut params = IntConvParams {
        shape,
        depthwise,
        weight: Vec::with_capacity(weight.len()),
        bias: Vec::with_capacity(output),
        weight_fraction: Vec::with_capacity(output),
        range,
    };
    for (channel, (row, &b)) in weight.chunks(fan.max(1)).zip(bias).enumerate() {
        let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
        if !(largest.is_finite() && b.is_finite()) {
            return Err(Error::BadParameter(format!(
                "output channel {channel} of layer {shape:?} is not finite"
            )));
        }
        let mut fraction = if largest == 0.0 {
            *WEIGHT_FRACTION.end()
        } else {
            ((weight_max / largest).log2().floor() as i32).min(*WEIGHT_FRACTION.end())
        };
        loop {
            if fraction < *WEIGHT_FRACTION.start() || fraction + FRACTION_BITS < range.fraction {
                return Err(Error::BadParameter(format!(
                    "output channel {channel} of layer {shape:?} cannot be held in integers"
                )));
            }
            let scale = 2f32.powi(fraction);
            let sum: f64 = row
                .iter()
                .map(|w| f64::from((w * scale + 0.5).floor().abs()))
                .sum();
            let int_bias = f64::from((b * 2f32.powi(fraction + FRACTION_BITS) + 0.5).floor());
            if is_exact(
                sum,
                int_bias,
                fraction + FRACTION_BITS - range.fraction,
                255,
            ) {
                params.weight.extend(
                    row.iter()
                        .map(|w| (w * scale + 0.5).floor().clamp(-weight_max, weight_max) as i16),
                );
                params.bias.push(int_bias as i32);
                params.weight_fraction.push(fraction as u8);
                break;
            }
            fraction -= 1;
        }
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use burn_flex::Flex;

    #[test]
    fn integer_forward_equals_exported_layer() {
        let device = Default::default();
        <Flex as Backend>::seed(&device, 5);
        for config in [
            QuantConvConfig::new([6, 7], 3),
            QuantConvConfig::new([6, 6], 3)
                .with_depthwise(true)
                .with_lo(-127)
                .with_hi(127),
        ] {
            check(
                &config
                    .with_init_gain(2.0)
                    .with_init_bias(0.3)
                    .init::<Flex>(&device),
            );
        }
    }

    fn check(layer: &QuantConv<Flex>) {
        let device = Default::default();
        let x = Tensor::<Flex, 4>::random([2, 6, 5, 9], Distribution::Uniform(0.0, 255.0), &device)
            .floor();
        let real = layer
            .forward(x.clone().div_scalar(16.0), Precision::Integer)
            .expect("forward");
        let params = layer.export().expect("export");
        params.validate(255).expect("exact");
        let ints = params.init::<Flex>(&device).forward(x);
        let difference = (real.mul_scalar(16.0) - ints).abs().max().into_scalar();
        assert_eq!(difference, 0.0);
    }

    #[test]
    fn the_exactness_bound_is_enforced() {
        let params = IntConvParams {
            shape: [1, 2000, 1],
            depthwise: false,
            weight: vec![127; 2000],
            bias: vec![0],
            weight_fraction: vec![4],
            range: IntRange::HIDDEN,
        };
        assert!(matches!(params.validate(255), Err(Error::Malformed(_))));
        let quantized = quantize(
            &vec![1.0; 2000],
            &[0.0],
            [1, 2000, 1],
            IntRange::HIDDEN,
            false,
            WEIGHT_MAX as f32,
        )
        .expect("quantize");
        quantized
            .validate(255)
            .expect("export stays below the bound");
    }
}
