//! The rows of a quantizer, ready to search and to look up.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::Measure;
use crate::backend::CodecBackend;

/// Smallest norm that latents and rows are divided by.
const NORM_MIN: f64 = 1e-12;

/// Rows with what the search needs beside them.
#[derive(Debug, Clone)]
pub struct Codebook<B: Backend> {
    rows: Tensor<B, 2>,
    search: Search<B>,
}

#[derive(Debug, Clone)]
enum Search<B: Backend> {
    /// The nearest of the rows.
    Rows,
    /// The nearest of the rows divided by their norms, of latents divided by theirs.
    Cosine(Tensor<B, 2>),
    /// The largest logit: weight and bias.
    Logits(Tensor<B, 2>, Tensor<B, 1>),
}

impl<B: CodecBackend> Codebook<B> {
    /// Rows `[codes, width]` that are searched by their Euclidean distance.
    pub fn new(rows: Tensor<B, 2>) -> Self {
        Self::measured(rows, Measure::Distance)
    }

    pub(super) fn measured(rows: Tensor<B, 2>, measure: Measure) -> Self {
        let search = match measure {
            Measure::Distance | Measure::UnitLatents => Search::Rows,
            Measure::Cosine => Search::Cosine(unit(rows.clone())),
        };
        Self { rows, search }
    }

    pub(super) fn of_logits(rows: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Self {
        Self {
            rows,
            search: Search::Logits(weight, bias),
        }
    }

    /// Number of rows and their width.
    pub fn dims(&self) -> [usize; 2] {
        self.rows.dims()
    }

    /// All rows, `[codes, width]`.
    pub fn all(&self) -> Tensor<B, 2> {
        self.rows.clone()
    }

    /// Code of each latent as the quantizer compares it, `[n, width]` to `[n]`.
    pub fn search(&self, latents: Tensor<B, 2>) -> Tensor<B, 1, Int> {
        match &self.search {
            Search::Rows => B::nearest_rows(latents, self.rows.clone()),
            Search::Cosine(rows) => B::nearest_rows(unit(latents), rows.clone()),
            Search::Logits(weight, bias) => {
                B::largest_logits(latents, weight.clone(), bias.clone())
            }
        }
    }

    /// Rows of codes, `[n]` to `[n, width]`. Codes are below the number of rows: backends do not check.
    pub fn rows(&self, codes: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        self.rows.clone().select(0, codes)
    }
}

/// Rows divided by their norms.
fn unit<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(NORM_MIN);
    rows / norm
}
