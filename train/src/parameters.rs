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
    /// A wider layer keeps the weights between old outputs and old inputs, gives new inputs zero weight to old outputs,
    /// and leaves what leads to new outputs as it was initialized, so that the model computes the same as before while
    /// the new channels are ready to learn. New input channels come last, but before the
    /// last `trailing(name)` of a layer that reads a concatenation.
    ///
    /// # Errors
    /// The names of tensors whose shapes do not fit.
    pub fn grow_from(
        &mut self,
        source: &Self,
        trailing: &dyn Fn(&str) -> usize,
    ) -> Result<Vec<String>, Vec<String>> {
        let (mut new, mut bad) = (Vec::new(), Vec::new());
        for tensor in &mut self.tensors {
            match source.tensors.iter().find(|s| s.name == tensor.name) {
                None => new.push(tensor.name.clone()),
                Some(s) if s.shape == tensor.shape => tensor.values.clone_from(&s.values),
                Some(s) => {
                    if !widen(s, tensor, trailing(&tensor.name)) {
                        bad.push(tensor.name.clone());
                    }
                }
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

/// Copies a narrower layer into a wider one whose last `trailing` inputs are the narrower one's last; `false` if the
/// shapes do not allow it.
fn widen(from: &NamedTensor, to: &mut NamedTensor, trailing: usize) -> bool {
    let (&[old_outputs, ref old_rest @ ..], &[outputs, ref rest @ ..]) =
        (from.shape.as_slice(), to.shape.as_slice())
    else {
        return false;
    };
    if old_outputs > outputs {
        return false;
    }
    let (&[old_inputs, ref old_kernel @ ..], &[inputs, ref kernel @ ..]) = (old_rest, rest) else {
        // A bias: new outputs keep their initial value.
        let fits = old_rest.is_empty() && rest.is_empty();
        if fits {
            to.values
                .iter_mut()
                .zip(&from.values)
                .for_each(|(to, from)| *to = *from);
        }
        return fits;
    };
    if old_kernel != kernel || old_inputs > inputs || trailing > old_inputs {
        return false;
    }
    let size = kernel.iter().product::<usize>();
    let leading = (old_inputs - trailing) * size;
    let rows = to.values.chunks_mut((inputs * size).max(1));
    for (row, old_row) in rows.zip(from.values.chunks((old_inputs * size).max(1))) {
        row.fill(0.0);
        let copy = |to: &mut [f32], from: &[f32]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        };
        let (old_head, old_tail) = old_row.split_at(leading);
        let (head, tail) = row.split_at_mut((inputs - trailing) * size);
        copy(head, old_head);
        copy(tail, old_tail);
    }
    true
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
    fn widening_keeps_what_concatenated_inputs_meant() {
        // Two outputs of 2 + 1 inputs become three outputs of 4 + 1.
        let old = Parameters::from_tensors(vec![tensor(
            "a",
            &[2, 3, 1, 1],
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        )]);
        let mut new = Parameters::from_tensors(vec![tensor("a", &[3, 5, 1, 1], &[9.0; 15])]);
        assert_eq!(new.grow_from(&old, &|_| 1), Ok(Vec::new()));
        assert_eq!(
            new.tensors()[0].values,
            [
                1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 5.0, 0.0, 0.0, 6.0, 9.0, 9.0, 9.0, 9.0, 9.0
            ]
        );
        assert_eq!(new.grow_from(&old, &|_| 4), Err(vec!["a".to_owned()]));
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
        assert_eq!(new.grow_from(&old, &|_| 0), Ok(vec!["c".to_owned()]));
        assert_eq!(new.tensors()[0].values, [1.0, 0.0, 2.0, 0.0]);
        assert_eq!(new.tensors()[1].values, [3.0]);
        let mut misfit = Parameters::from_tensors(vec![tensor("b", &[1, 1], &[0.0])]);
        assert_eq!(misfit.grow_from(&old, &|_| 0), Err(vec!["b".to_owned()]));
    }
}
