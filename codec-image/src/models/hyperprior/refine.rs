//! Latents of lower cost, for high efforts: `models::annealing` with this family's rate and distortion.
//!
//! Hyperlatents stay what they are, and with them scales and means; those of the autoregressive model are held at what they were
//! for the latents that annealing starts from.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::FactorizedPrior;
use codec_core::weights::Loader;

use super::codec::Coder;
use super::latents::HostParameters;
use crate::coder::RgbTile;
use crate::models::annealing::{Cost, Quantizer, Schedule, check_size, refine, scale_index};
use crate::models::grid::Grid;
use crate::models::host;

/// How latents are distributed.
enum Rate<B: CodecBackend> {
    Gaussian {
        means: Tensor<B, 4>,
        index: Tensor<B, 4>,
    },
    Factorized {
        medians: Tensor<B, 4>,
        prior: FactorizedPrior<B>,
    },
}

impl<B: CodecBackend> Rate<B> {
    /// Where the integers lie.
    fn centres(&self) -> Tensor<B, 4> {
        match self {
            Self::Gaussian { means, .. } => means.clone(),
            Self::Factorized { medians, .. } => medians.clone(),
        }
    }

    fn bits(&self, y: Tensor<B, 4>) -> Tensor<B, 1> {
        match self {
            Self::Gaussian { means, index } => {
                B::gaussian_bits(y, means.clone(), index.clone()).sum()
            }
            Self::Factorized { prior, .. } => prior.bits(y).sum(),
        }
    }
}

impl<B> Coder<B>
where
    B: CodecBackend,
    Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
{
    /// Latents `[M, h, w]` of lower cost than those of the analysis. `parameters` are their scales and means, none with a
    /// factorized prior.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a tile that is too large.
    pub(super) fn refined(
        &self,
        tile: RgbTile<'_>,
        grid: Grid,
        y: Tensor<B, 4>,
        parameters: Option<&HostParameters>,
        schedule: Schedule,
    ) -> Result<Vec<f32>, Error> {
        check_size(tile.width, tile.height)?;
        let network = self.model.frozen_network::<Autodiff<B>>(&self.device)?;
        let channels = self.model.config.latents;
        let constant = |values: &[f32]| {
            let values = grid.tensor::<B>(values.to_vec(), channels, &self.device);
            Tensor::<Autodiff<B>, 4>::from_inner(values)
        };
        let rate = match parameters {
            Some(HostParameters { scales, means }) => Rate::Gaussian {
                means: constant(means),
                index: scale_index(constant(scales)),
            },
            None => {
                let loader = Loader::new(&self.model.tensors, &self.device).frozen();
                let zeros = vec![0; channels * grid.area()];
                Rate::Factorized {
                    medians: constant(&self.network.bottleneck.dequantize(&zeros, grid.area())),
                    prior: FactorizedPrior::load(channels, &loader.at("entropy_bottleneck")),
                }
            }
        };
        // The border of a padded picture is thrown away, so its error does not count.
        let seen = |x: Tensor<Autodiff<B>, 4>| x.slice([0..1, 0..3, 0..tile.height, 0..tile.width]);
        let pixels = seen(Tensor::from_inner(grid.pixels(tile, &self.device)?));
        let cost = |y: Tensor<Autodiff<B>, 4>, quantizer: &Quantizer| {
            let centres = rate.centres();
            let quantized = quantizer.apply(y - centres.clone()) + centres;
            let error = seen(network.synthesis(quantized.clone())) - pixels.clone();
            Ok(Cost {
                bits: rate.bits(quantized),
                error: error.mul_scalar(255.0).square().sum(),
            })
        };
        host(refine::<Autodiff<B>>(y, schedule, cost)?)
    }
}
