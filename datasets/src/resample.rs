//! Antialiased downscaling of one square region.

use crate::Picture;

/// Lobes of the Lanczos window.
const LOBES: f64 = 3.0;

/// Weights of one output sample over source samples `start..start + weights.len()`.
struct Taps {
    start: usize,
    weights: Vec<f32>,
}

fn lanczos(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        return 1.0;
    }
    if x.abs() >= LOBES {
        return 0.0;
    }
    let t = std::f64::consts::PI * x;
    LOBES * t.sin() * (t / LOBES).sin() / (t * t)
}

/// Taps for `count` output samples that cover `side` source samples from `offset`, on an axis of `length` samples.
///
/// Taps reach beyond the region into the picture, and are cut and renormalized at the picture's edge.
fn taps(offset: usize, side: usize, count: usize, length: usize) -> Vec<Taps> {
    let ratio = (side as f64 / count as f64).max(1.0);
    (0..count)
        .map(|i| {
            let centre = offset as f64 + (i as f64 + 0.5) * side as f64 / count as f64 - 0.5;
            let first = (centre - LOBES * ratio).ceil().max(0.0) as usize;
            let last =
                ((centre + LOBES * ratio).floor().max(0.0) as usize).min(length.saturating_sub(1));
            let raw: Vec<f64> = (first..=last)
                .map(|j| lanczos((j as f64 - centre) / ratio))
                .collect();
            let sum: f64 = raw.iter().sum();
            Taps {
                start: first,
                weights: raw.iter().map(|w| (w / sum) as f32).collect(),
            }
        })
        .collect()
}

/// Scales the `side` x `side` region at (`x`, `y`) down to `size` x `size` and returns `[3, size, size]` in 0..1.
///
/// Values are rounded to 8 bits, because a codec is only ever given 8-bit pictures. The region must lie inside.
pub(crate) fn downscale(
    picture: &Picture,
    x: usize,
    y: usize,
    side: usize,
    size: usize,
) -> Vec<f32> {
    let (width, height) = (picture.width(), picture.height());
    let columns = taps(x, side, size, width);
    let rows = taps(y, side, size, height);
    let top = rows.first().map_or(0, |row| row.start);
    let bottom = rows.last().map_or(0, |row| row.start + row.weights.len());

    // Horizontal pass: one line of [3, size] for each source row that any output row needs.
    let mut lines = vec![0.0f32; (bottom - top) * 3 * size];
    for (line, source) in lines.chunks_exact_mut(3 * size).zip(top..bottom) {
        let source = &picture.pixels()[source * width * 3..(source + 1) * width * 3];
        for (i, column) in columns.iter().enumerate() {
            let mut sum = [0.0f32; 3];
            for (pixel, weight) in source[column.start * 3..]
                .chunks_exact(3)
                .zip(&column.weights)
            {
                for (sum, &value) in sum.iter_mut().zip(pixel) {
                    *sum += weight * f32::from(value);
                }
            }
            for (channel, sum) in sum.into_iter().enumerate() {
                line[channel * size + i] = sum;
            }
        }
    }

    // Vertical pass, into planes.
    let mut out = vec![0.0f32; 3 * size * size];
    for (i, row) in rows.iter().enumerate() {
        for (step, &weight) in row.weights.iter().enumerate() {
            let start = (row.start + step - top) * 3 * size;
            for (channel, line) in lines[start..start + 3 * size]
                .chunks_exact(size)
                .enumerate()
            {
                let target = &mut out[(channel * size + i) * size..][..size];
                for (target, value) in target.iter_mut().zip(line) {
                    *target += weight * value;
                }
            }
        }
    }
    for value in &mut out {
        *value = value.round().clamp(0.0, 255.0) / 255.0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, value: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
        let pixels = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| value(x, y))
            .collect();
        Picture::new(width, height, pixels).unwrap()
    }

    #[test]
    fn flat_stays_flat_up_to_the_edge() {
        let picture = picture(40, 50, |_, _| [10, 128, 255]);
        let out = downscale(&picture, 0, 10, 40, 16);
        for (channel, expected) in [10.0f32, 128.0, 255.0].into_iter().enumerate() {
            assert!(
                out[channel * 256..(channel + 1) * 256]
                    .iter()
                    .all(|v| (v * 255.0 - expected).abs() < 0.01)
            );
        }
    }

    #[test]
    fn ramp_keeps_position_and_stripes_average_out() {
        let ramp = picture(100, 100, |x, y| {
            [
                2 * x as u8,
                2 * y as u8,
                if (x + y) % 2 == 0 { 0 } else { 255 },
            ]
        });
        let size = 20;
        let out = downscale(&ramp, 20, 30, 40, size);
        for i in 0..size {
            // Output sample i is centred at source 20 + 2 i + 0.5.
            let expected = 2.0 * (20.0 + 2.0 * i as f32 + 0.5);
            assert!((out[10 * size + i] * 255.0 - expected).abs() <= 1.0);
            assert!((out[size * size + i * size + 10] * 255.0 - expected - 20.0).abs() <= 1.0);
        }
        // A pixel checkerboard is above the new Nyquist frequency: antialiasing must remove it.
        assert!(
            out[2 * size * size..]
                .iter()
                .all(|v| (v - 0.5).abs() < 0.05)
        );
    }
}
