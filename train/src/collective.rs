//! Data-parallel training: replicas that take the same step.
//!
//! Every device runs the same recipe on its own copy of the model. The batch of a step is the recipe's batch; replica `r`
//! of `n` takes the `r`-th of its `n` equal parts ([`Share`]), the gradients are averaged over all replicas
//! ([`mean_gradients`]), and all take the same optimizer step. `docs/distributed-training.md` tells how to start a run.
//!
//! The trainer sees the other replicas only through [`Replica`]. With the feature `distributed`, [`run`] provides it
//! on Burn's collective operations.

use std::ops::Range;

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend, BackendTypes};
use burn::tensor::{Tensor, TensorData, s};
use codec_datasets::SplitMix64;

use crate::gradients::Alone;
use crate::parameters::Parameters;

#[cfg(feature = "distributed")]
mod group;
#[cfg(feature = "distributed")]
mod nodes;

#[cfg(feature = "distributed")]
pub use group::{Peer, run};
#[cfg(feature = "distributed")]
pub use nodes::{Nodes, coordinate};

/// What can go wrong between replicas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// The batch cannot be split evenly.
    #[error("a batch of {batch} cannot be split into {of} equal parts, one a device")]
    Split {
        /// Samples of a step.
        batch: usize,
        /// Replicas.
        of: usize,
    },
    /// How the run was started makes no sense.
    #[error("invalid set-up: {0}")]
    Setup(String),
    /// A run over several devices of this backend is under way in this process; Burn's collective has room for one.
    #[error("another run over several devices uses this backend in this process")]
    Busy,
    /// Another replica failed, or its process or connection ended.
    #[error("replica {rank} was lost: {reason}")]
    Lost {
        /// Which (of all nodes).
        rank: usize,
        /// What is known of it.
        reason: String,
    },
    /// Replicas did not come together in time.
    #[error("replica {rank} waited {seconds} s for the others")]
    TimedOut {
        /// Which one waited (of all nodes).
        rank: usize,
        /// How long.
        seconds: u64,
    },
    /// Replicas that should be equal are not.
    #[error("replica {rank} has other {what} than replica 0")]
    Drifted {
        /// The first that differs.
        rank: usize,
        /// What differs.
        what: &'static str,
    },
    /// Burn's collective refused an operation.
    #[error("collective operation failed: {0}")]
    Operation(String),
}

/// A replica's part of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of this replica, from 0.
    pub rank: usize,
    /// Number of replicas.
    pub of: usize,
}

impl Share {
    /// The only replica.
    pub const WHOLE: Self = Self { rank: 0, of: 1 };

    /// Whether this replica logs, validates and writes.
    pub fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Which samples of a batch are this replica's.
    ///
    /// # Errors
    /// [`CollectiveError::Split`] unless `batch` is a positive multiple of the number of replicas.
    pub fn range(&self, batch: usize) -> Result<Range<usize>, CollectiveError> {
        if self.of == 0 || batch == 0 || !batch.is_multiple_of(self.of) || self.rank >= self.of {
            return Err(CollectiveError::Split { batch, of: self.of });
        }
        let part = batch / self.of;
        Ok(self.rank * part..(self.rank + 1) * part)
    }
}

/// One of several replicas. `B` is the backend without automatic differentiation.
///
/// All replicas must call the same methods in the same order.
pub trait Replica<B: Backend> {
    /// This replica's part.
    fn share(&self) -> Share;

    /// Sum over all replicas of a vector `[n]`, the same bits for each of them.
    ///
    /// # Errors
    /// [`CollectiveError`] when another replica fails or does not come.
    fn sum(&mut self, flat: Tensor<B, 1>) -> Result<Tensor<B, 1>, CollectiveError>;
}

impl<B: Backend> Replica<B> for Alone {
    fn share(&self) -> Share {
        Share::WHOLE
    }

