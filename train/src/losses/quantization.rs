//! Losses of vector quantizers.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
pub use codec_core::layers::quantizer::{codebook, commitment};

/// `codebook + beta * commitment`, `[1]` (van den Oord et al., "Neural discrete representation learning", 2017, eq. 3;
/// beta 0.25 there).
///
/// VQGAN's published trainer has beta on the codebook term instead: see [`LossWeights`](codec_core::layers::quantizer::LossWeights).
pub fn vq<B: Backend, const D: usize>(
    latents: Tensor<B, D>,
    codes: Tensor<B, D>,
    beta: f64,
) -> Tensor<B, 1> {
    codebook(latents.clone(), codes.clone()) + commitment(latents, codes).mul_scalar(beta)
}

/// Entropies of the choice of a code, in nats, each `[1]`.
#[derive(Debug, Clone)]
pub struct Entropies<B: Backend> {
    /// Mean entropy of each latent's choice: low if every latent is sure.
    pub sample: Tensor<B, 1>,
    /// Entropy of the mean choice: high if all codes are used. Of a batch split over devices each part has its own.
    pub batch: Tensor<B, 1>,
}

impl<B: Backend> Entropies<B> {
    /// `sample - diversity * batch`, the entropy penalty of MAGVIT-2 (Yu et al., "Language model beats diffusion",
    /// 2023, section 3.1; diversity 1 there).
    pub fn penalty(self, diversity: f64) -> Tensor<B, 1> {
        self.sample - self.batch.mul_scalar(diversity)
    }
}

/// Entropies of the softmax over codes.
///
/// # Shapes
/// - logits: `[latents, codes]`, for instance from [`distance_logits`]
pub fn entropies<B: Backend>(logits: Tensor<B, 2>) -> Entropies<B> {
    let log = log_softmax(logits.clone(), 1);
    let choice = softmax(logits, 1);
    let sample = (choice.clone() * log).sum_dim(1).mean().neg();
    // x log x is 0 at 0 with an infinite slope: the bound lies below what softmax in f32 tells from 0 in the mean.
    let mean = choice.mean_dim(0);
    let batch = (mean.clone() * mean.clamp_min(1e-10).log()).sum().neg();
    Entropies { sample, batch }
}

/// `-|z - e|^2 / temperature` for all pairs.
///
/// With codes of values -1 and 1 these are the logits of lookup-free quantization, up to a constant.
///
/// # Shapes
/// - latents: `[m, d]`
/// - codes: `[k, d]`
/// - result: `[m, k]`
pub fn distance_logits<B: Backend>(
    latents: Tensor<B, 2>,
    codes: Tensor<B, 2>,
    temperature: f64,
) -> Tensor<B, 2> {
    let dot = latents.clone().matmul(codes.clone().transpose());
    let latents = latents.square().sum_dim(1);
    let codes = codes.square().sum_dim(1).transpose();
    (dot.mul_scalar(2.0) - latents - codes).div_scalar(temperature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{close, gradient_error, noise, scalar, tensor};

    #[test]
    fn values_and_stopped_gradients() {
        let z = tensor([2, 2], &[0.0, 1.0, 2.0, 3.0]).require_grad();
        let e = tensor([2, 2], &[0.5, 1.0, 1.0, 3.0]).require_grad();
        let loss = vq(z.clone(), e.clone(), 0.25);
        close(scalar(loss.clone()), 1.25 * 1.25 / 4.0, 1e-6);
        let gradients = loss.backward();
        let values = |t: &Tensor<_, 2>| -> Vec<f32> {
            t.grad(&gradients).unwrap().into_data().into_vec().unwrap()
        };
        assert_eq!(values(&z), [-0.0625, 0.0, 0.125, 0.0]);
        assert_eq!(values(&e), [0.25, 0.0, -0.5, 0.0]);
    }

    #[test]
    fn entropy_values() {
        // Two sure and different choices: no entropy each, one bit together.
        let sure = entropies(tensor([2, 2], &[40.0, -40.0, -40.0, 40.0]));
        close(scalar(sure.sample.clone()), 0.0, 1e-6);
        close(scalar(sure.batch.clone()), 2f64.ln(), 1e-6);
        close(scalar(sure.penalty(1.0)), -(2f64.ln()), 1e-6);
        // Both undecided among three.
        let unsure = entropies(tensor([2, 3], &[1.0; 6]));
        close(scalar(unsure.sample), 3f64.ln(), 1e-6);
        close(scalar(unsure.batch), 3f64.ln(), 1e-6);
    }

    #[test]
    fn logits_are_distances() {
        let logits = distance_logits(
            tensor([1, 2], &[1.0, 2.0]),
            tensor([2, 2], &[1.0, 0.0, -1.0, 3.0]),
            0.5,
        );
        let values: Vec<f32> = logits.into_data().into_vec().unwrap();
        assert_eq!(values, [-8.0, -10.0]);
    }

    #[test]
    fn entropy_gradients() {
        let codes = noise(12, 1, -1.0, 1.0);
        let error = gradient_error([5, 3], &noise(15, 2, -1.0, 1.0), |z| {
            entropies(distance_logits(z, tensor([4, 3], &codes), 0.7)).penalty(0.8)
        });
        assert!(error < 1e-2, "{error}");
    }
}
