//! Networks of the hyperprior family (CompressAI's key names).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::{Activation, CodecBackend};
use codec_core::layers::{
    Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, EntropyBottleneck, GaussianConditional,
    Gdn, Likelihood,
};
use codec_core::weights::Loader;

use super::config::{Architecture, HyperpriorConfig};
use super::context::Context;

/// Side of the kernels of strided layers.
const KERNEL: usize = 5;

/// Everything on a device.
#[derive(Debug)]
pub struct Network<B: Backend> {
    analysis: Vec<(Conv<B>, Option<Gdn<B>>)>,
    synthesis: Vec<(ConvTranspose<B>, Option<Gdn<B>>)>,
    /// Side information; none with the factorized prior.
    pub(super) hyper: Option<Hyper<B>>,
    /// Prior of the hyperlatents, or of the latents themselves.
    pub(super) bottleneck: EntropyBottleneck,
}

/// Hyperprior: networks and the tables that they select.
#[derive(Debug)]
pub(super) struct Hyper<B: Backend> {
    analysis: [Conv<B>; 3],
    expand: [ConvTranspose<B>; 2],
    output: Conv<B>,
    with_means: bool,
    /// What the latents before say.
    pub context: Option<Context>,
    pub gaussian: GaussianConditional,
}

/// What the hyperprior says of the latents.
///
/// With a context model, the two halves are features for it.
pub(super) struct Parameters<B: Backend> {
    /// Standard deviations before their lower bound, `[n, M, h, w]`.
    pub scales: Tensor<B, 4>,
    /// Means, the same; none in the scale hyperprior.
    pub means: Option<Tensor<B, 4>>,
}

impl<B: CodecBackend> Network<B> {
    /// The networks of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tables that are none.
    pub fn load(config: &HyperpriorConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let (n, m) = (config.width, config.latents);
        let scope = |part: &str, index: usize| loader.at(part).at(index);
        let halve = |index: usize, channels| {
            let gdn = (index < 6).then(|| Gdn::load(n, false, &scope("g_a", index + 1)));
            let conv = ConvConfig::new(channels, KERNEL).with_stride(2);
            (conv.load(&scope("g_a", index)), gdn)
        };
        let double = |index: usize, channels| {
            let gdn = (index < 6).then(|| Gdn::load(n, true, &scope("g_s", index + 1)));
            let conv = ConvTransposeConfig::new(channels, KERNEL, 2);
            (conv.load(&scope("g_s", index)), gdn)
        };
        let analysis = vec![
            halve(0, [3, n]),
            halve(2, [n, n]),
            halve(4, [n, n]),
            halve(6, [n, m]),
        ];
        let synthesis = vec![
            double(0, [m, n]),
            double(2, [n, n]),
            double(4, [n, n]),
            double(6, [n, 3]),
        ];
        let hyper = match config.architecture {
            Architecture::Factorized => None,
            Architecture::Scale => Some(Hyper::load([n, n, m], config, loader)?),
            Architecture::MeanScale | Architecture::Autoregressive => {
                Some(Hyper::load([m, 3 * m / 2, 2 * m], config, loader)?)
            }
        };
        let channels = if hyper.is_some() { n } else { m };
        let bottleneck = EntropyBottleneck::load(
            channels,
            Likelihood::Plain,
            &loader.at("entropy_bottleneck"),
        )?;
        Ok(Self {
            analysis,
            synthesis,
            hyper,
            bottleneck,
        })
    }

    /// `g_a`: pixels `[n, 3, 16h, 16w]` in 0..1 to latents `[n, M, h, w]`.
    pub fn analysis(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.analysis.iter().fold(x, |x, (conv, gdn)| {
            let x = conv.forward(x, Activation::None);
            gdn.iter().fold(x, |x, gdn| gdn.forward(x))
        })
    }

    /// `g_s`: latents `[n, M, h, w]` to pixels `[n, 3, 16h, 16w]`, not clamped.
    pub fn synthesis(&self, y: Tensor<B, 4>) -> Tensor<B, 4> {
        self.synthesis.iter().fold(y, |y, (conv, gdn)| {
            let y = conv.forward(y, Activation::None);
            gdn.iter().fold(y, |y, gdn| gdn.forward(y))
        })
    }
}

impl<B: CodecBackend> Hyper<B> {
    fn load(
        [first, second, output]: [usize; 3],
        config: &HyperpriorConfig,
        loader: &Loader<'_, B>,
    ) -> Result<Self, Error> {
        let (n, m) = (config.width, config.latents);
        let (analysis, synthesis) = (loader.at("h_a"), loader.at("h_s"));
        let conv = |channels, stride, kernel, loader: Loader<'_, B>| {
            ConvConfig::new(channels, kernel)
                .with_stride(stride)
                .load(&loader)
        };
        let double = |index: usize, channels| {
            ConvTransposeConfig::new(channels, KERNEL, 2).load(&synthesis.at(index))
        };
        Ok(Self {
            analysis: [
                conv([m, n], 1, 3, analysis.at(0)),
                conv([n, n], 2, KERNEL, analysis.at(2)),
                conv([n, n], 2, KERNEL, analysis.at(4)),
            ],
            expand: [double(0, [n, first]), double(2, [first, second])],
            output: conv([second, output], 1, 3, synthesis.at(4)),
            with_means: config.architecture != Architecture::Scale,
            context: (config.architecture == Architecture::Autoregressive)
                .then(|| Context::load(config, loader)),
            gaussian: GaussianConditional::load(&loader.at("gaussian_conditional"))?,
        })
    }

    fn hidden(&self) -> Activation {
        if self.with_means {
            Activation::LeakyRelu(0.01)
        } else {
            Activation::Relu
        }
    }

    /// `h_a`: latents `[n, M, h, w]` to hyperlatents `[n, N, h / 4, w / 4]`. The scale hyperprior sees magnitudes.
    pub fn analysis(&self, y: Tensor<B, 4>) -> Tensor<B, 4> {
        let y = if self.with_means { y } else { y.abs() };
        let [input, middle, output] = &self.analysis;
        let z = middle.forward(input.forward(y, self.hidden()), self.hidden());
        output.forward(z, Activation::None)
    }

    /// `h_s`: hyperlatents `[n, N, h, w]` to parameters of latents `[n, M, 4h, 4w]`.
    pub fn synthesis(&self, z: Tensor<B, 4>) -> Parameters<B> {
        let hidden = self.hidden();
        let features = self
            .expand
            .iter()
            .fold(z, |z, layer| layer.forward(z, hidden));
        if !self.with_means {
            // The ReLU at the end keeps scales from being negative.
            return Parameters {
                scales: self.output.forward(features, Activation::Relu),
                means: None,
            };
        }
        let parameters = self.output.forward(features, Activation::None);
        let half = parameters.dims()[1] / 2;
        Parameters {
            scales: parameters.clone().narrow(1, 0, half),
            means: Some(parameters.narrow(1, half, half)),
        }
    }
}