    fn sum(&mut self, flat: Tensor<B, 1>) -> Result<Tensor<B, 1>, CollectiveError> {
        Ok(flat)
    }
}

fn read<B: Backend>(flat: Tensor<B, 1>) -> Result<Vec<f32>, CollectiveError> {
    flat.into_data()
        .convert::<f32>()
        .into_vec()
        .map_err(|e| CollectiveError::Operation(format!("{e:?}")))
}

/// Averages gradients and figures over all replicas, in one exchange.
///
/// `values` are this replica's figures of the step and become the means. A parameter without a gradient counts as zero
/// where another replica has one, and stays without where none has.
///
/// # Errors
/// [`CollectiveError`] when another replica fails or does not come.
pub fn mean_gradients<B: AutodiffBackend, M: AutodiffModule<B>>(
    replica: &mut dyn Replica<B::InnerBackend>,
    module: &M,
    gradients: &mut GradientsParams,
    values: &mut [f64],
) -> Result<(), CollectiveError> {
    struct Pack<'a, B: AutodiffBackend> {
        gradients: &'a mut GradientsParams,
        parts: Vec<Tensor<B::InnerBackend, 1>>,
        present: Vec<f32>,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Pack<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let gradient = self.gradients.remove::<B::InnerBackend, D>(param.id);
            self.present.push(f32::from(u8::from(gradient.is_some())));
            let n = param.shape().num_elements();
            self.parts.push(match gradient {
                Some(gradient) => gradient.reshape([n]),
                None => Tensor::zeros([n], &param.device()),
            });
        }
    }
    struct Unpack<'a, B: AutodiffBackend> {
        gradients: &'a mut GradientsParams,
        flat: Tensor<B::InnerBackend, 1>,
        present: std::slice::Iter<'a, f32>,
        at: usize,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Unpack<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let shape = param.shape();
            let n = shape.num_elements();
            if self.present.next().is_some_and(|&p| p > 0.0) {
                let part = self.flat.clone().slice(s![self.at..self.at + n]);
                self.gradients
                    .register(param.id, part.reshape::<D, _>(shape));
            }
            self.at += n;
        }
    }

    let of = replica.share().of;
    if of <= 1 {
        return Ok(());
    }
    let mut pack = Pack::<B> {
        gradients,
        parts: Vec::new(),
        present: Vec::new(),
    };
    module.visit(&mut pack);
    let Pack {
        mut parts, present, ..
    } = pack;
    let Some(device) = parts.first().map(Tensor::device) else {
        return Ok(());
    };
    let tensors = present.len();
    let mut tail = present;
    tail.extend(values.iter().map(|&v| v as f32));
    let tail_len = tail.len();
    parts.push(Tensor::from_data(
        TensorData::new(tail, [tail_len]),
        &device,
    ));
    let mean = replica.sum(Tensor::cat(parts, 0))?.div_scalar(of as f32);
    let start = mean.dims()[0] - tail_len;
    let tail = read(mean.clone().slice(s![start..start + tail_len]))?;
    for (value, &mean) in values.iter_mut().zip(tail.iter().skip(tensors)) {
        *value = f64::from(mean);
    }
    module.visit(&mut Unpack::<B> {
        gradients,
        flat: mean,
        present: tail
            .iter()
            .take(tensors)
            .copied()
            .collect::<Vec<_>>()
            .iter(),
        at: 0,
    });
    Ok(())
}

/// What every replica has to say: as many numbers from each, in the order of ranks. Exact.
///
/// # Errors
/// [`CollectiveError`] when another replica fails or does not come.
pub fn gather<B: Backend>(
    replica: &mut dyn Replica<B>,
    mine: &[f32],
    device: &<B as BackendTypes>::Device,
) -> Result<Vec<Vec<f32>>, CollectiveError> {
    let Share { rank, of } = replica.share();
    let mut table = vec![0.0; mine.len() * of];
    if let Some(slot) = table.chunks_mut(mine.len().max(1)).nth(rank) {
        slot.copy_from_slice(mine);
    }
    let n = table.len();
    let table = read(replica.sum(Tensor::from_data(TensorData::new(table, [n]), device))?)?;
    Ok(table
        .chunks(mine.len().max(1))
        .map(<[f32]>::to_vec)
        .collect())
}

