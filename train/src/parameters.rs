//! Parameters as flat vectors, in the order in which a module visits them: for averaging and for exact checkpoints.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// All float parameters of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    values: Vec<Vec<f32>>,
}

impl Parameters {
    /// Parameters of a module.
    pub fn of<B: Backend, M: Module<B>>(module: &M) -> Self {
        struct Collect(Vec<Vec<f32>>);
        impl<B: Backend> ModuleVisitor<B> for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
                let data = param.val().into_data().convert::<f32>();
                self.0.push(data.into_vec().unwrap_or_default());
            }
        }
        let mut collect = Collect(Vec::new());
        module.visit(&mut collect);
        Self { values: collect.0 }
    }

    /// Wraps stored vectors.
    pub fn from_values(values: Vec<Vec<f32>>) -> Self {
        Self { values }
    }

    /// The vectors.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// Moves towards `other` by `1 - decay`.
    pub fn average(&mut self, other: &Self, decay: f32) {
        for (mine, theirs) in self.values.iter_mut().zip(&other.values) {
            for (a, b) in mine.iter_mut().zip(theirs) {
                *a = decay * *a + (1.0 - decay) * b;
            }
        }
    }

    /// Puts these values into a module; `None` when a size does not fit.
    pub fn apply<B: Backend, M: Module<B>>(&self, module: M) -> Option<M> {
        struct Put<'a> {
            values: std::slice::Iter<'a, Vec<f32>>,
            fits: bool,
        }
        impl<B: Backend> ModuleMapper<B> for Put<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
                let values = self.values.next();
                param.map(|tensor| match values {
                    Some(values) if values.len() == tensor.shape().num_elements() => {
                        let grad = tensor.is_require_grad();
                        let data = TensorData::new(values.clone(), tensor.shape());
                        Tensor::from_data(data, &tensor.device()).set_require_grad(grad)
                    }
                    _ => {
                        self.fits = false;
                        tensor
                    }
                })
            }
        }
        let mut put = Put { values: self.values.iter(), fits: true };
        let module = module.map(&mut put);
        (put.fits && put.values.next().is_none()).then_some(module)
    }
}
