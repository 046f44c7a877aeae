//! Quantizers in a row, each for what those before have left.
//!
//! | kind | published in |
//! | --- | --- |
//! | residual | SoundStream (Zeghidour et al. 2021, arXiv 2107.03312), EnCodec; factorized in DAC |
//! | group-residual: every stage quantizes groups of channels by themselves | HiFi-Codec (Yang et al. 2023, arXiv 2305.02765) |
//! | masked-channel: the first stages see one band of channels each | Language-Codec (Ji et al. 2024, arXiv 2402.12208) |

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::{Codebook, Quantizer, QuantizerConfig};
use crate::Error;
use crate::backend::CodecBackend;
use crate::weights::Loader;

/// Stages of quantizers.
#[derive(Module, Debug)]
pub struct ResidualQuantizer<B: Backend> {
    /// The quantizers of each stage, one for each group of channels.
    pub stages: Vec<Vec<Quantizer<B>>>,
    /// So many first stages see bands of the latents themselves: stage i channels `d i / bands..d (i + 1) / bands`.
    pub bands: usize,
}

/// The codebooks of a [`ResidualQuantizer`], ready to search, in the order of its quantizers.
pub type Codebooks<B> = Vec<Vec<Codebook<B>>>;

/// What [`ResidualQuantizer::quantize`] gives.
#[derive(Debug, Clone)]
pub struct ResidualQuantized<B: Backend> {
    /// Codes of every quantizer, `[n]`, stage by stage and group by group.
    pub codes: Vec<Tensor<B, 1, Int>>,
    /// What each stage searched for, `[n, width]`.
    pub latents: Vec<Tensor<B, 2>>,
    /// What it found.
    pub rows: Vec<Tensor<B, 2>>,
    /// Sum of the stages, in straight-through form, `[n, d]`.
    pub output: Tensor<B, 2>,
}

impl<B: CodecBackend> ResidualQuantizer<B> {
    /// Stages with one quantizer each, of loaders that `stage` gives.
    pub fn load<'a>(
        config: QuantizerConfig,
        stages: usize,
        stage: impl Fn(usize) -> Loader<'a, B>,
    ) -> Self {
        let quantizers = (0..stages).map(|number| vec![Quantizer::load(config, &stage(number))]);
        Self {
            stages: quantizers.collect(),
            bands: 0,
        }
    }

    /// The rows as they are now.
    pub fn codebooks(&self) -> Codebooks<B> {
        let stages = self.stages.iter();
        stages
            .map(|groups| groups.iter().map(Quantizer::codebook).collect())
            .collect()
    }

    /// Codes of latents by the first `stages` stages.
    ///
    /// # Shapes
    /// `[n, d]`; every stage has groups of one width
    pub fn quantize(
        &self,
        latents: Tensor<B, 2>,
        stages: usize,
        codebooks: &Codebooks<B>,
    ) -> ResidualQuantized<B> {
        let [n, d] = latents.dims();
        let mut left = latents.clone();
        let mut found = ResidualQuantized {
            codes: Vec::new(),
            latents: Vec::new(),
            rows: Vec::new(),
            output: Tensor::zeros([n, d], &latents.device()),
        };
        let stages = self.stages.iter().zip(codebooks).take(stages);
        for (number, (quantizers, codebooks)) in stages.enumerate() {
            let seen = if number < self.bands {
                band(
                    latents.clone(),
                    d * number / self.bands,
                    d * (number + 1) / self.bands,
                )
            } else {
                left.clone()
            };
            let width = d / quantizers.len().max(1);
            let groups = quantizers.iter().zip(codebooks).enumerate();
            let groups: Vec<_> = groups
                .map(|(group, (quantizer, codebook))| {
                    quantizer.quantize(seen.clone().narrow(1, group * width, width), codebook)
                })
                .collect();
            let join = |part: fn(&super::Quantized<B>) -> Tensor<B, 2>| {
                Tensor::cat(groups.iter().map(part).collect(), 1)
            };
            let output = join(|group| group.output.clone());
            left = left - output.clone();
            found.output = found.output + output;
            found.latents.push(join(|group| group.latents.clone()));
            found.rows.push(join(|group| group.rows.clone()));
            found
                .codes
                .extend(groups.into_iter().map(|group| group.codes));
        }
        found
    }

    /// What codes stand for, those of the first stages in the order of [`ResidualQuantized::codes`].
    ///
    /// # Shapes
    /// `[n]` each, to `[n, d]`
    ///
    /// # Errors
    /// [`Error::BadParameter`] unless there are codes for some whole stages.
    pub fn decode(
        &self,
        codes: &[Tensor<B, 1, Int>],
        codebooks: &Codebooks<B>,
    ) -> Result<Tensor<B, 2>, Error> {
        let mut rest = codes;
        let mut sum: Option<Tensor<B, 2>> = None;
        for (quantizers, codebooks) in self.stages.iter().zip(codebooks) {
            let Some((own, after)) = rest.split_at_checked(quantizers.len()) else {
                break;
            };
            rest = after;
            let groups = quantizers.iter().zip(codebooks).zip(own);
            let groups = groups
                .map(|((quantizer, codebook), codes)| quantizer.decode(codes.clone(), codebook));
            let rows = Tensor::cat(groups.collect(), 1);
            sum = Some(match sum {
                Some(sum) => sum + rows,
                None => rows,
            });
        }
        match sum {
            Some(sum) if rest.is_empty() => Ok(sum),
            _ => Err(Error::bad_parameter(format!(
                "codes of {} codebooks for {} stages",
                codes.len(),
                self.stages.len()
            ))),
        }
    }
}

/// Some channels, with zeros for the others.
fn band<B: Backend>(latents: Tensor<B, 2>, from: usize, to: usize) -> Tensor<B, 2> {
    let [n, d] = latents.dims();
    let device = latents.device();
    let zeros = |width: usize| (width > 0).then(|| Tensor::zeros([n, width], &device));
    let kept = (to > from).then(|| latents.narrow(1, from, to - from));
    let parts = [zeros(from), kept, zeros(d - to)];
    Tensor::cat(parts.into_iter().flatten().collect(), 1)
}
