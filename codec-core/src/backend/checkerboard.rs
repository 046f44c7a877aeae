//! The halves of a checkerboard as operators of the back ends.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::{Flex, FlexTensor};

use super::slices::{self, LinearMap};
use crate::kernels::checkerboard as kernel;
pub use crate::kernels::checkerboard::Parity;
use crate::kernels::fresh::zeros;
use crate::kernels::shape::ShapeError;

/// Moves between a plane and the halves of its checkerboard. A half keeps the rows and has every second column: column
/// `x / 2` of a half is column `x` of the plane.
pub trait CheckerboardOps: Backend {
    /// The cells of one parity.
    ///
    /// # Shapes
    /// `[n, c, h, w]` to `[n, c, h, w / 2]`.
    ///
    /// # Errors
    /// Height or width is odd or zero.
    fn take_cells(x: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(x.dims(), 2)?;
        Ok(generic_take(x, parity))
    }

    /// The plane with these cells and zeros elsewhere.
    ///
    /// # Shapes
    /// `[n, c, h, w / 2]` to `[n, c, h, w]`.
    ///
    /// # Errors
    /// The height is odd, or a side is zero.
    fn put_cells(half: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(half.dims(), 1)?;
        let zeros = half.zeros_like();
        Ok(match parity {
            Parity::Odd => generic_join(half, zeros),
            Parity::Even => generic_join(zeros, half),
        })
    }

    /// The plane of both halves.
    ///
    /// # Shapes
    /// Twice `[n, c, h, w / 2]` to `[n, c, h, w]`.
    ///
    /// # Errors
    /// The height is odd, or a side is zero.
    ///
    /// # Panics
    /// If the halves differ in shape.
    fn join_cells(
        odd: Tensor<Self, 4>,
        even: Tensor<Self, 4>,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check(odd.dims(), 1)?;
        Ok(generic_join(odd, even))
    }
}

fn check([_, _, height, width]: [usize; 4], columns: usize) -> Result<(), ShapeError> {
    if height == 0 || width == 0 || height % 2 != 0 || width % columns != 0 {
        return Err(ShapeError::Side {
            height,
            width,
            multiple: 2,
        });
    }
    Ok(())
}

/// Cells of the even and the odd rows, as `[n c, h / 2, 1, w / 2, 1]`.
fn generic_take<B: Backend>(x: Tensor<B, 4>, parity: Parity) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let x: Tensor<B, 5> = x.reshape([n * c, h / 2, 2, w / 2, 2]);
    let row = |row: usize| {
        let rows = x.clone().narrow(2, row, 1);
        rows.narrow(4, parity.first_column(row), 1)
    };
    Tensor::cat(vec![row(0), row(1)], 2).reshape([n, c, h, w / 2])
}

fn generic_join<B: Backend>(odd: Tensor<B, 4>, even: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = odd.dims();
    let split = |half: Tensor<B, 4>| half.reshape([n * c, h / 2, 2, w, 1]);
    let (odd, even): (Tensor<B, 5>, _) = (split(odd), split(even));
    let row = |row: usize| {
        let (odd, even) = (
            odd.clone().narrow(2, row, 1),
            even.clone().narrow(2, row, 1),
        );
        let pair = if Parity::Odd.first_column(row) == 0 {
            vec![odd, even]
        } else {
            vec![even, odd]
        };
        Tensor::cat(pair, 4)
    };
    Tensor::cat(vec![row(0), row(1)], 2).reshape([n, c, h, 2 * w])
}

super::plain_on_gpu!(CheckerboardOps);

#[derive(Debug, Clone, Copy)]
enum Cells {
    Take(Parity),
    Put(Parity),
}

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

impl LinearMap for Cells {
    fn apply(&self, x: FlexTensor) -> FlexTensor {
        let x = slices::contiguous(x);
        let [n, c, h, w] = dims(&x);
        match *self {
            Self::Take(parity) => {
                let mut out = zeros(n * c * h * w / 2);
                kernel::take(slices::values(&x), &mut out, h, w, parity);
                slices::tensor(out, [n, c, h, w / 2].into())
            }
            Self::Put(parity) => {
                let mut out = zeros(2 * n * c * h * w);
                kernel::put(slices::values(&x), &mut out, h, 2 * w, parity);
                slices::tensor(out, [n, c, h, 2 * w].into())
            }
        }
    }

