//! Changes of colour of one crop.

use crate::{Augment, SplitMix64};

/// Luma weights of ITU-R BT.601, as in the definition of YIQ.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// I and Q of RGB (FCC 1953, as given in ITU-R reports and most textbooks), and back.
const I: [f32; 3] = [0.5959, -0.2746, -0.3213];
const Q: [f32; 3] = [0.2115, -0.5227, 0.3112];
const FROM_IQ: [[f32; 2]; 3] = [[0.956, 0.619], [-0.272, -0.647], [-1.106, 1.703]];

fn dot(weights: [f32; 3], pixel: [f32; 3]) -> f32 {
    weights
        .into_iter()
        .zip(pixel)
        .map(|(weight, value)| weight * value)
        .sum()
}

/// Changes `[3, S, S]` in 0..1 by draws from `rng`, in the order brightness, contrast, saturation, hue, gray. The result
/// is rounded to 8 bits, because a codec is only ever given 8-bit pictures. Without changes nothing is touched.
pub(crate) fn jitter(planes: &mut [f32], augment: &Augment, rng: &mut SplitMix64) {
    let mut around_one = |x: f32| 1.0 + x * (2.0 * rng.unit() - 1.0);
    let brightness = around_one(augment.brightness);
    let contrast = around_one(augment.contrast);
    let saturation = around_one(augment.saturation);
    let angle = f64::from(around_one(augment.hue) - 1.0) * std::f64::consts::TAU;
    let gray = rng.unit() < augment.gray;
    if augment.color() == [0.0; 5] {
        return;
    }
    let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
    let area = planes.len() / 3;
    let (red, rest) = planes.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    let pixels = || red.iter().zip(green.iter()).zip(blue.iter());
    let sum: f64 = pixels()
        .map(|((&r, &g), &b)| f64::from(dot(LUMA, [r, g, b])))
        .sum();
    let mean = (sum / area.max(1) as f64) as f32 * brightness;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let mut pixel = [*r, *g, *b].map(|v| (v * brightness - mean) * contrast + mean);
        let luma = dot(LUMA, pixel);
        if gray {
            pixel = [luma; 3];
        } else {
            pixel = pixel.map(|v| (v - luma) * saturation + luma);
            if augment.hue > 0.0 {
                let (i, q) = (dot(I, pixel), dot(Q, pixel));
                let (i, q) = (i * cos - q * sin, i * sin + q * cos);
                for (value, [from_i, from_q]) in pixel.iter_mut().zip(FROM_IQ) {
                    *value = luma + from_i * i + from_q * q;
                }
            }
        }
        let [red, green, blue] = pixel.map(|v| (v * 255.0).round().clamp(0.0, 255.0) / 255.0);
        (*r, *g, *b) = (red, green, blue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jittered(augment: &Augment, seed: u64) -> Vec<f32> {
        // Two pixels: an orange one and a blue-green one.
        let mut planes = [200.0, 40.0, 120.0, 130.0, 60.0, 150.0].map(|v: f32| v / 255.0);
        jitter(&mut planes, augment, &mut SplitMix64::new(seed));
        planes.iter().map(|v| v * 255.0).collect()
    }

    #[test]
    fn nothing_asked_nothing_changed() {
        assert_eq!(
            jittered(&Augment::default(), 1)
                .iter()
                .map(|v| v.round() as u8)
                .collect::<Vec<_>>(),
            [200, 40, 120, 130, 60, 150]
        );
    }

    #[test]
    fn gray_leaves_luma() {
        let augment = Augment {
            gray: 1.0,
            ..Augment::default()
        };
        let out = jittered(&augment, 2);
        // 0.299 * 200 + 0.587 * 120 + 0.114 * 60 = 137.08; the other pixel 105.37.
        for (at, expected) in [137.0, 105.0, 137.0, 105.0, 137.0, 105.0]
            .iter()
            .enumerate()
        {
            assert!((out[at] - expected).abs() < 0.01, "{out:?}");
        }
    }

    #[test]
    fn brightness_scales_and_hue_keeps_luma() {
        let brightness = Augment {
            brightness: 0.2,
            ..Augment::default()
        };
        let hue = Augment {
            hue: 0.05,
            ..Augment::default()
        };
        let luma = |v: &[f32], at: usize| dot(LUMA, [v[at], v[at + 2], v[at + 4]]);
        let mut moved = 0;
        for seed in 0..20 {
            let out = jittered(&brightness, seed);
            let factor = out[0] / 200.0;
            assert!((0.79..1.21).contains(&factor));
            assert!(
                (out[5] - (150.0 * factor).min(255.0)).abs() < 1.5,
                "{out:?}"
            );
            let out = jittered(&hue, seed);
            assert!((luma(&out, 0) - 137.08).abs() < 1.5, "{out:?}");
            moved += usize::from((out[0] - 200.0).abs() > 2.0);
        }
        assert!(moved > 5);
    }
}
