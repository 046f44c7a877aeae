//! Analysis and synthesis transforms between wavelet coefficients and latents.
//!
//! Both are a linear map that starts as an orthonormal colour transform, plus a small convolutional network that works in
//! units of the quantization step, so that it sees the same signal statistics at every quality: on the analysis side it
//! shapes what is worth coding, on the synthesis side it estimates what quantization took away.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::{Activation, Boundary, ClampTerm, CodecBackend};
use codec_core::layers::{Conv, ConvConfig};

use super::config::{BANDS, LATENTS, WpmrConfig};
use super::layout::{LOW, LOW_LATENTS, initial_transform};

/// Learned part of a linear map moves slower than other parameters by this factor.
const LINEAR_RATE: f32 = 0.02;

/// Squeezes the range of latents for a network: slope 1/2 up to 4 steps, 1/8 up to 20, 1/64 up to 272.
///
/// Every constant is a multiple of 1/64, so that the result is exact for multiples of 1/16.
pub fn compand<B: CodecBackend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let term = |limit, slope| ClampTerm { limit, slope };
    B::clamp_sum(
        x,
        [
            term(4.0, 24.0 / 64.0),
            term(20.0, 7.0 / 64.0),
            term(272.0, 1.0 / 64.0),
        ],
    )
}

/// [`compand`] on integers of `digits` (4 or more) binary digits after the point: sixteenths, `-127..=127`.
pub fn compand_integer(v: i32, digits: u32) -> i32 {
    let within = |limit: i32| v.clamp(-(limit << digits), limit << digits);
    let p = 24 * within(4) + 7 * within(20) + within(272);
    let shift = 2 + digits;
    ((p + (1 << (shift - 1))) >> shift).clamp(-127, 127)
}

/// Coefficients at 1/8 to latents at 1/16: one wavelet level more for the lowest band, 2x2 blocks for the others.
///
/// # Shapes
/// `[n, 192, h, w]` to `[n, 768, h/2, w/2]`.
///
/// # Errors
/// [`Error::BadParameter`] for sides that are not even.
pub fn fold<B: CodecBackend>(x: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
    let low = B::gather_channels(x.clone(), &range(0, LOW))?;
    let low = B::wavelet_analysis(low, 1, Boundary::Symmetric)?;
    let rest = B::space_to_depth2(B::gather_channels(x, &range(LOW, BANDS))?)?;
    Ok(B::concat_channels(low, rest))
}

/// Inverse of [`fold`].
///
/// # Errors
/// [`Error::BadParameter`] for another number of channels than 768.
pub fn unfold<B: CodecBackend>(y: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
    let low = B::gather_channels(y.clone(), &range(0, LOW_LATENTS))?;
    let low = B::wavelet_synthesis(low, 1, Boundary::Symmetric)?;
    let rest = B::depth_to_space2(B::gather_channels(y, &range(LOW_LATENTS, LATENTS))?)?;
    Ok(B::concat_channels(low, rest))
}

/// Appends a plane of a constant per picture: `values` is `[n]`.
pub fn with_plane<B: CodecBackend>(x: Tensor<B, 4>, values: &[f32]) -> Tensor<B, 4> {
    let [n, _, h, w] = x.dims();
    let plane = values
        .iter()
        .flat_map(|&v| std::iter::repeat_n(v, h * w))
        .collect::<Vec<f32>>();
    let plane = Tensor::<B, 4>::from_data(TensorData::new(plane, [n, 1, h, w]), &x.device());
    B::concat_channels(x, plane)
}

fn range(from: usize, to: usize) -> Vec<usize> {
    (from..to).collect()
}

/// A `192 x 192` linear map across channels: a fixed start plus a slowly learned difference.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// Where the map starts, `[192, 192, 1, 1]`; not learned.
    start: Param<Tensor<B, 4>>,
    /// Learned difference over [`LINEAR_RATE`].
    delta: Param<Tensor<B, 4>>,
    bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Linear<B> {
    fn new(matrix: Vec<f32>, device: &B::Device) -> Self {
        let shape = [BANDS, BANDS, 1, 1];
        let start = Tensor::from_data(TensorData::new(matrix, shape), device);
        Self {
            start: Param::from_tensor(start).set_require_grad(false),
            delta: Param::from_tensor(Tensor::zeros(shape, device)),
            bias: Param::from_tensor(Tensor::zeros([BANDS], device)),
        }
    }

    /// A map that is not learned any more.
    pub fn fixed(matrix: Tensor<B, 4>, bias: Tensor<B, 1>) -> Self {
        Self {
            delta: Param::from_tensor(matrix.zeros_like()),
            start: Param::from_tensor(matrix),
            bias: Param::from_tensor(bias),
        }
    }

    /// The whole map, `[192, 192, 1, 1]`.
    pub fn matrix(&self) -> Tensor<B, 4> {
        self.start.val().detach() + self.delta.val().mul_scalar(LINEAR_RATE)
    }

    /// Its bias, `[192]`.
    pub fn bias(&self) -> Tensor<B, 1> {
        self.bias.val()
    }
}

