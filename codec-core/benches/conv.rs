//! Our convolutions beside Burn's own, on the CPU backend.
#![allow(missing_docs)] // the macros of criterion define undocumented functions

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor};
use burn_autodiff::Autodiff;
use burn_flex::Flex;
use codec_core::backend::{Activation, ConvOps, RequantOps, plain};
use criterion::{Criterion, criterion_group, criterion_main};

type Ad = Autodiff<Flex>;
type Layer<B> = fn(Tensor<B, 4>, Tensor<B, 4>, Tensor<B, 1>, Activation) -> Tensor<B, 4>;

/// Name, input and weight dimensions.
type Case = (&'static str, [usize; 4], [usize; 4]);

const DENSE: [Case; 5] = [
    ("3x3 128-128 96x64", [1, 128, 96, 64], [128, 128, 3, 3]),
    ("3x3 64-64 n8 32x32", [8, 64, 32, 32], [64, 64, 3, 3]),
    ("3x3 12-64 192x128", [1, 12, 192, 128], [64, 12, 3, 3]),
    ("1x1 256-256 64x96", [1, 256, 64, 96], [256, 256, 1, 1]),
    ("1x1 64-64 n8 32x32", [8, 64, 32, 32], [64, 64, 1, 1]),
];
const DEPTHWISE: [Case; 2] = [
    ("depthwise 3x3 256 64x96", [1, 256, 64, 96], [256, 1, 3, 3]),
    ("depthwise 5x5 64 n8 32x32", [8, 64, 32, 32], [64, 1, 5, 5]),
];

fn random<const D: usize>(dims: [usize; D]) -> Tensor<Flex, D> {
    Tensor::random(dims, Distribution::Uniform(-1.0, 1.0), &Default::default())
}

fn bench(
    c: &mut Criterion,
    case: Case,
    ours: (Layer<Flex>, Layer<Ad>),
    burn: (Layer<Flex>, Layer<Ad>),
) {
    let (name, x, w) = case;
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(500));
    group.measurement_time(std::time::Duration::from_secs(1));
    let (x, w, b) = (random(x), random(w), random([w[0]]));
    for (who, (forward, training)) in [("ours", ours), ("burn", burn)] {
        group.bench_function(format!("forward {who}"), |bencher| {
            bencher.iter(|| black_box(forward(x.clone(), w.clone(), b.clone(), Activation::Relu)));
        });
        group.bench_function(format!("forward + backward {who}"), |bencher| {
            bencher.iter(|| {
                let x = Tensor::<Ad, 4>::from_inner(x.clone()).require_grad();
                let w = Tensor::<Ad, 4>::from_inner(w.clone()).require_grad();
                let b = Tensor::<Ad, 1>::from_inner(b.clone()).require_grad();
                let y = training(x, w, b, Activation::Relu);
                black_box(y.sum().backward())
            });
        });
    }
}

fn dense(c: &mut Criterion) {
    for case in DENSE {
        bench(
            c,
            case,
            (Flex::conv2d_same, Ad::conv2d_same),
            (plain::conv2d_same, plain::conv2d_same),
        );
    }
}

fn depthwise(c: &mut Criterion) {
    for case in DEPTHWISE {
        bench(
            c,
            case,
            (Flex::depthwise_conv2d_same, Ad::depthwise_conv2d_same),
            (plain::depthwise_conv2d_same, plain::depthwise_conv2d_same),
        );
    }
}

fn requant(c: &mut Criterion) {
    let (x, w, b) = (
        random([1, 64, 96, 64]),
        random([64, 64, 3, 3]),
        random([64]),
    );
    let mut group = c.benchmark_group("requant 3x3 64-64 96x64");
    group
        .sample_size(10)
        .measurement_time(std::time::Duration::from_secs(1));
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            black_box(Flex::conv2d_requant(
                x.clone(),
                w.clone(),
                b.clone(),
                b.clone(),
                0.0,
                255.0,
            ))
        });
    });
    group.bench_function("burn", |bencher| {
        bencher.iter(|| {
            black_box(plain::conv2d_requant(
                x.clone(),
                w.clone(),
                b.clone(),
                b.clone(),
                0.0,
                255.0,
            ))
        });
    });
}

criterion_group!(benches, dense, depthwise, requant);
criterion_main!(benches);