    fn transposed(&self, gradient: FlexTensor) -> FlexTensor {
        match *self {
            Self::Take(parity) => Self::Put(parity).apply(gradient),
            Self::Put(parity) => Self::Take(parity).apply(gradient),
        }
    }
}

impl CheckerboardOps for Flex {
    fn take_cells(x: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(x.dims(), 2)?;
        Ok(slices::apply_flex(&Cells::Take(parity), x))
    }

    fn put_cells(half: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(half.dims(), 1)?;
        Ok(slices::apply_flex(&Cells::Put(parity), half))
    }

    fn join_cells(
        odd: Tensor<Self, 4>,
        even: Tensor<Self, 4>,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        let [n, c, h, w] = odd.dims();
        check([n, c, h, w], 1)?;
        assert_eq!([n, c, h, w], even.dims(), "halves of different shapes");
        let (odd, even) = (slices::primitive(odd), slices::primitive(even));
        let (odd, even) = (slices::contiguous(odd), slices::contiguous(even));
        let mut out = zeros(2 * n * c * h * w);
        kernel::join(
            slices::values(&odd),
            slices::values(&even),
            &mut out,
            h,
            2 * w,
        );
        Ok(slices::wrap(slices::tensor(out, [n, c, h, 2 * w].into())))
    }
}

impl<C: CheckpointStrategy> CheckerboardOps for Autodiff<Flex, C> {
    fn take_cells(x: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(x.dims(), 2)?;
        Ok(slices::apply_autodiff(Cells::Take(parity), x))
    }

    fn put_cells(half: Tensor<Self, 4>, parity: Parity) -> Result<Tensor<Self, 4>, ShapeError> {
        check(half.dims(), 1)?;
        Ok(slices::apply_autodiff(Cells::Put(parity), half))
    }

    fn join_cells(
        odd: Tensor<Self, 4>,
        even: Tensor<Self, 4>,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        Ok(Self::put_cells(odd, Parity::Odd)? + Self::put_cells(even, Parity::Even)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    type Ad = Autodiff<Flex>;

    fn noise(shape: [usize; 4]) -> Tensor<Flex, 4> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Default::default())
    }

    #[test]
    fn odd_cells_start_at_column_1() {
        let x = Tensor::<Flex, 1>::from_floats(
            [0., 1., 2., 3., 10., 11., 12., 13.],
            &Default::default(),
        );
        let x = x.reshape([1, 1, 2, 4]);
        let odd = Flex::take_cells(x.clone(), Parity::Odd).unwrap();
        assert_eq!(odd.to_data().to_vec::<f32>().unwrap(), [1., 3., 10., 12.]);
        let even = Flex::take_cells(x.clone(), Parity::Even).unwrap();
        assert_eq!(even.to_data().to_vec::<f32>().unwrap(), [0., 2., 11., 13.]);
        assert_eq!(
            Flex::join_cells(odd, even).unwrap().into_data(),
            x.into_data()
        );
    }

    #[test]
    fn default_equals_override() {
        let x = noise([2, 3, 6, 8]);
        let [odd, even] = [Parity::Odd, Parity::Even].map(|parity| {
            let half = Flex::take_cells(x.clone(), parity).unwrap();
            assert_eq!(half.to_data(), generic_take(x.clone(), parity).into_data());
            half
        });
        let joined = generic_join(odd.clone(), even.clone());
        assert_eq!(joined.into_data(), x.clone().into_data());
        let zeros = odd.zeros_like();
        assert_eq!(
            Flex::put_cells(even.clone(), Parity::Even)
                .unwrap()
                .into_data(),
            generic_join(zeros, even).into_data()
        );
        assert!(Flex::take_cells(noise([1, 1, 3, 4]), Parity::Odd).is_err());
        assert!(Flex::join_cells(noise([1, 1, 3, 4]), noise([1, 1, 3, 4])).is_err());
    }

    #[test]
    fn gradients_go_to_their_cells() {
        let x = Tensor::<Ad, 4>::from_inner(noise([1, 2, 4, 4])).require_grad();
        let weight = noise([1, 2, 4, 2]);
        let odd = Ad::take_cells(x.clone(), Parity::Odd).unwrap();
        let loss = (odd * Tensor::from_inner(weight.clone())).sum();
        let gradient = x.grad(&loss.backward()).unwrap();
        let expected = Flex::put_cells(weight, Parity::Odd).unwrap();
        assert_eq!(gradient.into_data(), expected.into_data());
    }
}
