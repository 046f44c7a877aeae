//! Networks for classification whose features metrics compare: AlexNet and VGG-16, on the CPU.

use crate::EvalError;
use burn::tensor::module::max_pool2d;
use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use codec_core::backend::{Activation, ConvOps};
use codec_core::weights::{Checkpoint, Loader, Tensors};
use image::RgbImage;
use std::path::Path;

/// Networks with weights under torchvision's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// AlexNet in one column (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014).
    Alex,
    /// VGG-16 without batch normalization (Simonyan and Zisserman, 2014, configuration D).
    Vgg,
}

/// A convolution with ReLU: number in `features.N`, channels in and out, kernel, stride, padding.
type Layer = (usize, usize, usize, usize, usize, usize);

/// Layers before each tap; a pooling stands in front of all stages with a kernel for it.
const ALEX: [(Option<usize>, &[Layer]); 5] = [
    (None, &[(0, 3, 64, 11, 4, 2)]),
    (Some(3), &[(3, 64, 192, 5, 1, 2)]),
    (Some(3), &[(6, 192, 384, 3, 1, 1)]),
    (None, &[(8, 384, 256, 3, 1, 1)]),
    (None, &[(10, 256, 256, 3, 1, 1)]),
];
const VGG: [(Option<usize>, &[Layer]); 5] = [
    (None, &[(0, 3, 64, 3, 1, 1), (2, 64, 64, 3, 1, 1)]),
    (Some(2), &[(5, 64, 128, 3, 1, 1), (7, 128, 128, 3, 1, 1)]),
    (
        Some(2),
        &[
            (10, 128, 256, 3, 1, 1),
            (12, 256, 256, 3, 1, 1),
            (14, 256, 256, 3, 1, 1),
        ],
    ),
    (
        Some(2),
        &[
            (17, 256, 512, 3, 1, 1),
            (19, 512, 512, 3, 1, 1),
            (21, 512, 512, 3, 1, 1),
        ],
    ),
    (
        Some(2),
        &[
            (24, 512, 512, 3, 1, 1),
            (26, 512, 512, 3, 1, 1),
            (28, 512, 512, 3, 1, 1),
        ],
    ),
];

impl Network {
    fn stages(self) -> &'static [(Option<usize>, &'static [Layer])] {
        match self {
            Self::Alex => &ALEX,
            Self::Vgg => &VGG,
        }
    }

    /// Channels of the five taps.
    pub(crate) fn channels(self) -> Vec<usize> {
        let last = |stage: &(Option<usize>, &[Layer])| stage.1.last().map_or(0, |layer| layer.2);
        self.stages().iter().map(last).collect()
    }

    /// Smallest side that leaves something at the last tap.
    pub(crate) fn min_side(self) -> u32 {
        match self {
            Self::Alex => 31,
            Self::Vgg => 16,
        }
    }

    /// Which of them a file holds, by the kernel of its first layer.
    fn of(tensors: &Tensors) -> Option<Self> {
        match tensors.shape("features.0.weight")? {
            [_, _, 11, 11] => Some(Self::Alex),
            [_, _, 3, 3] => Some(Self::Vgg),
            _ => None,
        }
    }
}

/// How maps are halved between stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The network's own: the largest value.
    Max,
    /// Root of squares that are averaged by a Hann window of 3x3, without aliasing (DISTS, section 3.1).
    Hann,
}

/// Features of one tap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maps {
    /// Positions: height times width.
    pub area: usize,
    /// One map after the other.
    pub values: Vec<f32>,
}

impl Maps {
    /// The picture itself in 0..=1, as three maps.
    pub fn of(picture: &RgbImage) -> Self {
        let channel = |c: usize| picture.as_raw().iter().skip(c).step_by(3);
        Self {
            area: picture.width() as usize * picture.height() as usize,
            values: (0..3)
                .flat_map(channel)
                .map(|&value| f32::from(value) / 255.0)
                .collect(),
        }
    }

    /// Every map.
    pub fn channels(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.area.max(1))
    }
}

/// A network up to its last tap.
pub(crate) struct Backbone {
    pub network: Network,
    pooling: Pooling,
    /// Mean and scale of the channels of a picture in 0..=1.
    mean: [f32; 3],
    scale: [f32; 3],
    /// Weights and biases in the order of the layers.
    layers: Vec<(Tensor<Flex, 4>, Tensor<Flex, 1>)>,
}

