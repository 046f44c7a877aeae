//! The convolutional parts of AlexNet, VGG16 and SqueezeNet 1.1, with taps where LPIPS looks.

use burn::tensor::backend::Backend;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation};
use codec_core::backend::{Activation, CodecBackend};
use serde::{Deserialize, Serialize};

use super::WeightsFile;
use crate::losses::LossError;

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backbone {
    /// AlexNet (Krizhevsky 2014): the smallest, the authors' choice as a metric.
    Alexnet,
    /// VGG16 (Simonyan and Zisserman 2014): the usual choice as a loss.
    Vgg16,
    /// SqueezeNet 1.1 (Iandola et al. 2016).
    Squeezenet,
}

/// One step of a network, with its place in torchvision's `features`.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Convolution with bias and ReLU: index, channels in and out, kernel, stride, padding.
    Conv(usize, [usize; 2], usize, usize, usize),
    /// Maximum over `kernel`, stride 2; whether the last window may hang over the border.
    Pool(usize, bool),
    /// SqueezeNet's fire module: index, channels in, squeezed, and of each of the two expansions.
    Fire(usize, usize, usize, usize),
    /// What came out last is looked at.
    Tap,
}

use Step::{Conv, Fire, Pool, Tap};

/// torchvision's `alexnet().features`.
const ALEXNET: &[Step] = &[
    Conv(0, [3, 64], 11, 4, 2),
    Tap,
    Pool(3, false),
    Conv(3, [64, 192], 5, 1, 2),
    Tap,
    Pool(3, false),
    Conv(6, [192, 384], 3, 1, 1),
    Tap,
    Conv(8, [384, 256], 3, 1, 1),
    Tap,
    Conv(10, [256, 256], 3, 1, 1),
    Tap,
];

/// torchvision's `vgg16().features`.
const VGG16: &[Step] = &[
    Conv(0, [3, 64], 3, 1, 1),
    Conv(2, [64, 64], 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(5, [64, 128], 3, 1, 1),
    Conv(7, [128, 128], 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(10, [128, 256], 3, 1, 1),
    Conv(12, [256, 256], 3, 1, 1),
    Conv(14, [256, 256], 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(17, [256, 512], 3, 1, 1),
    Conv(19, [512, 512], 3, 1, 1),
    Conv(21, [512, 512], 3, 1, 1),
    Tap,
    Pool(2, false),
    Conv(24, [512, 512], 3, 1, 1),
    Conv(26, [512, 512], 3, 1, 1),
    Conv(28, [512, 512], 3, 1, 1),
    Tap,
];

/// torchvision's `squeezenet1_1().features`.
const SQUEEZENET: &[Step] = &[
    Conv(0, [3, 64], 3, 2, 0),
    Tap,
    Pool(3, true),
    Fire(3, 64, 16, 64),
    Fire(4, 128, 16, 64),
    Tap,
    Pool(3, true),
    Fire(6, 128, 32, 128),
    Fire(7, 256, 32, 128),
    Tap,
    Pool(3, true),
    Fire(9, 256, 48, 192),
    Tap,
    Fire(10, 384, 48, 192),
    Tap,
    Fire(11, 384, 64, 256),
    Tap,
    Fire(12, 512, 64, 256),
    Tap,
];

impl Backbone {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Alexnet => ALEXNET,
            Self::Vgg16 => VGG16,
            Self::Squeezenet => SQUEEZENET,
        }
    }

    /// Channels of the layers that are looked at.
    pub fn channels(self) -> &'static [usize] {
        match self {
            Self::Alexnet => &[64, 192, 384, 256, 256],
            Self::Vgg16 => &[64, 128, 256, 512, 512],
            Self::Squeezenet => &[64, 128, 256, 384, 384, 512, 512],
        }
    }

    /// Smallest side of a picture: the deepest layer still has a place then.
    pub fn min_side(self) -> usize {
        match self {
            Self::Alexnet => 31,
            Self::Vgg16 => 16,
            // Pooling could do with less, but windows that hang over the border want something inside.
            Self::Squeezenet => 17,
        }
    }

    /// Names and shapes of all weights, in the order of their use.
    pub fn keys(self) -> Vec<(String, Vec<usize>)> {
        let mut keys = Vec::new();
        for conv in self.steps().iter().flat_map(convolutions) {
            let [input, output] = conv.channels;
            keys.push((
                format!("{}.weight", conv.name),
                vec![output, input, conv.kernel, conv.kernel],
            ));
            keys.push((format!("{}.bias", conv.name), vec![output]));
        }
        keys
    }
}

