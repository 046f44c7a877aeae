//! Moves between space and channels as operators of the back ends.

use super::slices::{self, LinearMap};
use crate::kernels::fresh::zeros;
use crate::kernels::shape::ShapeError;
use crate::kernels::shuffle as kernel;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::{Flex, FlexTensor};
use std::sync::Arc;

/// Rearrangements that copy every value.
pub trait ShuffleOps: Backend {
    /// Moves blocks of 2 x 2 samples to the channels.
    ///
    /// # Shapes
    /// `[n, c, h, w]` to `[n, 4 c, h / 2, w / 2]`; channel `(2 dy + dx) c + k` of the result holds the samples
    /// `(2 y + dy, 2 x + dx)` of channel `k`.
    ///
    /// # Errors
    /// Height or width is odd or zero.
    fn space_to_depth2(x: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims())?;
        Ok(generic_space_to_depth2(x))
    }

    /// The inverse of [`ShuffleOps::space_to_depth2`].
    ///
    /// # Shapes
    /// `[n, 4 c, h, w]` to `[n, c, 2 h, 2 w]`.
    ///
    /// # Errors
    /// The channels are no multiple of four, or a side is zero.
    fn depth_to_space2(y: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_blocks(y.dims())?;
        Ok(generic_depth_to_space2(y))
    }

    /// Selects channels: channel `i` of the result is channel `indices[i]`. Channels may repeat or be left out.
    ///
    /// # Shapes
    /// `[n, c, h, w]` to `[n, indices.len(), h, w]`.
    ///
    /// # Errors
    /// An index is not below `c`.
    fn gather_channels(
        x: Tensor<Self, 4>,
        indices: &[usize],
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_indices(x.dims(), indices)?;
        Ok(generic_gather(x, indices))
    }
}

fn check_image([_, _, height, width]: [usize; 4]) -> Result<(), ShapeError> {
    if height == 0 || width == 0 || height % 2 != 0 || width % 2 != 0 {
        return Err(ShapeError::Side {
            height,
            width,
            multiple: 2,
        });
    }
    Ok(())
}

fn check_blocks([_, channels, height, width]: [usize; 4]) -> Result<(), ShapeError> {
    if channels % 4 != 0 {
        return Err(ShapeError::Channels {
            channels,
            multiple: 4,
        });
    }
    if height == 0 || width == 0 {
        return Err(ShapeError::Side {
            height,
            width,
            multiple: 1,
        });
    }
    Ok(())
}

fn check_indices([_, channels, _, _]: [usize; 4], indices: &[usize]) -> Result<(), ShapeError> {
    match indices.iter().find(|&&i| i >= channels) {
        Some(&index) => Err(ShapeError::Index { index, channels }),
        None => Ok(()),
    }
}

fn generic_space_to_depth2<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let blocks: Tensor<B, 6> = x
        .reshape([n, c, h / 2, 2, w / 2, 2])
        .permute([0, 3, 5, 1, 2, 4]);
    blocks.reshape([n, 4 * c, h / 2, w / 2])
}

fn generic_depth_to_space2<B: Backend>(y: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = y.dims();
    let blocks: Tensor<B, 6> = y
        .reshape([n, 2, 2, c / 4, h, w])
        .permute([0, 3, 4, 1, 5, 2]);
    blocks.reshape([n, c / 4, 2 * h, 2 * w])
}

fn generic_gather<B: Backend>(x: Tensor<B, 4>, indices: &[usize]) -> Tensor<B, 4> {
    let list: Vec<i32> = indices.iter().map(|&i| i as i32).collect();
    let list = Tensor::<B, 1, Int>::from_data(TensorData::new(list, [indices.len()]), &x.device());
    x.select(1, list)
}

super::plain_on_gpu!(ShuffleOps);

#[derive(Debug, Clone)]
enum Shuffle {
    ToDepth,
    ToSpace,
    /// Channels of the input, and the selection.
    Gather(usize, Arc<[usize]>),
}

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

fn to_depth(x: FlexTensor) -> FlexTensor {
    let x = slices::contiguous(x);
    let [n, c, h, w] = dims(&x);
    let mut out = zeros(n * c * h * w);
    kernel::space_to_depth2(slices::values(&x), &mut out, c, h, w);
    slices::tensor(out, [n, 4 * c, h / 2, w / 2].into())
}

fn to_space(x: FlexTensor) -> FlexTensor {
    let x = slices::contiguous(x);
    let [n, c, h, w] = dims(&x);
    let mut out = zeros(n * c * h * w);
    kernel::depth_to_space2(slices::values(&x), &mut out, c / 4, 2 * h, 2 * w);
    slices::tensor(out, [n, c / 4, 2 * h, 2 * w].into())
}

impl LinearMap for Shuffle {
    fn apply(&self, x: FlexTensor) -> FlexTensor {
        match self {
            Shuffle::ToDepth => to_depth(x),
            Shuffle::ToSpace => to_space(x),
            Shuffle::Gather(_, indices) => {
                let x = slices::contiguous(x);
                let [n, c, h, w] = dims(&x);
                let mut out = zeros(n * indices.len() * h * w);
                kernel::gather(slices::values(&x), &mut out, c, h * w, indices);
                slices::tensor(out, [n, indices.len(), h, w].into())
            }
        }
    }

