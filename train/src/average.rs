//! Averaging of weights, on the device.

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use codec_core::backend::CodecBackend;

/// Moves `average` towards the model's parameters by `1 - decay`.
///
/// Parameters are matched by id: `average` must come from the model by [`AutodiffModule::valid`].
pub(crate) fn average<B: AutodiffBackend, M: AutodiffModule<B>>(
    average: M::InnerModule,
    model: &M,
    decay: f32,
) -> M::InnerModule
where
    B::InnerBackend: CodecBackend,
{
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
    impl<B: CodecBackend> ModuleMapper<B> for Blend {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let current = self.current.remove::<B, D>(param.id);
            let decay = self.decay;
            param.map(|old| match current {
                Some(new) => B::blend(old, new, decay),
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
