//! Wavelet packet transform as an operator of the back ends.

use super::slices::{self, LinearMap};
use super::wavelet_plain::{
    analysis as generic_analysis, analysis_1d, synthesis as generic_synthesis, synthesis_1d,
};
use crate::kernels::shape::ShapeError;
use crate::kernels::wavelet::{self as kernel, Map};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_flex::{Flex, FlexTensor};

pub use crate::kernels::wavelet::Boundary;

/// Taps of the four filters, padded to ten: analysis low-pass and high-pass, synthesis low-pass and high-pass. Checkpoints of
/// WaLLoC hold them, the analysis filters reversed.
pub fn filters() -> [[f32; 10]; 4] {
    crate::kernels::wavelet_short::taps()
}

/// More levels than a side of 2^31 allows are refused.
const MAX_LEVELS: usize = 30;

/// Two-dimensional CDF 9/7 ("bior4.4") wavelet packet transform with the filters of WaLLoC.
pub trait WaveletOps: Backend {
    /// Splits every channel into four bands of half the size, `levels` times, each level on all channels.
    ///
    /// # Shapes
    /// `[n, c, h, w]` to `[n, c 4^levels, h / 2^levels, w / 2^levels]`. A level takes channel `k` to `4 k + f`; band `f`
    /// is 0: low, 1: low along the width and high along the height, 2: high along the width and low along the height,
    /// 3: high. One level has gain 2 at zero frequency.
    ///
    /// # Errors
    /// Height or width is zero or no multiple of `2^levels` (pad before), or there are more than 30 levels.
    fn wavelet_analysis(
        x: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims(), levels)?;
        Ok((0..levels).fold(x, |x, _| generic_analysis(x, boundary)))
    }

    /// The inverse of [`WaveletOps::wavelet_analysis`].
    ///
    /// # Shapes
    /// `[n, c 4^levels, h, w]` to `[n, c, h 2^levels, w 2^levels]`.
    ///
    /// # Errors
    /// The channels are no multiple of `4^levels`, height or width is zero, or there are more than 30 levels.
    fn wavelet_synthesis(
        y: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_bands(y.dims(), levels)?;
        Ok((0..levels).fold(y, |y, _| generic_synthesis(y, boundary)))
    }

    /// The transform of signals: every channel in two bands of half the length, `levels` times, each level on all channels.
    ///
    /// # Shapes
    /// `[n, c, t]` to `[n, c 2^levels, t / 2^levels]`. A level takes channel `k` to `2 k` (low) and `2 k + 1` (high).
    ///
    /// # Errors
    /// The length is zero or no multiple of `2^levels`, or there are more than 30 levels.
    fn wavelet_analysis_1d(
        x: Tensor<Self, 3>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 3>, ShapeError> {
        let [_, _, time] = x.dims();
        check_levels(levels)?;
        if time == 0 || !time.is_multiple_of(1 << levels) {
            return Err(ShapeError::Side {
                height: 1,
                width: time,
                multiple: 1 << levels,
            });
        }
        Ok((0..levels).fold(x, |x, _| analysis_1d(x, boundary)))
    }

    /// The inverse of [`WaveletOps::wavelet_analysis_1d`].
    ///
    /// # Shapes
    /// `[n, c 2^levels, t]` to `[n, c, t 2^levels]`.
    ///
    /// # Errors
    /// The channels are no multiple of `2^levels`, the length is zero, or there are more than 30 levels.
    fn wavelet_synthesis_1d(
        y: Tensor<Self, 3>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 3>, ShapeError> {
        let [_, channels, time] = y.dims();
        check_levels(levels)?;
        let multiple = 1usize << levels;
        if !channels.is_multiple_of(multiple) {
            return Err(ShapeError::Channels { channels, multiple });
        }
        if time == 0 {
            return Err(ShapeError::Side {
                height: 1,
                width: 0,
                multiple: 1,
            });
        }
        Ok((0..levels).fold(y, |y, _| synthesis_1d(y, boundary)))
    }
}

fn check_levels(levels: usize) -> Result<(), ShapeError> {
    if levels > MAX_LEVELS {
        return Err(ShapeError::Levels {
            levels,
            limit: MAX_LEVELS,
        });
    }
    Ok(())
}

fn check_image([_, _, height, width]: [usize; 4], levels: usize) -> Result<(), ShapeError> {
    check_levels(levels)?;
    let multiple = 1usize << levels;
    if height == 0
        || width == 0
        || !height.is_multiple_of(multiple)
        || !width.is_multiple_of(multiple)
    {
        return Err(ShapeError::Side {
            height,
            width,
            multiple,
        });
    }
    Ok(())
}

fn check_bands([_, channels, height, width]: [usize; 4], levels: usize) -> Result<(), ShapeError> {
    check_levels(levels)?;
    let multiple = 1usize << (2 * levels);
    if !channels.is_multiple_of(multiple) {
        return Err(ShapeError::Channels { channels, multiple });
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

super::plain_on_gpu!(WaveletOps);

/// `levels` levels on slices.
#[derive(Debug, Clone)]
struct Transform {
    map: Map,
    levels: usize,
    boundary: Boundary,
}

impl Transform {
    fn run(&self, map: Map, x: FlexTensor) -> FlexTensor {
        if self.levels == 0 {
            return x;
        }
        let x = slices::contiguous(x);
        let dims: Vec<usize> = x.layout().shape().iter().copied().collect();
        let [n, mut c, mut h, mut w] = [dims[0], dims[1], dims[2], dims[3]];
        let mut input: Option<Vec<f32>> = None;
        let mut spare = Vec::new();
        for _ in 0..self.levels {
            if !map.splits() {
                (c, h, w) = (c / 4, h * 2, w * 2);
            }
            let source = input.as_deref().unwrap_or_else(|| slices::values(&x));
            let mut output = std::mem::take(&mut spare);
            output.resize(source.len(), 0.0);
            kernel::level(map, self.boundary, source, &mut output, h, w);
            spare = input.replace(output).unwrap_or_default();
            if map.splits() {
                (c, h, w) = (c * 4, h / 2, w / 2);
            }
        }
        slices::tensor(input.unwrap_or_default(), [n, c, h, w].into())
    }
}

impl LinearMap for Transform {
    fn apply(&self, x: FlexTensor) -> FlexTensor {
        self.run(self.map, x)
    }

    fn transposed(&self, gradient: FlexTensor) -> FlexTensor {
        self.run(self.map.transposed(), gradient)
    }
}

impl WaveletOps for Flex {
    fn wavelet_analysis(
        x: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims(), levels)?;
        Ok(slices::apply_flex(
            &Transform {
                map: Map::Analysis,
                levels,
                boundary,
            },
            x,
        ))
    }

    fn wavelet_synthesis(
        y: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_bands(y.dims(), levels)?;
        Ok(slices::apply_flex(
            &Transform {
                map: Map::Synthesis,
                levels,
                boundary,
            },
            y,
        ))
    }
}

impl<C: CheckpointStrategy> WaveletOps for Autodiff<Flex, C> {
    fn wavelet_analysis(
        x: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_image(x.dims(), levels)?;
        Ok(slices::apply_autodiff(
            Transform {
                map: Map::Analysis,
                levels,
                boundary,
            },
            x,
        ))
    }

    fn wavelet_synthesis(
        y: Tensor<Self, 4>,
        levels: usize,
        boundary: Boundary,
    ) -> Result<Tensor<Self, 4>, ShapeError> {
        check_bands(y.dims(), levels)?;
        Ok(slices::apply_autodiff(
            Transform {
                map: Map::Synthesis,
                levels,
                boundary,
            },
            y,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    type Ad = Autodiff<Flex>;

    fn noise(shape: [usize; 4]) -> Tensor<Flex, 4> {
        Tensor::random(shape, Distribution::Uniform(-0.5, 0.5), &Default::default())
    }

    fn difference<const D: usize>(a: Tensor<Flex, D>, b: Tensor<Flex, D>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        (a - b).abs().max().into_scalar()
    }

    const CASES: [([usize; 4], usize, Boundary); 7] = [
        ([2, 3, 24, 40], 3, Boundary::Symmetric),
        ([1, 2, 8, 8], 3, Boundary::Symmetric),
        ([1, 1, 2, 6], 1, Boundary::Symmetric),
        ([1, 3, 40, 48], 3, Boundary::Periodic),
        ([1, 2, 8, 8], 1, Boundary::Periodic),
        ([2, 2, 6, 20], 1, Boundary::Periodic),
        ([1, 2, 10, 4], 1, Boundary::Periodic),
    ];

    #[test]
    fn default_equals_override() {
        for (shape, levels, boundary) in CASES {
            let x = noise(shape);
            let fast = Flex::wavelet_analysis(x.clone(), levels, boundary).unwrap();
            let plain = (0..levels).fold(x, |x, _| generic_analysis(x, boundary));
            assert!(
                difference(fast, plain.clone()) < 4e-6,
                "{shape:?} {boundary:?}"
            );
            let fast = Flex::wavelet_synthesis(plain.clone(), levels, boundary).unwrap();
            let plain = (0..levels).fold(plain, |y, _| generic_synthesis(y, boundary));
            assert!(difference(fast, plain) < 4e-6, "{shape:?} {boundary:?}");
        }
    }

    #[test]
    fn gradients_equal_those_of_the_default() {
        for (shape, levels, boundary) in CASES {
            let scale = 1 << levels;
            let bands = [
                shape[0],
                shape[1] * scale * scale,
                shape[2] / scale,
                shape[3] / scale,
            ];
            let (x, y) = (noise(shape), noise(bands));
            let gradient = |fast: bool| {
                let (x, y) = (
                    Tensor::<Ad, 4>::from_inner(x.clone()).require_grad(),
                    Tensor::from_inner(y.clone()),
                );
                let bands = if fast {
                    Ad::wavelet_analysis(x.clone(), levels, boundary).unwrap()
                } else {
                    (0..levels).fold(x.clone(), |x, _| generic_analysis(x, boundary))
                };
                x.grad(&(bands * y).sum().backward()).unwrap()
            };
            assert!(
                difference(gradient(true), gradient(false)) < 4e-6,
                "analysis {shape:?} {boundary:?}"
            );
            let gradient = |fast: bool| {
                let (y, x) = (
                    Tensor::<Ad, 4>::from_inner(y.clone()).require_grad(),
                    Tensor::from_inner(x.clone()),
                );
                let image = if fast {
                    Ad::wavelet_synthesis(y.clone(), levels, boundary).unwrap()
                } else {
                    (0..levels).fold(y.clone(), |y, _| generic_synthesis(y, boundary))
                };
                y.grad(&(image * x).sum().backward()).unwrap()
            };
            assert!(
                difference(gradient(true), gradient(false)) < 4e-6,
                "synthesis {shape:?} {boundary:?}"
            );
        }
    }

    #[test]
    fn wrong_sizes_are_errors() {
        let analysis = |shape, levels| {
            Flex::wavelet_analysis(
                Tensor::zeros(shape, &Default::default()),
                levels,
                Boundary::Symmetric,
            )
        };
        let side = ShapeError::Side {
            height: 12,
            width: 16,
            multiple: 8,
        };
        assert_eq!(analysis([1, 1, 12, 16], 3).err(), Some(side));
        assert_eq!(
            analysis([1, 1, 8, 8], 31).err(),
            Some(ShapeError::Levels {
                levels: 31,
                limit: 30
            })
        );
        let bands = Tensor::<Flex, 4>::zeros([1, 12, 2, 2], &Default::default());
        let error = Flex::wavelet_synthesis(bands, 2, Boundary::Symmetric).err();
        assert_eq!(
            error,
            Some(ShapeError::Channels {
                channels: 12,
                multiple: 16
            })
        );
    }

    #[test]
    #[ignore = "timing"]
    fn timing() {
        let x = noise([1, 3, 512, 768]);
        let best = |f: &dyn Fn()| {
            (0..20)
                .map(|_| {
                    let t = std::time::Instant::now();
                    f();
                    t.elapsed().as_secs_f64() * 1e3
                })
                .fold(f64::MAX, f64::min)
        };
        let y = Flex::wavelet_analysis(x.clone(), 3, Boundary::Symmetric).unwrap();
        for boundary in [Boundary::Symmetric, Boundary::Periodic] {
            println!(
                "{boundary:?} analysis {:.2} ms, synthesis {:.2} ms",
                best(&|| drop(Flex::wavelet_analysis(x.clone(), 3, boundary))),
                best(&|| drop(Flex::wavelet_synthesis(y.clone(), 3, boundary)))
            );
        }
        println!(
            "default analysis {:.1} ms",
            best(&|| drop((0..3).fold(x.clone(), |x, _| generic_analysis(x, Boundary::Symmetric))))
        );
        let (batch, weight) = (noise([8, 3, 256, 256]), noise([8, 192, 32, 32]));
        let adjoint = Transform {
            map: Map::AnalysisAdjoint,
            levels: 3,
            boundary: Boundary::Symmetric,
        };
        println!(
            "8 x 3 x 256 x 256: analysis {:.2} ms, its adjoint {:.2} ms, both and a product loss {:.2} ms",
            best(&|| drop(Flex::wavelet_analysis(
                batch.clone(),
                3,
                Boundary::Symmetric
            ))),
            best(&|| drop(slices::apply_flex(&adjoint, weight.clone()))),
            best(&|| {
                let x = Tensor::<Ad, 4>::from_inner(batch.clone()).require_grad();
                let y = Ad::wavelet_analysis(x.clone(), 3, Boundary::Symmetric).unwrap();
                drop((y * Tensor::from_inner(weight.clone())).sum().backward());
            })
        );
    }
}