impl Backbone {
    /// Takes the weights that torchvision calls `features.N.weight` and `features.N.bias`; others are left alone.
    ///
    /// # Errors
    /// A file of neither network, or with layers missing.
    pub fn new(
        tensors: &Tensors,
        pooling: Pooling,
        mean: [f32; 3],
        scale: [f32; 3],
    ) -> Result<Self, codec_core::Error> {
        let network = Network::of(tensors).ok_or_else(|| {
            codec_core::Error::malformed(
                "neither AlexNet nor VGG-16 (expected features.0.weight with a kernel of 11x11 or 3x3)",
            )
        })?;
        let device = FlexDevice;
        let loader: Loader<'_, Flex> = Loader::new(tensors, &device);
        let load = |&(number, inputs, outputs, kernel, _, _): &Layer| {
            let part = loader.at(format!("features.{number}"));
            (
                part.tensor("weight", [outputs, inputs, kernel, kernel]),
                part.tensor("bias", [outputs]),
            )
        };
        let stages = network.stages().iter();
        let layers = stages.flat_map(|stage| stage.1).map(load).collect();
        loader.finish()?;
        Ok(Self {
            network,
            pooling,
            mean,
            scale,
            layers,
        })
    }

    /// Features of a picture at every tap.
    ///
    /// # Errors
    /// [`EvalError::PictureTooSmall`].
    pub fn features(
        &self,
        picture: &RgbImage,
        metric: &'static str,
    ) -> Result<Vec<Maps>, EvalError> {
        let (width, height) = picture.dimensions();
        let min_side = self.network.min_side();
        if width.min(height) < min_side {
            return Err(EvalError::PictureTooSmall {
                width,
                height,
                metric,
                min_side,
            });
        }
        let mut layers = self.layers.iter();
        let mut x = self.input(picture);
        let mut taps = Vec::new();
        for &(pool, convolutions) in self.network.stages() {
            if let Some(kernel) = pool {
                x = match self.pooling {
                    Pooling::Max => max_pool2d(x, [kernel; 2], [2, 2], [0, 0], [1, 1], false),
                    Pooling::Hann => hann(x, metric)?,
                };
            }
            for (layer, (weight, bias)) in convolutions.iter().zip(&mut layers) {
                x = convolve(x, layer, weight.clone(), bias.clone());
            }
            let [_, _, height, width] = x.dims();
            taps.push(Maps {
                area: height * width,
                values: host(x.clone(), metric)?,
            });
        }
        Ok(taps)
    }

    /// The picture as the network wants it, `[1, 3, H, W]`.
    fn input(&self, picture: &RgbImage) -> Tensor<Flex, 4> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut maps = Maps::of(picture);
        let planes = maps.values.chunks_exact_mut(maps.area.max(1));
        for (plane, (mean, scale)) in planes.zip(self.mean.iter().zip(self.scale)) {
            plane.iter_mut().for_each(|v| *v = (*v - mean) / scale);
        }
        Tensor::from_data(
            TensorData::new(maps.values, [1, 3, height, width]),
            &FlexDevice,
        )
    }
}

/// One layer.
///
/// # Shapes
/// - x: `[1, Ci, H, W]`
/// - output: `[1, Co, (H + 2 padding - kernel) / stride + 1, ..]`
fn convolve(
    x: Tensor<Flex, 4>,
    &(_, _, outputs, kernel, stride, padding): &Layer,
    weight: Tensor<Flex, 4>,
    bias: Tensor<Flex, 1>,
) -> Tensor<Flex, 4> {
    if stride == 1 {
        return Flex::conv2d_same(x, weight, bias, Activation::Relu);
    }
    let [_, _, height, width] = x.dims();
    let side = |side: usize| (side + 2 * padding - kernel) / stride + 1;
    // The last outputs of ours see more zeros than the layer's padding holds.
    Flex::conv2d_strided(x, weight, bias, stride, padding, Activation::Relu).slice([
        0..1,
        0..outputs,
        0..side(height),
        0..side(width),
    ])
}

