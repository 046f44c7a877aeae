//! Signals of different lengths in one tensor, so that a network takes them in one pass and every one comes out as if alone.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::backend::{Border, CodecBackend};

/// A batch. What lies behind an item's end is no part of it: zeros at first, anything after a layer.
#[derive(Debug, Clone)]
pub(crate) struct Ragged<B: Backend> {
    /// `[n, c, t]`, t the longest length.
    pub x: Tensor<B, 3>,
    /// None where all items are as long as the tensor.
    lengths: Option<Vec<usize>>,
}

impl<B: CodecBackend> Ragged<B> {
    /// Items that are all as long as the tensor.
    pub fn whole(x: Tensor<B, 3>) -> Self {
        Self { x, lengths: None }
    }

    /// Items `[1, c, t]` one below the other, with zeros behind the ends of the shorter ones; at least one item.
    pub fn of(items: Vec<Tensor<B, 3>>) -> Self {
        let lengths: Vec<usize> = items.iter().map(|item| item.dims()[2]).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = items.into_iter().map(|item| {
            let missing = longest - item.dims()[2];
            B::extend(item, [0, missing], Border::Zeros)
        });
        Self {
            x: Tensor::cat(padded.collect(), 0),
            lengths: lengths.iter().any(|&l| l != longest).then_some(lengths),
        }
    }

    /// Whether all items are as long as the tensor.
    pub fn is_even(&self) -> bool {
        self.lengths.is_none()
    }

    /// What changes no length, or that of every item alike, and sees nothing behind a sample.
    pub fn map(self, work: impl FnOnce(Tensor<B, 3>) -> Tensor<B, 3>) -> Self {
        Self {
            x: work(self.x),
            lengths: self.lengths,
        }
    }

    /// What makes `length(t)` samples of t, each of them of samples that an item has.
    pub fn resized(
        self,
        length: impl Fn(usize) -> usize,
        work: impl FnOnce(Tensor<B, 3>) -> Tensor<B, 3>,
    ) -> Self {
        let lengths = self.lengths.map(|l| l.into_iter().map(length).collect());
        Self {
            x: work(self.x),
            lengths,
        }
    }

    /// What sees the ends of items: done to each by itself where they differ.
    pub fn each(self, work: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>) -> Self {
        let Some(lengths) = self.lengths else {
            return Self::whole(work(self.x));
        };
        let item = |(number, &length)| {
            let item = self.x.clone().narrow(0, number, 1);
            work(item.narrow(2, 0, length))
        };
        Self::of(lengths.iter().enumerate().map(item).collect())
    }

    /// What keeps zeros behind the ends of items, at this rate and at those of its divisors.
    pub fn mask(&self) -> Mask {
        Mask {
            lengths: self.lengths.clone(),
            longest: self.x.dims()[2],
        }
    }
}

impl<B: CodecBackend> std::ops::Add for Ragged<B> {
    type Output = Self;

    /// Of the same lengths.
    fn add(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            lengths: self.lengths,
        }
    }
}

/// Where the items of a batch end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask {
    lengths: Option<Vec<usize>>,
    longest: usize,
}

impl Mask {
    /// `x` `[n, c, t]` with zeros behind the ends of items; t is the longest length over a divisor of all lengths.
    pub fn apply<B: Backend>(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let Some(lengths) = &self.lengths else {
            return x;
        };
        let [n, _, time] = x.dims();
        let there = lengths.iter().flat_map(|length| {
            let end = length * time / self.longest.max(1);
            (0..time).map(move |at| f32::from(u8::from(at < end)))
        });
        let there = TensorData::new(there.collect::<Vec<_>>(), [n, 1, time]);
        let there = Tensor::from_data(there, &x.device());
        x * there
    }
}

#[cfg(test)]
mod tests {
    use burn_flex::Flex;
    use codec_core::backend::SignalOps;

    use super::*;

    fn item(values: &[f32]) -> Tensor<Flex, 3> {
        let data = TensorData::new(values.to_vec(), [1, 1, values.len()]);
        Tensor::from_data(data, &Default::default())
    }

    fn values(x: Tensor<Flex, 3>) -> Vec<f32> {
        x.into_data().into_vec().unwrap()
    }

    #[test]
    fn items_keep_their_ends() {
        let batch = Ragged::of(vec![item(&[1.0, 2.0]), item(&[3.0, 4.0, 5.0, 6.0])]);
        assert_eq!(batch.x.dims(), [2, 1, 4]);
        let other = batch.clone().map(|x| x + 1.0);
        assert_eq!(
            values(other.mask().apply(other.x)),
            [2.0, 3.0, 0.0, 0.0, 4.0, 5.0, 6.0, 7.0]
        );
        // At half the rate.
        let half = Tensor::ones([2, 1, 2], &Default::default());
        assert_eq!(values(batch.mask().apply(half)), [1.0, 0.0, 1.0, 1.0]);
        let mirrored = batch.each(|x| Flex::extend(x, [1, 0], Border::Reflect));
        assert_eq!(
            values(mirrored.x.clone()),
            [2.0, 1.0, 2.0, 0.0, 0.0, 4.0, 3.0, 4.0, 5.0, 6.0]
        );
        assert_eq!(mirrored.lengths, Some(vec![3, 5]));
        let equal = Ragged::of(vec![item(&[1.0]), item(&[2.0])]);
        assert!(equal.lengths.is_none());
    }
}
