//! Adam in one pass over each tensor.

use burn::optim::decay::{WeightDecay, WeightDecayConfig};
use burn::optim::{AdamState, AdaptiveMomentumState, LearningRate, SimpleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::BackendTypes;
use codec_core::backend::{AdamStep, CodecBackend};

use crate::recipe::Optim;

/// Burn's Adam with Burn's state, as one operator of the back end: the same bits in a fraction of the time.
#[derive(Clone)]
pub struct FusedAdam {
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    decay: Option<WeightDecay>,
}

impl FusedAdam {
    pub(super) fn new(optim: &Optim) -> Self {
        let (beta_1, beta_2) = optim.betas;
        let decay = WeightDecayConfig::new(optim.weight_decay);
        Self {
            beta_1,
            beta_2,
            epsilon: optim.epsilon,
            decay: (optim.weight_decay > 0.0).then(|| WeightDecay::new(&decay)),
        }
    }
}

impl<B: CodecBackend> SimpleOptimizer<B> for FusedAdam {
    type State<const D: usize> = AdamState<B, D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<B, D>,
        mut grad: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        if let Some(decay) = &self.decay {
            grad = decay.transform(grad, tensor.clone());
        }
        let state = state.map(|s| s.momentum);
        let time = state.as_ref().map_or(0, |s| s.time) + 1;
        let step = AdamStep {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            lr,
            time: time as i32,
        };
        let moments = state.map(|s| [s.moment_1, s.moment_2]);
        let new = B::adam_step(tensor, grad, moments, step);
        let momentum = AdaptiveMomentumState::new(time, new.moment_1, new.moment_2);
        (new.parameter, Some(AdamState::new(momentum)))
    }

    fn to_device<const D: usize>(
        mut state: Self::State<D>,
        device: &<B as BackendTypes>::Device,
    ) -> Self::State<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
