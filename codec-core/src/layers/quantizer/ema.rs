//! A codebook that follows its latents by moving averages instead of gradients (van den Oord et al. 2017, appendix A.1).

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::Codebook;
use crate::Error;
use crate::backend::CodecBackend;
use crate::clustering::{KMeans, k_means};
use crate::weights::{HostTensor, Loader};

/// Keeps the size of an unused row above zero.
const EPSILON: f64 = 1e-5;
/// Steps of the clustering that rows start from.
const START_STEPS: usize = 50;

/// Rows, how many latents each stands for, and the sum of those, the last two as moving averages.
#[derive(Module, Debug)]
pub struct EmaCodebook<B: Backend> {
    /// Rows, `[codes, width]`.
    pub embed: Param<Tensor<B, 2>>,
    /// Latents per step of each row, `[codes]`.
    pub cluster_size: Param<Tensor<B, 1>>,
    /// Sum of these latents, `[codes, width]`.
    pub embed_avg: Param<Tensor<B, 2>>,
    /// Share of the past that a step keeps.
    pub decay: f64,
}

impl<B: CodecBackend> EmaCodebook<B> {
    /// The codebook of a checkpoint: tensors `embed`, `cluster_size`, `embed_avg`; the flag `inited` is known to it.
    pub fn load(codes: usize, width: usize, decay: f64, loader: &Loader<'_, B>) -> Self {
        loader.known("inited");
        Self {
            embed: loader
                .param("embed", [codes, width])
                .set_require_grad(false),
            cluster_size: loader
                .param("cluster_size", [codes])
                .set_require_grad(false),
            embed_avg: loader
                .param("embed_avg", [codes, width])
                .set_require_grad(false),
            decay,
        }
    }

    /// The values of `other` in the parameters of this one, which keep their ids.
    #[must_use]
    pub fn at(self, other: Self) -> Self {
        Self {
            embed: put(self.embed, other.embed.val()),
            cluster_size: put(self.cluster_size, other.cluster_size.val()),
            embed_avg: put(self.embed_avg, other.embed_avg.val()),
            decay: self.decay,
        }
    }

    /// Rows that k-means finds among first latents `[n, width]`.
    ///
    /// # Errors
    /// Those of [`k_means`], and [`Error::Device`].
    pub fn start(
        latents: Tensor<B, 2>,
        codes: usize,
        decay: f64,
        seed: u64,
    ) -> Result<Self, Error> {
        let (device, [_, width]) = (latents.device(), latents.dims());
        let host = HostTensor::from_device(latents.detach())?;
        let options = KMeans {
            seed,
            steps: START_STEPS,
        };
        let found = k_means(
            host.as_floats().unwrap_or_default(),
            width,
            None,
            codes,
            options,
        )?;
        let embed =
            HostTensor::floats(&[codes, width], found.centers)?.to_device::<B, 2>(&device)?;
        let sizes = found.mass.iter().map(|&mass| mass as f32).collect();
        let sizes = HostTensor::floats(&[codes], sizes)?.to_device::<B, 1>(&device)?;
        Ok(Self {
            // Sums, not the rows themselves, which the authors' code puts here: those would shrink with the first step.
            embed_avg: Param::from_tensor(embed.clone() * sizes.clone().reshape([codes, 1])),
            embed: Param::from_tensor(embed),
            cluster_size: Param::from_tensor(sizes),
            decay,
        })
    }

    /// The rows as they are now.
    pub fn codebook(&self) -> Codebook<B> {
        Codebook::new(self.embed.val())
    }

    /// A step: rows move towards the latents `[n, width]` that chose them, `codes` `[n]`.
    #[must_use]
    pub fn update(self, latents: Tensor<B, 2>, codes: Tensor<B, 1, Int>) -> Self {
        let [count, width] = self.embed.dims();
        let (device, latents) = (latents.device(), latents.detach());
        let n = latents.dims()[0];
        let add = |to: Tensor<B, 2>, values: Tensor<B, 2>| {
            to.select_assign(0, codes.clone(), values, IndexingUpdateOp::Add)
        };
        let sums = add(Tensor::zeros([count, width], &device), latents);
        let sizes = add(
            Tensor::zeros([count, 1], &device),
            Tensor::ones([n, 1], &device),
        );
        let blend = 1.0 - self.decay;
        let average = self.embed_avg.val().mul_scalar(self.decay) + sums.mul_scalar(blend);
        let size = self.cluster_size.val().mul_scalar(self.decay)
            + sizes.reshape([count]).mul_scalar(blend);
        // Laplace smoothing: an unused row is divided by a little more than nothing.
        let total = size.clone().sum();
        let smoothed =
            size.clone().add_scalar(EPSILON) / (total.clone() + EPSILON * count as f64) * total;
        Self {
            embed: put(self.embed, average.clone() / smoothed.reshape([count, 1])),
            cluster_size: put(self.cluster_size, size),
            embed_avg: put(self.embed_avg, average),
            decay: self.decay,
        }
    }

    /// Gives rows that stand for fewer than `threshold` latents a step a new life as one of `candidates` `[codes, width]`,
    /// row by row. Their averages start anew as well, so that the next [`EmaCodebook::update`] does not undo it.
    #[must_use]
    pub fn restart(self, candidates: Tensor<B, 2>, threshold: f64) -> Self {
        let [count, width] = self.embed.dims();
        let size = self.cluster_size.val();
        let dead = size.clone().lower_elem(threshold);
        let wide = dead.clone().reshape([count, 1]).expand([count, width]);
        let candidates = candidates.detach();
        let alive = candidates.clone().mul_scalar(threshold);
        let embed = self.embed.val().mask_where(wide.clone(), candidates);
        let embed_avg = self.embed_avg.val().mask_where(wide, alive);
        Self {
            embed: put(self.embed, embed),
            cluster_size: put(self.cluster_size, size.mask_fill(dead, threshold)),
            embed_avg: put(self.embed_avg, embed_avg),
            decay: self.decay,
        }
    }
}

/// Another value of a parameter that no gradient goes to.
fn put<B: Backend, const D: usize>(
    param: Param<Tensor<B, D>>,
    value: Tensor<B, D>,
) -> Param<Tensor<B, D>> {
    Param::initialized(param.id, value.detach()).set_require_grad(false)
}