/// Root of squares that are averaged by the window `[1, 2, 1] / 4` in both directions, at every second position, zeros
/// outside.
///
/// # Shapes
/// - x: `[1, C, H, W]`
/// - output: `[1, C, ceil(H / 2), ceil(W / 2)]`
fn hann(x: Tensor<Flex, 4>, metric: &'static str) -> Result<Tensor<Flex, 4>, EvalError> {
    let [_, channels, height, width] = x.dims();
    let (out_height, out_width) = (height.div_ceil(2), width.div_ceil(2));
    let values = host(x, metric)?;
    let mut out = Vec::with_capacity(channels * out_height * out_width);
    let mut columns = vec![0.0f32; width];
    for plane in values.chunks_exact((height * width).max(1)) {
        let row = |y: Option<usize>| y.and_then(|y| plane.get(y * width..(y + 1) * width));
        for y in (0..height).step_by(2) {
            columns.fill(0.0);
            for (y, weight) in [
                (y.checked_sub(1), 0.25),
                (Some(y), 0.5),
                (Some(y + 1), 0.25),
            ] {
                for (sum, value) in columns.iter_mut().zip(row(y).unwrap_or_default()) {
                    *sum += weight * value * value;
                }
            }
            let at = |x: Option<usize>| x.and_then(|x| columns.get(x)).copied().unwrap_or(0.0);
            for x in (0..width).step_by(2) {
                let sides = at(x.checked_sub(1)) + at(Some(x + 1));
                let mean = 0.25 * sides + 0.5 * at(Some(x));
                out.push((mean + 1e-12).sqrt());
            }
        }
    }
    let data = TensorData::new(out, [1, channels, out_height, out_width]);
    Ok(Tensor::from_data(data, &FlexDevice))
}

/// Values in row-major order.
fn host(x: Tensor<Flex, 4>, metric: &'static str) -> Result<Vec<f32>, EvalError> {
    x.into_data()
        .into_vec()
        .map_err(|error| EvalError::Unusable {
            what: metric.into(),
            reason: format!("no features: {error:?}"),
        })
}

/// Tensors of a file of safetensors or of `torch.save`.
pub(crate) fn read(path: &Path) -> Result<Tensors, EvalError> {
    let checkpoint = Checkpoint::read(path).map_err(unusable(path.display()))?;
    Ok(checkpoint.tensors)
}

/// What is wrong with the weights of `what`.
pub(crate) fn unusable(what: impl std::fmt::Display) -> impl Fn(codec_core::Error) -> EvalError {
    move |error| EvalError::Unusable {
        what: what.to_string(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use codec_core::weights::HostTensor;

    /// Numbers in -1..1 that `data/reference_images.py` repeats: SplitMix64 of `seed * 2^32 + i`, its upper 24 bits.
    pub(crate) fn uniform(seed: u64, count: usize) -> impl Iterator<Item = f64> {
        (0..count as u64).map(move |i| {
            let mut z = ((seed << 32) + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
        })
    }

    /// A tensor of such numbers times `bound`, plus `offset`.
    pub(crate) fn random(seed: u64, shape: &[usize], bound: f64, offset: f64) -> HostTensor {
        let count = shape.iter().product();
        let values = uniform(seed, count)
            .map(|v| (v * bound + offset) as f32)
            .collect();
        HostTensor::floats(shape, values).unwrap()
    }

    /// A network of random weights: seeds are twice the number of the layer, and one more for the bias.
    pub(crate) fn random_network(network: Network) -> Tensors {
        let mut tensors = Tensors::new();
        for &(number, inputs, outputs, kernel, _, _) in
            network.stages().iter().flat_map(|stage| stage.1)
        {
            let bound = (6.0 / (inputs * kernel * kernel) as f64).sqrt();
            let seed = 2 * number as u64;
            let shape = [outputs, inputs, kernel, kernel];
            let name = format!("features.{number}");
            tensors.insert(format!("{name}.weight"), random(seed, &shape, bound, 0.0));
            tensors.insert(
                format!("{name}.bias"),
                random(seed + 1, &[outputs], 0.1, 0.0),
            );
        }
        tensors
    }

    #[test]
    fn sizes() {
        for (network, side) in [(Network::Alex, 31), (Network::Vgg, 16)] {
            let tensors = random_network(network);
            let backbone = Backbone::new(&tensors, Pooling::Max, [0.0; 3], [1.0; 3]).unwrap();
            let taps = backbone.features(&RgbImage::new(side, side), "m").unwrap();
            assert_eq!(taps.last().unwrap().area, 1);
            for (tap, channels) in taps.iter().zip(network.channels()) {
                assert_eq!(tap.values.len(), channels * tap.area);
            }
            let error = backbone.features(&RgbImage::new(side - 1, 99), "m");
            assert!(matches!(error, Err(EvalError::PictureTooSmall { .. })));
        }
    }

    #[test]
    fn incomplete_weights_are_refused() {
        let mut tensors = random_network(Network::Alex);
        tensors.remove("features.8.bias");
        let load = |tensors: &Tensors| {
            let error = Backbone::new(tensors, Pooling::Max, [0.0; 3], [1.0; 3]).err();
            error.unwrap().to_string()
        };
        assert!(load(&tensors).contains("features.8.bias"));
        assert!(load(&Tensors::new()).contains("neither"));
    }
}
