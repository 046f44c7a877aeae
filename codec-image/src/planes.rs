//! RGB bytes to planes of real numbers and back, with the padding that models ask for.

use crate::coder::RgbTile;

/// What lies beyond the right and lower border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// The last column and row again.
    Edge,
    /// Black.
    Zero,
}

/// Three planes of `width` x `height` in 0..1 with the tile in their upper left corner, row by row.
pub fn planes(tile: RgbTile<'_>, width: usize, height: usize, border: Border) -> Vec<f32> {
    let mut out = vec![0f32; 3 * width * height];
    for (c, plane) in out.chunks_mut((width * height).max(1)).enumerate() {
        for (y, row) in plane.chunks_mut(width.max(1)).enumerate() {
            if border == Border::Zero && y >= tile.height {
                break;
            }
            let source = y.min(tile.height.saturating_sub(1)) * tile.width * 3;
            let source = tile
                .samples
                .get(source..source + tile.width * 3)
                .unwrap_or_default();
            let mut last = 0.0;
            for (x, value) in row.iter_mut().enumerate() {
                match source.get(3 * x + c) {
                    Some(&v) => last = f32::from(v) / 255.0,
                    None if border == Border::Zero => break,
                    None => {}
                }
                *value = last;
            }
        }
    }
    out
}

/// RGB bytes of `width` x `height` from three planes in 0..1 with rows of `stride` values and `area` values each, starting at
/// column `left` and row `top`. Values are rounded and clamped; what is not a number becomes black.
pub fn interleave(
    planes: &[f32],
    [stride, area]: [usize; 2],
    [left, top]: [usize; 2],
    [width, height]: [usize; 2],
) -> Vec<u8> {
    let mut out = vec![0u8; 3 * width * height];
    for (y, row) in out.chunks_mut((3 * width).max(1)).enumerate() {
        for (c, plane) in planes.chunks(area.max(1)).enumerate() {
            let start = (top + y) * stride + left;
            let source = plane.get(start..start + width).unwrap_or_default();
            for (pixel, &v) in row.chunks_mut(3).zip(source) {
                if let Some(slot) = pixel.get_mut(c) {
                    *slot = (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_padded_planes() {
        let samples: Vec<u8> = (0..3 * 5 * 3).map(|v| v * 5).collect();
        let tile = RgbTile {
            width: 5,
            height: 3,
            samples: &samples,
        };
        for (border, corner) in [
            (Border::Edge, f32::from(samples[44]) / 255.0),
            (Border::Zero, 0.0),
        ] {
            let planes = planes(tile, 8, 4, border);
            assert_eq!(planes.last(), Some(&corner));
            assert_eq!(interleave(&planes, [8, 32], [0, 0], [5, 3]), samples);
        }
    }
}
