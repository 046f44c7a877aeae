//! Balance between losses by the size of their gradients.
//!
//! Losses are first differentiated down to the model's output only ([`output_gradient`]), each on its own. From there
//! the gradients go on through the model once, as a weighted sum ([`inject`]): the model runs backward once however many
//! losses are weighed.

use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::losses::LossError;

/// What [`output_gradient`] gives.
#[derive(Debug, Clone)]
pub struct OutputGradient<B: Backend, const D: usize> {
    /// Value of the loss, `[1]`.
    pub value: Tensor<B, 1>,
    /// Its gradient with respect to the output, of the output's shape.
    pub gradient: Tensor<B, D>,
}

/// Value of a loss and its gradient with respect to the model's output; zeros if the loss does not depend on it.
///
/// # Errors
/// Those of `loss`.
pub fn output_gradient<B: AutodiffBackend, const D: usize>(
    output: &Tensor<B, D>,
    loss: impl FnOnce(Tensor<B, D>) -> Result<Tensor<B, 1>, LossError>,
) -> Result<OutputGradient<B::InnerBackend, D>, LossError> {
    let leaf = output.clone().detach().require_grad();
    let value = loss(leaf.clone())?;
    let gradients = value.backward();
    let gradient = leaf
        .grad(&gradients)
        .unwrap_or_else(|| leaf.clone().inner().zeros_like());
    Ok(OutputGradient {
        value: value.inner(),
        gradient,
    })
}

/// A scalar without meaning of its own whose gradient with respect to the output is `gradient`, `[1]`: call `backward` on
/// it, together with losses that do not go through the output.
pub fn inject<B: AutodiffBackend, const D: usize>(
    output: Tensor<B, D>,
    gradient: Tensor<B::InnerBackend, D>,
) -> Tensor<B, 1> {
    (output * Tensor::from_inner(gradient)).sum()
}

/// Gradient of a loss with respect to the last layer's weights, from that with respect to the output.
///
/// `last_layer` computes the output from the weights; what else goes into it must be detached.
pub fn weight_gradient<B: AutodiffBackend, const D: usize, const W: usize>(
    weight: &Tensor<B, W>,
    last_layer: impl FnOnce(Tensor<B, W>) -> Tensor<B, D>,
    gradient: Tensor<B::InnerBackend, D>,
) -> Tensor<B::InnerBackend, W> {
    let leaf = weight.clone().detach().require_grad();
    let gradients = inject(last_layer(leaf.clone()), gradient).backward();
    leaf.grad(&gradients)
        .unwrap_or_else(|| leaf.clone().inner().zeros_like())
}

/// Weight of an adversarial loss that makes its gradient as large as that of the other losses:
/// `|others| / (|adversarial| + epsilon)`, between 0 and 1e4, `[1]` (Esser et al., "Taming transformers", 2021, eq. 7).
///
/// The paper takes the gradients with respect to the last layer's weights ([`weight_gradient`]) and an epsilon of 1e-4;
/// those with respect to the output serve as well and cost nothing, but are smaller by the number of pixels: an epsilon
/// for them only keeps the quotient finite.
pub fn adaptive_weight<B: Backend, const D: usize>(
    others: Tensor<B, D>,
    adversarial: Tensor<B, D>,
    epsilon: f64,
) -> Tensor<B, 1> {
    let norm = |x: Tensor<B, D>| x.square().sum().sqrt();
    (norm(others) / norm(adversarial).add_scalar(epsilon)).clamp(0.0, 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, noise, tensor};

    fn values<B: Backend, const D: usize>(x: Tensor<B, D>) -> Vec<f32> {
        x.into_data().into_vec().unwrap()
    }

    #[test]
    fn weight_is_the_ratio_of_norms() {
        let x = tensor([1, 2], &[1.0, 2.0]);
        let OutputGradient { value, gradient: g } =
            output_gradient(&x, |x| Ok(x.square().sum())).unwrap();
        close(f64::from(value.into_scalar()), 5.0, 1e-6);
        assert_eq!(values(g.clone()), [2.0, 4.0]);
        let a = output_gradient(&x, |x| Ok(x.sum())).unwrap().gradient;
        let weight = adaptive_weight(g.clone(), a.clone(), 1e-4).into_scalar();
        close(f64::from(weight), (10.0f64).sqrt(), 1e-4);
        let largest = adaptive_weight(g, a.zeros_like(), 1e-4).into_scalar();
        assert_eq!(largest, 1e4);
        let none = output_gradient(&x, |_| Ok(tensor([1], &[1.0]).require_grad()))
            .unwrap()
            .gradient;
        assert_eq!(values(none), [0.0, 0.0]);
    }

    /// Injected gradients give the same weights as differentiating the whole, through a last layer and what is below.
    #[test]
    fn injection_equals_the_whole() {
        let below = tensor([3, 4], &noise(12, 1, -1.0, 1.0)).require_grad();
        let weight = tensor([4, 2], &noise(8, 2, -1.0, 1.0)).require_grad();
        let forward = || below.clone().tanh().matmul(weight.clone());
        let first = |x: Tensor<Back, 2>| x.square().mean();
        let second = |x: Tensor<Back, 2>| x.exp().mean();

        let output = forward();
        let g1 = output_gradient(&output, |x| Ok(first(x))).unwrap().gradient;
        let g2 = output_gradient(&output, |x| Ok(second(x)))
            .unwrap()
            .gradient;
        let hidden = below.clone().tanh().detach();
        let layer = weight_gradient(&weight, |w| hidden.clone().matmul(w), g1.clone());
        let injected = inject(output, g1 + g2.mul_scalar(0.5)).backward();

        let whole = (first(forward()) + second(forward()).mul_scalar(0.5)).backward();
        for (a, b) in values(below.grad(&injected).unwrap())
            .iter()
            .zip(values(below.grad(&whole).unwrap()))
        {
            close(f64::from(*a), f64::from(b), 1e-6);
        }
        let alone = first(forward()).backward();
        for (a, b) in values(layer)
            .iter()
            .zip(values(weight.grad(&alone).unwrap()))
        {
            close(f64::from(*a), f64::from(b), 1e-6);
        }
    }
}
