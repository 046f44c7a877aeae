//! Optimizers by name: one type that steps a module with any of them and keeps its state.

mod adam;
mod muon;
mod soap;

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdamW, AdamWConfig, Adan, AdanConfig, GradientsParams, Optimizer as _, RmsProp, RmsPropConfig,
    Sgd, SgdConfig,
};
use burn::record::{
    BinBytesRecorder, BinFileRecorder, FullPrecisionSettings, Recorder, RecorderError,
};
use burn::tensor::backend::AutodiffBackend;
use std::path::PathBuf;

use codec_core::backend::CodecBackend;

use crate::recipe::{Optim, OptimKind};
use adam::FusedAdam;
use muon::KernelMuon;
use soap::{Soap, SoapConfig};

/// An optimizer of a module with its state.
///
/// A new kind needs a variant here, one in [`OptimKind`], and an arm in [`AnyOptimizer::new`] and in `each!`.
#[derive(Clone)]
pub enum AnyOptimizer<M: AutodiffModule<B>, B: AutodiffBackend>
where
    B::InnerBackend: CodecBackend,
{
    /// Adam.
    Adam(OptimizerAdaptor<FusedAdam, M, B>),
    /// AdamW.
    Adamw(OptimizerAdaptor<AdamW, M, B>),
    /// Adan.
    Adan(OptimizerAdaptor<Adan, M, B>),
    /// SGD.
    Sgd(OptimizerAdaptor<Sgd<B::InnerBackend>, M, B>),
    /// RMSprop.
    Rmsprop(OptimizerAdaptor<RmsProp, M, B>),
    /// Muon for kernels, AdamW for the rest.
    Muon(OptimizerAdaptor<KernelMuon<B::InnerBackend>, M, B>),
    /// SOAP.
    Soap(OptimizerAdaptor<Soap, M, B>),
}

/// The same expression for every kind.
macro_rules! each {
    ($self:expr, $inner:ident => $do:expr) => {
        match $self {
            AnyOptimizer::Adam($inner) => $do,
            AnyOptimizer::Adamw($inner) => $do,
            AnyOptimizer::Adan($inner) => $do,
            AnyOptimizer::Sgd($inner) => $do,
            AnyOptimizer::Rmsprop($inner) => $do,
            AnyOptimizer::Muon($inner) => $do,
            AnyOptimizer::Soap($inner) => $do,
        }
    };
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> AnyOptimizer<M, B>
where
    B::InnerBackend: CodecBackend,
{
    /// An optimizer without state.
    pub fn new(optim: &Optim) -> Self {
        let (beta_1, beta_2) = optim.betas;
        let decay = (optim.weight_decay > 0.0).then(|| WeightDecayConfig::new(optim.weight_decay));
        match optim.kind {
            OptimKind::Adam => Self::Adam(OptimizerAdaptor::from(FusedAdam::new(optim))),
            OptimKind::Adamw => Self::Adamw(
                AdamWConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(optim.epsilon)
                    .with_weight_decay(optim.weight_decay)
                    .init(),
            ),
            OptimKind::Adan => Self::Adan(
                AdanConfig::new()
                    .with_epsilon(optim.epsilon)
                    .with_weight_decay(optim.weight_decay)
                    .init(),
            ),
            OptimKind::Sgd => Self::Sgd(
                SgdConfig::new()
                    .with_momentum((optim.momentum > 0.0).then(|| {
                        MomentumConfig::new()
                            .with_momentum(f64::from(optim.momentum))
                            .with_dampening(0.0)
                    }))
                    .with_weight_decay(decay)
                    .init(),
            ),
            OptimKind::Rmsprop => Self::Rmsprop(
                RmsPropConfig::new()
                    .with_alpha(beta_2)
                    .with_momentum(optim.momentum)
                    .with_epsilon(optim.epsilon)
                    .with_weight_decay(decay)
                    .init(),
            ),
            OptimKind::Muon => Self::Muon(OptimizerAdaptor::from(KernelMuon::new(optim))),
            OptimKind::Soap => Self::Soap(
                SoapConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(optim.epsilon)
                    .with_weight_decay(optim.weight_decay)
                    .init(),
            ),
        }
    }

    /// The same state under other hyperparameters; fresh state when the kind is another.
    #[must_use]
    pub fn reconfigured(self, optim: &Optim) -> Self {
        macro_rules! carry {
            ($($kind:ident),*) => {
                match (self, Self::new(optim)) {
                    $((Self::$kind(old), Self::$kind(new)) => {
                        Self::$kind(new.load_record(old.to_record()))
                    })*
                    (_, new) => new,
                }
            };
        }
        carry!(Adam, Adamw, Adan, Sgd, Rmsprop, Muon, Soap)
    }

    /// One update.
    pub fn step(&mut self, lr: f64, module: M, gradients: GradientsParams) -> M {
        each!(self, o => o.step(lr, module, gradients))
    }

    /// The state as bytes, exact.
    ///
    /// # Errors
    /// Those of the recorder.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecorderError> {
        let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
        each!(self, o => Recorder::<B>::record(&recorder, o.to_record(), ()))
    }

    /// Takes over a state that [`AnyOptimizer::to_bytes`] of the same kind has written to a file (`path` without its
    /// extension `bin`).
    ///
    /// # Errors
    /// Those of the recorder.
    pub fn load(self, path: PathBuf, device: &B::Device) -> Result<Self, RecorderError> {
        let recorder = BinFileRecorder::<FullPrecisionSettings>::default();
        macro_rules! load {
            ($($kind:ident),*) => {
                match self {
                    $(Self::$kind(o) => {
                        let record = Recorder::<B>::load(&recorder, path, device)?;
                        Self::$kind(o.load_record(record))
                    })*
                }
            };
        }
        Ok(load!(Adam, Adamw, Adan, Sgd, Rmsprop, Muon, Soap))
    }
}