    fn transposed(&self, gradient: FlexTensor) -> FlexTensor {
        match self {
            Shuffle::ToDepth => to_space(gradient),
            Shuffle::ToSpace => to_depth(gradient),
            Shuffle::Gather(c, indices) => {
                let gradient = slices::contiguous(gradient);
                let [n, _, h, w] = dims(&gradient);
                let mut out = zeros(n * c * h * w);
                kernel::scatter_add(slices::values(&gradient), &mut out, *c, h * w, indices);
                slices::tensor(out, [n, *c, h, w].into())
            }
        }
    }
}

impl ShuffleOps for Flex {
    fn space_to_depth2(x: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims())?;
        Ok(slices::apply_flex(&Shuffle::ToDepth, x))
    }

    fn depth_to_space2(y: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_blocks(y.dims())?;
        Ok(slices::apply_flex(&Shuffle::ToSpace, y))
    }

    fn gather_channels(
        x: Tensor<Self, 4>,
        indices: &[usize],
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_indices(x.dims(), indices)?;
        Ok(slices::apply_flex(
            &Shuffle::Gather(x.dims()[1], indices.into()),
            x,
        ))
    }
}

impl<C: CheckpointStrategy> ShuffleOps for Autodiff<Flex, C> {
    fn space_to_depth2(x: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims())?;
        Ok(slices::apply_autodiff(Shuffle::ToDepth, x))
    }

    fn depth_to_space2(y: Tensor<Self, 4>) -> Result<Tensor<Self, 4>, ShapeError> {
        check_blocks(y.dims())?;
        Ok(slices::apply_autodiff(Shuffle::ToSpace, y))
    }

    fn gather_channels(
        x: Tensor<Self, 4>,
        indices: &[usize],
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_indices(x.dims(), indices)?;
        Ok(slices::apply_autodiff(
            Shuffle::Gather(x.dims()[1], indices.into()),
            x,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    type Ad = Autodiff<Flex>;
    const GATHER: [usize; 5] = [3, 0, 3, 7, 1];

    fn noise(shape: [usize; 4]) -> Tensor<Flex, 4> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Default::default())
    }

    fn equal(a: Tensor<Flex, 4>, b: Tensor<Flex, 4>) {
        assert_eq!(a.into_data(), b.into_data());
    }

    #[test]
    fn default_equals_override() {
        let x = noise([2, 8, 6, 10]);
        equal(
            Flex::space_to_depth2(x.clone()).unwrap(),
            generic_space_to_depth2(x.clone()),
        );
        equal(
            Flex::depth_to_space2(x.clone()).unwrap(),
            generic_depth_to_space2(x.clone()),
        );
        equal(
            Flex::gather_channels(x.clone(), &GATHER).unwrap(),
            generic_gather(x.clone(), &GATHER),
        );
        equal(
            Flex::depth_to_space2(Flex::space_to_depth2(x.clone()).unwrap()).unwrap(),
            x,
        );
    }

    #[test]
    fn blocks_are_position_major() {
        let x = Tensor::<Flex, 1>::from_floats(
            [0., 1., 2., 3., 10., 11., 12., 13.],
            &Default::default(),
        );
        let y = Flex::space_to_depth2(x.reshape([1, 2, 2, 2])).unwrap();
        assert_eq!(
            y.into_data().to_vec::<f32>().unwrap(),
            [0., 10., 1., 11., 2., 12., 3., 13.]
        );
    }

    #[test]
    fn gradients_equal_those_of_the_default() {
        type Op = fn(Tensor<Ad, 4>) -> Tensor<Ad, 4>;
        let pairs: [(Op, Op); 3] = [
            (|x| Ad::space_to_depth2(x).unwrap(), generic_space_to_depth2),
            (|x| Ad::depth_to_space2(x).unwrap(), generic_depth_to_space2),
            (
                |x| Ad::gather_channels(x, &GATHER).unwrap(),
                |x| generic_gather(x, &GATHER),
            ),
        ];
        let x = noise([2, 8, 6, 10]);
        for (fast, plain) in pairs {
            let weight = noise(fast(Tensor::from_inner(x.clone())).dims());
            let gradient = |op: Op| {
                let x = Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
                x.grad(
                    &(op(x.clone()) * Tensor::from_inner(weight.clone()))
                        .sum()
                        .backward(),
                )
                .unwrap()
            };
            equal(gradient(fast), gradient(plain));
        }
    }

    #[test]
    fn wrong_sizes_are_errors() {
        assert!(Flex::space_to_depth2(noise([1, 1, 3, 2])).is_err());
        assert!(Flex::depth_to_space2(noise([1, 6, 3, 2])).is_err());
        let error = Flex::gather_channels(noise([1, 6, 3, 2]), &[6]).err();
        assert_eq!(
            error,
            Some(ShapeError::Index {
                index: 6,
                channels: 6
            })
        );
    }
}
