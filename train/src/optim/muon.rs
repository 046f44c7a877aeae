//! Muon for convolution kernels.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, AdjustLrFn, LearningRate, Muon, MuonConfig, MuonState,
    SimpleOptimizer,
};
use burn::record::Record;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::recipe::Optim;

/// Burn's Muon is for matrices. A kernel `[o, i, kh, kw]` counts as a matrix `[o, i kh kw]`; what has no two dimensions
/// above one (biases, depthwise kernels, curves over one axis) goes to AdamW at the same learning rate, to which updates
/// are scaled (`0.2 sqrt(max(a, b))`, Liu et al. 2025, "Muon is scalable for LLM training", section 2.2).
#[derive(Clone)]
pub struct KernelMuon<B: Backend> {
    muon: Muon<B>,
    adam: AdamW,
}

/// State of [`KernelMuon`]: one of the two.
#[derive(Record, Clone)]
pub struct KernelMuonState<B: Backend, const D: usize> {
    /// Of a matrix.
    pub muon: Option<MuonState<B, 2>>,
    /// Of anything else.
    pub adam: Option<AdamWState<B, D>>,
}

impl<B: Backend> KernelMuon<B> {
    pub(super) fn new(optim: &Optim) -> Self {
        let decay = (optim.weight_decay > 0.0).then(|| WeightDecayConfig::new(optim.weight_decay));
        Self {
            muon: MuonConfig::new()
                .with_momentum(MomentumConfig {
                    momentum: f64::from(optim.momentum),
                    dampening: 0.0,
                    nesterov: true,
                })
                .with_weight_decay(decay)
                .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
                .build(),
            adam: AdamWConfig::new()
                .with_beta_1(optim.betas.0)
                .with_beta_2(optim.betas.1)
                .with_epsilon(optim.epsilon)
                .with_weight_decay(optim.weight_decay)
                .build(),
        }
    }
}

impl<B: Backend> SimpleOptimizer<B> for KernelMuon<B> {
    type State<const D: usize> = KernelMuonState<B, D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<B, D>,
        grad: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let shape = tensor.shape();
        let rows = shape.iter().next().copied().unwrap_or(1);
        let columns = shape.num_elements() / rows.max(1);
        if D < 2 || rows < 2 || columns < 2 || shape.iter().nth(1).is_none_or(|n| *n < 2) {
            let state = state.and_then(|s| s.adam);
            let (tensor, adam) = self.adam.step(lr, tensor, grad, state);
            return (tensor, Some(KernelMuonState { muon: None, adam }));
        }
        let state = state.and_then(|s| s.muon);
        let (matrix, muon) = self.muon.step(
            lr,
            tensor.reshape([rows, columns]),
            grad.reshape([rows, columns]),
            state,
        );
        (
            matrix.reshape(shape),
            Some(KernelMuonState { muon, adam: None }),
        )
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &B::Device) -> Self::State<D> {
        KernelMuonState {
            muon: state
                .muon
                .map(|s| <Muon<B> as SimpleOptimizer<B>>::to_device::<2>(s, device)),
            adam: state
                .adam
                .map(|s| <AdamW as SimpleOptimizer<B>>::to_device::<D>(s, device)),
        }
    }
}
