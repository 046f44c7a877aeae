//! The networks of a model, and the order in which latents are coded.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use codec_core::Error;
use codec_core::backend::CodecBackend;
use codec_core::layers::{EntropyBottleneck, GaussianConditional, Likelihood};
use codec_core::weights::Loader;

use super::config::MlicppConfig;
use super::slice::{Code, Known, Observer, Show, Slice, halves};
use super::transforms::{Analysis, HyperAnalysis, HyperSynthesis, Synthesis};

/// The networks of a model.
#[derive(Debug)]
pub struct Network<B: Backend> {
    /// Pixels to latents.
    pub analysis: Analysis<B>,
    /// Latents to pixels.
    pub synthesis: Synthesis<B>,
    /// Latents to hyperlatents.
    pub hyper_analysis: HyperAnalysis<B>,
    /// Hyperlatents to features.
    pub hyper_synthesis: HyperSynthesis<B>,
    slices: Vec<Slice<B>>,
    pub(super) bottleneck: EntropyBottleneck,
    pub(super) gaussian: GaussianConditional,
}

impl<B: CodecBackend> Network<B> {
    /// The networks of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Malformed`] for tables that are none.
    pub fn load(config: &MlicppConfig, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let bottleneck = loader.at("entropy_bottleneck");
        let slices = (0..config.slice_num).map(|index| Slice::load(config, index, loader));
        Ok(Self {
            analysis: Analysis::load(config, &loader.at("g_a")),
            synthesis: Synthesis::load(config, &loader.at("g_s")),
            hyper_analysis: HyperAnalysis::load(config, &loader.at("h_a")),
            hyper_synthesis: HyperSynthesis::load(config, &loader.at("h_s")),
            slices: slices.collect(),
            bottleneck: EntropyBottleneck::load(config.width, Likelihood::Signed, &bottleneck)?,
            gaussian: GaussianConditional::load(&loader.at("gaussian_conditional"))?,
        })
    }

    /// Number of slices.
    pub(super) fn slices(&self) -> usize {
        self.slices.len()
    }

    /// Decoded latents, from the hyperprior's features and the symbols that `code` finds: anchors of the first slice, its
    /// other cells, anchors of the second slice, and so on.
    ///
    /// Encoder and decoder both run this, the same operations in the same order: that is what makes their tables equal.
    ///
    /// # Shapes
    /// Features `[n, 2M, h, w]`, symbols `[n, c, h, w / 2]`, to `[n, M, h, w]`.
    ///
    /// # Errors
    /// Those of `code`; odd height or width.
    pub(super) fn code_latents(
        &self,
        features: Tensor<B, 4>,
        code: Code<'_, B>,
        observer: Option<Observer<'_, B>>,
    ) -> Result<Tensor<B, 4>, Error> {
        let mut show = Show::new(observer);
        let halves = halves(&features)?;
        let mut known = Known {
            guide: halves.clone(),
            halves,
            features,
            decoded: Vec::with_capacity(self.slices.len()),
        };
        for (index, slice) in self.slices.iter().enumerate() {
            show.slice(index);
            let [anchors, others] = slice.code(&known, code, &mut show)?;
            let plane = B::join_cells(anchors.clone(), others.clone())?;
            known.decoded.push(plane);
            known.guide = [anchors, others];
        }
        Ok(Tensor::cat(known.decoded, 1))
    }
}
