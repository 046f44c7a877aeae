//! "Pixels" and "Wavelet synthesis" of the document.

use crate::Planes;
use crate::passes::{convolve, depth_to_space};
use crate::weights::Weights;

fn merge(low: &[f64], high: &[f64]) -> Vec<f64> {
    let (a, b, c, d, s) = (
        -1.586_134_3,
        -0.052_980_12,
        0.882_911_1,
        0.443_506_85,
        1.149_604_4,
    );
    let n = low.len();
    let mut low: Vec<f64> = low.iter().map(|v| v / s).collect();
    let mut high: Vec<f64> = high.iter().map(|v| v * -s).collect();
    for (odd, even) in [(c, d), (a, b)] {
        for i in 0..n {
            low[i] -= even * (high[i.saturating_sub(1)] + high[i]);
        }
        for i in 0..n {
            high[i] -= odd * (low[i] + low[(i + 1).min(n - 1)]);
        }
    }
    low.into_iter()
        .zip(high)
        .flat_map(|(l, h)| [l, h])
        .collect()
}

fn transposed(plane: &[f64], width: usize) -> Vec<f64> {
    let height = plane.len() / width;
    (0..plane.len())
        .map(|i| plane[i % height * width + i / height])
        .collect()
}

/// Merges two planes row by row: twice the width.
fn merge_rows(low: &[f64], high: &[f64], width: usize) -> Vec<f64> {
    let rows = low.chunks_exact(width).zip(high.chunks_exact(width));
    rows.flat_map(|(low, high)| merge(low, high)).collect()
}

/// One level of wavelet synthesis.
fn synthesis(x: &Planes<f64>) -> Planes<f64> {
    let (w, h) = (x.width, x.height);
    let columns = |low: &[f64], high: &[f64]| {
        let tall = merge_rows(&transposed(low, w), &transposed(high, w), h);
        transposed(&tall, 2 * h)
    };
    let channel = |bands: &[Vec<f64>]| {
        let (low, high) = (columns(&bands[0], &bands[1]), columns(&bands[2], &bands[3]));
        merge_rows(&low, &high, w)
    };
    Planes {
        width: 2 * w,
        height: 2 * h,
        channels: x.channels.chunks_exact(4).map(channel).collect(),
    }
}

fn unfold(y: &Planes<f64>) -> Planes<f64> {
    let part = |channels: &[Vec<f64>]| Planes {
        channels: channels.to_vec(),
        ..*y
    };
    let mut out = synthesis(&part(&y.channels[..12]));
    out.channels
        .extend(depth_to_space(&part(&y.channels[12..])).channels);
    out
}

fn map(x: &Planes<f64>, f: impl Fn(f64) -> f64) -> Planes<f64> {
    let plane = |plane: &Vec<f64>| plane.iter().map(|&v| f(v)).collect();
    Planes {
        channels: x.channels.iter().map(plane).collect(),
        ..*x
    }
}

fn add(x: &mut Planes<f64>, y: &Planes<f64>, factor: f64) {
    for (x, y) in x
        .channels
        .iter_mut()
        .flatten()
        .zip(y.channels.iter().flatten())
    {
        *x += factor * y;
    }
}

fn compand(x: f64) -> f64 {
    (24.0 * x.clamp(-4.0, 4.0) + 7.0 * x.clamp(-20.0, 20.0) + x.clamp(-272.0, 272.0)) / 64.0
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// Samples of a tile from latents in folded order.
pub fn reconstruct(mut y: Planes<f64>, size: (usize, usize), t: f64, weights: &Weights) -> Vec<u8> {
    let float = |name: &str, x: &Planes<f64>| convolve(&weights.float_layer(name), x);
    let with_plane = |mut x: Planes<f64>| {
        x.channels.push(vec![2.0 * t - 1.0; x.width * x.height]);
        x
    };
    let h = map(
        &float("synthesis.refine.input", &with_plane(map(&y, compand))),
        relu,
    );
    let mut h = map(&float("synthesis.refine.hidden", &h), relu);
    let residual = |h: &mut Planes<f64>, name: &str| {
        let inner = map(&float(&format!("{name}.spatial"), h), relu);
        let mixed = float(&format!("{name}.mix"), &inner);
        add(h, &mixed, 1.0);
    };
    for n in 0..weights.integer_config("synthesis_refine_blocks") {
        residual(&mut h, &format!("synthesis.refine.blocks.{n}"));
    }
    add(&mut y, &float("synthesis.refine.output", &h), 1.0);

    let table = weights.reals("steps");
    let p = 63.0 * t;
    let l = p.floor().min(62.0);
    let step = |entry: usize| {
        let row = l as usize * 201 + entry;
        table[row] * (table[row + 201] / table[row]).powf(p - l)
    };
    let mut scaled = y.clone();
    for (i, plane) in scaled.channels.iter_mut().enumerate() {
        let step = step(if i < 12 { i } else { 12 + (i - 12) % 189 });
        plane.iter_mut().for_each(|v| *v *= step);
    }
    let (least, most) = (
        weights.real_config("lambda_min"),
        weights.real_config("lambda_max"),
    );
    let base = 0.85 * (26.0 / (least * (most / least).powf(t))).sqrt();

    let signal = with_plane(map(&unfold(&y), compand));
    let mut h = map(&float("synthesis.input", &signal), relu);
    for n in 0..weights.integer_config("synthesis_blocks") {
        residual(&mut h, &format!("synthesis.blocks.{n}"));
    }
    let estimate = float("synthesis.output", &h);
    let mut coefficients = float("synthesis.linear", &unfold(&scaled));
    add(&mut coefficients, &estimate, base);

    let picture = synthesis(&synthesis(&synthesis(&coefficients)));
    let mut samples = Vec::new();
    for row in 0..size.1 {
        for column in 0..size.0 {
            for plane in &picture.channels {
                let value = plane[row * picture.width + column] + 127.5;
                samples.push((value + 0.5).floor().clamp(0.0, 255.0) as u8);
            }
        }
    }
    samples
}
