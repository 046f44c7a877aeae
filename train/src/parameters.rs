//! Parameters as flat vectors, in the order in which a module visits them: for averaging and for exact checkpoints.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// All float parameters of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    tensors: Vec<NamedTensor>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Path in the module, joined by points.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

impl Parameters {
    /// Parameters of a module.
    pub fn of<B: Backend, M: Module<B>>(module: &M) -> Self {
        #[derive(Default)]
        struct Collect {
            tensors: Vec<NamedTensor>,
            path: Vec<String>,
        }
        impl<B: Backend> ModuleVisitor<B> for Collect {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }

            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
                let data = param.val().into_data().convert::<f32>();
                self.tensors.push(NamedTensor {
                    name: self.path.join("."),
                    shape: param.dims().to_vec(),
                    values: data.into_vec().unwrap_or_default(),
                });
            }
        }
        let mut collect = Collect::default();
        module.visit(&mut collect);
        Self {
            tensors: collect.tensors,
        }
    }

    /// Wraps stored tensors.
    pub fn from_tensors(tensors: Vec<NamedTensor>) -> Self {
        Self { tensors }
    }

    /// The tensors.
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.tensors
    }

    /// Takes over what `source` has under the same names, and tells what it lacks.
    ///
    /// A layer that has got more inputs keeps the weights of the old ones, which come first, and gives the new ones zero
    /// weight, so that the model computes the same as before.
    ///
    /// # Errors
    /// The names of tensors whose shapes do not fit.
    pub fn grow_from(&mut self, source: &Self) -> Result<Vec<String>, Vec<String>> {
        let (mut new, mut bad) = (Vec::new(), Vec::new());
        for tensor in &mut self.tensors {
            match source.tensors.iter().find(|s| s.name == tensor.name) {
                None => new.push(tensor.name.clone()),
                Some(s) if s.shape == tensor.shape => tensor.values.clone_from(&s.values),
                Some(s) if more_inputs(&s.shape, &tensor.shape) => {
                    let row = |shape: &[usize]| shape.iter().skip(1).product::<usize>().max(1);
                    let rows = s.values.chunks(row(&s.shape));
                    for (to, from) in tensor.values.chunks_mut(row(&tensor.shape)).zip(rows) {
                        to.fill(0.0);
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
                Some(_) => bad.push(tensor.name.clone()),
            }
        }
        if bad.is_empty() { Ok(new) } else { Err(bad) }
    }

    /// Puts these values into a module; `None` when a size does not fit.
    pub fn apply<B: Backend, M: Module<B>>(&self, module: M) -> Option<M> {
        struct Put<'a> {
            tensors: std::slice::Iter<'a, NamedTensor>,
            fits: bool,
        }
        impl<B: Backend> ModuleMapper<B> for Put<'_> {
            fn map_float<const D: usize>(
                &mut self,
                param: Param<Tensor<B, D>>,
            ) -> Param<Tensor<B, D>> {
                let stored = self.tensors.next();
                param.map(|tensor| match stored {
                    Some(stored) if stored.values.len() == tensor.shape().num_elements() => {
                        let grad = tensor.is_require_grad();
                        let data = TensorData::new(stored.values.clone(), tensor.shape());
                        Tensor::from_data(data, &tensor.device()).set_require_grad(grad)
                    }
                    _ => {
                        self.fits = false;
                        tensor
                    }
                })
            }
        }
        let mut put = Put {
            tensors: self.tensors.iter(),
            fits: true,
        };
        let module = module.map(&mut put);
        (put.fits && put.tensors.next().is_none()).then_some(module)
    }
}

/// Whether shapes differ in the number of inputs (dimension 1) only, and `to` has more.
fn more_inputs(from: &[usize], to: &[usize]) -> bool {
    let others = |shape: &[usize]| {
        shape
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != 1)
            .map(|(_, &n)| n)
            .collect::<Vec<_>>()
    };
    from.len() == to.len()
        && others(from) == others(to)
        && from.get(1) < to.get(1)
        && from.len() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor {
            name: name.into(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn growing_keeps_old_inputs_and_silences_new_ones() {
        let old = Parameters::from_tensors(vec![
            tensor("a", &[2, 1, 1, 1], &[1.0, 2.0]),
            tensor("b", &[1], &[3.0]),
        ]);
        let mut new = Parameters::from_tensors(vec![
            tensor("a", &[2, 2, 1, 1], &[9.0; 4]),
            tensor("b", &[1], &[9.0]),
            tensor("c", &[1], &[9.0]),
        ]);
        assert_eq!(new.grow_from(&old), Ok(vec!["c".to_owned()]));
        assert_eq!(new.tensors()[0].values, [1.0, 0.0, 2.0, 0.0]);
        assert_eq!(new.tensors()[1].values, [3.0]);
        let mut misfit = Parameters::from_tensors(vec![tensor("b", &[2], &[0.0; 2])]);
        assert_eq!(misfit.grow_from(&old), Err(vec!["b".to_owned()]));
    }
}
