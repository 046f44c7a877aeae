//! Losses of vector quantizers.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Mean squared distance that pulls the latents to their codes, `[1]`; no gradient to the codes.
pub fn commitment<B: Backend, const D: usize>(
    latents: Tensor<B, D>,
    codes: Tensor<B, D>,
) -> Tensor<B, 1> {
    (latents - codes.detach()).square().mean()
}

/// Mean squared distance that pulls the codes to the latents, `[1]`; no gradient to the latents.
pub fn codebook<B: Backend, const D: usize>(
    latents: Tensor<B, D>,
    codes: Tensor<B, D>,
) -> Tensor<B, 1> {
    (latents.detach() - codes).square().mean()
}

/// What each of the two terms counts for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossWeights {
    /// Weight of [`commitment`].
    pub commitment: f64,
    /// Weight of [`codebook`].
    pub codebook: f64,
}

impl LossWeights {
    /// Beta on the commitment, as published (van den Oord et al. 2017, eq. 3; SimVQ's configurations).
    pub const fn on_commitment(beta: f64) -> Self {
        Self {
            commitment: beta,
            codebook: 1.0,
        }
    }

    /// Beta on the codebook: `legacy` in taming-transformers, which all its released models were trained with (0.25), and
    /// VQGAN-LC (0.33).
    pub const fn on_codebook(beta: f64) -> Self {
        Self {
            commitment: 1.0,
            codebook: beta,
        }
    }

    /// None: rows that do not learn, and latents that have nowhere to run away to.
    pub const fn none() -> Self {
        Self {
            commitment: 0.0,
            codebook: 0.0,
        }
    }

    /// The weighted sum, `[1]`, of latents as they were searched and the rows that were chosen.
    pub fn of<B: Backend, const D: usize>(
        self,
        latents: Tensor<B, D>,
        rows: Tensor<B, D>,
    ) -> Tensor<B, 1> {
        commitment(latents.clone(), rows.clone()).mul_scalar(self.commitment)
            + codebook(latents, rows).mul_scalar(self.codebook)
    }

    /// The weighted sum for each of `n` latents, `[n]`; its mean is [`LossWeights::of`].
    pub fn of_rows<B: Backend>(self, latents: Tensor<B, 2>, rows: Tensor<B, 2>) -> Tensor<B, 1> {
        let n = latents.dims()[0];
        let squares = |a: Tensor<B, 2>, b: Tensor<B, 2>| (a - b).square().mean_dim(1).reshape([n]);
        squares(latents.clone(), rows.clone().detach()).mul_scalar(self.commitment)
            + squares(latents.detach(), rows).mul_scalar(self.codebook)
    }
}
