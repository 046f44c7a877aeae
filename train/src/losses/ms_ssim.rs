//! Multi-scale structural similarity as a loss (Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image
//! quality assessment", Asilomar 2003), with the conventions of `codec_eval::metrics::image::ms_ssim`.

use burn::tensor::backend::Backend;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};

use super::LossError;

/// Side of the Gaussian window.
const WINDOW: usize = 11;
/// Standard deviation of the Gaussian window.
const SIGMA: f64 = 1.5;
/// Exponents of the five scales, finest first (section 3.2 of the paper).
const EXPONENTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// `(K1 L)^2` and `(K2 L)^2` with K1 = 0.01, K2 = 0.03, L = 1.
const C1: f64 = 1e-4;
const C2: f64 = 9e-4;
/// Taken off all values first: variances do not change, and rounding errors shrink.
const SHIFT: f64 = 0.5;
/// Below this a factor goes linearly to 0, since a fractional power has no finite slope there.
const RAMP: f64 = 1e-4;

/// Scales that fit a picture: the window must fit the coarsest one, so `s` scales need a side above `10 * 2^(s-1)`.
fn scales(side: usize) -> usize {
    (1..=EXPONENTS.len())
        .rev()
        .find(|s| side > (WINDOW - 1) << (s - 1))
        .unwrap_or(0)
}

/// MS-SSIM of each picture, 1 for equal ones: each channel on its own, then the mean over channels.
///
/// Five scales from a side of 161 on, as in the paper and in `codec_eval::metrics::image::ms_ssim`. Smaller pictures get as many scales
/// as the window of 11 fits (side above 80: four, 40: three, 20: two, 10: one), with the paper's exponents of those
/// scales times what makes their sum that of all five. Such values do not compare with published ones.
///
/// A factor of the product that is negative counts as 0 and has no gradient: to train from scratch add another
/// distortion, or start with one.
///
/// # Shapes
/// - both: `[n, c, h, w]`, values in 0..1
/// - result: `[n]`
///
/// # Errors
/// [`LossError::Shape`]; [`LossError::TooSmall`] for sides below 11.
pub fn ms_ssim<B: Backend>(
    output: Tensor<B, 4>,
    target: Tensor<B, 4>,
) -> Result<Tensor<B, 1>, LossError> {
    let [n, c, h, w] = target.dims();
    if output.dims() != target.dims() {
        return Err(LossError::Shape {
            term: "ms-ssim".into(),
            output: output.dims().to_vec(),
            target: target.dims().to_vec(),
            expected: "equal shapes",
        });
    }
    let count = scales(h.min(w));
    if count == 0 || n * c == 0 {
        return Err(LossError::TooSmall {
            term: "ms-ssim".into(),
            what: "shorter side",
            found: h.min(w),
            smallest: WINDOW,
        });
    }
    let exponents = &EXPONENTS[..count];
    // The paper's five exponents add up to 1.0001, and five scales must use them as they are.
    let rescale = EXPONENTS.iter().sum::<f64>() / exponents.iter().sum::<f64>();
    // The difference is carried instead of the output: what is one minus a similarity is then accurate even where both
    // are nearly equal, and on GPUs that multiply matrices in TF32.
    let mut target = target.reshape([n * c, h, w]).sub_scalar(SHIFT);
    let mut difference = output.reshape([n * c, h, w]).sub_scalar(SHIFT) - target.clone();
    let mut product = Tensor::ones([n * c], &target.device());
    for (scale, exponent) in exponents.iter().enumerate() {
        let last = scale + 1 == count;
        let similarity = similarity(target.clone(), difference.clone(), last);
        let factor = power(similarity, exponent * rescale);
        product = product * factor;
        if !last {
            target = halved(target, -SHIFT);
            difference = halved(difference, 0.0);
        }
    }
    Ok(product.reshape([n, c]).mean_dim(1).reshape([n]))
}

/// `max(x, 0)^exponent`, linear below [`RAMP`].
fn power<B: Backend>(x: Tensor<B, 1>, exponent: f64) -> Tensor<B, 1> {
    let ramp = x.clone().div_scalar(RAMP).clamp(0.0, 1.0);
    x.clamp_min(RAMP).powf_scalar(exponent) * ramp
}

/// Means of 2x2 blocks; an odd side gets a line of black (`black` after the shift) in front.
fn halved<B: Backend>(planes: Tensor<B, 3>, black: f64) -> Tensor<B, 3> {
    let [p, h, w] = planes.dims();
    let mut x = planes.reshape([p, 1, h, w]);
    if h % 2 + w % 2 > 0 {
        x = x.pad((w % 2, 0, h % 2, 0), PadMode::Constant(black as f32));
    }
    avg_pool2d(x, [2, 2], [2, 2], [0, 0], true, false).reshape([p, h.div_ceil(2), w.div_ceil(2)])
}