/// Replaces figures by their means over all replicas.
///
/// # Errors
/// [`CollectiveError`] when another replica fails or does not come.
pub fn mean<B: Backend>(
    replica: &mut dyn Replica<B>,
    figures: &mut [f64],
    device: &<B as BackendTypes>::Device,
) -> Result<(), CollectiveError> {
    let of = replica.share().of as f64;
    let mine: Vec<f32> = figures.iter().map(|&v| v as f32).collect();
    let n = mine.len();
    if of <= 1.0 || n == 0 {
        return Ok(());
    }
    let sum = replica.sum(Tensor::from_data(TensorData::new(mine, [n]), device))?;
    for (figure, sum) in figures.iter_mut().zip(read(sum)?) {
        *figure = f64::from(sum) / of;
    }
    Ok(())
}

/// Makes sure that a number (a step, a digest) is the same everywhere; `what` names it in the error.
///
/// # Errors
/// [`CollectiveError::Drifted`] on all replicas when it is not, and those of the exchange.
pub fn agree<B: Backend>(
    replica: &mut dyn Replica<B>,
    number: u64,
    what: &'static str,
    device: &<B as BackendTypes>::Device,
) -> Result<(), CollectiveError> {
    if replica.share().of <= 1 {
        return Ok(());
    }
    // In pieces of 16 bits, which a float holds exactly.
    let pieces: Vec<f32> = (0..4)
        .map(|i| f32::from((number >> (16 * i)) as u16))
        .collect();
    let all = gather(replica, &pieces, device)?;
    match all.iter().position(|theirs| Some(theirs) != all.first()) {
        Some(rank) => Err(CollectiveError::Drifted { rank, what }),
        None => Ok(()),
    }
}

/// Does `work` with noise that depends on the key and on the number of a sample in the whole batch, not on who draws it;
/// `first` is the number of the first sample of this replica's part.
pub fn with_noise<T>(key: &[u64], first: usize, work: impl FnOnce() -> T) -> T {
    let key = key.to_vec();
    let fill = move |draw: u64, sample: usize, values: &mut [f32]| {
        let cell = [draw, (first + sample) as u64];
        let mut rng = SplitMix64::keyed(&[&key[..], &cell].concat());
        values.fill_with(|| rng.unit() - 0.5);
    };
    codec_core::noise::with(fill, work)
}

/// Digest of parameters, bit for bit: FNV-1a over their values.
pub fn digest(parameters: &Parameters) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for value in parameters.tensors().iter().flat_map(|t| &t.values) {
        hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_a_batch_once() {
        let all: Vec<usize> = (0..3)
            .flat_map(|rank| Share { rank, of: 3 }.range(12).expect("divides"))
            .collect();
        assert_eq!(all, (0..12).collect::<Vec<_>>());
        assert_eq!(
            Share { rank: 0, of: 3 }.range(8),
            Err(CollectiveError::Split { batch: 8, of: 3 })
        );
        assert_eq!(Share::WHOLE.range(5), Ok(0..5));
    }

    #[test]
    fn digests_tell_the_smallest_change() {
        let of = |values: &[f32]| {
            digest(&Parameters::from_tensors(vec![crate::NamedTensor {
                name: "a".into(),
                shape: vec![values.len()],
                values: values.to_vec(),
            }]))
        };
        assert_eq!(of(&[1.0, 2.0]), of(&[1.0, 2.0]));
        assert_ne!(of(&[1.0, 2.0]), of(&[1.0, 2.0_f32.next_up()]));
        assert_ne!(of(&[1.0, 2.0]), of(&[2.0, 1.0]));
    }
}
