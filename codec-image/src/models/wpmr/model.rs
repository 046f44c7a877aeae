//! The whole model in training.

use std::sync::OnceLock;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::{Boundary, CodecBackend};
use codec_core::layers::Precision;
use codec_entropy::{TableSet, gaussian_tables};
use rayon::prelude::*;

use super::config::{BANDS, HYPER_MAX, LATENTS, LEVELS, PASSES, WpmrConfig};
use super::entropy::{EntropyModel, PassParameters, SCALE_MAX, context_input};
use super::layout::{folded_from_passes, pass_latents, step_index, step_index_eighth};
use super::quality::{StepCurves, base_step, quality_plane};
use super::symbols::{ERROR_BITS, optimized_residual};
use super::transform::{Analysis, Synthesis};

/// How training stands in for quantization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The rate sees uniform noise, everything else straight-through rounding (Minnen and Singh 2020, section 3.3).
    Noise,
    /// Straight-through rounding everywhere but in the rate of the hyperlatents.
    StraightThrough,
    /// The same with the rate-distortion optimized symbols of the encoder.
    Optimized,
    /// These symbols, with their exact rate and its gradient for the entropy model, while the encoder gets the gradient
    /// of the rate under noise. Noise alone charges every coefficient that is always zero about 0.1 bits, a third of the
    /// whole rate here; exact rates alone have no gradient where a coefficient rounds to zero.
    Mixed,
}

/// Arithmetic of a training pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassMode {
    /// Stand-in for quantization.
    pub rounding: Rounding,
    /// Arithmetic of the entropy model.
    pub precision: Precision,
}

/// What a training pass costs.
pub struct Losses<B: Backend> {
    /// Bits of the latents of each picture, `[n]`.
    pub latent_bits: Tensor<B, 1>,
    /// Bits of the hyperlatents of each picture, `[n]`.
    pub hyper_bits: Tensor<B, 1>,
    /// Mean squared error of each picture on the 0..255 scale, `[n]`.
    pub mse: Tensor<B, 1>,
    /// Reconstruction, 0..1, not clamped, `[n, 3, h, w]`.
    pub reconstruction: Tensor<B, 4>,
}

/// Wavelet packets, shallow transforms, hyperprior and four context passes.
#[derive(Module, Debug)]
pub struct Wpmr<B: Backend> {
    /// Analysis transform.
    pub analysis: Analysis<B>,
    /// Synthesis transform.
    pub synthesis: Synthesis<B>,
    /// Entropy model.
    pub entropy: EntropyModel<B>,
    /// Quantization steps.
    pub steps: StepCurves<B>,
}

impl WpmrConfig {
    /// A model with initial parameters.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Wpmr<B> {
        Wpmr {
            analysis: Analysis::new(self, device),
            synthesis: Synthesis::new(self, device),
            entropy: EntropyModel::new(self, device),
            steps: StepCurves::new(device),
        }
    }
}

/// Pixels in 0..1 to wavelet coefficients on the 0..255 scale, `[n, 3, h, w]` to `[n, 192, h/8, w/8]`.
///
/// # Errors
/// [`Error::BadParameter`] for sides that are not multiples of 8.
pub fn wavelet_forward<B: CodecBackend>(pixels: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
    Ok(B::wavelet_analysis(
        pixels.mul_scalar(255.0).sub_scalar(127.5),
        LEVELS,
        Boundary::Symmetric,
    )?)
}

/// Inverse of [`wavelet_forward`].
///
/// # Errors
/// [`Error::BadParameter`] for a channel count that is not a multiple of 64.
pub fn wavelet_inverse<B: CodecBackend>(coefficients: Tensor<B, 4>) -> Result<Tensor<B, 4>, Error> {
    let pixels = B::wavelet_synthesis(coefficients, LEVELS, Boundary::Symmetric)?;
    Ok(pixels.add_scalar(127.5).div_scalar(255.0))
}

fn expand<B: Backend>(table: &Tensor<B, 2>, index: &[usize]) -> Tensor<B, 4> {
    let n = table.dims()[0];
    let ids: Vec<i64> = index.iter().map(|&i| i as i64).collect();
    let ids = Tensor::<B, 1, burn::tensor::Int>::from_data(
        TensorData::new(ids, [index.len()]),
        &table.device(),
    );
    table.clone().select(1, ids).reshape([n, index.len(), 1, 1])
}

/// The symbols that an encoder would choose, with the gradient of rounding.
fn optimize<B: CodecBackend>(
    residual: Tensor<B, 4>,
    scale: Tensor<B, 4>,
) -> Result<Tensor<B, 4>, Error> {
    static TABLES: OnceLock<Option<TableSet>> = OnceLock::new();
    let tables = TABLES.get_or_init(|| gaussian_tables().ok()).as_ref();
    let tables =
        tables.ok_or_else(|| Error::BadParameter("the Gaussian tables cannot be built".into()))?;
    let values = |x: Tensor<B, 4>| {
        x.into_data()
            .convert::<f32>()
            .into_vec::<f32>()
            .unwrap_or_default()
    };
    let shape = residual.shape();
    let symbols: Vec<f32> = values(residual.clone())
        .into_par_iter()
        .zip(values(scale))
        .map(|(v, s)| {
            optimized_residual(
                v,
                (s + 0.5).clamp(0.0, SCALE_MAX as f32) as u8,
                ERROR_BITS,
                tables,
            ) as f32
        })
        .collect();
    let symbols = Tensor::from_data(TensorData::new(symbols, shape), &residual.device());
    Ok(residual.clone() - residual.detach() + symbols)
}

