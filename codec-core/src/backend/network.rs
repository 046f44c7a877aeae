//! What published float networks are made of besides convolutions: activations, normalizations, attention.

use burn::tensor::activation::{gelu, sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::Flex;

use super::flex::{contiguous, floats, tensor};
use super::{plain, plain_on_gpu};
use crate::kernels::network::{self, AttentionShape};

/// Operators of float networks. All have gradients.
pub trait NetworkOps: Backend {
    /// Gaussian error linear unit, the exact form with the error function.
    fn gelu_exact<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        gelu(x)
    }

    /// `x * sigmoid(x)`, also called swish.
    fn silu<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        x.clone() * sigmoid(x)
    }

    /// Complex numbers in polar form as real parts, then imaginary ones. The first half of a row has the logarithms of the
    /// magnitudes, which end at `most`, the second half the phases in radians, up to some ten thousand.
    ///
    /// # Shapes
    /// `[n, 2 c]` to the same
    fn polar(x: Tensor<Self, 2>, most: f64) -> Tensor<Self, 2> {
        plain::polar(x, most)
    }

    /// Softmax over the last dimension.
    fn softmax_last<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        softmax(x, D - 1)
    }

    /// Group normalization with a scale and an offset for each channel (Wu and He 2018).
    ///
    /// # Shapes
    /// `[n, c, h, w]`, scale and offset `[c]`, to `[n, c, h, w]`; `groups` divides `c`.
    fn group_normalize(
        x: Tensor<Self, 4>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        groups: usize,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        plain::group_normalize(x, scale, offset, groups, epsilon)
    }

    /// Layer normalization over the last dimension.
    ///
    /// # Shapes
    /// `[n, positions, c]`, scale and offset `[c]`, to the same.
    fn layer_normalize(
        x: Tensor<Self, 3>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        plain::layer_normalize(x, scale, offset, epsilon)
    }

    /// Generalized divisive normalization (Balle et al. 2016): `x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)`, or times that
    /// root if `inverse`.
    ///
    /// # Shapes
    /// `[n, c, h, w]`, beta `[c]`, gamma `[c, c]`, to `[n, c, h, w]`.
    fn gdn(
        x: Tensor<Self, 4>,
        beta: Tensor<Self, 1>,
        gamma: Tensor<Self, 2>,
        inverse: bool,
    ) -> Tensor<Self, 4> {
        plain::gdn(x, beta, gamma, inverse)
    }

    /// `softmax(q k^T * scale) v`, in blocks of queries, so that memory grows with the number of positions and not its
    /// square.
    ///
    /// # Shapes
    /// q `[n, queries, c]`, k `[n, keys, c]`, v `[n, keys, d]`, to `[n, queries, d]`.
    fn attend(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        scale: f64,
    ) -> Tensor<Self, 3> {
        plain::attend(q, k, v, scale)
    }
}

