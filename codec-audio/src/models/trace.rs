//! Tensors of parity fixtures: inputs by name, results under the reference's names.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use codec_core::Error;
use codec_core::weights::{HostTensor, Tensors};

/// Most samples of all channels together that a fixture may have.
const SAMPLES_MAX: usize = 1 << 26;

/// What stands before `name` in the names of the inputs: a fixture has several cases of the same tensors.
pub(crate) fn cases<'a>(inputs: &'a Tensors, name: &str) -> Vec<&'a str> {
    let names = inputs.iter().map(|(found, _)| found);
    names
        .filter_map(|found| found.strip_suffix(name))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect()
}

/// An input `[n, channels, t]`; `[n, t]` has one channel.
pub(crate) fn signal<B: Backend>(
    inputs: &Tensors,
    name: &str,
    channels: usize,
    device: &B::Device,
) -> Result<Tensor<B, 3>, Error> {
    let tensor = inputs
        .get(name)
        .ok_or_else(|| Error::malformed(format!("no input '{name}'")))?;
    let shape = match *tensor.shape() {
        [n, c, t] => [n, c, t],
        [n, t] => [n, 1, t],
        _ => [0; 3],
    };
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if shape[1] != channels || !count.is_some_and(|n| (1..=SAMPLES_MAX).contains(&n)) {
        return Err(Error::malformed(format!(
            "input '{name}' has shape {:?} (expected {channels} channels)",
            tensor.shape()
        )));
    }
    match tensor.shape().len() {
        2 => Ok(tensor.to_device::<B, 2>(device)?.reshape(shape)),
        _ => tensor.to_device(device),
    }
}

/// The first value of an input, if it is there.
pub(crate) fn number(inputs: &Tensors, name: &str) -> Option<f64> {
    let tensor = inputs.get(name)?;
    match (tensor.as_floats(), tensor.as_integers()) {
        (Some(values), _) => values.first().map(|&v| v.into()),
        (_, Some(values)) => values.first().map(|&v| v as f64),
        _ => None,
    }
}

/// Results of one case.
pub(crate) struct Traced<'a> {
    prefix: &'a str,
    tensors: &'a mut Tensors,
}

impl<'a> Traced<'a> {
    /// Puts results of the case `prefix` into `tensors`.
    pub fn new(prefix: &'a str, tensors: &'a mut Tensors) -> Self {
        Self { prefix, tensors }
    }

    fn insert(&mut self, name: &str, tensor: HostTensor) {
        self.tensors
            .insert(format!("{}{name}", self.prefix), tensor);
    }

    pub fn put<B: Backend, const D: usize>(
        &mut self,
        name: &str,
        tensor: Tensor<B, D>,
    ) -> Result<(), Error> {
        self.insert(name, HostTensor::from_device(tensor)?);
        Ok(())
    }

    /// Integers of the given shape.
    pub fn integers(&mut self, name: &str, shape: &[usize], values: Vec<i64>) -> Result<(), Error> {
        self.insert(name, HostTensor::integers(shape, values)?);
        Ok(())
    }

    /// Codes of several codebooks, `[n l]` each, in one of the orders that authors use.
    pub fn codes<B: Backend>(
        &mut self,
        name: &str,
        codes: &[Tensor<B, 1, Int>],
        n: usize,
        order: Order,
    ) -> Result<(), Error> {
        let books: Vec<Vec<i64>> = codes
            .iter()
            .map(|codes| codes.clone().into_data().iter::<i64>().collect())
            .collect();
        let (count, length) = (books.len(), books.first().map_or(0, Vec::len));
        let frames = length / n.max(1);
        let at = |item: usize, frame: usize, book: usize| {
            let book = books
                .get(book)
                .and_then(|book| book.get(item * frames + frame));
            book.copied().unwrap_or_default()
        };
        let (items, books, times) = (0..n, 0..count, 0..frames);
        let mut values = Vec::with_capacity(count * length);
        let shape = match order {
            Order::BookItemFrame => {
                for k in books {
                    for i in items.clone() {
                        values.extend(times.clone().map(|l| at(i, l, k)));
                    }
                }
                [count, n, frames]
            }
            Order::ItemBookFrame => {
                for i in items {
                    for k in books.clone() {
                        values.extend(times.clone().map(|l| at(i, l, k)));
                    }
                }
                [n, count, frames]
            }
            Order::ItemFrameBook => {
                for i in items {
                    for l in times.clone() {
                        values.extend(books.clone().map(|k| at(i, l, k)));
                    }
                }
                [n, frames, count]
            }
        };
        self.integers(name, &shape, values)
    }
}

/// Dimensions of an array of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[codebooks, n, l]`.
    BookItemFrame,
    /// `[n, codebooks, l]`.
    ItemBookFrame,
    /// `[n, l, codebooks]`.
    ItemFrameBook,
}
