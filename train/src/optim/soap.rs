//! SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo
//! using Adam", algorithm 3).
//!
//! For a kernel `G` of `[out, in, k, k]` it keeps running means of `G G^T` over the output and over the input channels
//! and the eigenvectors of both, turns every gradient into these bases, takes Adam's step there and turns it back. Rate
//! and distortion pull a codec's weights along different directions; in the eigenbasis each direction gets a step size
//! of its own.
//!
//! The bases are refreshed every few steps by one power iteration and a QR decomposition. A dimension larger than
//! [`SoapConfig::max_dim`] keeps the identity as its basis; with `max_dim = 0` this is Adam.

use burn::config::Config;
use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{LearningRate, SimpleOptimizer};
use burn::record::Record;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use nalgebra::DMatrix;

/// Configuration of [`Soap`].
#[derive(Config, Debug)]
pub struct SoapConfig {
    /// Decay of the mean gradient.
    #[config(default = 0.9)]
    pub beta_1: f32,
    /// Decay of the mean squared gradient.
    #[config(default = 0.99)]
    pub beta_2: f32,
    /// Decay of the preconditioner's statistics.
    #[config(default = 0.98)]
    pub shampoo_beta: f32,
    /// Added to the root of the mean squared gradient.
    #[config(default = 1e-8)]
    pub epsilon: f32,
    /// Decay of weights a step, relative to the learning rate, not through the moments.
    #[config(default = 0.0)]
    pub weight_decay: f32,
    /// Steps between refreshes of the bases.
    #[config(default = 10)]
    pub frequency: usize,
    /// Largest dimension that is preconditioned.
    #[config(default = 400)]
    pub max_dim: usize,
}

