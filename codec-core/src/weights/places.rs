//! The way back from a module's parameters to their authors' names, and the parameters of a model that starts anew.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_flex::Flex;

use super::loader::{Loader, Report};
use super::tensors::{HostTensor, Tensors};
use crate::Error;

/// Name and shape of a parameter in checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the tensor.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
}

/// Places of all parameters of a module, by their paths in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// Places of the parameters that `loader` gave to `module`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a parameter that it did not give as it is: there is no way back from that.
    pub fn of<B: Backend, M: Module<B>>(module: &M, loader: &Loader<'_, B>) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut unknown = None;
        each(module, |path, id, _| match loader.place(id) {
            Some(place) => {
                found.0.insert(path.to_owned(), place);
            }
            None => unknown = Some(path.to_owned()),
        });
        match unknown {
            None => Ok(found),
            Some(path) => Err(Error::unsupported(format!(
                "parameter '{path}' has no name in checkpoints"
            ))),
        }
    }

    /// All parameters of a module with the same paths, under their authors' names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other paths, and device errors.
    pub fn collect<B: Backend, M: Module<B>>(&self, module: &M) -> Result<Tensors, Error> {
        let mut tensors = Tensors::new();
        let mut fault = None;
        each(module, |path, _, values| {
            let Some(place) = self.0.get(path) else {
                fault = Some(Error::unsupported(format!(
                    "parameter '{path}' has no name in checkpoints"
                )));
                return;
            };
            match HostTensor::floats(&place.shape, values()) {
                Ok(tensor) => tensors.insert(place.name.clone(), tensor),
                Err(error) => fault = Some(error),
            }
        });
        fault.map_or(Ok(tensors), Err)
    }
}

/// A module that starts anew: its initial parameters, and where they belong in checkpoints.
#[derive(Debug, Clone)]
pub struct Start {
    tensors: Tensors,
    places: Places,
}

impl Start {
    /// Draws the parameters that `build` asks its loader for.
    ///
    /// # Errors
    /// Those of [`initial`] and [`Places::of`].
    pub fn new<M: Module<Flex>>(
        seed: u64,
        build: impl Fn(&Loader<'_, Flex>) -> M,
    ) -> Result<Self, Error> {
        let (device, none) = (Default::default(), Tensors::new());
        let missing = Loader::new(&none, &device);
        build(&missing);
        let tensors = initial(&missing.report(), seed)?;
        let loader = Loader::new(&tensors, &device);
        let places = Places::of(&build(&loader), &loader)?;
        loader.finish()?;
        Ok(Self { tensors, places })
    }

    /// The parameters, under their names in checkpoints.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// All parameters of a trained module, under their names in checkpoints.
    ///
    /// # Errors
    /// Those of [`Places::collect`].
    pub fn collect<B: Backend, M: Module<B>>(&self, module: &M) -> Result<Tensors, Error> {
        self.places.collect(module)
    }
}

/// Calls `f` with path, id and values of every parameter.
fn each<B: Backend, M: Module<B>>(
    module: &M,
    f: impl FnMut(&str, burn::module::ParamId, &dyn Fn() -> Vec<f32>),
) {
    struct Each<F> {
        path: Vec<String>,
        f: F,
    }
    impl<B: Backend, F> ModuleVisitor<B> for Each<F>
    where
        F: FnMut(&str, burn::module::ParamId, &dyn Fn() -> Vec<f32>),
    {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let values = || {
                let data = param.val().into_data().convert::<f32>();
                data.into_vec().unwrap_or_default()
            };
            (self.f)(&self.path.join("."), param.id, &values);
        }
    }
    let path = Vec::new();
    module.visit(&mut Each { path, f });
}

/// Tensors for a model that starts anew, of the names and shapes that a constructor missed: biases (`bias`) are 0, other
/// vectors 1, all else is uniform within `1 / sqrt(fan_in)`, as PyTorch starts convolutions and linear layers.
///
/// # Errors
/// [`Error::BadParameter`] if a shape is too large to have.
pub fn initial(report: &Report, seed: u64) -> Result<Tensors, Error> {
    let mut state = seed;
    let mut tensors = Tensors::new();
    for (name, shape) in &report.missing {
        let count = shape.iter().product();
        let values: Vec<f32> = if name.ends_with("bias") {
            vec![0.0; count]
        } else if shape.len() < 2 {
            vec![1.0; count]
        } else {
            let fan_in = shape.iter().skip(1).product::<usize>().max(1);
            let bound = (fan_in as f32).powf(-0.5);
            std::iter::repeat_with(|| bound * (2.0 * next(&mut state) - 1.0))
                .take(count)
                .collect()
        };
        tensors.insert(name.clone(), HostTensor::floats(shape, values)?);
    }
    Ok(tensors)
}

/// A number in 0..1 (SplitMix64).
fn next(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;
    use crate::layers::{AttentionKeys, SelfAttention};

    #[test]
    fn trained_parameters_go_back_to_their_names() {
        let device = Default::default();
        fn load(loader: &Loader<'_, Flex>) -> SelfAttention<Flex> {
            SelfAttention::load(32, AttentionKeys::DIFFUSERS, &loader.at("mid"))
        }
        let start = Start::new(7, load).unwrap();
        let started = start.tensors();
        assert_eq!(started.shape("mid.to_q.weight"), Some(&[32, 32][..]));
        let bound = 32f32.powf(-0.5);
        let weight = started.get("mid.to_q.weight").unwrap().as_floats().unwrap();
        assert!(weight.iter().all(|w| w.abs() <= bound) && weight.iter().any(|w| *w > 0.8 * bound));

        // Another instance, with ids of its own.
        let other = load(&Loader::new(started, &device));
        let back = start.collect(&other).unwrap();
        assert_eq!(back.len(), started.len());
        assert!(
            back.iter()
                .all(|(name, tensor)| started.get(name) == Some(tensor))
        );
        assert!(Places::default().collect(&other).is_err());
        assert!(Places::of(&other, &Loader::new(started, &device)).is_err());
    }
}
