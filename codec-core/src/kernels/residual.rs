//! Residual units of signals, tile by tile: what lies between the two convolutions never leaves the cache.

use rayon::prelude::*;

use super::activation::Activation;
use super::conv::{BiasActivation, Epilogue, tile_pixels, tiles_of};
use super::fresh::zeros;
use super::matmul::{Matrix, matmul};
use super::scratch::with_scratch;
use super::signal::{Border, SignalShape};

/// A unit with its weights, see [`crate::backend::ResidualUnit`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    /// Of the first convolution, whose stride is 1.
    pub shape: SignalShape,
    pub border: Border,
    /// Channels of the result, Co.
    pub outputs: usize,
    /// `[H, Ci, k]`.
    pub first: &'a [f32],
    /// `[H]`.
    pub first_bias: &'a [f32],
    /// `[Co, H]`.
    pub second: &'a [f32],
    /// `[Co]`, that of the shortcut included.
    pub bias: &'a [f32],
    /// `[Co, Ci]`; the input itself where there is none.
    pub shortcut: Option<&'a [f32]>,
    /// Before both convolutions.
    pub inside: Activation,
    /// Of the result.
    pub activation: Activation,
}

/// The unit's result, `[N, Co, T]`, of `x` `[N, Ci, T]`.
///
/// # Panics
/// If a slice does not fit, or the first convolution does not keep the length.
pub(crate) fn residual_unit(unit: &Unit<'_>, x: &[f32]) -> Vec<f32> {
    let [batch, channels, time] = unit.shape.input;
    let (hidden, outputs) = (unit.shape.outputs, unit.outputs);
    assert_eq!(
        (unit.shape.walk.stride, unit.shape.time),
        (1, time),
        "a residual unit keeps the length"
    );
    assert!(
        unit.shortcut.is_some() || channels == outputs,
        "{channels} and {outputs} channels without a shortcut"
    );
    assert_eq!(x.len(), batch * channels * time, "input of another shape");
    assert_eq!(unit.second.len(), outputs * hidden, "second weights");
    if let Some(shortcut) = unit.shortcut {
        assert_eq!(shortcut.len(), outputs * channels, "weights of shortcut");
    }
    let sight = unit.shape.sight(unit.border, unit.inside);
    assert_eq!(unit.first.len(), hidden * sight.rows(), "first weights");
    let between = BiasActivation::new(unit.first_bias, hidden, unit.inside);
    let after = BiasActivation::new(unit.bias, outputs, unit.activation);
    let mut out = zeros(batch * outputs * time);
    if out.is_empty() {
        return out;
    }
    let pixels = tile_pixels(batch, time, sight.rows());
    let tiles = tiles_of(&mut out, outputs, time, pixels, outputs);
    tiles.into_par_iter().for_each(|tile| {
        let count = pixels.min(time - tile.start);
        let image = &x[tile.image * channels * time..][..channels * time];
        let (seen, widest) = (sight.scratch(count), hidden.max(outputs) * count);
        with_scratch(seen + hidden * count + widest, |scratch| {
            let (seen, scratch) = scratch.split_at_mut(seen);
            let (inside, sums) = scratch.split_at_mut(hidden * count);
            let positions = tile.start..tile.start + count;
            sight.sums(image, unit.first, 0..hidden, positions, seen, sums);
            let rows = inside.chunks_exact_mut(count).zip(sums.chunks_exact(count));
            for (channel, (inside, sums)) in rows.enumerate() {
                between.write(channel, sums, inside);
            }
            let second = Matrix::row_major(unit.second, hidden);
            let inside = Matrix::row_major(inside, count);
            matmul([outputs, hidden, count], second, inside, sums, false);
            if let Some(shortcut) = unit.shortcut {
                let shortcut = Matrix::row_major(shortcut, channels);
                let own = Matrix::row_major(&image[tile.start..], time);
                matmul([outputs, channels, count], shortcut, own, sums, true);
            } else {
                for (sums, own) in sums.chunks_exact_mut(count).zip(image.chunks_exact(time)) {
                    let own = &own[tile.start..][..count];
                    sums.iter_mut().zip(own).for_each(|(sum, x)| *sum += x);
                }
            }
            for (channel, (out, sums)) in tile.rows.into_iter().zip(sums.chunks(count)).enumerate()
            {
                after.write(channel, sums, out);
            }
        });
    });
    out
}