/// Mean over all window positions of the contrast-structure term, times luminance if `full`, for each plane `[p]`.
///
/// With `d = b - a`: `2 cov(a, b) = var(a) + var(b) - var(d)`, so the contrast-structure term is
/// `1 - var(d) / (var(a) + var(b) + C2)`, and the luminance term likewise `1 - mean(d)^2 / (mean(a)^2 + mean(b)^2 + C1)`.
fn similarity<B: Backend>(a: Tensor<B, 3>, d: Tensor<B, 3>, full: bool) -> Tensor<B, 1> {
    let [p, h, w] = a.dims();
    let device = a.device();
    let (rows, columns) = (window(h, &device), window(w, &device).transpose());
    let filter = |x: Tensor<B, 3>| {
        let x = x
            .reshape([p * h, w])
            .matmul(columns.clone())
            .reshape([p, h, w + 1 - WINDOW]);
        rows.clone().unsqueeze_dim(0).matmul(x)
    };
    let b = a.clone() + d.clone();
    let squares = filter(a.clone().square() + b.square());
    let (mean_a, mean_d) = (filter(a), filter(d.clone()));
    let mean_b = mean_a.clone() + mean_d.clone();
    let difference = filter(d.square()) - mean_d.clone().square();
    let variances = squares - mean_a.clone().square() - mean_b.clone().square();
    let mut map = (difference / variances.add_scalar(C2))
        .neg()
        .add_scalar(1.0);
    if full {
        let energy = mean_a.add_scalar(SHIFT).square() + mean_b.add_scalar(SHIFT).square();
        map = map
            * (mean_d.square() / energy.add_scalar(C1))
                .neg()
                .add_scalar(1.0);
    }
    map.reshape([p as i32, -1]).mean_dim(1).reshape([p])
}

/// The Gaussian window at all positions where it fits, as a band matrix `[size - 10, size]`.
///
/// Its values are computed in f64: an error common to all rows would not average out of the variances.
fn window<B: Backend>(size: usize, device: &B::Device) -> Tensor<B, 2> {
    let positions = size + 1 - WINDOW;
    let half = (WINDOW / 2) as f64;
    let raw: [f64; WINDOW] =
        std::array::from_fn(|i| (-(i as f64 - half).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = raw.iter().sum();
    let taps = raw.map(|value| (value / sum) as f32);
    let mut matrix = vec![0.0f32; positions * size];
    for (position, row) in matrix.chunks_exact_mut(size).enumerate() {
        for (value, tap) in row.iter_mut().skip(position).zip(taps) {
            *value = tap;
        }
    }
    Tensor::from_data(TensorData::new(matrix, [positions, size]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::gradient_check::{Back, close, gradient_error, noise, scalar, tensor};

    #[test]
    fn scales_that_fit() {
        let found = [10, 11, 20, 21, 40, 41, 80, 81, 160, 161, 4000].map(scales);
        assert_eq!(found, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn equal_pictures_give_one() {
        let x = tensor([2, 3, 45, 52], &noise(2 * 3 * 45 * 52, 1, 0.0, 1.0));
        let values: Vec<f32> = ms_ssim(x.clone(), x)
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        assert_eq!(values, [1.0, 1.0]);
    }

    /// One scale of one window: the formula of SSIM written out.
    #[test]
    fn one_window() {
        let (a, b) = (noise(121, 2, 0.2, 0.8), noise(121, 3, 0.3, 0.7));
        let weight = |i: usize| {
            let g = |x: usize| (-(x as f64 - 5.0).powi(2) / 4.5).exp();
            g(i / 11) * g(i % 11)
        };
        let total: f64 = (0..121).map(weight).sum();
        let mean =
            |f: &dyn Fn(usize) -> f64| (0..121).map(|i| weight(i) * f(i)).sum::<f64>() / total;
        let (x, y) = (|i: usize| f64::from(a[i]), |i: usize| f64::from(b[i]));
        let (mx, my) = (mean(&x), mean(&y));
        let (vx, vy) = (
            mean(&|i| (x(i) - mx).powi(2)),
            mean(&|i| (y(i) - my).powi(2)),
        );
        let cov = mean(&|i| (x(i) - mx) * (y(i) - my));
        let expected =
            (2.0 * mx * my + C1) * (2.0 * cov + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2));
        let expected = expected.powf(1.0001);
        let found = ms_ssim(tensor([1, 1, 11, 11], &a), tensor([1, 1, 11, 11], &b)).unwrap();
        close(scalar(found), expected.max(0.0), 1e-5);
    }

    #[test]
    fn gradients() {
        let target = noise(3 * 23 * 24, 4, 0.1, 0.9);
        let output: Vec<f32> = target
            .iter()
            .zip(noise(3 * 23 * 24, 5, -0.2, 0.2))
            .map(|(t, n)| t + n)
            .collect();
        let shape = [1, 3, 23, 24];
        let error = gradient_error(shape, &output, |x| {
            ms_ssim(x, tensor(shape, &target)).unwrap()
        });
        assert!(error < 2e-2, "{error}");
    }

    /// Opposite pictures: the similarity is negative, the value 0, the gradient finite.
    #[test]
    fn negative_similarity_counts_as_zero() {
        let a = noise(121, 6, 0.0, 1.0);
        let b: Vec<f32> = a.iter().map(|v| 1.0 - v).collect();
        let x = tensor([1, 1, 11, 11], &b).require_grad();
        let value = ms_ssim(x.clone(), tensor([1, 1, 11, 11], &a)).unwrap();
        assert_eq!(scalar(value.clone()), 0.0);
        let gradient: Vec<f32> = x
            .grad(&value.backward())
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn small_pictures_are_a_typed_error() {
        let x = Tensor::<Back, 4>::zeros([1, 3, 10, 30], &Default::default());
        let error = ms_ssim(x.clone(), x).unwrap_err();
        assert_eq!(
            error.to_string(),
            "loss `ms-ssim`: shorter side is 10, but at least 11 is needed"
        );
    }
}
