//! Vector quantizers of published models, over rows of latents `[n, d]`.
//!
//! | kind | searched | authors |
//! | --- | --- | --- |
//! | [`QuantizerConfig::Plain`] | the codebook | taming-transformers (Esser et al. 2021, arXiv 2012.09841) |
//! | [`QuantizerConfig::Gumbel`] | the largest logit, no distances | the same, after DALL-E |
//! | [`QuantizerConfig::Projected`] | a projection of a frozen codebook | VQGAN-LC (Zhu et al. 2024, arXiv 2406.11837) |
//! | [`QuantizerConfig::Sim`] | a linear map of a frozen codebook | SimVQ (Zhu et al. 2024, arXiv 2411.02038) |
//! | [`QuantizerConfig::Moving`] | the codebook, moved by averages ([`EmaCodebook`]) | EnCodec (Defossez et al. 2022, arXiv 2210.13438) |
//! | [`QuantizerConfig::Finite`] | all combinations of levels ([`grid`]), by rounding | FSQ (Mentzer et al. 2023, arXiv 2309.15505) |
//! | [`QuantizerConfig::Factorized`] | directions, in a few dimensions | improved VQGAN (Yu et al. 2022, arXiv 2110.04627), DAC |
//!
//! All search in 32 bits, and the first of equally near rows wins. What a decoder needs is in [`Codebook`], made once.

mod codebook;
mod ema;
mod finite;
mod loss;
mod residual;

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

pub use codebook::Codebook;
pub use ema::EmaCodebook;
pub use finite::{combinations, grid, levels};
pub use loss::{LossWeights, codebook, commitment};
pub use residual::{Codebooks, ResidualQuantized, ResidualQuantizer};

use super::linear::Linear;
use crate::backend::CodecBackend;
use crate::weights::{HostTensor, Loader};

/// How the rows of a frozen codebook are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Not at all.
    None,
    /// `codebook_projection`.
    Linear,
    /// `codebook_projection.0`, rectifier, `codebook_projection.2`, with so many units between.
    Hidden(usize),
}

/// Kind and sizes of a [`Quantizer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantizerConfig {
    /// `embedding.weight`.
    Plain {
        /// Rows of the codebook.
        codes: usize,
        /// Width of latents and rows.
        width: usize,
    },
    /// `proj.weight`, `proj.bias`, `embed.weight`. Without the noise of training: the largest logit.
    Gumbel {
        /// Rows of the codebook.
        codes: usize,
        /// Width of the latents.
        input: usize,
        /// Width of the rows.
        width: usize,
    },
    /// `tok_embeddings.weight` and the tensors of the projection.
    Projected {
        /// Rows of the codebook.
        codes: usize,
        /// Width of the frozen rows.
        stored: usize,
        /// Width of latents and projected rows.
        width: usize,
        /// The projection.
        projection: Projection,
        /// Whether latents are divided by their norm before the search.
        unit: bool,
    },
    /// `embedding.weight`, `embedding_proj.weight`, `embedding_proj.bias`.
    Sim {
        /// Rows of the codebook.
        codes: usize,
        /// Width of latents and rows.
        width: usize,
    },
    /// `embed`; the averages that training moves it by (`cluster_size`, `embed_avg`, `inited`) are known.
    Moving {
        /// Rows of the codebook.
        codes: usize,
        /// Width of latents and rows.
        width: usize,
    },
    /// `grid`: rows that [`grid`] has made. Latents are bounded before the search.
    Finite {
        /// Rows: combinations of levels.
        codes: usize,
        /// Dimensions.
        width: usize,
    },
    /// `in_proj`, `codebook.weight`, `out_proj`; the projections with plain weights (weight normalization folded).
    Factorized {
        /// Rows of the codebook.
        codes: usize,
        /// Width of the latents.
        input: usize,
        /// Width of the rows.
        width: usize,
    },
}

/// What the search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The distance.
    Distance,
    /// The distance of latents divided by their norm.
    UnitLatents,
    /// The distance of latents and rows divided by their norms.
    Cosine,
}

/// A vector quantizer.
#[derive(Module, Debug)]
pub struct Quantizer<B: Backend> {
    /// Stored rows, `[codes, stored width]`.
    pub stored: Param<Tensor<B, 2>>,
    /// Maps from stored rows to rows, rectifiers between them.
    pub projection: Vec<Linear<B>>,
    /// Logits of a Gumbel quantizer.
    pub logits: Option<Linear<B>>,
    /// Latents to the width of the rows.
    pub input: Option<Linear<B>>,
    /// Rows to the width of the latents.
    pub output: Option<Linear<B>>,
    unit: bool,
    cosine: bool,
    /// Levels of each dimension of a finite scalar quantizer.
    levels: Vec<usize>,
}

/// What [`Quantizer::quantize`] gives.
#[derive(Debug, Clone)]
pub struct Quantized<B: Backend> {
    /// Code of each latent, `[n]`.
    pub codes: Tensor<B, 1, Int>,
    /// Latents as they were compared with rows, `[n, width]`.
    pub latents: Tensor<B, 2>,
    /// Rows of the codes, `[n, width]`, for the losses.
    pub rows: Tensor<B, 2>,
    /// The output in straight-through form, `[n, input]`: its gradient goes to the latents.
    pub output: Tensor<B, 2>,
}

