//! Between backward and update: frozen parameters, groups, norm and clipping of the whole gradient.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use codec_core::backend::{CodecBackend, UpdateOps as _};
use rayon::prelude::*;

use crate::TrainError;
use crate::pattern;

/// Values of one partial sum; fixed, so that the norm does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// Exchanges gradients between the members of a run on several devices, between backward and update.
pub trait Exchange<B: AutodiffBackend> {
    /// Number of members.
    fn members(&self) -> usize;

    /// This member's number; member 0 writes files.
    fn rank(&self) -> usize;

    /// The mean over all members, the same for each of them.
    ///
    /// # Errors
    /// [`TrainError`] when another member cannot be reached.
    fn exchange<M: AutodiffModule<B>>(
        &mut self,
        module: &M,
        gradients: GradientsParams,
    ) -> Result<GradientsParams, TrainError>;

    /// Whether any member has been asked to stop, so that all stop after the same step.
    ///
    /// # Errors
    /// As [`Exchange::exchange`].
    fn agree(&mut self, stop: bool) -> Result<bool, TrainError>;

    /// Replaces figures by their means over all members.
    ///
    /// # Errors
    /// As [`Exchange::exchange`].
    fn mean(&mut self, figures: &mut [f64]) -> Result<(), TrainError>;

    /// Makes sure that all members have the same number; `what` names it in the error.
    ///
    /// # Errors
    /// [`CollectiveError::Drifted`](crate::CollectiveError::Drifted) when they have not, and as [`Exchange::exchange`].
    fn same(&mut self, number: u64, what: &'static str) -> Result<(), TrainError>;
}

/// One device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl<B: AutodiffBackend> Exchange<B> for Alone {
    fn members(&self) -> usize {
        1
    }

    fn rank(&self) -> usize {
        0
    }

    fn exchange<M: AutodiffModule<B>>(
        &mut self,
        _module: &M,
        gradients: GradientsParams,
    ) -> Result<GradientsParams, TrainError> {
        Ok(gradients)
    }

    fn agree(&mut self, stop: bool) -> Result<bool, TrainError> {
        Ok(stop)
    }

    fn mean(&mut self, _figures: &mut [f64]) -> Result<(), TrainError> {
        Ok(())
    }

    fn same(&mut self, _number: u64, _what: &'static str) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Takes out the gradients of parameters whose names a pattern covers.
pub fn split<B: AutodiffBackend, M: AutodiffModule<B>, S: AsRef<str>>(
    module: &M,
    gradients: &mut GradientsParams,
    patterns: &[S],
) -> GradientsParams {
    struct Take<'a, S> {
        from: &'a mut GradientsParams,
        to: GradientsParams,
        patterns: &'a [S],
        path: Vec<String>,
    }
    impl<B: AutodiffBackend, S: AsRef<str>> ModuleVisitor<B> for Take<'_, S> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if pattern::any(self.patterns, &self.path.join("."))
                && let Some(g) = self.from.remove::<B::InnerBackend, D>(param.id)
            {
                self.to.register(param.id, g);
            }
        }
    }
    let mut take = Take {
        from: gradients,
        to: GradientsParams::new(),
        patterns,
        path: Vec::new(),
    };
    if !patterns.is_empty() {
        module.visit(&mut take);
    }
    take.to
}

/// Multiplies all gradients.
pub fn scale<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    factor: f32,
) where
    B::InnerBackend: CodecBackend,
{
    struct Scale<'a> {
        gradients: &'a mut GradientsParams,
        factor: f32,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_>
    where
        B::InnerBackend: CodecBackend,
    {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(g) = self.gradients.remove::<B::InnerBackend, D>(param.id) {
                let scaled = B::InnerBackend::scaled(g, self.factor);
                self.gradients.register(param.id, scaled);
            }
        }
    }
    module.visit(&mut Scale { gradients, factor });
}

/// Sum of squares, in an order that depends on the length alone.
fn squared_norm(values: &[f32]) -> f64 {
    let parts: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(|values| {
            let mut lanes = [0f64; 8];
            let (blocks, rest) = values.as_chunks::<8>();
            for block in blocks {
                for (lane, &v) in lanes.iter_mut().zip(block) {
                    *lane += f64::from(v) * f64::from(v);
                }
            }
            let rest = rest.iter().map(|&v| f64::from(v) * f64::from(v));
            lanes.iter().sum::<f64>() + rest.sum::<f64>()
        })
        .collect();
    parts.iter().sum()
}

/// Scales all gradients so that their common Euclidean norm is at most `limit` (0 for no limit); gives the norm before.
///
/// Burn's own clipping by norm looks at each tensor alone.
pub fn clip_by_global_norm<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &mut GradientsParams,
    limit: f32,
) -> f32
where
    B::InnerBackend: CodecBackend,
{
    struct Norm<'a> {
        gradients: &'a GradientsParams,
        squared: f64,
    }
    impl<B: AutodiffBackend> ModuleVisitor<B> for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(g) = self.gradients.get::<B::InnerBackend, D>(param.id) {
                let data = g.into_data().convert::<f32>();
                self.squared += squared_norm(data.as_slice().unwrap_or_default());
            }
        }
    }
    let mut norm = Norm {
        gradients,
        squared: 0.0,
    };
    module.visit(&mut norm);
    let norm = norm.squared.sqrt() as f32;
    if limit > 0.0 && norm.is_finite() && norm > limit {
        scale(module, gradients, limit / norm);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, squared_norm};

    #[test]
    fn squares_are_summed_over_all_chunks() {
        for len in [0, 1, 7, 8, CHUNK - 1, 3 * CHUNK + 13] {
            let values: Vec<f32> = (0..len).map(|i| (i % 100) as f32 - 50.0).collect();
            let want: i64 = (0..len as i64).map(|i| (i % 100 - 50).pow(2)).sum();
            // Integers below 2^53: exact in any order.
            assert_eq!(squared_norm(&values), want as f64);
        }
    }
}