/// A convolution of a step.
struct Named {
    name: String,
    channels: [usize; 2],
    kernel: usize,
}

fn convolutions(step: &Step) -> Vec<Named> {
    match *step {
        Conv(index, channels, kernel, ..) => vec![Named {
            name: format!("features.{index}"),
            channels,
            kernel,
        }],
        Fire(index, input, squeezed, expanded) => [
            ("squeeze", [input, squeezed], 1),
            ("expand1x1", [squeezed, expanded], 1),
            ("expand3x3", [squeezed, expanded], 3),
        ]
        .into_iter()
        .map(|(part, channels, kernel)| Named {
            name: format!("features.{index}.{part}"),
            channels,
            kernel,
        })
        .collect(),
        Pool(..) | Tap => vec![],
    }
}

/// A backbone with its weights.
#[derive(Debug, Clone)]
pub struct Features<B: Backend> {
    backbone: Backbone,
    /// Weight and bias of all convolutions, in the order of their use.
    convolutions: Vec<(Tensor<B, 4>, Tensor<B, 1>)>,
}

impl<B: CodecBackend> Features<B> {
    /// Takes the weights from a file; others in it are ignored.
    ///
    /// # Errors
    /// [`LossError::MissingKeys`], [`LossError::WeightShape`], [`LossError::Weights`].
    pub fn load(
        backbone: Backbone,
        file: &WeightsFile,
        device: &B::Device,
    ) -> Result<Self, LossError> {
        let keys = backbone.keys();
        let mut values = file.take(&keys)?.into_iter().zip(&keys);
        let mut convolutions = Vec::with_capacity(keys.len() / 2);
        while let (Some((weight, (_, shape))), Some((bias, (_, outputs)))) =
            (values.next(), values.next())
        {
            convolutions.push((
                Tensor::from_data(TensorData::new(weight, shape.as_slice()), device),
                Tensor::from_data(TensorData::new(bias, outputs.as_slice()), device),
            ));
        }
        Ok(Self {
            backbone,
            convolutions,
        })
    }

    /// Which network this is.
    pub fn backbone(&self) -> Backbone {
        self.backbone
    }

    /// Activations of the layers that are looked at.
    ///
    /// # Shapes
    /// `[n, 3, h, w]`, normalized as the network was trained, to `[n, c, h', w']` for each of [`Backbone::channels`].
    pub fn forward(&self, x: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        let mut weights = self.convolutions.iter();
        let mut conv = |x: Tensor<B, 4>, stride: usize, padding: usize| match weights.next() {
            Some((weight, bias)) => convolution(x, weight.clone(), bias.clone(), stride, padding),
            // As many weights were loaded as there are convolutions.
            None => x,
        };
        let mut x = x;
        let mut taps = Vec::with_capacity(self.backbone.channels().len());
        for step in self.backbone.steps() {
            match *step {
                Conv(_, _, _, stride, padding) => x = conv(x, stride, padding),
                Pool(kernel, over) => {
                    x = max_pool2d(x, [kernel; 2], [2, 2], [0, 0], [1, 1], over);
                }
                Fire(..) => {
                    let squeezed = conv(x, 1, 0);
                    let narrow = conv(squeezed.clone(), 1, 0);
                    let wide = conv(squeezed, 1, 1);
                    x = Tensor::cat(vec![narrow, wide], 1);
                }
                Tap => taps.push(x.clone()),
            }
        }
        taps
    }
}

/// Convolution and ReLU, by the fast kernel where the size stays.
fn convolution<B: CodecBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
) -> Tensor<B, 4> {
    let [_, _, kernel, _] = weight.dims();
    if stride == 1 && 2 * padding + 1 == kernel {
        return B::conv2d_same(x, weight, bias, Activation::Relu);
    }
    let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
    activation::relu(conv2d(x, weight, Some(bias), options))
}
