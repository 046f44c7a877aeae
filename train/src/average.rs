//! Averaging of weights, on the device.

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Moves `average` towards the model's parameters by `1 - decay`.
///
/// Parameters are matched by id: `average` must come from the model by [`AutodiffModule::valid`].
pub(crate) fn average<B: AutodiffBackend, M: AutodiffModule<B>>(
    average: M::InnerModule,
    model: &M,
    decay: f32,
) -> M::InnerModule {
    /// A container of tensors of any rank by parameter id; gradients are what Burn made it for.
    struct Collect(GradientsParams);
    impl<B: Backend> ModuleVisitor<B> for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.register(param.id, param.val());
        }
    }
    struct Blend {
        current: GradientsParams,
        decay: f32,
    }
    impl<B: Backend> ModuleMapper<B> for Blend {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let current = self.current.remove::<B, D>(param.id);
            let decay = self.decay;
            param.map(|old| match current {
                Some(new) => old.mul_scalar(decay) + new.mul_scalar(1.0 - decay),
                None => old,
            })
        }
    }
    let mut collect = Collect(GradientsParams::new());
    model.valid().visit(&mut collect);
    average.map(&mut Blend {
        current: collect.0,
        decay,
    })
}
