//! The sides of a tile's latents, and pixels in and out, for models with latents at 1/16 and hyperlatents at 1/64.

use std::time::Instant;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use codec_core::Error;

use super::host;
use crate::coder::{DecodedTile, RgbTile, Stages};
use crate::planes::{Border, interleave, planes};

/// Pixels that a side is padded to a multiple of: four halvings, and two more for the hyperlatents.
pub(crate) const ALIGNMENT: usize = 64;
/// Pixels in a side of a latent.
const LATENT: usize = 16;
/// Latents in a side of a hyperlatent.
const HYPER: usize = 4;
/// Longest side of a tile in pixels.
const SIDE_MAX: usize = 1 << 24;

/// Rows and columns of latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Grid {
    /// Latents of a tile of `width` x `height` pixels.
    pub fn of(width: usize, height: usize) -> Result<Self, Error> {
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(Error::bad_parameter(format!(
                "invalid tile size {width}x{height} (expected sides of 1..={SIDE_MAX})"
            )));
        }
        let side = |side: usize| side.div_ceil(ALIGNMENT) * (ALIGNMENT / LATENT);
        Ok(Self {
            height: side(height),
            width: side(width),
        })
    }

    /// Hyperlatents of these latents.
    pub fn hyper(self) -> Self {
        Self {
            height: self.height / HYPER,
            width: self.width / HYPER,
        }
    }

    /// Number of cells.
    pub fn area(self) -> usize {
        self.height * self.width
    }

    /// A tensor `[1, channels, height, width]`.
    pub fn tensor<B: Backend>(
        self,
        values: Vec<f32>,
        channels: usize,
        device: &B::Device,
    ) -> Tensor<B, 4> {
        let shape = [1, channels, self.height, self.width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The tile as `[1, 3, 16 height, 16 width]` in 0..1, black to the right and below.
    pub fn pixels<B: Backend>(
        self,
        tile: RgbTile<'_>,
        device: &B::Device,
    ) -> Result<Tensor<B, 4>, Error> {
        if tile.samples.len() != 3 * tile.width * tile.height {
            return Err(Error::bad_parameter("a tile of the wrong length"));
        }
        let [height, width] = [self.height * LATENT, self.width * LATENT];
        let values = planes(tile, width, height, Border::Zero);
        Ok(Tensor::from_data(
            TensorData::new(values, [1, 3, height, width]),
            device,
        ))
    }

    /// The tile of the upper left `width` x `height` of such a tensor, which `synthesis` computes.
    pub fn decoded<B: Backend>(
        self,
        synthesis: impl FnOnce() -> Result<Tensor<B, 4>, Error>,
        size: [usize; 2],
        stages: Stages,
    ) -> Result<DecodedTile, Error> {
        let clock = Instant::now();
        let stride = self.width * LATENT;
        let plane = [stride, stride * self.height * LATENT];
        let samples = interleave(&host(synthesis()?)?, plane, [0, 0], size);
        let transform = clock.elapsed();
        Ok(DecodedTile {
            samples,
            stages: Stages {
                transform,
                ..stages
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_padded() {
        let grid = Grid::of(65, 1).unwrap();
        assert_eq!((grid.height, grid.width), (4, 8));
        assert_eq!((grid.area(), grid.hyper().area()), (32, 2));
        assert!(Grid::of(0, 1).is_err() && Grid::of(1, usize::MAX).is_err());
    }
}