/// Appends channels.
pub(super) fn join<B: CodecBackend>(before: Option<Tensor<B, 4>>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    match before {
        Some(before) => B::concat_channels(before, x),
        None => x,
    }
}

fn noise<B: Backend>(x: &Tensor<B, 4>) -> Tensor<B, 4> {
    codec_core::noise::uniform(x.dims(), &x.device())
}

impl<B: CodecBackend> Wpmr<B> {
    /// Rate and distortion of a batch; `t` is the quality of each picture in `0..=1`.
    ///
    /// # Shapes
    /// `pixels`: `[n, 3, h, w]` in 0..1, sides multiples of 32.
    ///
    /// # Errors
    /// As [`codec_core::layers::QuantConv::forward`].
    pub fn forward(
        &self,
        config: &WpmrConfig,
        pixels: Tensor<B, 4>,
        t: &[f32],
        mode: PassMode,
    ) -> Result<Losses<B>, Error> {
        let [n, colours, height, width] = pixels.dims();
        let device = pixels.device();
        let table = self.steps.forward(config, t);
        let steps = expand(&table, &step_index());
        let eighth = expand(&table, &step_index_eighth());
        let base: Vec<f32> = t
            .iter()
            .flat_map(|&t| std::iter::repeat_n(base_step(config, t) as f32, BANDS))
            .collect();
        let base = Tensor::<B, 4>::from_data(TensorData::new(base, [n, BANDS, 1, 1]), &device);

        let latents = self.analysis.forward(
            wavelet_forward(pixels.clone())?,
            eighth.recip(),
            steps.clone().recip(),
            t,
        )?;

        let z = self.entropy.analysis.forward(latents.clone(), t)?;
        let z = z.clamp(-HYPER_MAX as f32, HYPER_MAX as f32);
        let rounded_z = B::ste_round(z.clone());
        // Always noise: the rate of rounded values pulls the prior into spikes at the integers, and the hyperlatents then
        // grow without bound.
        let coded_z = z.clone() + noise(&z);
        let hyper_bits = B::sum_per_picture(self.entropy.prior.bits(coded_z));
        let plane: Vec<i32> = t.iter().map(|&t| quality_plane(t)).collect();
        let features = self
            .entropy
            .synthesis
            .forward(rounded_z, &plane, mode.precision)?;

        let mut seen: Option<Tensor<B, 4>> = None;
        let mut decoded: Option<Tensor<B, 4>> = None;
        let mut latent_bits = Tensor::<B, 1>::zeros([n], &device);
        for (pass, network) in self.entropy.passes.iter().enumerate() {
            let y = B::gather_channels(latents.clone(), &pass_latents(pass))?;
            let parameters = network.forward(features.clone(), seen.as_ref(), mode.precision)?;
            let residual = y.clone() - parameters.mean.clone();
            let symbols = match mode.rounding {
                Rounding::Optimized | Rounding::Mixed => {
                    optimize(residual, parameters.scale.clone())?
                }
                Rounding::Noise | Rounding::StraightThrough => B::ste_round(residual),
            };
            let quantized = symbols + parameters.mean.clone();
            let PassParameters { mean, scale } = parameters;
            let bits = match mode.rounding {
                Rounding::Mixed => {
                    let exact =
                        B::gaussian_bits(quantized.clone().detach(), mean.clone(), scale.clone());
                    let noisy =
                        B::gaussian_bits(y.clone() + noise(&y), mean.detach(), scale.detach());
                    exact + noisy.clone() - noisy.detach()
                }
                Rounding::Noise => B::gaussian_bits(y.clone() + noise(&y), mean, scale),
                Rounding::StraightThrough | Rounding::Optimized => {
                    B::gaussian_bits(quantized.clone(), mean, scale)
                }
            };
            latent_bits = latent_bits + B::sum_per_picture(bits);
            if pass + 1 < PASSES {
                seen = Some(join(seen, context_input(quantized.clone(), mode.precision)));
            }
            decoded = Some(join(decoded, quantized));
        }
        let decoded =
            decoded.ok_or_else(|| Error::BadParameter("the model has no passes".into()))?;
        let latents = B::gather_channels(decoded, &folded_from_passes())?;
        debug_assert_eq!(latents.dims()[1], LATENTS);

        let coefficients = self.synthesis.forward(latents, steps, base, t)?;
        let reconstruction = wavelet_inverse(coefficients)?;
        let error = (reconstruction.clone() - pixels).mul_scalar(255.0);
        let mse =
            B::sum_per_picture(error.clone() * error).div_scalar((colours * height * width) as f32);
        Ok(Losses {
            latent_bits,
            hyper_bits,
            mse,
            reconstruction,
        })
    }
}
