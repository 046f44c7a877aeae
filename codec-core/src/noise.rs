//! Uniform noise for training, on request a function of the sample alone.
//!
//! A backend's own generator is one a process and draws a batch as a whole: replicas that share it, or that take parts
//! of a batch, would get other noise on every run. Within [`with`], the caller decides every number.

use std::cell::RefCell;

use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{Distribution, Tensor, TensorData};

/// Fills the noise of a sample: number of the draw since [`with`] began, number of the sample in the batch, values.
type Fill = Box<dyn FnMut(u64, usize, &mut [f32])>;

thread_local! {
    static SOURCE: RefCell<Option<(u64, Fill)>> = const { RefCell::new(None) };
}

/// Puts back what was there before, also when the work panics.
struct Restore(Option<(u64, Fill)>);

impl Drop for Restore {
    fn drop(&mut self) {
        SOURCE.with(|source| *source.borrow_mut() = self.0.take());
    }
}

/// Does `work`, on this thread, with noise that `fill` makes; it should fill with numbers in `-0.5..0.5`.
pub fn with<T>(fill: impl FnMut(u64, usize, &mut [f32]) + 'static, work: impl FnOnce() -> T) -> T {
    let before = SOURCE.with(|source| source.borrow_mut().replace((0, Box::new(fill))));
    let _restore = Restore(before);
    work()
}

/// Noise in `-0.5..0.5`, `[samples, ..]`: from [`with`] if within, else from the generator of the device.
pub fn uniform<B: Backend, const D: usize>(
    dims: [usize; D],
    device: &<B as BackendTypes>::Device,
) -> Tensor<B, D> {
    let values = SOURCE.with(|source| {
        let mut source = source.borrow_mut();
        let (draw, fill) = source.as_mut()?;
        let mut values = vec![0.0; dims.iter().product()];
        let of_sample = dims.iter().skip(1).product::<usize>().max(1);
        for (sample, values) in values.chunks_mut(of_sample).enumerate() {
            fill(*draw, sample, values);
        }
        *draw += 1;
        Some(values)
    });
    match values {
        Some(values) => Tensor::from_data(TensorData::new(values, dims), device),
        None => Tensor::random(dims, Distribution::Uniform(-0.5, 0.5), device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::backend::flex::FlexDevice;

    fn draw(dims: [usize; 2]) -> Vec<f32> {
        uniform::<Flex, 2>(dims, &FlexDevice)
            .into_data()
            .into_vec()
            .expect("floats")
    }

    #[test]
    fn the_caller_decides_every_number() {
        let fill = |draw: u64, sample: usize, values: &mut [f32]| {
            values.fill(draw as f32 + 0.1 * sample as f32);
        };
        let (first, second) = with(fill, || (draw([2, 2]), draw([1, 3])));
        assert_eq!(first, [0.0, 0.0, 0.1, 0.1]);
        assert_eq!(second, [1.0, 1.0, 1.0]);
    }

    #[test]
    fn afterwards_the_device_draws_again() {
        with(
            |_, _, values| values.fill(7.0),
            || assert_eq!(draw([1, 1]), [7.0]),
        );
        let drawn = draw([8, 8]);
        assert!(drawn.iter().all(|v| (-0.5..=0.5).contains(v)));
        assert!(drawn.windows(2).any(|w| w[0] != w[1]));
    }
}