impl<B: CodecBackend> Quantizer<B> {
    /// The quantizer of a checkpoint, under its authors' names.
    pub fn load(config: QuantizerConfig, loader: &Loader<'_, B>) -> Self {
        let plain = |stored| Self {
            stored,
            projection: Vec::new(),
            logits: None,
            input: None,
            output: None,
            unit: false,
            cosine: false,
            levels: Vec::new(),
        };
        match config {
            QuantizerConfig::Plain { codes, width } => {
                plain(loader.param("embedding.weight", [codes, width]))
            }
            QuantizerConfig::Gumbel {
                codes,
                input,
                width,
            } => Self {
                logits: Some(Linear::load([input, codes], &loader.at("proj"))),
                ..plain(loader.param("embed.weight", [codes, width]))
            },
            QuantizerConfig::Projected {
                codes,
                stored,
                width,
                projection,
                unit,
            } => {
                let at = loader.at("codebook_projection");
                let projection = match projection {
                    Projection::None => Vec::new(),
                    Projection::Linear => vec![Linear::load([stored, width], &at)],
                    Projection::Hidden(hidden) => vec![
                        Linear::load([stored, hidden], &at.at(0)),
                        Linear::load([hidden, width], &at.at(2)),
                    ],
                };
                Self {
                    projection,
                    unit,
                    ..plain(loader.param("tok_embeddings.weight", [codes, stored]))
                }
                .with_frozen_rows()
            }
            QuantizerConfig::Moving { codes, width } => {
                for average in ["cluster_size", "embed_avg", "inited"] {
                    loader.known(average);
                }
                plain(loader.param("embed", [codes, width]))
            }
            QuantizerConfig::Sim { codes, width } => Self {
                projection: vec![Linear::load([width; 2], &loader.at("embedding_proj"))],
                ..plain(loader.param("embedding.weight", [codes, width]))
            }
            .with_frozen_rows(),
            QuantizerConfig::Finite { codes, width } => {
                let rows = loader.param("grid", [codes, width]);
                let found = HostTensor::from_device(rows.val()).ok();
                let found = found.as_ref().and_then(HostTensor::as_floats);
                Self {
                    // Other rows than those of a grid are a codebook as any.
                    levels: found
                        .and_then(|rows| levels(rows, width))
                        .unwrap_or_default(),
                    ..plain(rows)
                }
                .with_frozen_rows()
            }
            QuantizerConfig::Factorized {
                codes,
                input,
                width,
            } => Self {
                input: Some(Linear::load([input, width], &loader.at("in_proj"))),
                output: Some(Linear::load([width, input], &loader.at("out_proj"))),
                cosine: true,
                ..plain(loader.param("codebook.weight", [codes, width]))
            },
        }
    }

    /// Leaves the stored rows as they are: only their projection learns.
    fn with_frozen_rows(mut self) -> Self {
        self.stored = self.stored.set_require_grad(false);
        self
    }

    /// The rows as they are now. Within training they have the gradient of codebook and projection.
    pub fn codebook(&self) -> Codebook<B> {
        let mut rows = self.stored.val();
        for (index, map) in self.projection.iter().enumerate() {
            rows = map.forward(if index == 0 { rows } else { relu(rows) });
        }
        if let Some(logits) = &self.logits {
            return Codebook::of_logits(rows, logits.weight.val(), logits.bias.val());
        }
        let measure = match (self.unit, self.cosine) {
            (_, true) => Measure::Cosine,
            (true, false) => Measure::UnitLatents,
            (false, false) => Measure::Distance,
        };
        Codebook::measured(rows, measure)
    }

    /// Codes of latents.
    ///
    /// # Shapes
    /// `[n, input]` to `[n]`
    pub fn codes(&self, latents: Tensor<B, 2>, codebook: &Codebook<B>) -> Tensor<B, 1, Int> {
        codebook.search(self.enter(latents))
    }

    /// What codes stand for.
    ///
    /// # Shapes
    /// `[n]`, each below the number of codes, to `[n, input]`
    pub fn decode(&self, codes: Tensor<B, 1, Int>, codebook: &Codebook<B>) -> Tensor<B, 2> {
        self.leave(codebook.rows(codes))
    }

    /// Codes of latents with everything that training looks at.
    ///
    /// # Shapes
    /// latents `[n, input]`
    pub fn quantize(&self, latents: Tensor<B, 2>, codebook: &Codebook<B>) -> Quantized<B> {
        let latents = self.enter(latents);
        let codes = codebook.search(latents.clone());
        let rows = codebook.rows(codes.clone());
        // A Gumbel quantizer's latents are logits: there is nothing to go straight through to.
        let passed = if self.logits.is_some() {
            rows.clone()
        } else {
            latents.clone() + (rows.clone() - latents.clone()).detach()
        };
        Quantized {
            codes,
            latents,
            rows,
            output: self.leave(passed),
        }
    }

    fn enter(&self, latents: Tensor<B, 2>) -> Tensor<B, 2> {
        let latents = match &self.input {
            Some(map) => map.forward(latents),
            None => latents,
        };
        if !self.levels.is_empty() {
            finite::bound(latents, &self.levels)
        } else if self.unit {
            // The authors add no epsilon.
            let norm = latents.clone().square().sum_dim(1).sqrt();
            latents / norm
        } else {
            latents
        }
    }

    fn leave(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.output {
            Some(map) => map.forward(rows),
            None => rows,
        }
    }
}

/// Positions of a plane as rows: `[n, c, h, w]` to `[n h w, c]`, in the order n, h, w.
pub fn to_rows<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h * w])
        .swap_dims(1, 2)
        .reshape([n * h * w, c])
}

/// The inverse of [`to_rows`]: `[n h w, c]` to `[n, c, h, w]`.
pub fn from_rows<B: Backend>(rows: Tensor<B, 2>, [n, h, w]: [usize; 3]) -> Tensor<B, 4> {
    let [_, c] = rows.dims();
    rows.reshape([n, h * w, c])
        .swap_dims(1, 2)
        .reshape([n, c, h, w])
}

#[cfg(test)]
mod tests;