impl SoapConfig {
    /// The optimizer of a module.
    pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(&self) -> OptimizerAdaptor<Soap, M, B> {
        OptimizerAdaptor::from(Soap {
            config: self.clone(),
        })
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Soap {
    config: SoapConfig,
}

/// What [`Soap`] remembers of a parameter. Moments are kept in the rotated basis, as `[rows, middle, columns]`.
#[derive(Record, Clone)]
pub struct SoapState<B: Backend, const D: usize> {
    time: usize,
    moment_1: Tensor<B, 3>,
    moment_2: Tensor<B, 3>,
    rows: Option<Side<B>>,
    columns: Option<Side<B>>,
}

/// Preconditioner of one dimension of size `n`.
#[derive(Record, Clone)]
pub struct Side<B: Backend> {
    /// Running mean of the gradient's outer product, `[n, n]`.
    statistic: Tensor<B, 2>,
    /// Its eigenvectors as columns, `[n, n]`.
    basis: Tensor<B, 2>,
}

/// The three dimensions that a parameter is seen as: rows and columns may be preconditioned, what lies between is not.
struct View {
    /// `[out, in, k * k]` before the last two change places.
    dims: [usize; 3],
    /// Whether the last two change places, so that input channels are the columns.
    swap: bool,
}

impl View {
    fn of(shape: &[usize]) -> Self {
        match *shape {
            [out, 1, a, b] => Self {
                dims: [out, 1, a * b],
                swap: false,
            },
            [out, input, a, b] => Self {
                dims: [out, input, a * b],
                swap: true,
            },
            [out, input] => Self {
                dims: [out, 1, input],
                swap: false,
            },
            _ => Self {
                dims: [1, 1, shape.iter().product()],
                swap: false,
            },
        }
    }

    fn enter<B: Backend, const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, 3> {
        let x = x.reshape(self.dims);
        if self.swap { x.swap_dims(1, 2) } else { x }
    }

    fn leave<B: Backend, const D: usize>(
        &self,
        x: Tensor<B, 3>,
        shape: [usize; D],
    ) -> Tensor<B, D> {
        let x = if self.swap { x.swap_dims(1, 2) } else { x };
        x.reshape(shape)
    }
}

/// `x` with `matrix` applied to its rows from the left: `matrix x`.
fn on_rows<B: Backend>(matrix: Tensor<B, 2>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    let [rows, middle, columns] = x.dims();
    matrix
        .matmul(x.reshape([rows, middle * columns]))
        .reshape([rows, middle, columns])
}

/// `x` with `matrix` applied to its columns from the right: `x matrix`.
fn on_columns<B: Backend>(x: Tensor<B, 3>, matrix: Tensor<B, 2>) -> Tensor<B, 3> {
    let [rows, middle, columns] = x.dims();
    x.reshape([rows * middle, columns])
        .matmul(matrix)
        .reshape([rows, middle, columns])
}

fn rotate<B: Backend>(
    mut x: Tensor<B, 3>,
    rows: &Option<Side<B>>,
    columns: &Option<Side<B>>,
) -> Tensor<B, 3> {
    if let Some(side) = rows {
        x = on_rows(side.basis.clone().transpose(), x);
    }
    if let Some(side) = columns {
        x = on_columns(x, side.basis.clone());
    }
    x
}

fn rotate_back<B: Backend>(
    mut x: Tensor<B, 3>,
    rows: &Option<Side<B>>,
    columns: &Option<Side<B>>,
) -> Tensor<B, 3> {
    if let Some(side) = rows {
        x = on_rows(side.basis.clone(), x);
    }
    if let Some(side) = columns {
        x = on_columns(x, side.basis.clone().transpose());
    }
    x
}

/// Outer products of a gradient over its rows and over its columns.
fn outer_rows<B: Backend>(g: &Tensor<B, 3>) -> Tensor<B, 2> {
    let [rows, middle, columns] = g.dims();
    let g = g.clone().reshape([rows, middle * columns]);
    g.clone().matmul(g.transpose())
}

fn outer_columns<B: Backend>(g: &Tensor<B, 3>) -> Tensor<B, 2> {
    let [rows, middle, columns] = g.dims();
    let g = g.clone().reshape([rows * middle, columns]);
    g.clone().transpose().matmul(g)
}

fn to_matrix<B: Backend>(x: &Tensor<B, 2>) -> Option<DMatrix<f64>> {
    let [rows, columns] = x.dims();
    let values: Vec<f64> = x.to_data().convert::<f64>().into_vec().ok()?;
    let finite = values.len() == rows * columns && values.iter().all(|v| v.is_finite());
    finite.then(|| DMatrix::from_row_slice(rows, columns, &values))
}

fn to_tensor<B: Backend>(matrix: &DMatrix<f64>, device: &B::Device) -> Tensor<B, 2> {
    let values: Vec<f32> = matrix.transpose().iter().map(|&v| v as f32).collect();
    let data = TensorData::new(values, [matrix.nrows(), matrix.ncols()]);
    Tensor::from_data(data, device)
}

impl<B: Backend> Side<B> {
    /// Starts from the eigenvectors of a first statistic; none if it is not finite.
    fn start(statistic: Tensor<B, 2>) -> Option<Self> {
        let eigen = to_matrix(&statistic)?.symmetric_eigen();
        let basis = to_tensor(&eigen.eigenvectors, &statistic.device());
        Some(Self { statistic, basis })
    }

    fn observe(&mut self, outer: Tensor<B, 2>, beta: f32) {
        self.statistic = self.statistic.clone().mul_scalar(beta) + outer.mul_scalar(1.0 - beta);
    }

    /// One power iteration, orthonormalized.
    fn refresh(&mut self) {
        let product = self.statistic.clone().matmul(self.basis.clone());
        if let Some(matrix) = to_matrix(&product) {
            self.basis = to_tensor(&matrix.qr().q(), &self.basis.device());
        }
    }
}

impl<B: Backend> SimpleOptimizer<B> for Soap {
    type State<const D: usize> = SoapState<B, D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<B, D>,
        grad: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let c = &self.config;
        let shape = tensor.dims();
        let view = View::of(&shape);
        let g = view.enter(grad);
        let [rows, _, columns] = g.dims();
        let Some(mut state) = state else {
            // The first gradient only starts the statistics: its own eigenbasis would make its step one of pure signs.
            let side = |n: usize, outer: &dyn Fn() -> Tensor<B, 2>| {
                (D >= 2 && (2..=c.max_dim).contains(&n))
                    .then(|| Side::start(outer()))
                    .flatten()
            };
            let state = SoapState {
                time: 0,
                moment_1: g.zeros_like(),
                moment_2: g.zeros_like(),
                rows: side(rows, &|| outer_rows(&g)),
                columns: side(columns, &|| outer_columns(&g)),
            };
            if state.rows.is_some() || state.columns.is_some() {
                return (tensor, Some(state));
            }
            return self.step(lr, tensor, view.leave(g, shape), Some(state));
        };

        state.time += 1;
        let turned = rotate(g.clone(), &state.rows, &state.columns);
        let squared = turned.clone() * turned.clone();
        state.moment_1 = state.moment_1.mul_scalar(c.beta_1) + turned.mul_scalar(1.0 - c.beta_1);
        state.moment_2 = state.moment_2.mul_scalar(c.beta_2) + squared.mul_scalar(1.0 - c.beta_2);
        let t = state.time as i32;
        let correction_1 = 1.0 - c.beta_1.powi(t);
        let correction_2 = 1.0 - c.beta_2.powi(t);
        let root = state
            .moment_2
            .clone()
            .div_scalar(correction_2)
            .sqrt()
            .add_scalar(c.epsilon);
        let update = state.moment_1.clone().div(root).div_scalar(correction_1);
        let update = rotate_back(update, &state.rows, &state.columns);
        let decayed = tensor.mul_scalar(1.0 - lr * f64::from(c.weight_decay));
        let updated = decayed - view.leave(update, shape).mul_scalar(lr);

        if let Some(side) = &mut state.rows {
            side.observe(outer_rows(&g), c.shampoo_beta);
        }
        if let Some(side) = &mut state.columns {
            side.observe(outer_columns(&g), c.shampoo_beta);
        }
        if state.time % c.frequency.max(1) == 0 && (state.rows.is_some() || state.columns.is_some())
        {
            let moment = rotate_back(state.moment_1, &state.rows, &state.columns);
            for side in [&mut state.rows, &mut state.columns].into_iter().flatten() {
                side.refresh();
            }
            state.moment_1 = rotate(moment, &state.rows, &state.columns);
        }
        (updated, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &B::Device) -> Self::State<D> {
        let side = |side: Option<Side<B>>| {
            side.map(|side| Side {
                statistic: side.statistic.to_device(device),
                basis: side.basis.to_device(device),
            })
        };
        SoapState {
            time: state.time,
            moment_1: state.moment_1.to_device(device),
            moment_2: state.moment_2.to_device(device),
            rows: side(state.rows),
            columns: side(state.columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    type T<const D: usize> = Tensor<Flex, D>;

    fn soap(max_dim: usize) -> Soap {
        Soap {
            config: SoapConfig::new().with_max_dim(max_dim),
        }
    }

    fn values<const D: usize>(x: &T<D>) -> Vec<f32> {
        x.to_data().into_vec().expect("floats")
    }

    fn run<const D: usize>(
        optimizer: &Soap,
        mut x: T<D>,
        lr: f64,
        steps: usize,
        gradient: impl Fn(&T<D>) -> T<D>,
    ) -> T<D> {
        let mut state = None;
        for _ in 0..steps {
            let g = gradient(&x);
            (x, state) = optimizer.step(lr, x, g, state);
        }
        x
    }

    #[test]
    fn without_preconditioning_it_is_adam() {
        let device = Default::default();
        let x = T::<1>::from_floats([1.0, -2.0, 3.0], &device);
        // Adam's first steps have the size of the learning rate whatever the gradient's.
        let y = run(&soap(0), x, 0.1, 1, |x| x.clone().mul_scalar(7.0));
        for (y, want) in values(&y).iter().zip([0.9, -1.9, 2.9]) {
            assert!((y - want).abs() < 1e-5, "{y}");
        }
    }

    #[test]
    fn turning_and_turning_back_gives_the_same_kernel() {
        let device = Default::default();
        let x = T::<4>::random([5, 7, 3, 3], burn::tensor::Distribution::Default, &device);
        let view = View::of(&[5, 7, 3, 3]);
        let g = view.enter(x.clone());
        let (rows, columns) = (Side::start(outer_rows(&g)), Side::start(outer_columns(&g)));
        assert!(rows.is_some() && columns.is_some());
        let back = rotate_back(rotate(g, &rows, &columns), &rows, &columns);
        let error = (view.leave(back, [5, 7, 3, 3]) - x)
            .abs()
            .max()
            .into_scalar();
        assert!(error < 1e-5, "{error}");
    }

    /// A turned problem is the same problem in the eigenbasis; Adam's steps depend on the coordinates.
    #[test]
    fn does_not_mind_how_a_bowl_is_turned() {
        let device = Default::default();
        let (n, m) = (12, 5);
        let spread = |count: usize, factor: usize| {
            (0..count).map(move |i| (i * factor % 97) as f32 / 48.0 - 1.0)
        };
        let tilt = DMatrix::from_iterator(n, n, spread(n * n, 37).map(f64::from));
        let tilt: T<2> = to_tensor(&tilt.qr().q(), &device);
        let axes: Vec<f32> = (0..n * n)
            .map(|i| {
                if i % (n + 1) == 0 {
                    0.01 + (i / n) as f32
                } else {
                    0.0
                }
            })
            .collect();
        let axes = T::<2>::from_data(TensorData::new(axes, [n, n]), &device);
        let start = TensorData::new(spread(n * m, 53).collect::<Vec<f32>>(), [n, m]);
        let start = T::<2>::from_data(start, &device);
        let end = |max_dim: usize, turned: bool| {
            let (h, x) = if turned {
                let h = tilt
                    .clone()
                    .matmul(axes.clone())
                    .matmul(tilt.clone().transpose());
                (h, tilt.clone().matmul(start.clone()))
            } else {
                (axes.clone(), start.clone())
            };
            let x = run(&soap(max_dim), x, 0.01, 40, |x| h.clone().matmul(x.clone()));
            (x.clone() * h.matmul(x)).sum().into_scalar()
        };
        let difference = |max_dim| (end(max_dim, true) / end(max_dim, false)).ln().abs();
        let (with, without) = (difference(400), difference(0));
        assert!(with < 0.01 && without > 0.05, "{with} against {without}");
    }

    #[test]
    fn kernels_of_all_shapes_take_a_step() {
        let device = Default::default();
        for shape in [[6, 1, 3, 3], [6, 4, 1, 1], [1, 4, 3, 3], [500, 4, 1, 1]] {
            let x = T::<4>::ones(shape, &device);
            let y = run(&soap(400), x.clone(), 0.01, 12, |x| x.clone());
            assert_eq!(y.dims(), shape);
            assert!(
                values(&y).iter().all(|v| v.is_finite() && *v < 1.0),
                "{shape:?}"
            );
        }
    }
}
