//! "Integer layers", "Features" and "Passes" of the document.

use std::ops::{AddAssign, Mul};

use crate::Planes;
use crate::entropy::Stream;
use crate::weights::{Layer, Weights};

/// Range of a layer's output: smallest, largest, binary digits.
type Range = (i64, i64, i64);
const HIDDEN: Range = (0, 255, 4);
const SIGNED: Range = (-127, 127, 4);
const SCALE: Range = (0, 63, 0);

/// A convolution with zeros outside, its bias included.
pub fn convolve<T: Copy + AddAssign + Mul<Output = T>>(
    layer: &Layer<T>,
    x: &Planes<T>,
) -> Planes<T> {
    let [outputs, inputs, k] = layer.shape;
    assert_eq!(x.channels.len(), inputs);
    let (w, h, half) = (x.width as isize, x.height as isize, (k / 2) as isize);
    let plane = |o: usize| {
        let mut out = vec![layer.bias[o]; x.width * x.height];
        for (i, input) in x.channels.iter().enumerate() {
            for tap in 0..k * k {
                let weight = layer.weight[(o * inputs + i) * k * k + tap];
                let (dy, dx) = ((tap / k) as isize - half, (tap % k) as isize - half);
                for y in 0.max(-dy)..h.min(h - dy) {
                    for x in 0.max(-dx)..w.min(w - dx) {
                        out[(y * w + x) as usize] +=
                            weight * input[((y + dy) * w + x + dx) as usize];
                    }
                }
            }
        }
        out
    };
    Planes {
        width: x.width,
        height: x.height,
        channels: (0..outputs).map(plane).collect(),
    }
}

/// Four channels become one of twice the size.
pub fn depth_to_space<T: Copy + Default>(x: &Planes<T>) -> Planes<T> {
    let c = x.channels.len() / 4;
    let mut channels = vec![vec![T::default(); 4 * x.width * x.height]; c];
    for (index, plane) in x.channels.iter().enumerate() {
        let (d, k) = (index / c, index % c);
        for (at, &value) in plane.iter().enumerate() {
            let (y, x0) = (at / x.width, at % x.width);
            channels[k][(2 * y + d / 2) * 2 * x.width + 2 * x0 + d % 2] = value;
        }
    }
    Planes {
        width: 2 * x.width,
        height: 2 * x.height,
        channels,
    }
}

fn layer(weights: &Weights, name: &str, range: Range, x: &Planes<i64>) -> Planes<i64> {
    let layer = weights.integer_layer(name);
    requantize(convolve(&layer, x), &layer, range)
}

/// Each channel by itself.
fn depthwise(weights: &Weights, name: &str, range: Range, x: &Planes<i64>) -> Planes<i64> {
    let layer = weights.integer_layer(name);
    let [outputs, 1, k] = layer.shape else {
        panic!("{name} is not depthwise");
    };
    assert_eq!(outputs, x.channels.len());
    let channel = |o: usize| {
        let one = Layer {
            shape: [1, 1, k],
            weight: layer.weight[o * k * k..(o + 1) * k * k].to_vec(),
            bias: vec![layer.bias[o]],
            fraction: Vec::new(),
        };
        let input = Planes {
            channels: vec![x.channels[o].clone()],
            ..*x
        };
        convolve(&one, &input).channels.remove(0)
    };
    let out = Planes {
        channels: (0..outputs).map(channel).collect(),
        ..*x
    };
    requantize(out, &layer, range)
}

fn requantize(mut out: Planes<i64>, layer: &Layer<i64>, (lo, hi, r): Range) -> Planes<i64> {
    for (plane, fraction) in out.channels.iter_mut().zip(&layer.fraction) {
        let s = fraction + 4 - r;
        for acc in plane {
            let rounded = if s > 0 {
                (*acc + (1 << (s - 1))) >> s
            } else {
                *acc
            };
            *acc = rounded.clamp(lo, hi);
        }
    }
    out
}

pub fn quality_plane(quality: i64) -> i64 {
    (128 * quality + 5000) / 10000 - 64
}

fn context(v: i64, d: u32) -> i64 {
    let within = |limit: i64| v.clamp(-(limit << d), limit << d);
    let sum = 24 * within(4) + 7 * within(20) + within(272);
    ((sum + (1 << (d + 1))) >> (d + 2)).clamp(-127, 127)
}

/// Values of the latents of all passes, with D binary digits after the point.
pub fn decode(
    payload: &[u8],
    size: (usize, usize),
    quality: i64,
    weights: &Weights,
) -> Vec<Planes<i64>> {
    let (gw, gh) = (2 * size.0.div_ceil(32), 2 * size.1.div_ceil(32));
    let mut stream = Stream::new(payload);
    let mut hyper = Planes {
        width: gw / 2,
        height: gh / 2,
        channels: Vec::new(),
    };
    assert_eq!(weights.hyper.len(), weights.integer_config("hyper_latents"));
    for table in &weights.hyper {
        let plane = (0..gw * gh / 4).map(|_| 4 * stream.symbol(table).clamp(-31, 31));
        hyper.channels.push(plane.collect());
    }
    hyper
        .channels
        .push(vec![quality_plane(quality); gw * gh / 4]);
    let h = layer(weights, "hyper_synthesis.input", HIDDEN, &hyper);
    let h = layer(weights, "hyper_synthesis.expand", HIDDEN, &h);
    let features = layer(
        weights,
        "hyper_synthesis.output",
        HIDDEN,
        &depth_to_space(&h),
    );

    let mut seen = Planes {
        channels: Vec::new(),
        ..features.clone()
    };
    let mut passes = Vec::new();
    for p in 0..4 {
        let name = |part: &str| format!("passes.{p}.{part}");
        let mut x = features.clone();
        if p > 0 {
            let mut entry = layer(weights, &name("entry"), HIDDEN, &seen);
            entry.channels.append(&mut x.channels);
            x = entry;
        }
        let h = layer(weights, &name("spatial"), HIDDEN, &x);
        let h = layer(weights, &name("hidden"), HIDDEN, &h);
        let (mut for_mean, mut for_scale) = (h.clone(), h);
        if p > 0 {
            let signed = depthwise(weights, &name("signed"), SIGNED, &seen);
            for_mean.channels.extend(signed.channels);
            let mut sizes = seen.clone();
            sizes
                .channels
                .iter_mut()
                .flatten()
                .for_each(|v| *v = v.abs());
            let magnitude = depthwise(weights, &name("magnitude"), HIDDEN, &sizes);
            for_scale.channels.extend(magnitude.channels);
        }
        let d = weights.digits();
        let limit = 8191 << (d - 4);
        let mut values = layer(weights, &name("mean"), (-limit, limit, d as _), &for_mean);
        let scales = layer(weights, &name("scale"), SCALE, &for_scale);
        for (values, scales) in values.channels.iter_mut().zip(&scales.channels) {
            for (value, &scale) in values.iter_mut().zip(scales) {
                let symbol = stream.symbol(&weights.latent[scale as usize]);
                *value = ((symbol << d) + *value).clamp(-(1 << 23), 1 << 23);
            }
            seen.channels
                .push(values.iter().map(|&v| context(v, d)).collect());
        }
        passes.push(values);
    }
    stream.finish();
    passes
}