/// A network on latents (1/16) whose output is added to them; starts as zero.
#[derive(Module, Debug)]
pub struct Refine<B: Backend> {
    /// First layer.
    pub input: Conv<B>,
    /// 3x3 layer.
    pub hidden: Conv<B>,
    /// Residual blocks.
    pub blocks: Vec<Residual<B>>,
    /// Last layer, starts as zero.
    pub output: Conv<B>,
}

impl<B: Backend> Refine<B> {
    fn new(width: usize, blocks: usize, device: &B::Device) -> Self {
        Self {
            input: ConvConfig::new([LATENTS + 1, width], 1).init(device),
            hidden: ConvConfig::new([width, width], 3).init(device),
            blocks: (0..blocks)
                .map(|_| Residual::new(width, 0.0, device))
                .collect(),
            output: ConvConfig::new([width, LATENTS], 1)
                .with_gain(0.0)
                .init(device),
        }
    }
}

impl<B: CodecBackend> Refine<B> {
    /// Latents and what the network adds to them; `t` is the quality of each picture.
    fn forward(&self, latents: Tensor<B, 4>, t: &[f32]) -> Tensor<B, 4> {
        let h = self.input.forward(
            with_plane(compand(latents.clone()), &centred(t)),
            Activation::Relu,
        );
        let mut h = self.hidden.forward(h, Activation::Relu);
        for block in &self.blocks {
            h = block.forward(h);
        }
        latents + self.output.forward(h, Activation::None)
    }
}

/// Analysis transform.
#[derive(Module, Debug)]
pub struct Analysis<B: Backend> {
    /// Wavelet coefficients to opponent bands.
    pub linear: Linear<B>,
    /// First layer of the network.
    pub input: Conv<B>,
    /// 3x3 layer.
    pub hidden: Conv<B>,
    /// Last layer, starts as zero.
    pub output: Conv<B>,
    /// Network at 1/16.
    pub refine: Refine<B>,
}

impl<B: Backend> Analysis<B> {
    /// Transform of the configured width.
    pub fn new(config: &WpmrConfig, device: &B::Device) -> Self {
        let width = config.analysis_width;
        Self {
            linear: Linear::new(initial_transform(), device),
            input: ConvConfig::new([BANDS + 1, width], 1).init(device),
            hidden: ConvConfig::new([width, width], 3).init(device),
            output: ConvConfig::new([width, BANDS], 1)
                .with_gain(0.0)
                .init(device),
            refine: Refine::new(
                config.analysis_refine_width,
                config.analysis_refine_blocks,
                device,
            ),
        }
    }
}

impl<B: CodecBackend> Analysis<B> {
    /// Latents of wavelet coefficients.
    ///
    /// `inverse_eighth` and `inverse_steps` are reciprocals of the steps, `t` the quality of each picture.
    ///
    /// # Shapes
    /// `[n, 192, h, w]`, `[n, 192, 1, 1]`, `[n, 768, 1, 1]`, `[n]` to `[n, 768, h/2, w/2]`.
    ///
    /// # Errors
    /// As [`fold`].
    pub fn forward(
        &self,
        coefficients: Tensor<B, 4>,
        inverse_eighth: Tensor<B, 4>,
        inverse_steps: Tensor<B, 4>,
        t: &[f32],
    ) -> Result<Tensor<B, 4>, Error> {
        let linear = B::conv2d_same(
            coefficients,
            self.linear.matrix(),
            self.linear.bias(),
            Activation::None,
        );
        let signal = compand(B::scale_channels(linear.clone(), inverse_eighth));
        let h = self
            .input
            .forward(with_plane(signal, &centred(t)), Activation::Relu);
        let h = self.hidden.forward(h, Activation::Relu);
        let shaped = self.output.forward(h, Activation::None);
        let latents = B::scale_channels(fold(linear)?, inverse_steps) + fold(shaped)?;
        Ok(self.refine.forward(latents, t))
    }
}

/// One residual block.
#[derive(Module, Debug)]
pub struct Residual<B: Backend> {
    /// 3x3 layer.
    pub spatial: Conv<B>,
    /// 1x1 layer.
    pub mix: Conv<B>,
}

impl<B: Backend> Residual<B> {
    /// `gain` scales the initial weights of what the block adds.
    fn new(width: usize, gain: f64, device: &B::Device) -> Self {
        Self {
            spatial: ConvConfig::new([width, width], 3).init(device),
            mix: ConvConfig::new([width, width], 1)
                .with_gain(gain)
                .init(device),
        }
    }
}

