//! What integer planes cost, with gradients.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Shares of the neighbours in what a value is expected to be: the last one in its row and the one before that, and of the
/// plane before the same place and the places beside it.
const LAST: f64 = 0.3;
const SECOND: f64 = 0.2;
const SAME: f64 = 0.25;
const BESIDE: f64 = 0.125;
/// Expectation in silence.
const FLOOR: f64 = 0.02;

/// Estimate of the bits of planes of integers under a coder that learns their sizes from neighbours, such as
/// `encode_planes` of the crate of entropy coding. A magnitude `m` where the neighbours have a mean of `u` costs
/// `log2(1 + u) + m log2(1 + 1/u)` bits, as if it came from a geometric distribution of that mean, and up to a bit for the
/// sign. It takes values before rounding and has a slope at 0, so that small values are drawn towards it.
///
/// # Shapes
/// `[n, planes, height, width]` to `[n]`, the bits of all planes of a sample. Rows are seen one by one.
pub fn plane_bits<B: Backend>(values: Tensor<B, 4>) -> Tensor<B, 1> {
    let size = values.abs();
    let along = |x: &Tensor<B, 4>, by: i64| shifted(x.clone(), 3, by);
    let before = shifted(size.clone(), 1, 1);
    let beside = along(&before, 1) + along(&before, -1);
    let mean = along(&size, 1).mul_scalar(LAST)
        + along(&size, 2).mul_scalar(SECOND)
        + before.mul_scalar(SAME)
        + beside.mul_scalar(BESIDE);
    let mean = mean.add_scalar(FLOOR);
    let more = mean.clone().add_scalar(1.0).log();
    // In nats: log(1 + 1/u) is log(1 + u) - log(u).
    let nats = more.clone() + size.clone() * (more - mean.log());
    let bits = nats.div_scalar(std::f64::consts::LN_2) + size.clamp_max(1.0);
    let bits: Tensor<B, 2> = bits.flatten(1, 3);
    bits.sum_dim(1).squeeze_dim(1)
}

/// Values moved by `by` places along an axis, zeros where nothing comes from.
fn shifted<B: Backend>(x: Tensor<B, 4>, axis: usize, by: i64) -> Tensor<B, 4> {
    let mut dims = x.dims();
    let length = dims[axis];
    let gap = (by.unsigned_abs() as usize).min(length);
    dims[axis] = gap;
    let zeros = Tensor::zeros(dims, &x.device());
    if gap == length {
        return zeros;
    }
    let parts = if by >= 0 {
        vec![zeros, x.narrow(axis, 0, length - gap)]
    } else {
        vec![x.narrow(axis, gap, length - gap), zeros]
    };
    Tensor::cat(parts, axis)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    use super::*;

    /// Two-sided geometric values whose sizes change along the row.
    fn values(planes: usize, width: usize, scale: f64) -> Vec<i32> {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 40) as f64 + 0.5) / (1u64 << 24) as f64
        };
        let size = |x: usize| scale * (1.2 + (x as f64 / 60.0).sin());
        (0..planes * width)
            .map(|i| (-next().ln() * size(i % width)) as i32 * if next() < 0.5 { -1 } else { 1 })
            .collect()
    }

    #[test]
    fn estimates_come_near_to_coded_sizes() {
        let shape = [6, 1, 2000];
        for scale in [0.1, 0.5, 2.0, 20.0] {
            let values = values(6, 2000, scale);
            let coded = codec_entropy::encode_planes(&values, shape, 1023).unwrap();
            let floats: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let data = TensorData::new(floats, [1, 6, 1, 2000]);
            let z = Tensor::<Flex, 4>::from_data(data, &Default::default());
            let estimate = f64::from(plane_bits(z).into_scalar()) / 8.0;
            let ratio = estimate / coded.len() as f64;
            assert!((0.8..1.35).contains(&ratio), "scale {scale}: {ratio}");
        }
    }

    #[test]
    fn smaller_values_are_cheaper_and_slopes_are_finite() {
        type Ad = Autodiff<Flex>;
        let slopes = |data: [[[[f32; 4]; 1]; 2]; 1]| -> Vec<f32> {
            let z = Tensor::<Ad, 4>::from_data(data, &Default::default()).require_grad();
            let bits = plane_bits(z.clone());
            let less = plane_bits(z.clone().mul_scalar(0.5)).into_scalar();
            assert!(less < bits.clone().into_scalar());
            let slopes = z.grad(&bits.sum().backward()).unwrap();
            slopes.into_data().into_vec().unwrap()
        };
        let alone = slopes([[[[0.0, 0.3, 0.0, 0.0]], [[0.0, 0.0, 0.0, -1.0]]]]);
        assert!(alone[1] > 0.0 && alone[7] < 0.0, "{alone:?}");
        // A value that tells of a larger one beside it pays.
        let told = slopes([[[[0.0, 0.3, -40.0, 2.0]], [[0.0, -1.0, 30.0, 0.0]]]]);
        assert!(
            told.iter().all(|s| s.is_finite()) && told[1] < 0.0,
            "{told:?}"
        );
    }

    #[test]
    fn samples_stand_alone() {
        let one = Tensor::<Flex, 4>::from_data([[[[3.0, 1.0]], [[0.0, 2.0]]]], &Default::default());
        let other = one.clone().mul_scalar(5.0);
        let both = plane_bits(Tensor::cat(vec![one.clone(), other.clone()], 0));
        let both: Vec<f32> = both.into_data().into_vec().unwrap();
        assert_eq!(
            both,
            [
                plane_bits(one).into_scalar(),
                plane_bits(other).into_scalar()
            ]
        );
    }
}
