//! Building networks from named tensors, with an account of every name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use burn::module::{Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::places::Place;
use super::tensors::{HostTensor, Tensors};
use crate::Error;

/// A tensor of another shape than the network has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshaped {
    /// Name of the tensor.
    pub name: String,
    /// Shape in the network.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// What became of the tensors of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Names that went into the network.
    pub mapped: BTreeSet<String>,
    /// Names that the network needs and the file lacks, with their shapes.
    pub missing: BTreeMap<String, Vec<usize>>,
    /// Names of another shape or element type than the network needs.
    pub misshaped: Vec<Misshaped>,
    /// Names in the file that nothing asked for.
    pub unused: BTreeSet<String>,
}

impl Report {
    /// Whether the network has all that it needs.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.misshaped.is_empty()
    }

    /// Refuses an incomplete network.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the first few names at fault.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_complete() {
            return Ok(());
        }
        let missing = self.missing.keys().map(|name| format!("{name} is missing"));
        let misshaped = self.misshaped.iter().map(|m| {
            format!(
                "{} has shape {:?} (expected {:?})",
                m.name, m.found, m.expected
            )
        });
        let mut faults: Vec<String> = missing.chain(misshaped).collect();
        let count = faults.len();
        faults.truncate(5);
        if count > faults.len() {
            faults.push(format!("and {} more", count - faults.len()));
        }
        Err(Error::malformed(format!("weights: {}", faults.join(", "))))
    }
}

/// Hands tensors to a network's constructor.
///
/// A tensor that is missing or misshaped is recorded, and zeros stand in for it, so that one pass finds every fault;
/// [`Loader::finish`] then refuses the network. Children made by [`Loader::at`] share their parent's account.
#[derive(Debug, Clone)]
pub struct Loader<'a, B: Backend> {
    tensors: &'a Tensors,
    device: &'a B::Device,
    prefix: String,
    frozen: bool,
    report: Rc<RefCell<Report>>,
    /// Where each parameter came from.
    places: Rc<RefCell<BTreeMap<ParamId, Place>>>,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// A loader at the root of `tensors`.
    pub fn new(tensors: &'a Tensors, device: &'a B::Device) -> Self {
        Self {
            tensors,
            device,
            prefix: String::new(),
            frozen: false,
            report: Rc::default(),
            places: Rc::default(),
        }
    }

    /// The same, for parameters that no gradient is wanted of.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self {
            frozen: true,
            ..self
        }
    }

    /// The loader of a part: its names are `part.name` here.
    #[must_use]
    pub fn at(&self, part: impl std::fmt::Display) -> Self {
        Self {
            prefix: self.name(part),
            ..self.clone()
        }
    }

    /// Device of the network.
    pub fn device(&self) -> &'a B::Device {
        self.device
    }

    /// Full name of a tensor of this part.
    pub fn name(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    /// Shape of a tensor in the file, without taking it.
    pub fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.tensors.shape(&self.name(name))
    }

    /// Takes a tensor to the host. `shape` is what the network needs.
    pub fn host(&self, name: &str, shape: &[usize]) -> Option<&'a HostTensor> {
        let name = self.name(name);
        let mut report = self.report.borrow_mut();
        match self.tensors.get(&name) {
            Some(tensor) if tensor.shape() == shape => {
                report.mapped.insert(name);
                Some(tensor)
            }
            Some(tensor) => {
                report.misshaped.push(Misshaped {
                    name,
                    expected: shape.to_vec(),
                    found: tensor.shape().to_vec(),
                });
                None
            }
            None => {
                report.missing.insert(name, shape.to_vec());
                None
            }
        }
    }

    /// Takes a tensor to the device.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<B, D> {
        self.host(name, &shape)
            .and_then(|tensor| tensor.to_device(self.device).ok())
            .unwrap_or_else(|| Tensor::zeros(shape, self.device))
    }

    /// Takes a parameter to the device.
    pub fn param<const D: usize>(&self, name: &str, shape: [usize; D]) -> Param<Tensor<B, D>> {
        self.reshaped(name, shape, shape)
    }

    /// Takes a parameter to the device that has another shape in the checkpoint, with the same values in the same order.
    pub fn reshaped<const D: usize, const E: usize>(
        &self,
        name: &str,
        stored: [usize; D],
        shape: [usize; E],
    ) -> Param<Tensor<B, E>> {
        let param = Param::from_tensor(self.tensor(name, stored).reshape(shape));
        let place = Place {
            name: self.name(name),
            shape: stored.to_vec(),
        };
        self.places.borrow_mut().insert(param.id, place);
        if self.frozen {
            return param.set_require_grad(false);
        }
        param
    }

    /// Where parameters that this loader gave came from.
    pub(super) fn place(&self, id: ParamId) -> Option<Place> {
        self.places.borrow().get(&id).cloned()
    }

    /// Marks a tensor of this part as known, though the network does without it (buffers that follow from others).
    pub fn known(&self, name: &str) {
        let name = self.name(name);
        if self.tensors.contains(&name) {
            self.report.borrow_mut().mapped.insert(name);
        }
    }

    /// The account so far.
    pub fn report(&self) -> Report {
        let mut report = self.report.borrow().clone();
        let faulty: BTreeSet<&str> = report.misshaped.iter().map(|m| m.name.as_str()).collect();
        let unused = self.tensors.iter().map(|(name, _)| name);
        report.unused = unused
            .filter(|name| !report.mapped.contains(*name) && !faulty.contains(name))
            .map(str::to_owned)
            .collect();
        report
    }

    /// Ends loading.
    ///
    /// # Errors
    /// [`Error::Malformed`] if anything was missing or misshaped.
    pub fn finish(&self) -> Result<Report, Error> {
        let report = self.report();
        report.check()?;
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn every_name_is_accounted_for() {
        let mut tensors = Tensors::new();
        for name in ["a.weight", "a.bias", "b.table", "stray"] {
            tensors.insert(name, HostTensor::floats(&[2], vec![1.0, 2.0]).unwrap());
        }
        let device = Default::default();
        let root = Loader::<Flex>::new(&tensors, &device);
        let a = root.at("a");
        assert_eq!(
            a.tensor("weight", [2]).into_data().to_vec::<f32>().unwrap(),
            [1.0, 2.0]
        );
        a.tensor("bias", [1, 2]);
        root.at("b").known("table");
        root.at("b").known("absent");
        root.at("c").at(3).tensor("weight", [4]);
        let report = root.report();
        assert_eq!(report.mapped.len(), 2);
        assert_eq!(report.missing["c.3.weight"], [4]);
        assert_eq!(report.misshaped[0].found, [2]);
        assert_eq!(report.unused.iter().collect::<Vec<_>>(), ["stray"]);
        let error = root.finish().unwrap_err().to_string();
        assert!(
            error.contains("c.3.weight") && error.contains("a.bias"),
            "{error}"
        );
    }
}