impl NetworkOps for Flex {
    fn gelu_exact<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        if x.dtype() != DType::F32 {
            return gelu(x);
        }
        let dims = x.dims();
        tensor(network::gelu(floats(&contiguous(x))), dims)
    }

    fn silu<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        if x.dtype() != DType::F32 {
            return x.clone() * sigmoid(x);
        }
        let dims = x.dims();
        tensor(network::silu(floats(&contiguous(x))), dims)
    }

    fn polar(x: Tensor<Self, 2>, most: f64) -> Tensor<Self, 2> {
        let dims = x.dims();
        if x.dtype() != DType::F32 || !dims[1].is_multiple_of(2) {
            return plain::polar(x, most);
        }
        let out = network::polar(floats(&contiguous(x)), dims[1], most as f32);
        tensor(out, dims)
    }

    fn softmax_last<const D: usize>(x: Tensor<Self, D>) -> Tensor<Self, D> {
        if x.dtype() != DType::F32 {
            return softmax(x, D - 1);
        }
        let dims = x.dims();
        tensor(network::softmax(floats(&contiguous(x)), dims[D - 1]), dims)
    }

    fn group_normalize(
        x: Tensor<Self, 4>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        groups: usize,
        epsilon: f64,
    ) -> Tensor<Self, 4> {
        let dims = x.dims();
        let [_, c, h, w] = dims;
        if x.dtype() != DType::F32 {
            return plain::group_normalize(x, scale, offset, groups, epsilon);
        }
        assert_eq!(
            [c, c],
            [scale.dims()[0], offset.dims()[0]],
            "scale and offset do not fit the channels"
        );
        assert!(c.is_multiple_of(groups), "{c} channels in {groups} groups");
        let (x, scale, offset) = (contiguous(x), contiguous(scale), contiguous(offset));
        let (scale, offset) = (floats(&scale), floats(&offset));
        let out = network::group_normalize(floats(&x), h * w, groups, scale, offset, epsilon);
        tensor(out, dims)
    }

    fn layer_normalize(
        x: Tensor<Self, 3>,
        scale: Tensor<Self, 1>,
        offset: Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        let dims = x.dims();
        if x.dtype() != DType::F32 {
            return plain::layer_normalize(x, scale, offset, epsilon);
        }
        assert_eq!(
            [dims[2], dims[2]],
            [scale.dims()[0], offset.dims()[0]],
            "scale and offset do not fit the last dimension"
        );
        let (x, scale, offset) = (contiguous(x), contiguous(scale), contiguous(offset));
        let out = network::layer_normalize(floats(&x), floats(&scale), floats(&offset), epsilon);
        tensor(out, dims)
    }

    fn gdn(
        x: Tensor<Self, 4>,
        beta: Tensor<Self, 1>,
        gamma: Tensor<Self, 2>,
        inverse: bool,
    ) -> Tensor<Self, 4> {
        let dims = x.dims();
        let [_, c, h, w] = dims;
        if x.dtype() != DType::F32 {
            return plain::gdn(x, beta, gamma, inverse);
        }
        assert_eq!(
            (beta.dims(), gamma.dims()),
            ([c], [c, c]),
            "beta and gamma do not fit the channels"
        );
        let (x, beta, gamma) = (contiguous(x), contiguous(beta), contiguous(gamma));
        let out = network::gdn(floats(&x), h * w, floats(&beta), floats(&gamma), inverse);
        tensor(out, dims)
    }

    fn attend(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        scale: f64,
    ) -> Tensor<Self, 3> {
        if q.dtype() != DType::F32 {
            return plain::attend(q, k, v, scale);
        }
        let [batch, queries, depth] = q.dims();
        let [_, keys, values] = v.dims();
        assert_eq!(
            (k.dims(), v.dims()[0]),
            ([batch, keys, depth], batch),
            "queries, keys and values do not fit each other"
        );
        let shape = AttentionShape {
            batch,
            queries,
            keys,
            depth,
            values,
        };
        // Keys are wanted as columns, which is how a plane's positions lie in memory.
        let (q, k, v) = (contiguous(q), contiguous(k.swap_dims(1, 2)), contiguous(v));
        let out = network::attend(&shape, floats(&q), floats(&k), floats(&v), scale as f32);
        tensor(out, [batch, queries, values])
    }
}
impl<C: CheckpointStrategy> NetworkOps for Autodiff<Flex, C> {}
plain_on_gpu!(NetworkOps);

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    fn random<const D: usize>(dims: [usize; D], low: f64, high: f64) -> Tensor<Flex, D> {
        Tensor::random(dims, Distribution::Uniform(low, high), &Default::default())
    }

    fn close<const D: usize>(got: Tensor<Flex, D>, want: Tensor<Flex, D>, tolerance: f32) {
        let tolerance = Tolerance::<f32>::rel_abs(tolerance, tolerance);
        got.into_data()
            .assert_approx_eq(&want.into_data(), tolerance);
    }

    /// The trait's defaults: this backend overrides none of them.
    type Plain = Autodiff<Flex>;

    fn inner<const D: usize>(x: Tensor<Flex, D>) -> Tensor<Plain, D> {
        Tensor::from_inner(x)
    }

    #[test]
    fn activations_agree_with_plain_operators() {
        Flex::seed(&Default::default(), 11);
        for dims in [[1, 1], [3, 7], [129, 513]] {
            let x = random([dims[1], dims[0]], -9.0, 9.0).swap_dims(0, 1);
            let plain = inner(x.clone());
            close(
                Flex::gelu_exact(x.clone()),
                Plain::gelu_exact(plain.clone()).inner(),
                1e-6,
            );
            close(
                Flex::silu(x.clone()),
                Plain::silu(plain.clone()).inner(),
                2e-6,
            );
            let complex = x.clone().repeat_dim(1, 2);
            close(
                Flex::polar(complex.clone(), 100.0),
                plain::polar(complex, 100.0),
                1e-4,
            );
            close(
                Flex::softmax_last(x),
                Plain::softmax_last(plain).inner(),
                2e-6,
            );
        }
        let far =
            Tensor::<Flex, 1>::from_floats([-1e4, -100.0, 0.0, 100.0, 1e4], &Default::default());
        let got = Flex::silu(far.clone()).into_data().to_vec::<f32>().unwrap();
        assert!(
            got[0].abs() < 1e-30 && got[2] == 0.0 && got[4] == 1e4,
            "{got:?}"
        );
        let got = Flex::gelu_exact(far).into_data().to_vec::<f32>().unwrap();
        assert!(
            got[0].abs() < 1e-30 && got[2] == 0.0 && got[4] == 1e4,
            "{got:?}"
        );
    }

    #[test]
    fn normalizations_agree_with_plain_operators() {
        Flex::seed(&Default::default(), 12);
        for ([n, c, h, w], groups) in [
            ([1, 1, 1, 2], 1),
            ([2, 6, 5, 7], 3),
            ([1, 64, 33, 40], 32),
            ([3, 8, 1, 1], 1),
        ] {
            let x = random([n, c, w, h], -1.0, 3.0).swap_dims(2, 3);
            let (scale, offset) = (random([c], 0.5, 1.5), random([c], -1.0, 1.0));
            let (a, b) = (scale.clone(), offset.clone());
            let want = plain::group_normalize(x.clone(), a, b, groups, 1e-6);
            let (a, b) = (scale.clone(), offset.clone());
            close(
                Flex::group_normalize(x.clone(), a, b, groups, 1e-6),
                want,
                2e-5,
            );
            let rows = x.reshape([n, c, h * w]).swap_dims(1, 2);
            let (a, b) = (scale.clone(), offset.clone());
            let want = plain::layer_normalize(rows.clone(), a, b, 1e-5);
            close(Flex::layer_normalize(rows, scale, offset, 1e-5), want, 2e-5);
        }
    }

    #[test]
    fn gdn_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 13);
        for [n, c, h, w] in [[1, 1, 1, 1], [2, 6, 5, 7], [1, 150, 3, 5], [1, 20, 40, 33]] {
            let x = random([n, c, w, h], -3.0, 3.0).swap_dims(2, 3);
            let (beta, gamma) = (random([c], 0.5, 1.5), random([c, c], 0.0, 0.2));
            for inverse in [false, true] {
                let run =
                    |f: fn(_, _, _, _) -> _| f(x.clone(), beta.clone(), gamma.clone(), inverse);
                close(run(Flex::gdn), run(plain::gdn), 1e-5);
            }
        }
    }

    #[test]
    fn attention_agrees_with_plain_operators() {
        Flex::seed(&Default::default(), 14);
        for [n, queries, keys, c, d] in [[1, 1, 1, 1, 1], [2, 7, 5, 3, 4], [1, 530, 300, 16, 20]] {
            let q = random([n, c, queries], -2.0, 2.0).swap_dims(1, 2);
            let k = random([n, c, keys], -2.0, 2.0).swap_dims(1, 2);
            let v = random([n, keys, d], -2.0, 2.0);
            for scale in [0.7, -0.3] {
                let run = |f: fn(_, _, _, _) -> _| f(q.clone(), k.clone(), v.clone(), scale);
                close(run(Flex::attend), run(plain::attend::<Flex>), 1e-5);
            }
        }
    }
}
