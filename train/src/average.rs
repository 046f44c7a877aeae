//! Averaging of weights, on the device.

use std::collections::HashSet;

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use codec_core::backend::CodecBackend;

/// Moves `average` towards the model's parameters by `1 - decay`.
///
/// Those of `held` stay as they are. Parameters are matched by id: `average` must come from the model by [`AutodiffModule::valid`].
pub(crate) fn average<B: AutodiffBackend, M: AutodiffModule<B>>(
    average: M::InnerModule,
    model: &M,
    decay: f32,
    held: &HashSet<ParamId>,
) -> M::InnerModule
where
    B::InnerBackend: CodecBackend,
{
    /// A container of tensors of any rank by parameter id; gradients are what Burn made it for.
    struct Collect<'a>(GradientsParams, &'a HashSet<ParamId>);
    impl<B: Backend> ModuleVisitor<B> for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if !self.1.contains(&param.id) {
                self.0.register(param.id, param.val());
            }
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
    let mut collect = Collect(GradientsParams::new(), held);
    model.valid().visit(&mut collect);
    average.map(&mut Blend {
        current: collect.0,
        decay,
    })
}

/// Ids of the parameters whose names satisfy a condition.
pub(crate) fn ids<B: Backend, M: Module<B>>(
    model: &M,
    condition: impl Fn(&str) -> bool,
) -> HashSet<ParamId> {
    struct Find<F> {
        condition: F,
        path: Vec<String>,
        found: HashSet<ParamId>,
    }
    impl<B: Backend, F: Fn(&str) -> bool> ModuleVisitor<B> for Find<F> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if (self.condition)(&self.path.join(".")) {
                self.found.insert(param.id);
            }
        }
    }
    let mut find = Find {
        condition,
        path: Vec::new(),
        found: HashSet::new(),
    };
    model.visit(&mut find);
    find.found
}