impl<B: CodecBackend> Residual<B> {
    fn forward(&self, h: Tensor<B, 4>) -> Tensor<B, 4> {
        let inner = self.spatial.forward(h.clone(), Activation::Relu);
        h + self.mix.forward(inner, Activation::None)
    }
}

/// Synthesis transform.
#[derive(Module, Debug)]
pub struct Synthesis<B: Backend> {
    /// Opponent bands to wavelet coefficients.
    pub linear: Linear<B>,
    /// First layer of the network.
    pub input: Conv<B>,
    /// Residual blocks.
    pub blocks: Vec<Residual<B>>,
    /// Last layer, starts as zero.
    pub output: Conv<B>,
    /// Network at 1/16.
    pub refine: Refine<B>,
}

impl<B: Backend> Synthesis<B> {
    /// Transform of the configured width and depth.
    pub fn new(config: &WpmrConfig, device: &B::Device) -> Self {
        let width = config.synthesis_width;
        let forward = initial_transform();
        let inverse = (0..BANDS * BANDS)
            .map(|i| {
                forward
                    .get(i % BANDS * BANDS + i / BANDS)
                    .copied()
                    .unwrap_or_default()
            })
            .collect();
        Self {
            linear: Linear::new(inverse, device),
            input: ConvConfig::new([BANDS + 1, width], 1).init(device),
            blocks: (0..config.synthesis_blocks)
                .map(|_| Residual::new(width, 0.3, device))
                .collect(),
            output: ConvConfig::new([width, BANDS], 1)
                .with_gain(0.0)
                .init(device),
            refine: Refine::new(
                config.synthesis_refine_width,
                config.synthesis_refine_blocks,
                device,
            ),
        }
    }
}

impl<B: CodecBackend> Synthesis<B> {
    /// Wavelet coefficients of quantized latents.
    ///
    /// `steps` are the quantization steps, `base` the base step and `t` the quality of each picture.
    ///
    /// # Shapes
    /// `[n, 768, h, w]`, `[n, 768, 1, 1]`, `[n, 192, 1, 1]`, `[n]` to `[n, 192, 2h, 2w]`.
    ///
    /// # Errors
    /// As [`unfold`].
    pub fn forward(
        &self,
        latents: Tensor<B, 4>,
        steps: Tensor<B, 4>,
        base: Tensor<B, 4>,
        t: &[f32],
    ) -> Result<Tensor<B, 4>, Error> {
        let latents = self.refine.forward(latents, t);
        let signal = compand(unfold(latents.clone())?);
        let mut h = self
            .input
            .forward(with_plane(signal, &centred(t)), Activation::Relu);
        for block in &self.blocks {
            h = block.forward(h);
        }
        let estimate = self.output.forward(h, Activation::None);
        let linear = unfold(B::scale_channels(latents, steps))?;
        let linear = B::conv2d_same(
            linear,
            self.linear.matrix(),
            self.linear.bias(),
            Activation::None,
        );
        Ok(linear + B::scale_channels(estimate, base))
    }
}

/// Quality as the float networks see it, `-1..=1`.
fn centred(t: &[f32]) -> Vec<f32> {
    t.iter().map(|t| 2.0 * t - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn integer_companding_is_the_rounded_float_one() {
        let device = Default::default();
        for digits in [4, 8] {
            check_companding(digits, &device);
        }
    }

    fn check_companding(digits: u32, device: &burn::backend::flex::FlexDevice) {
        let values: Vec<i32> = (-5000..5000).map(|v| v << (digits - 4) | (v & 7)).collect();
        let unit = (1 << digits) as f32;
        let x: Vec<f32> = values.iter().map(|&v| v as f32 / unit).collect();
        let x = Tensor::<Flex, 4>::from_data(TensorData::new(x, [1, 1, 100, 100]), device);
        let y: Vec<f32> = (compand(x)
            .mul_scalar(16.0)
            .add_scalar(0.5)
            .floor()
            .clamp(-127.0, 127.0))
        .into_data()
        .into_vec()
        .expect("floats");
        for (v, y) in values.iter().zip(y) {
            assert_eq!(compand_integer(*v, digits) as f32, y, "at {v}");
        }
    }

    #[test]
    fn unfold_undoes_fold() {
        let device = Default::default();
        let x = Tensor::<Flex, 4>::random(
            [2, BANDS, 6, 10],
            burn::tensor::Distribution::Default,
            &device,
        );
        let back = fold(x.clone()).and_then(unfold).expect("even sides");
        let error = (x - back).abs().max().into_scalar();
        assert!(error < 1e-5, "{error}");
    }
}
