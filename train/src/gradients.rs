//! Norm and clipping of the whole gradient.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Drops the gradients of parameters whose path starts with one of `prefixes`, so that they keep their values.
pub fn freeze<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    prefixes: &[String],
) {
    struct Drop<'a> {
        gradients: &'a mut GradientsParams,
        prefixes: &'a [String],
        path: Vec<String>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Drop<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let name = self.path.join(".");
            if self.prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                let _ = self.gradients.remove::<B::InnerBackend, D>(param.id);
            }
        }
    }
    if !prefixes.is_empty() {
        module.visit(&mut Drop {
            gradients,
            prefixes,
            path: Vec::new(),
        });
    }
}

/// Scales all gradients so that their common Euclidean norm is at most `limit`; gives the norm before.
///
/// Burn's own clipping by norm looks at each tensor alone.
pub fn clip_by_global_norm<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    limit: f32,
) -> f32 {
    struct Norm<'a> {
        gradients: &'a GradientsParams,
        squared: f64,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(g) = self.gradients.get::<B::InnerBackend, D>(param.id) {
                let values: Vec<f32> = g
                    .into_data()
                    .convert::<f32>()
                    .into_vec()
                    .unwrap_or_default();
                self.squared += values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            }
        }
    }
    struct Scale<'a> {
        gradients: &'a mut GradientsParams,
        factor: f32,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(g) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
                self.gradients.register(param.id, g.mul_scalar(self.factor));
            }
        }
    }
    let mut norm = Norm {
        gradients,
        squared: 0.0,
    };
    module.visit(&mut norm);
    let norm = norm.squared.sqrt() as f32;
    if norm.is_finite() && norm > limit {
        module.visit(&mut Scale {
            gradients,
            factor: limit / norm,
        });
    }
    norm
}
