//! Feature matching.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Judgement;
use super::objective::mean;

/// Mean absolute difference of the activations that targets and outputs evoke in a discriminator, averaged over all
/// layers of all parts, `[1]`; nothing if there are no layers. No gradient goes to the targets' side.
///
/// `relative` divides each layer's distance by the mean absolute activation of the target (EnCodec). HiFi-GAN and DAC
/// sum where this averages: multiply their weight by the number of layers.
pub fn feature_matching<B: Backend>(
    real: &[Judgement<B>],
    fake: &[Judgement<B>],
    relative: bool,
) -> Option<Tensor<B, 1>> {
    let pairs = real.iter().zip(fake).flat_map(|(real, fake)| {
        let layers = real.features.iter().zip(&fake.features);
        layers.map(|(real, fake)| (real.clone().detach(), fake.clone()))
    });
    mean(pairs.map(|(real, fake)| {
        let distance = (fake - real.clone()).abs().mean();
        if relative {
            distance / real.abs().mean().clamp_min(1e-8)
        } else {
            distance
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, scalar, tensor};

    fn judgement(features: &[[f32; 2]]) -> Vec<Judgement<Back>> {
        vec![Judgement {
            logits: tensor([1, 1, 1, 1], &[0.0]),
            features: features
                .iter()
                .map(|v| tensor([1, 2, 1, 1], v).require_grad())
                .collect(),
        }]
    }

    #[test]
    fn values_and_gradients() {
        let real = judgement(&[[1.0, 3.0], [0.0, -0.5]]);
        let fake = judgement(&[[2.0, 3.0], [0.0, 0.5]]);
        let absolute = feature_matching(&real, &fake, false).unwrap();
        close(scalar(absolute.clone()), 0.5, 1e-6);
        let relative = feature_matching(&real, &fake, true).unwrap();
        close(scalar(relative), (0.25 + 2.0) / 2.0, 1e-6);
        let gradients = absolute.backward();
        let slope = |j: &[Judgement<Back>], i: usize| j[0].features[i].grad(&gradients);
        assert!(slope(&real, 0).is_none());
        let found: Vec<f32> = slope(&fake, 0).unwrap().into_data().into_vec().unwrap();
        assert_eq!(found, [0.25, 0.0]);
        assert!(feature_matching::<Back>(&[], &[], false).is_none());
    }
}
