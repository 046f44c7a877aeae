//! Frozen parameters are left out of automatic differentiation.

use burn::module::{AutodiffModule, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::pattern;

/// Makes the parameters that `patterns` cover constants, so that what only they need is not computed in the backward pass.
///
/// `held` are the names that the last call gave: those that `patterns` no longer cover are learned again. Gives the names
/// of the parameters that are constants now and would be learned otherwise; a model's own constants are not among them.
pub(crate) fn hold<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: M,
    held: &[String],
    patterns: &[String],
) -> (M, Vec<String>) {
    struct Hold<'a> {
        before: &'a [String],
        patterns: &'a [String],
        now: Vec<String>,
        path: Vec<String>,
    }
    impl<B: AutodiffBackend> ModuleMapper<B> for Hold<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
            let name = self.path.join(".");
            let learned = self.before.contains(&name) || param.val().is_require_grad();
            if !learned {
                return param;
            }
            let constant = pattern::any(self.patterns, &name);
            if constant {
                self.now.push(name);
            }
            param.set_require_grad(!constant)
        }
    }
    let mut hold = Hold {
        before: held,
        patterns,
        now: Vec::new(),
        path: Vec::new(),
    };
    let module = module.map(&mut hold);
    (module, hold.now)
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::backend::Backend;
    use codec_core::layers::Precision;
    use codec_image::models::wpmr::{PassMode, Rounding, Wpmr, WpmrConfig};

    use super::*;

    type Ad = Autodiff<Flex>;

    /// Gradients of a step by parameter, with and without constants.
    fn gradients(model: &Wpmr<Ad>, config: &WpmrConfig) -> Vec<(String, Option<Vec<f32>>)> {
        struct Collect {
            gradients: burn::optim::GradientsParams,
            path: Vec<String>,
            found: Vec<(String, Option<Vec<f32>>)>,
        }
        impl burn::module::ModuleVisitor<Ad> for Collect {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }

            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Ad, D>>) {
                let gradient = self.gradients.get::<Flex, D>(param.id);
                let values = gradient.map(|g| g.into_data().to_vec().expect("floats"));
                self.found.push((self.path.join("."), values));
            }
        }
        let device = Default::default();
        Ad::seed(&device, 5);
        let shape = [1, 3, 64, 64];
        let pixels = Tensor::random(shape, burn::tensor::Distribution::Default, &device);
        let mode = PassMode {
            rounding: Rounding::Optimized,
            precision: Precision::Integer,
        };
        let losses = model.forward(config, pixels, &[0.5], mode).expect("a pass");
        let loss = (losses.latent_bits + losses.mse).sum();
        let mut collect = Collect {
            gradients: burn::optim::GradientsParams::from_grads(loss.backward(), model),
            path: Vec::new(),
            found: Vec::new(),
        };
        burn::module::Module::visit(model, &mut collect);
        collect.found
    }

    #[test]
    fn constants_have_no_gradient_and_change_none() {
        let config = WpmrConfig::new();
        Ad::seed(&Default::default(), 4);
        let model = config.init::<Ad>(&Default::default());
        let before = gradients(&model, &config);
        let frozen = ["analysis".to_owned(), "steps".to_owned()];
        let (model, names) = hold::<Ad, _>(model, &[], &frozen);
        let between = gradients(&model, &config);
        let mut held = 0;
        for ((name, a), (_, b)) in before.iter().zip(&between) {
            if pattern::any(&frozen, name) {
                assert_eq!(*b, None, "{name}");
                held += usize::from(a.is_some());
            } else {
                assert_eq!(a, b, "{name}");
            }
        }
        assert!(held > 5, "only {held} had a gradient before");
        assert_eq!(names.len(), held);
        let (model, names) = hold::<Ad, _>(model, &names, &[]);
        assert!(names.is_empty());
        // Nor does the fixed start of a linear map, which lies under `analysis`, become a learned one.
        assert_eq!(gradients(&model, &config), before);
    }
}
