//! Latents of lower cost, for high efforts: `models::annealing` with this family's rate and distortion.
//!
//! Hyperlatents stay what they are; everything after them follows the latents.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::BackendTypes;
use codec_core::Error;
use codec_core::backend::{CodecBackend, RateOps};

use super::codec::{Coder, residual};
use super::slice::{Group, halves};
use crate::coder::RgbTile;
use crate::models::annealing::{Cost, Quantizer, Schedule, check_size, refine, scale_index};
use crate::models::grid::Grid;

impl<B> Coder<B>
where
    B: CodecBackend,
    Autodiff<B>: CodecBackend + BackendTypes<Device = <B as BackendTypes>::Device>,
{
    /// Latents of lower cost than those of the analysis.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a tile that is too large.
    pub(super) fn refined(
        &self,
        tile: RgbTile<'_>,
        grid: Grid,
        y: Tensor<B, 4>,
        features: &Tensor<B, 4>,
        schedule: Schedule,
    ) -> Result<Tensor<B, 4>, Error> {
        check_size(tile.width, tile.height)?;
        let network = self.model.frozen_network::<Autodiff<B>>(&self.device)?;
        // The border of a padded picture is thrown away, so its error does not count.
        let seen = |x: Tensor<Autodiff<B>, 4>| x.slice([0..1, 0..3, 0..tile.height, 0..tile.width]);
        let pixels = seen(Tensor::from_inner(grid.pixels(tile, &self.device)?));
        let cost = |y: Tensor<Autodiff<B>, 4>, quantizer: &Quantizer| {
            let y = halves(&y)?;
            let mut bits = Tensor::<Autodiff<B>, 1>::zeros([1], &self.device);
            let mut number = 0;
            let mut code = |group: &Group<Autodiff<B>>| {
                let symbols = quantizer.apply(residual(&y, number, group));
                number += 1;
                let centre = symbols.zeros_like();
                let index = scale_index(group.scales.clone());
                let rate = <Autodiff<B>>::gaussian_bits(symbols.clone(), centre, index);
                bits = bits.clone() + rate.sum();
                Ok(symbols)
            };
            let features = Tensor::from_inner(features.clone());
            let decoded = network.code_latents(features, &mut code, None)?;
            let error = seen(network.synthesis.forward(decoded)?) - pixels.clone();
            Ok(Cost {
                bits,
                error: error.mul_scalar(255.0).square().sum(),
            })
        };
        refine::<Autodiff<B>>(y, schedule, cost)
    }
}
